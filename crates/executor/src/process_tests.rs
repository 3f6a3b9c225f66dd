//! The executor, driven by hand.

use super::*;
use reflow_env::{Clock, Signal};
use reflow_graph::{ExecutionGraph, JobGraph};
use reflow_protocol::deployment::{Artifact, ExecutorStart, StartExecutor};
use reflow_protocol::snapshot::{AfterBarrier, FirstCheckpoint};
use reflow_stream::Job;
use reflow_types::{AttemptNumber, Bounds, ExecutorId, JobId, LeaderEpoch, TaskManagerId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const LIMIT: u64 = 256 << 20;

struct Still;

impl Clock for Still {
    fn now(&self) -> Instant {
        Instant::default()
    }
}

/// An executor with a limit, and what it uses.
struct Driven {
    executor: Executor,
    now: Instant,
    memory: Arc<AtomicU64>,
}

fn registered() -> Driven {
    let start = StartExecutor {
        executor: ExecutorId(1),
        job: JobId(2),
        artifact: Artifact { name: "job".into(), sha256: "ab".into(), len: 3, http_port: 8081 },
        job_args: vec![],
        token: 3,
        slots: 1,
    };
    let start = ExecutorStart {
        start,
        job_manager: "localhost:6123".into(),
        task_manager: TaskManagerId(5),
        host: "localhost".into(),
        bind_host: "localhost".into(),
        data_port: 0,
        memory_limit: Some(LIMIT),
        properties: String::new(),
    };
    let graph = Arc::new(JobGraph { name: "job".into(), vertices: vec![], ..JobGraph::default() });
    let memory = Arc::new(AtomicU64::new(LIMIT / 2));
    let used = memory.clone();
    let executor = Executor::new(ExecutorOptions {
        start,
        job: Job { graph, factories: vec![], enumerators: vec![] },
        clock: Arc::new(Still),
        signal: Signal::default(),
        memory: Box::new(move || used.load(Ordering::Relaxed)),
        give_back: || (),
        pid: 1,
        from_local: true,
        adoption_timeout: Duration::from_secs(60),
        bounds: Bounds::default(),
    });
    let mut driven = Driven { executor, now: Instant::default(), memory };
    driven.feed(Input::Start);
    driven.feed(Input::Listening { listener: DATA, address: "localhost:4001".into() });
    driven.feed(Input::Connected { conn: ConnId(0), local: "localhost".into() });
    driven.receive(&leader(1));
    driven
}

/// What a JobManager of this leadership answers to a registration.
fn leader(epoch: u64) -> ToExecutor {
    let (heartbeat_interval, heartbeat_timeout) = (Duration::from_secs(1), Duration::from_secs(5));
    ToExecutor::Registered { heartbeat_interval, heartbeat_timeout, epoch: LeaderEpoch(epoch), token: 4 }
}

impl Driven {
    fn feed(&mut self, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.executor.handle(self.now, input, &mut out);
        out
    }

    fn receive(&mut self, message: &ToExecutor) {
        self.feed(Input::Received { conn: ConnId(0), frame: reflow_protocol::encode(message) });
    }

    /// The process uses more than it may; the messages that it then sends, and whether it ends.
    fn exceed(&mut self) -> (Vec<FromExecutor>, bool) {
        self.memory.store(LIMIT + 1, Ordering::Relaxed);
        self.now = self.now + WATCH_INTERVAL + Duration::from_millis(1);
        let out = self.feed(Input::Wakeup);
        let ends = out
            .iter()
            .any(|output| matches!(output, Output::Exit { reason, .. } if reason.contains("256 MiB")));
        let sent = out.iter().filter_map(|output| match output {
            Output::Send { frame, .. } => reflow_protocol::decode(frame).ok(),
            _ => None,
        });
        (sent.collect(), ends)
    }
}

/// Also where it has no subtask that could fail: before its first attempt, in one that has nothing here, in one that
/// has failed elsewhere.
#[test]
fn the_memory_limit_holds_in_every_state() {
    let attempt = Attempt { epoch: LeaderEpoch(1), number: AttemptNumber(1) };
    let deployment = Deployment {
        attempt,
        graph: ExecutionGraph::default(),
        restore: vec![],
        first_checkpoint: FirstCheckpoint::Changes,
        checkpoint: None,
        then: AfterBarrier::Continue,
    };
    let deployment = Box::new(deployment);
    let deploy = ToExecutor::Deploy { deployment, addresses: vec![] };
    let messages = [deploy, ToExecutor::CancelAttempt { attempt }];
    let states: [&[ToExecutor]; 3] = [&[], &messages[..1], &messages];
    for messages in states {
        let mut driven = registered();
        messages.iter().for_each(|message| driven.receive(message));
        let (sent, ends) = driven.exceed();
        assert!(ends, "after {} messages", messages.len());
        assert!(
            sent.contains(&FromExecutor::Report(ExecutorReport::MemoryExhausted)),
            "after {} messages: {sent:?}",
            messages.len()
        );
    }
}

/// The connection that it opens with this output, if it does.
fn connects(out: &[Output]) -> Option<ConnId> {
    out.iter().find_map(|output| match output {
        Output::Connect { conn, .. } => Some(*conn),
        _ => None,
    })
}

fn exits(out: &[Output]) -> bool {
    out.iter().any(|output| matches!(output, Output::Exit { .. }))
}

#[test]
fn without_a_job_manager_it_looks_for_a_later_one_and_ends_after_a_while() {
    let mut driven = registered();
    let lost = |conn| Input::Closed { conn, reason: "reset".into() };
    assert!(!exits(&driven.feed(lost(ConnId(0)))));
    let mut conn = None;
    // A JobManager of an earlier leadership answers, one that has not said which it is, and a later one.
    for (answer, stays) in [(leader(0), false), (ToExecutor::Heartbeat, false), (leader(2), true)] {
        driven.now = driven.now + Duration::from_secs(1);
        let next = connects(&driven.feed(Input::Wakeup)).expect("it connects again");
        assert!(crate::is_to_job_manager(next) && conn != Some(next), "{next:?}");
        let out = driven.feed(Input::Connected { conn: next, local: "localhost".into() });
        let Some(Output::Send { frame, .. }) = out.get(1) else { panic!("it registers") };
        let register = reflow_protocol::decode(frame);
        assert!(
            matches!(register, Ok(FromExecutor::Register { followed: Some(LeaderEpoch(1)), .. })),
            "{register:?}"
        );
        let out = driven.feed(Input::Received { conn: next, frame: reflow_protocol::encode(&answer) });
        assert_eq!(driven.executor.job_manager.is_registered(), stays, "{answer:?}");
        let closes = |output: &Output| matches!(output, Output::Close { conn } if *conn == next);
        assert_eq!(out.iter().any(closes), answer == leader(0));
        if answer == ToExecutor::Heartbeat {
            driven.feed(lost(next));
        }
        conn = Some(next);
    }
    driven.feed(lost(conn.expect("it is connected")));
    driven.now = driven.now + Duration::from_secs(59);
    assert!(!exits(&driven.feed(Input::Wakeup)));
    driven.now = driven.now + Duration::from_secs(1);
    assert!(exits(&driven.feed(Input::Wakeup)), "the adoption timeout is over");
}
