//! What users ask of a TaskManager: to leave, and what its logs and threads are.

use super::*;
use reflow_types::inspection::{Finding, Inquiry};
use reflow_view::Reply;
use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;

#[test]
fn a_task_manager_that_the_job_can_spare_is_told_to_leave() {
    let drain = |id| Command::DrainTaskManager { task_manager: TaskManagerId(id), force: false };
    let mut world = started(MemoryStore::default());
    world.register_task_manager();
    assert_eq!(world.ask(drain(6)), Err(CommandError::UnknownTaskManager(TaskManagerId(6))));
    assert_eq!(world.ask(drain(5)), Ok(Reply::Accepted), "the job is not on it");
    assert_eq!(world.received::<ToTaskManager>(TM), [ToTaskManager::Drain, ToTaskManager::Release]);
    world.send(TM, &FromTaskManager::Draining);
    assert_eq!(world.ask(drain(5)), Ok(Reply::Accepted), "it leaves already");
}

type Answer = Result<Reply, CommandError>;

impl World {
    /// Asks TaskManager 5 for its threads. Returns the receiver of the answer.
    fn inspect(&mut self) -> Receiver<Answer> {
        let command = Command::Inspect { task_manager: TaskManagerId(5), inquiry: Inquiry::Threads };
        let mut asked = self.handle.ask(command).unwrap();
        assert_eq!(asked.try_recv(), Err(TryRecvError::Empty));
        self.feed(Input::Wakeup);
        asked
    }

    fn answer_inquiry(&mut self, number: u64) {
        let inspection = Ok(Finding::Threads(vec![]));
        self.send(TM, &FromTaskManager::Inspected { number, inspection });
    }
}

fn threads() -> Answer {
    Ok(Reply::Inspected(Ok(Finding::Threads(vec![]))))
}

#[test]
fn inquiries_are_answered_by_their_task_manager() {
    let mut world = started(MemoryStore::default());
    let mut early = world.inspect();
    assert_eq!(early.try_recv(), Ok(Err(CommandError::UnknownTaskManager(TaskManagerId(5)))));
    world.register_task_manager();
    let (mut first, mut second) = (world.inspect(), world.inspect());
    let inquiry = Inquiry::Threads;
    let sent = [0, 1].map(|number| ToTaskManager::Inspect { number, inquiry: inquiry.clone() });
    assert_eq!(world.received::<ToTaskManager>(TM), sent);
    world.answer_inquiry(7);
    let none = Err(TryRecvError::Empty);
    assert_eq!((first.try_recv(), second.try_recv()), (none.clone(), none.clone()), "nobody has asked that");
    world.answer_inquiry(1);
    assert_eq!((first.try_recv(), second.try_recv()), (none, Ok(threads())));
    world.answer_inquiry(0);
    assert_eq!(first.try_recv(), Ok(threads()));
    world.answer_inquiry(0);
    assert_eq!(world.closed, [], "an answer to nobody does no harm");
}

#[test]
fn inquiries_end_with_their_task_manager_and_their_number_is_bounded() {
    let mut world = started(MemoryStore::default());
    world.register_task_manager();
    let mut waiting: Vec<Receiver<Answer>> = (0..64).map(|_| world.inspect()).collect();
    let mut further = world.inspect();
    assert!(matches!(further.try_recv(), Ok(Err(CommandError::Unavailable(_)))));
    world.feed(Input::Closed { conn: TM, reason: "reset".into() });
    for waiting in &mut waiting {
        let gone = format!("TaskManager {} is gone: reset", TaskManagerId(5));
        assert_eq!(waiting.try_recv(), Ok(Err(CommandError::Failed(gone))));
    }
}

#[test]
fn the_own_process_is_inspected_without_the_event_loop() {
    let world = world(MemoryStore::default(), StartMode::default());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let process = reflow_view::ClusterProcess::JobManager;
    let answer = runtime.block_on(world.handle.inspect(process, Inquiry::LogFiles));
    assert_eq!(answer, Ok(Err(InspectionError::NoSuchLog)), "what this test's function answers");
}
