//! A coordinator, and what happens around it in a test.

use super::*;

pub(super) const DIR: &str = "mem://c/job";
pub(super) const READER: SubtaskId = SubtaskId(1);
pub(super) const COUNTER: SubtaskId = SubtaskId(2);

pub(super) fn settings() -> Settings {
    Settings {
        interval: None,
        timeout: Duration::from_secs(60),
        min_pause: Duration::ZERO,
        tolerable_failures: 0,
        retained: 1,
        job_dir: DIR.into(),
        keep_on_cancellation: false,
        max_operator_bytes: MAX_OPERATOR_BYTES,
        history: 10,
    }
}

pub(super) fn max() -> MaxParallelism {
    MaxParallelism::new(512).unwrap()
}

/// A source and a keyed vertex, each with one subtask.
pub(super) fn job() -> (JobGraph, ExecutionGraph) {
    let vertex = |id: u128, name: &str, source: bool| Vertex {
        id: VertexId(id),
        name: name.into(),
        operators: vec![Operator {
            uid: name.into(),
            name: name.into(),
            lists: ["splits"].map(|name| DeclaredList { name: name.into(), schema: None }).into(),
            ..Operator::default()
        }],
        parallelism: None,
        max_parallelism: Some(max()),
        slot_sharing_group: "default".into(),
        source,
        keyed: !source,
    };
    let slot = SlotId { executor: ExecutorId(1), index: 0 };
    let placed = |id, table: Option<OwnershipTable>| ExecutionVertex {
        subtasks: vec![Subtask { id, slot }],
        table,
        attempt: Attempt::default(),
    };
    let vertices = vec![placed(READER, None), placed(COUNTER, Some(OwnershipTable::initial(max(), 1)))];
    let vertices_of_job = vec![vertex(1, "read", true), vertex(2, "count", false)];
    (
        JobGraph { name: "job".into(), vertices: vertices_of_job, ..JobGraph::default() },
        ExecutionGraph { vertices },
    )
}

pub(super) struct Fixture {
    pub(super) coordinator: Coordinator,
    pub(super) now: Instant,
    pub(super) attempt: Attempt,
}

fn identity() -> Identity {
    Identity { job: JobId(0xabc << 116), name: "job".into(), epoch: LeaderEpoch(3), build: "b".into() }
}

impl Fixture {
    pub(super) fn new(settings: Settings) -> Self {
        Self::from(settings, None)
    }

    /// An attempt that runs, at 0 s.
    pub(super) fn from(settings: Settings, recovered: Option<Recovered>) -> Self {
        let now = Instant::default();
        let coordinator = Coordinator::new(settings, identity(), recovered, now);
        let attempt = Attempt { epoch: LeaderEpoch(3), number: AttemptNumber(0) };
        let mut fixture = Self { coordinator, now, attempt };
        fixture.begin();
        fixture
    }

    /// The attempt of a former leader, at 0 s, whose subtasks do not take part in checkpoints yet. It knows ids up to 2.
    pub(super) fn adopted(recovered: Recovered) -> Self {
        let now = Instant::default();
        let mut coordinator = Coordinator::new(settings(), identity(), Some(recovered), now);
        let attempt = Attempt { epoch: LeaderEpoch(1), number: AttemptNumber(1) };
        let (job, graph) = job();
        let participants =
            graph.subtasks().map(|(vertex, index, s)| Participant { subtask: s.id, vertex, index });
        coordinator.adopt_attempt(attempt, participants.collect(), &job, &graph, CheckpointId(2));
        Self { coordinator, now, attempt }
    }

    pub(super) fn begin(&mut self) {
        self.attempt.number = self.attempt.number.next();
        let (job, graph) = job();
        let participants =
            graph.subtasks().map(|(vertex, index, s)| Participant { subtask: s.id, vertex, index });
        self.coordinator.begin_attempt(self.now, self.attempt, participants.collect(), &job, &graph);
        assert_eq!(self.coordinator.set_running(self.now), []);
    }

    pub(super) fn at(&mut self, ms: u64) -> &mut Self {
        self.now = Instant::from_millis(ms);
        self
    }

    pub(super) fn tick(&mut self) -> String {
        let effects = self.coordinator.on_tick(self.now);
        self.show(effects)
    }

    pub(super) fn request(&mut self, purpose: Purpose, id: u128) -> String {
        let directory = purpose.is_savepoint().then(|| "mem://s".to_owned());
        let request = Request { request: Some(RequestId(id)), directory, ..Request::of(purpose) };
        let effects = self.coordinator.request(self.now, request);
        self.show(effects)
    }

    pub(super) fn acknowledge(&mut self, n: u64, subtask: SubtaskId) -> String {
        let object = |n: u64| KeyedState {
            groups: KeyGroupSet::all(max()),
            object: Some(format!("o{n}")),
            runs: vec![Run { table: 0, segment: 3, full: true, offset: 0, len: 10 }],
            bytes: 10,
        };
        self.acknowledge_with(n, subtask, (subtask == COUNTER).then(|| object(n)))
    }

    pub(super) fn acknowledge_with(
        &mut self,
        n: u64,
        subtask: SubtaskId,
        keyed: Option<KeyedState>,
    ) -> String {
        self.acknowledge_state(n, subtask, SubtaskState { keyed, operator: Vec::new(), watermark: 7 })
    }

    pub(super) fn acknowledge_state(&mut self, n: u64, subtask: SubtaskId, state: SubtaskState) -> String {
        let (now, attempt) = (self.now, self.attempt);
        let effects = self.coordinator.on_acknowledged(
            now,
            attempt,
            CheckpointId(n),
            subtask,
            state,
            Default::default(),
        );
        self.show(effects)
    }

    pub(super) fn acknowledge_all(&mut self, n: u64) -> String {
        assert_eq!(self.acknowledge(n, READER), "");
        self.acknowledge(n, COUNTER)
    }

    pub(super) fn decline(&mut self, n: u64) -> String {
        let effects =
            self.coordinator.on_declined(self.now, self.attempt, CheckpointId(n), COUNTER, "no room".into());
        self.show(effects)
    }

    pub(super) fn stored(&mut self, n: u64, outcome: StoreOutcome) -> String {
        let effects = self.coordinator.on_manifest_stored(self.now, CheckpointId(n), outcome);
        self.show(effects)
    }

    pub(super) fn abandoned(&mut self, n: u64, outcome: StoreOutcome) -> String {
        let effects = self.coordinator.on_abandoned_stored(self.now, CheckpointId(n), outcome);
        self.show(effects)
    }

    pub(super) fn end_attempt(&mut self) -> String {
        let effects = self.coordinator.end_attempt(self.now);
        self.show(effects)
    }

    /// From trigger to completion.
    pub(super) fn complete(&mut self, n: u64) -> String {
        self.acknowledge_all(n);
        self.stored(n, Won)
    }

    /// One line for each effect. Enumerators answer each trigger at once, as the driver makes them.
    pub(super) fn show(&mut self, effects: Vec<Effect>) -> String {
        let short = |name: &str| name.replace(DIR, "").replace("mem://s", "S");
        let mut lines = Vec::new();
        for effect in effects {
            lines.push(match effect {
                Effect::Act(Action::Command(AttemptCommand {
                    command: Command::Checkpoint { checkpoint, command, .. },
                    ..
                })) => match command {
                    CheckpointCommand::Trigger(kind) => {
                        self.coordinator.set_enumerators(checkpoint, Vec::new());
                        format!("trigger {checkpoint} into {}", short(&kind.directory))
                    }
                    CheckpointCommand::NotifyComplete => format!("tell {checkpoint}"),
                    CheckpointCommand::NotifyAborted => format!("abort {checkpoint}"),
                },
                Effect::Act(Action::StoreManifest { checkpoint, at, .. }) => {
                    format!("store {checkpoint} at {}", short(&at))
                }
                Effect::Act(Action::StoreAbandoned { checkpoint, at }) => {
                    format!("abandon {checkpoint} at {}", short(&at))
                }
                Effect::Act(Action::DeleteObjects { objects }) => {
                    format!("delete {}", short(&objects.join(" ")))
                }
                Effect::Act(Action::Answer { request, result }) => {
                    let (Ok(text) | Err(text)) = result.as_ref();
                    format!("answer {}: {}", request.0, short(text))
                }
                Effect::Act(other) => panic!("not the coordinator's: {other:?}"),
                Effect::Completed { checkpoint, .. } => format!("completed {checkpoint}"),
                Effect::Failed { checkpoint, reason, .. } => format!("failed {checkpoint}: {reason}"),
                Effect::TooManyFailures { reason } => format!("too many: {reason}"),
            });
        }
        lines.join("\n")
    }
}

/// The kind of the checkpoint that is triggered.
pub(super) fn triggered(effects: &[Effect]) -> Option<&SnapshotKind> {
    effects.iter().find_map(|effect| match effect {
        Effect::Act(Action::Command(AttemptCommand {
            command: Command::Checkpoint { command: CheckpointCommand::Trigger(kind), .. },
            ..
        })) => Some(kind),
        _ => None,
    })
}
