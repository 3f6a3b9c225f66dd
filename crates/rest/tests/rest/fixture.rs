//! A cluster for tests and the demo: the one that Flink's answers in `tests/flink` were recorded from.

use std::sync::{Arc, Mutex};

use reflow_types::inspection::{Inquiry, Inspection, InspectionError};
use reflow_types::{AttemptNumber, CheckpointId, JobId, LeaderEpoch, SubtaskIndex, TaskManagerId, VertexId};
use reflow_view::*;
use reflow_view::{Cluster, Command, CommandError, OperationStatus, Reply, RequestId, RescaleId};

pub(crate) const JOB: JobId = JobId(0x9cb9b50e6b54f532c72a685bb021e65b);
pub(crate) const SOURCE: VertexId = VertexId(0x6bf01baa9d2ca23a3ef7ce311722523d);
pub(crate) const COUNT: VertexId = VertexId(0xb71731f1c0df9c3076c4a455334d0ad6);
pub(crate) const REQUEST: RequestId = RequestId(0xab4fa126028bd08a7b95d907725bc6bf);
pub(crate) const TASK_MANAGERS: [TaskManagerId; 2] = [TaskManagerId(0x148842), TaskManagerId(0x2f7044)];
const RESCALE: RescaleId = RescaleId(0x2b8b98b65ec94d442122dda5429ebc46);
const NOW_MS: i64 = 1_795_330_416_879;

type Answer = dyn Fn(&Command) -> Result<Reply, CommandError> + Send + Sync;
type Inspect = dyn Fn(ClusterProcess, &Inquiry) -> Result<Inspection, CommandError> + Send + Sync;

/// A cluster that shows one view, records commands, and gives prepared replies.
pub(crate) struct FakeCluster {
    view: Arc<ClusterView>,
    answer: Box<Answer>,
    pub(crate) commands: Mutex<Vec<Command>>,
    /// How processes answer inquiries.
    pub(crate) inspect: Box<Inspect>,
}

impl FakeCluster {
    pub(crate) fn new(
        view: ClusterView,
        answer: impl Fn(&Command) -> Result<Reply, CommandError> + Send + Sync + 'static,
    ) -> Self {
        let inspect = Box::new(|_, _: &Inquiry| Ok(Err(InspectionError::NoSuchLog)));
        Self { view: Arc::new(view), answer: Box::new(answer), commands: Mutex::default(), inspect }
    }

    /// Everything works, and savepoints are complete at once.
    pub(crate) fn obedient(view: ClusterView) -> Self {
        Self::new(view, |command| {
            Ok(match command {
                Command::Cancel { .. }
                | Command::ShutDown
                | Command::TransferLeadership
                | Command::UpdateRequirements { .. }
                | Command::DrainTaskManager { force: false, .. } => Reply::Accepted,
                Command::TriggerSavepoint { .. }
                | Command::StopWithSavepoint { .. }
                | Command::DisposeSavepoint { .. }
                | Command::DrainTaskManager { force: true, .. }
                | Command::TriggerCheckpoint { .. } => Reply::Triggered(REQUEST),
                Command::Inspect { .. } => Reply::Inspected(Err(InspectionError::NoSuchLog)),
                Command::QueryDisposal { .. } => Reply::Operation(OperationStatus::SavepointDisposed),
                Command::QueryOperation { .. } => Reply::Operation(OperationStatus::SavepointCompleted {
                    location: "file:/flink/sp/savepoint-9cb9b5-1c1985471f60".to_owned(),
                }),
            })
        })
    }
}

impl Cluster for FakeCluster {
    fn view(&self) -> Arc<ClusterView> {
        Arc::clone(&self.view)
    }

    async fn inspect(&self, process: ClusterProcess, inquiry: Inquiry) -> Result<Inspection, CommandError> {
        (self.inspect)(process, &inquiry)
    }

    async fn command(&self, command: Command) -> Result<Reply, CommandError> {
        let answer = (self.answer)(&command);
        self.commands.lock().expect("no test panics while it holds the lock").push(command);
        answer
    }
}

/// The cluster of the recording.
pub(crate) fn cluster() -> ClusterView {
    ClusterView {
        readiness: reflow_view::Readiness::Leading,
        now_ms: NOW_MS,
        version: "2.3.0".to_owned(),
        commit: "c0f8d1a".to_owned(),
        configuration: [("rest.port", "8081"), ("scheduler-mode", "reactive")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        cancel_enabled: true,
        rescale_enabled: true,
        leadership: LeadershipView {
            changes: vec![
                LeaderChange {
                    epoch: LeaderEpoch(1),
                    at_ms: 1_795_330_399_000,
                    cause: LeaderChangeCause::Started,
                    silent_ms: None,
                },
                LeaderChange {
                    epoch: LeaderEpoch(2),
                    at_ms: 1_795_330_403_000,
                    cause: LeaderChangeCause::LeaseExpired,
                    silent_ms: Some(3_010),
                },
            ],
            takeover: Some(TakeoverView::Adopted),
        },
        metrics: [("Status.JVM.Memory.Heap.Used".to_owned(), 84_448_064.0)].into(),
        task_managers: TASK_MANAGERS.map(task_manager).into(),
        jobs: vec![job()],
    }
}

fn task_manager(id: TaskManagerId) -> TaskManagerView {
    TaskManagerView {
        id,
        address: "127.0.0.1:38237".to_owned(),
        data_port: 37_331,
        last_heartbeat_ms: NOW_MS - 400,
        slots: 1,
        allocated: vec![AllocatedSlotView { job: JOB, assigned_tasks: 2 }],
        slot_profile: profile(),
        cpu_cores: 2,
        physical_memory: 25_276_530_688,
        memory: MemoryView {
            limit: 1_811_939_328,
            task: 402_653_174,
            managed: 536_870_920,
            network: 134_217_730,
            resident: 41_720_296,
            network_used: 327_680,
        },
    }
}

fn profile() -> ResourceProfileView {
    ResourceProfileView { cpu_cores: 1.0, task_mib: 383, managed_mib: 512, network_mib: 128 }
}

pub(crate) fn sharing_group() -> SharingGroup {
    SharingGroup { id: "ccf6cc7296a39718d76b3396cbc9c6ae".to_owned(), name: "default".to_owned() }
}

fn job() -> JobView {
    let started_at_ms = 1_795_330_374_304;
    let entered_at_ms = [
        (JobStatus::Initializing, started_at_ms),
        (JobStatus::Created, 1_795_330_404_427),
        (JobStatus::Running, 1_795_330_404_484),
    ];
    JobView {
        autoscaler: None,
        id: JOB,
        name: "reactive".to_owned(),
        status: JobStatus::Running,
        streaming: true,
        started_at_ms,
        ended_at_ms: None,
        entered_at_ms: entered_at_ms.into(),
        spent_ms: [(JobStatus::Running, 29_000)].into(),
        max_parallelism: None,
        vertices: vec![source(), count()],
        config: ExecutionConfigView {
            restart_strategy: "Restart with fixed delay (PT0.01S). #100000 restart attempts.".to_owned(),
            parallelism: 1,
            user_config: Default::default(),
        },
        exceptions: vec![],
        exceptions_truncated: false,
        checkpoints: Some(checkpoints()),
        rescales: rescales(),
        restarts: 1,
        region_restart: None,
        timeline: Arc::new(timeline()),
        metrics: Default::default(),
    }
}

fn source() -> VertexView {
    let io = |records_out, bytes_out, idle_ms, busy_ms, idle, busy| IoView {
        records_out,
        bytes_out,
        idle_ms,
        busy_ms,
        idle,
        busy,
        records_out_per_second: 2_500.0,
        bytes_out_per_second: 50_000.0,
        ..IoView::default()
    };
    let entered =
        |running| [1_795_330_404_428, 1_795_330_404_483, 1_795_330_404_487, 1_795_330_404_554, running];
    VertexView {
        id: SOURCE,
        operators: vec!["Source: gen".to_owned()],
        sharing_group: sharing_group(),
        parallelism: 2,
        max_parallelism: 128,
        bounds: ParallelismBounds { lower: 1, upper: 128 },
        region: 0,
        restarts_alone: false,
        inputs: vec![],
        subtasks: vec![
            subtask(0, None, entered(1_795_330_404_606), io(32_316, 635_544, 12_098, 761, 1.0, 0.0)),
            subtask(1, None, entered(1_795_330_406_380), io(28_723, 559_209, 9_735, 1_398, 0.896, 0.104)),
        ],
    }
}

fn count() -> VertexView {
    let io = |records_in, bytes_in, idle_ms, busy_ms| IoView {
        records_in,
        bytes_in,
        idle_ms,
        busy_ms,
        idle: 0.6,
        busy: 0.4,
        records_in_per_second: 2_500.0,
        bytes_in_per_second: 50_000.0,
        ..IoView::default()
    };
    let entered =
        |running| [1_795_330_404_429, 1_795_330_404_484, 1_795_330_404_492, 1_795_330_404_555, running];
    let watermark = Some(i64::MIN);
    VertexView {
        id: COUNT,
        operators: vec!["count".to_owned(), "Sink: sink".to_owned()],
        inputs: vec![InputView { from: SOURCE, ship_strategy: "HASH".to_owned(), side_output: None }],
        subtasks: vec![
            subtask(0, watermark, entered(1_795_330_404_646), io(30_938, 650_542, 12_304, 519)),
            subtask(1, watermark, entered(1_795_330_406_526), io(29_726, 625_090, 9_902, 1_055)),
        ],
        ..source()
    }
}

fn subtask(index: u32, input_watermark_ms: Option<i64>, entered: [i64; 5], io: IoView) -> SubtaskView {
    let states = [
        ExecutionState::Created,
        ExecutionState::Scheduled,
        ExecutionState::Deploying,
        ExecutionState::Initializing,
        ExecutionState::Running,
    ];
    SubtaskView {
        index: SubtaskIndex(index),
        attempt: AttemptNumber(1),
        state: ExecutionState::Running,
        placement: Some(PlacementView {
            task_manager: TASK_MANAGERS[index as usize],
            endpoint: "localhost:42875".to_owned(),
        }),
        entered_at_ms: states.into_iter().zip(entered).collect(),
        io,
        input_watermark_ms,
        latencies_ms: Default::default(),
        metrics: Default::default(),
        accumulators: Default::default(),
    }
}

/// The checkpoint of the recording: two subtasks a vertex, all acknowledged.
pub(crate) fn checkpoint() -> CheckpointView {
    let triggered_at_ms = 1_795_330_416_634;
    let ack = |after_ms, size, processed_data, sync_ms, async_ms, alignment_ms, start_delay_ms| {
        Some(AckView {
            at_ms: triggered_at_ms + after_ms,
            checkpointed_size: size,
            state_size: size,
            processed_data,
            persisted_data: 0,
            sync_ms,
            async_ms,
            alignment_ms,
            start_delay_ms,
        })
    };
    let vertex = |id, acks: [Option<AckView>; 2]| {
        let subtask = |(index, ack)| SubtaskCheckpointView { index: SubtaskIndex(index), ack };
        VertexCheckpointView { id, subtasks: (0..).zip(acks).map(subtask).collect() }
    };
    CheckpointView {
        id: CheckpointId(28),
        kind: CheckpointKind::Checkpoint,
        triggered_at_ms,
        outcome: CheckpointOutcome::Completed {
            location: "file:/flink/chk/9cb9b50e6b54f532c72a685bb021e65b/chk-28".to_owned(),
            discarded: false,
        },
        vertices: vec![
            vertex(SOURCE, [ack(40, 265, 0, 0, 9, 0, 1), ack(46, 265, 0, 0, 9, 0, 1)]),
            vertex(COUNT, [ack(51, 78_757, 1_848, 5, 17, 7, 12), ack(52, 75_817, 1_050, 0, 20, 18, 9)]),
        ],
    }
}

fn checkpoints() -> CheckpointsView {
    let checkpoint = Arc::new(checkpoint());
    let mut samples = CheckpointSamples::default();
    samples.add(&checkpoint);
    CheckpointsView {
        counts: CheckpointCounts { restored: 1, total: 31, in_progress: 0, completed: 28, failed: 3 },
        summary: samples.summarize(),
        history: vec![Arc::clone(&checkpoint)],
        latest_completed: Some(checkpoint),
        latest_savepoint: None,
        latest_failed: None,
        latest_restored: Some(RestoredView {
            id: CheckpointId(17),
            at_ms: 1_795_330_404_429,
            is_savepoint: false,
            location: "file:/flink/chk/9cb9b50e6b54f532c72a685bb021e65b/chk-17".to_owned(),
        }),
        config: CheckpointConfigView {
            interval_ms: Some(1000),
            timeout_ms: 600_000,
            min_pause_ms: 0,
            max_concurrent: 1,
            tolerable_failures: 0,
            retained_on_cancellation: false,
            state_backend: "HashMapStateBackend".to_owned(),
            storage: "FileSystemCheckpointStorage".to_owned(),
        },
    }
}

fn rescales() -> RescalesView {
    RescalesView {
        counts: RescaleCounts { ignored: 0, in_progress: 0, completed: 2, failed: 0 },
        history: vec![scale_up(), first_deployment()],
        config: RescaleConfigView {
            history_max: 50,
            reactive: true,
            submission_wait_ms: None,
            submission_stabilization_ms: 0,
            slot_idle_ms: 50_000,
            cooldown_ms: 0,
            stabilization_ms: 0,
            max_trigger_delay_ms: 0,
            on_failed_checkpoints: 2,
        },
    }
}

/// From one to two subtasks, because a TaskManager came.
pub(crate) fn scale_up() -> RescaleView {
    let vertex = |id, name: &str| VertexRescaleView {
        id,
        name: name.to_owned(),
        sharing_group: sharing_group(),
        desired: 128,
        sufficient: 1,
        before: Some(1),
        after: Some(2),
    };
    let state = |state: &str, entered_at_ms, left_at_ms| SchedulerStateView {
        state: state.to_owned(),
        entered_at_ms,
        left_at_ms: Some(left_at_ms),
        error: None,
    };
    RescaleView {
        id: RESCALE,
        requirements: RescaleId(0x23d0d225123e376a77a345d985ca0eb8),
        attempt: 2,
        cause: TriggerCause::NewResourceAvailable,
        started_at_ms: 1_795_330_404_349,
        ended: Some((1_795_330_404_486, TerminatedReason::Succeeded)),
        vertices: vec![vertex(COUNT, "count -> Sink: sink"), vertex(SOURCE, "Source: gen")],
        slots: vec![SlotRescaleView {
            sharing_group: sharing_group(),
            desired: 128,
            sufficient: 1,
            before: Some(1),
            after: Some(2),
            requested: None,
            acquired: Some(profile()),
        }],
        states: vec![
            state("Executing", 1_795_330_386_645, 1_795_330_404_357),
            state("Restarting", 1_795_330_404_357, 1_795_330_404_426),
            state("CreatingExecutionGraph", 1_795_330_404_434, 1_795_330_404_486),
            state("Executing", 1_795_330_404_486, 1_795_330_404_486),
        ],
        live: None,
        restart_reason: None,
    }
}

/// The job's first deployment, on one slot.
pub(crate) fn first_deployment() -> RescaleView {
    let mut rescale = scale_up();
    for vertex in &mut rescale.vertices {
        (vertex.before, vertex.after) = (None, Some(1));
    }
    RescaleView {
        id: RescaleId(0x839382911a80ec775f0455352491138a),
        attempt: 1,
        cause: TriggerCause::InitialSchedule,
        started_at_ms: 1_795_330_374_883,
        ended: Some((1_795_330_386_646, TerminatedReason::Succeeded)),
        ..rescale
    }
}

/// Two seconds, and the rescale in between.
fn timeline() -> TimelineView {
    let point = |at_ms, parallelism, lag| TimelinePoint {
        at_ms,
        parallelism,
        slots_total: 2,
        slots_free: 2 - parallelism,
        task_managers: 2,
        records_in_per_second: 2_500.0 * f64::from(parallelism),
        records_out_per_second: 10.0,
        lag,
        event_time_lag_ms: Some(1_500),
        busy: 0.4,
        backpressured: 0.0,
        checkpoint_ms: Some(52),
        latency: Some(LatencyPoint { median_ms: 1.5, p99_ms: 20.0 }),
    };
    TimelineView {
        interval_ms: 1_000,
        points: vec![point(1_795_330_404_000, 1, None), point(1_795_330_405_000, 2, Some(7))],
        events: vec![TimelineEvent {
            at_ms: 1_795_330_404_486,
            kind: TimelineEventKind::Rescale,
            id: RESCALE.to_string(),
            text: "1 \u{2192} 2, live, 137 ms".to_owned(),
        }],
    }
}
