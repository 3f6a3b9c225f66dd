//! The executor, driven by hand.

use super::*;
use reflow_env::{Clock, Signal, SlotLoop};
use reflow_graph::{Edge, ExecutionGraph, ExecutionVertex, JobGraph, Shipping, Subtask, Vertex, VertexIndex};
use reflow_protocol::command::{MoreSplits, SnapshotKind};
use reflow_protocol::control::SubtaskMetrics;
use reflow_protocol::deployment::{Artifact, ExecutorStart, StartExecutor};
use reflow_protocol::job_managers::JobManagers;
use reflow_protocol::rescale::Part;
use reflow_protocol::snapshot::{AfterBarrier, FirstCheckpoint, OperatorState, Restore};
use reflow_runtime::{Task, TaskStep};
use reflow_stream::Job;
use reflow_types::{AttemptNumber, Bounds, ExecutorId, JobId, LeaderEpoch, SlotId, TaskManagerId, VertexId};
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
    slot: Option<Box<dyn SlotLoop>>,
}

fn registered() -> Driven {
    let start = StartExecutor {
        executor: ExecutorId(1),
        job: JobId(2),
        artifact: Artifact {
            name: "job".into(),
            sha256: "ab".into(),
            len: 3,
            http_port: 8081,
            tls: Default::default(),
        },
        job_args: vec![],
        token: 3,
        slots: 1,
    };
    let start = ExecutorStart {
        start,
        job_managers: JobManagers::new("localhost:6123".into(), []),
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
        latency_interval: None,
        prefetch_bandwidth: None,
        bounds: Bounds::default(),
    });
    let mut driven = Driven { executor, now: Instant::default(), memory, slot: None };
    let started = driven.feed(Input::Start);
    driven.slot = started.into_iter().find_map(|output| match output {
        Output::RunSlot { slot, .. } => Some(slot),
        _ => None,
    });
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
        taken_over: Default::default(),
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

/// The registration tells of what has happened before it was sent, and what happens until the answer follows that.
#[test]
fn what_happens_during_a_registration_is_reported_after_it() {
    let attempt = Attempt { epoch: LeaderEpoch(1), number: AttemptNumber(1) };
    let ended = |subtask| SubtaskReport { attempt, subtask: SubtaskId(subtask), event: SubtaskEvent::Ended };
    let mut driven = registered();
    driven.feed(Input::Closed { conn: ConnId(0), reason: "reset".into() });
    let mut out = Vec::new();
    driven.executor.report(ended(1), &mut out);
    driven.now = driven.now + Duration::from_secs(1);
    let conn = connects(&driven.feed(Input::Wakeup)).expect("it connects again");
    driven.feed(Input::Connected { conn, local: "localhost".into() });
    driven.executor.report(ended(2), &mut out);
    assert!(out.is_empty(), "nobody takes reports yet");
    let out = driven.feed(Input::Received { conn, frame: reflow_protocol::encode(&leader(2)) });
    let reports: Vec<FromExecutor> = out
        .iter()
        .filter_map(|output| match output {
            Output::Send { frame, .. } => reflow_protocol::decode(frame).ok(),
            _ => None,
        })
        .filter(|message| matches!(message, FromExecutor::SubtaskReport(_)))
        .collect();
    assert_eq!(reports, [FromExecutor::SubtaskReport(ended(2))]);
}

/// A task that does nothing.
struct Inert;

impl Task for Inert {
    fn step(&mut self, _: Instant, _: &mut Vec<TaskEvent>) -> TaskStep {
        TaskStep::Idle(None)
    }
    fn trigger(&mut self, _: Instant, _: CheckpointId, _: &SnapshotKind) {}
    fn completed(&mut self, _: CheckpointId) {}
    fn aborted(&mut self, _: CheckpointId) {}
    fn assign_splits(&mut self, _: &[Bytes], _: Vec<OperatorState>, _: MoreSplits) {}
    fn prepare(&mut self, _: reflow_runtime::Preparation) {}
    fn catch_up(&mut self, _: CheckpointId, _: &Restore) {}
    fn abandon(&mut self) {}
    fn hand_over(&mut self, _: SubtaskId, _: Part) {}
    fn adopt(&mut self, _: Vec<OperatorState>) {}
    fn metrics(&self) -> SubtaskMetrics {
        SubtaskMetrics::default()
    }
}

/// A deployment of two vertices with `parallelism` subtasks each, and the number of tasks that were built.
fn wide(driven: &mut Driven, parallelism: u64) -> (ToExecutor, Arc<AtomicU64>) {
    let vertex = |id: u16| Vertex {
        id: VertexId(id.into()),
        name: format!("v{id}"),
        operators: vec![],
        parallelism: None,
        max_parallelism: None,
        slot_sharing_group: "default".into(),
        source: id == 0,
        keyed: false,
    };
    let (from, to) = (VertexIndex(0), VertexIndex(1));
    let edges = vec![Edge { from, to, shipping: Shipping::Rebalance, side_output: None }];
    let built = Arc::new(AtomicU64::new(0));
    let factory = || -> reflow_stream::TaskFactory {
        let built = built.clone();
        Box::new(move |_| {
            built.fetch_add(1, Ordering::Relaxed);
            Box::new(Inert)
        })
    };
    let job = JobGraph { vertices: vec![vertex(0), vertex(1)], edges, ..JobGraph::default() };
    driven.executor.regions = Regions::of(&job);
    driven.executor.options.job =
        Job { graph: Arc::new(job), factories: vec![factory(), factory()], enumerators: vec![] };
    let slot = SlotId { executor: ExecutorId(1), index: 0 };
    let vertex = |first: u64| ExecutionVertex {
        subtasks: (first..first + parallelism).map(|id| Subtask { id: SubtaskId(id), slot }).collect(),
        table: None,
        attempt: Attempt::default(),
    };
    let deployment = Box::new(Deployment {
        attempt: Attempt { epoch: LeaderEpoch(1), number: AttemptNumber(1) },
        graph: ExecutionGraph { vertices: vec![vertex(0), vertex(parallelism)] },
        restore: vec![],
        first_checkpoint: FirstCheckpoint::Changes,
        checkpoint: None,
        taken_over: Default::default(),
        then: AfterBarrier::Continue,
    });
    (ToExecutor::Deploy { deployment, addresses: vec![] }, built)
}

#[test]
fn a_wide_attempt_is_built_in_turns_between_which_heartbeats_are_sent() {
    let mut driven = registered();
    let mut slot = driven.slot.take().unwrap();
    let heartbeat_interval = Duration::from_secs(1);
    let (deploy, built) = wide(&mut driven, 100);
    driven.receive(&deploy);
    slot.step(driven.now);
    driven.feed(Input::Wakeup);
    let mut turns = 0;
    while driven.executor.building.is_some() {
        assert!(driven.executor.options.signal.take(), "the next turn follows at once");
        let before = built.load(Ordering::Relaxed);
        driven.now = driven.now + heartbeat_interval;
        let answer = reflow_protocol::encode(&ToExecutor::Heartbeat);
        let out = driven.feed(Input::Received { conn: ConnId(0), frame: answer });
        let is_heartbeat = |output: &Output| match output {
            Output::Send { frame, .. } => {
                matches!(reflow_protocol::decode(frame), Ok(FromExecutor::Heartbeat { .. }))
            }
            _ => false,
        };
        assert!(out.iter().any(is_heartbeat), "turn {turns}");
        assert!(built.load(Ordering::Relaxed) - before <= 50, "a turn opens 5,000 channels of 100 a subtask");
        turns += 1;
    }
    assert_eq!(built.load(Ordering::Relaxed), 200);
    assert!(turns >= 2, "20,000 ends of channels take more than {turns} turns");
    assert!(driven.executor.running.is_some());
}

#[test]
fn an_attempt_that_is_canceled_while_it_is_built_is_dropped_by_the_slots() {
    let mut driven = registered();
    let mut slot = driven.slot.take().unwrap();
    let (deploy, built) = wide(&mut driven, 100);
    driven.receive(&deploy);
    slot.step(driven.now);
    driven.feed(Input::Wakeup);
    assert!(driven.executor.building.is_some(), "{} tasks are built", built.load(Ordering::Relaxed));
    let attempt = Attempt { epoch: LeaderEpoch(1), number: AttemptNumber(1) };
    driven.receive(&ToExecutor::CancelAttempt { attempt });
    slot.step(driven.now);
    let out = driven.feed(Input::Wakeup);
    let canceled = FromExecutor::Report(ExecutorReport::AttemptCanceled { attempt });
    let frame = reflow_protocol::encode(&canceled);
    assert!(out.iter().any(|output| matches!(output, Output::Send { frame: sent, .. } if *sent == frame)));
    assert!(driven.executor.building.is_none() && driven.executor.running.is_none());
    assert!(built.load(Ordering::Relaxed) < 200);
}

#[test]
fn channels_that_do_not_fit_into_the_memory_are_refused_with_the_figures() {
    let mut driven = registered();
    let mut slot = driven.slot.take().unwrap();
    let (deploy, built) = wide(&mut driven, 600); // 720,000 ends
    driven.receive(&deploy);
    slot.step(driven.now);
    let out = driven.feed(Input::Wakeup);
    let failed = out.iter().any(|output| match output {
        Output::Send { frame, .. } => matches!(
            reflow_protocol::decode(frame),
            Ok(FromExecutor::SubtaskReport(SubtaskReport { event: SubtaskEvent::Failed(failure), .. }))
                if failure.fault == Fault::Memory && failure.message.contains("720000 ends") && failure.message.contains("256 MiB")
        ),
        _ => false,
    });
    assert!(failed && built.load(Ordering::Relaxed) == 0);
}

/// Peers that were told of the next attempt earlier have opened channels already, and do not open them again.
#[test]
fn channels_of_an_attempt_that_comes_while_another_is_dropped_are_kept() {
    let mut driven = registered();
    let (mut deploy, _) = wide(&mut driven, 2);
    let ToExecutor::Deploy { deployment, .. } = &mut deploy else { unreachable!() };
    let subtasks = deployment.graph.vertices.iter_mut().flat_map(|vertex| &mut vertex.subtasks);
    subtasks.for_each(|subtask| subtask.id.0 += 10);
    driven.receive(&ToExecutor::DropAttempt { attempt: Attempt::default() });
    driven.receive(&deploy);
    assert!(driven.executor.slots().is_clearing(), "the former tasks are not dropped yet");
    assert_eq!(driven.executor.first_kept(), SubtaskId(10));
}
