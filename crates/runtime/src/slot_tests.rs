//! An example of a slot with two tasks, a source and a sink.

use super::*;
use bytes::Bytes;
use reflow_protocol::command::{MoreSplits, SnapshotKind};
use reflow_protocol::snapshot::{AfterBarrier, OperatorState, StateFormat};

struct Still;

impl Clock for Still {
    fn now(&self) -> Instant {
        Instant(0)
    }
}

/// A task that logs its calls. It never has input, and fails when a checkpoint is complete.
struct Noting {
    name: &'static str,
    notes: Arc<Mutex<Vec<String>>>,
}

impl Noting {
    fn note(&self, what: &str) {
        self.notes.lock().unwrap().push(format!("{} {what}", self.name));
    }
}

impl Task for Noting {
    fn step(&mut self, _: Instant, events: &mut Vec<TaskEvent>) -> TaskStep {
        self.note("steps");
        events.push(SubtaskEvent::Running.into());
        TaskStep::Idle(None)
    }
    fn trigger(&mut self, _: Instant, checkpoint: CheckpointId, _: &SnapshotKind) {
        self.note(&format!("begins checkpoint {checkpoint}"));
    }
    fn completed(&mut self, checkpoint: CheckpointId) {
        crate::fail(Fault::User, self.name, format!("cannot commit {checkpoint}"));
    }
    fn aborted(&mut self, _: CheckpointId) {}
    fn assign_splits(&mut self, _: &[Bytes], _: Vec<OperatorState>, _: MoreSplits) {}
    fn prepare(&mut self, _: Preparation) {}
    fn catch_up(&mut self, _: CheckpointId, _: &Restore) {}
    fn abandon(&mut self) {}
    fn hand_over(&mut self, _: SubtaskId, _: Part) {}
    fn adopt(&mut self, _: Vec<OperatorState>) {}
    fn metrics(&self) -> SubtaskMetrics {
        SubtaskMetrics::default()
    }
}

/// A command about checkpoint 1, in which subtask 3 does not take part.
fn checkpoint(command: CheckpointCommand) -> SlotCommand {
    let absent = Arc::new(BTreeSet::from([SubtaskId(3)]));
    SlotCommand::Checkpoint { checkpoint: CheckpointId(1), absent, command }
}

/// The events of tasks, without the attempt.
fn reports(port: &SlotPort) -> Vec<(SubtaskId, TaskEvent)> {
    let report = |event| match event {
        SlotEvent::Task { subtask, event, .. } => Some((subtask, event)),
        _ => None,
    };
    port.take_events().into_iter().filter_map(report).collect()
}

#[test]
fn commands_come_before_steps_and_the_sink_before_the_source() {
    let notes = Arc::<Mutex<Vec<String>>>::default();
    let taken = || std::mem::take(&mut *notes.lock().unwrap());
    let task = |name, id: u64, vertex| DeployedTask {
        subtask: SubtaskId(id),
        vertex: VertexIndex(vertex),
        name: String::from(name),
        task: Box::new(Noting { name, notes: notes.clone() }),
    };
    let port = SlotPort::new(Signal::default(), Signal::default());
    let mut slot = Slot::new(port.clone(), Io::default(), Arc::new(Still));

    // Tasks are deployed in topological order and run in the opposite order, so that records leave before others
    // enter.
    port.send(SlotCommand::Deploy {
        attempt: Attempt::default(),
        tasks: vec![task("source", 1, 0), task("sink", 2, 1)],
    });
    assert!(matches!(slot.step(Instant(0)), SlotStep::Wait(None)), "no task has input");
    assert_eq!(taken(), ["sink steps", "source steps"]);
    let running = |id| (SubtaskId(id), TaskEvent::from(SubtaskEvent::Running));
    assert_eq!(reports(&port), [running(2), running(1)]);

    // Commands of the executor are handled before the next step.
    let kind = SnapshotKind {
        format: StateFormat::Checkpoint,
        full: false,
        directory: "/c".to_owned(),
        then: AfterBarrier::Continue,
        cut: None,
    };
    port.send(checkpoint(CheckpointCommand::Trigger(kind)));
    slot.step(Instant(0));
    let begun = ["sink begins checkpoint 1", "source begins checkpoint 1", "sink steps", "source steps"];
    assert_eq!(taken(), begun);
    reports(&port);

    // A panic is caught at the edge of its task, which runs no further step.
    port.send(checkpoint(CheckpointCommand::NotifyComplete));
    slot.step(Instant(0));
    assert_eq!(taken(), Vec::<String>::new());
    let failed = reports(&port);
    let fault = |event: &TaskEvent| match event {
        TaskEvent::Report(SubtaskEvent::Failed(failure)) => Some((failure.fault, failure.message.clone())),
        _ => None,
    };
    assert_eq!(
        failed.iter().find_map(|(_, event)| fault(event)),
        Some((Fault::User, "cannot commit 1".to_owned()))
    );
}
