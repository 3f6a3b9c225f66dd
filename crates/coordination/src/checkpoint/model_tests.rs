//! A cluster as maps: subtasks with epochs and increments, a store with create-only names, messages that come late,
//! twice or not at all, JobManagers that are deposed. After each complete checkpoint its manifest must give back
//! exactly the state as of its barrier, and no manifest that stands may name an object that is gone.

use super::*;
use crate::action::Action;
use crate::event::StoreOutcome;
use crate::manifest::{Decision, Lineage, Manifest, decode, encode};
use crate::restore::{self, UnclaimedState};
use bytes::Bytes;
use reflow_graph::{DeclaredList, ExecutionGraph, ExecutionVertex, JobGraph, Operator, Subtask, Vertex};
use reflow_protocol::command::{AttemptCommand, CheckpointCommand, Command};
use reflow_protocol::deployment::Attempt;
use reflow_protocol::snapshot::{KeyedState, Restore, StateFormat, SubtaskState};
use reflow_types::{
    AttemptNumber, ExecutorId, Instant, KeyGroup, MaxParallelism, OwnershipTable, SlotId, VertexId,
    splitmix64,
};
use std::collections::{BTreeMap, BTreeSet};

mod storage;
mod task;

use storage::Storage;
use task::{State, Task, Written, split};

const JOB_DIR: &str = "mem://x/job";
const SPLITS: u64 = 5;

/// Numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        splitmix64::next(&mut self.0)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

enum Message {
    Acknowledged(CheckpointId, SubtaskId, SubtaskState),
    Declined(CheckpointId, SubtaskId),
    Completed(CheckpointId, SubtaskId),
}

#[derive(Clone)]
enum Put {
    Manifest(CheckpointId, String, Box<Manifest>),
    Abandoned(CheckpointId, String, Lineage),
}

#[derive(Default, Debug)]
struct Seen {
    completed: usize,
    failed: usize,
    bound_after_all: usize,
    rescaled: usize,
    savepoints: usize,
    rejected: usize,
    takeovers: usize,
    fenced: usize,
    deleted: usize,
    late_bases: usize,
}

struct World {
    random: Random,
    max: MaxParallelism,
    now: Instant,
    epoch: u64,
    lineage: Lineage,
    coordinator: Coordinator,
    attempt: Option<Attempt>,
    attempts: u32,
    tables: Option<OwnershipTable>,
    tasks: BTreeMap<SubtaskId, Task>,
    messages: Vec<(Attempt, Message)>,
    puts: Vec<(u64, Put)>,
    storage: Storage,
    /// As of each checkpoint's barrier: keyed state, and splits.
    models: BTreeMap<CheckpointId, State>,
    completed: BTreeSet<CheckpointId>,
    failed: BTreeSet<CheckpointId>,
    last_id: CheckpointId,
    seen: Seen,
}

fn job(max: MaxParallelism) -> JobGraph {
    let vertex = |id: u128, uid: &str, source: bool| Vertex {
        id: VertexId(id),
        name: uid.to_owned(),
        operators: vec![Operator {
            uid: uid.to_owned(),
            name: uid.to_owned(),
            lists: ["splits"].map(|name| DeclaredList { name: name.into(), schema: None }).into(),
            ..Operator::default()
        }],
        parallelism: None,
        max_parallelism: Some(max),
        slot_sharing_group: "default".into(),
        source,
        keyed: !source,
    };
    let vertices = vec![vertex(1, "source", true), vertex(2, "count", false)];
    JobGraph { name: "model".into(), vertices, ..JobGraph::default() }
}

fn coordinator(random: &mut Random, epoch: u64, recovered: Option<Recovered>) -> Coordinator {
    let settings = Settings {
        interval: Some(Duration::from_millis(50)),
        timeout: Duration::from_millis(400),
        min_pause: Duration::from_millis(random.below(40) as u64),
        tolerable_failures: 1_000,
        retained: 1 + random.below(3),
        job_dir: JOB_DIR.into(),
        keep_on_cancellation: false,
        max_operator_bytes: MAX_OPERATOR_BYTES,
        history: 10,
    };
    let identity =
        Identity { job: JobId(7), name: "model".into(), epoch: LeaderEpoch(epoch), build: "b".into() };
    Coordinator::new(settings, identity, recovered, Instant::default())
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let max = MaxParallelism::new([4, 600, 1100][random.below(3)]).unwrap();
        let coordinator = coordinator(&mut random, 1, None);
        Self {
            random,
            max,
            now: Instant::from_millis(1_000),
            epoch: 1,
            lineage: Lineage::new(LeaderEpoch(1)),
            coordinator,
            attempt: None,
            attempts: 0,
            tables: None,
            tasks: BTreeMap::new(),
            messages: Vec::new(),
            puts: Vec::new(),
            storage: Storage::default(),
            models: BTreeMap::new(),
            completed: BTreeSet::new(),
            failed: BTreeSet::new(),
            last_id: CheckpointId(0),
            seen: Seen::default(),
        }
    }

    /// Groups that keys are in: borders of segments among them.
    fn group(&mut self) -> u16 {
        let max = self.max.get() as usize;
        (self.random.below(12) * max / 12 + self.random.below(3.min(max))).min(max - 1) as u16
    }

    fn begin_attempt(&mut self) {
        let seen_before = self.coordinator.latest().map(|latest| latest.manifest.clone());
        if self.random.one_in(8) && seen_before.is_some() {
            let older = self.coordinator.reject_latest("bits have flipped").is_some();
            self.seen.rejected += usize::from(older);
        }
        let job = job(self.max);
        let p = 1 + self.random.below(4.min(self.max.get() as usize));
        let table = match self.tables.take() {
            None => OwnershipTable::initial(self.max, p as u32),
            Some(table) => {
                let mut indices: Vec<u32> = (0..table.parallelism()).collect();
                for i in (1..indices.len()).rev() {
                    indices.swap(i, self.random.below(i + 1));
                }
                let kept: Vec<_> =
                    indices.iter().map(|&i| (i < p as u32).then_some(SubtaskIndex(i))).collect();
                self.seen.rescaled += usize::from(p as u32 != table.parallelism());
                table.rebalanced(p as u32, &kept)
            }
        };
        self.tables = Some(table.clone());
        let mut next = self.coordinator.next_subtask();
        let mut subtask = || {
            let id = next;
            next = next.next();
            Subtask { id, slot: SlotId { executor: ExecutorId(1), index: 0 } }
        };
        let attempt = Attempt::default();
        let sources = ExecutionVertex { subtasks: (0..p).map(|_| subtask()).collect(), table: None, attempt };
        let counts = ExecutionVertex {
            subtasks: (0..p).map(|_| subtask()).collect(),
            table: Some(table.clone()),
            attempt,
        };
        let graph = ExecutionGraph { vertices: vec![sources, counts] };
        let latest = self.coordinator.latest().cloned();
        let restores: BTreeMap<_, _> = match &latest {
            Some(latest) => {
                restore::plan(&job, &latest.manifest, &graph, UnclaimedState::Refuse).unwrap().restore
            }
            None => Vec::new(),
        }
        .into_iter()
        .collect();
        self.attempts += 1;
        let attempt = Attempt { epoch: LeaderEpoch(self.epoch), number: AttemptNumber(self.attempts) };
        self.attempt = Some(attempt);
        self.tasks.clear();
        let mut participants = Vec::new();
        for (vertex, index, subtask) in graph.subtasks() {
            participants.push(Participant { subtask: subtask.id, vertex, index });
            let mut task = Task::default();
            let nothing = Restore::default();
            let restore = restores.get(&subtask.id).unwrap_or(&nothing);
            if vertex.0 == 1 {
                let owned = table.groups_of(index);
                task.state = self.storage.read(self.max, &owned, restore, &mut self.random);
                if latest.as_ref().is_some_and(|latest| latest.manifest.format == StateFormat::Savepoint) {
                    task.clock = 1;
                    task.changed = task.state.keys().map(|&key| (key, 1)).collect();
                }
                task.owned = Some(owned);
            } else if latest.is_none() {
                let mine = |split: &u64| *split % p as u64 == u64::from(index.0);
                task.splits = (0..SPLITS).filter(mine).map(|split| (split, 0)).collect();
            } else {
                task.splits = restore.operator.iter().flat_map(|s| s.items.iter().map(split)).collect();
            }
            self.tasks.insert(subtask.id, task);
        }
        let expected = latest.as_ref().map(|latest| self.models[&latest.checkpoint].clone());
        let (keyed, splits) = self.union();
        match expected {
            Some(expected) => assert_eq!((keyed, splits), expected, "restored {:?}", latest.unwrap().at),
            None => assert!(keyed.is_empty()),
        }
        self.coordinator.begin_attempt(self.now, attempt, participants, &job, &graph);
        let effects = self.coordinator.set_running(self.now);
        self.apply(effects);
    }

    /// What all tasks hold together.
    fn union(&self) -> State {
        let keyed = self.tasks.values().flat_map(|task| task.state.clone()).collect();
        let splits: Vec<(u64, u64)> = self.tasks.values().flat_map(|task| task.splits.clone()).collect();
        assert_eq!(splits.len() as u64, SPLITS, "each split has one reader");
        (keyed, splits.into_iter().collect())
    }

    fn apply(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Act(action) => self.act(action),
                Effect::Completed { checkpoint, purpose, at } => {
                    assert!(!self.failed.contains(&checkpoint), "{checkpoint} had failed");
                    assert!(self.completed.insert(checkpoint));
                    self.seen.completed += 1;
                    self.seen.savepoints += usize::from(purpose.is_savepoint());
                    let restored = self.storage.restored(&at, self.max, &mut self.random);
                    assert_eq!(restored, self.models[&checkpoint], "checkpoint {checkpoint}");
                }
                Effect::Failed { checkpoint, .. } => {
                    assert!(!self.completed.contains(&checkpoint), "{checkpoint} was complete");
                    self.failed.insert(checkpoint);
                    self.seen.failed += 1;
                }
                Effect::TooManyFailures { .. } => {}
            }
        }
    }

    fn command(&mut self, attempt: Attempt, checkpoint: CheckpointId, command: CheckpointCommand) {
        match command {
            CheckpointCommand::Trigger(kind) => {
                assert_eq!(Some(attempt), self.attempt);
                assert!(checkpoint > self.last_id, "ids only grow");
                self.last_id = checkpoint;
                self.models.insert(checkpoint, Default::default());
                self.coordinator.set_enumerators(checkpoint, vec![("source".into(), Bytes::new())]);
                self.tasks.values_mut().for_each(|task| task.barriers.push_back((checkpoint, kind.clone())));
            }
            CheckpointCommand::NotifyComplete => {
                let stands = |d: &Decision| matches!(d, Decision::Complete(m) if m.checkpoint == checkpoint);
                assert!(self.storage.names.values().any(stands), "{checkpoint} is told before it stands");
                for &subtask in self.tasks.keys() {
                    self.messages.push((attempt, Message::Completed(checkpoint, subtask)));
                }
            }
            CheckpointCommand::NotifyAborted => {}
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Command(AttemptCommand {
                attempt,
                command: Command::Checkpoint { checkpoint, command, .. },
            }) => self.command(attempt, checkpoint, command),
            Action::StoreManifest { checkpoint, at, manifest } => {
                self.puts.push((self.epoch, Put::Manifest(checkpoint, at, manifest)));
            }
            Action::StoreAbandoned { checkpoint, at } => {
                self.puts.push((self.epoch, Put::Abandoned(checkpoint, at, self.lineage.clone())));
            }
            Action::DeleteObjects { objects } => {
                for object in objects {
                    self.seen.deleted += usize::from(self.storage.objects.remove(&object).is_some());
                    self.storage.names.remove(&object);
                }
                self.storage.check_names(&self.lineage);
            }
            Action::Answer { .. } => {}
            other => panic!("not the coordinator's: {other:?}"),
        }
    }

    /// A barrier reaches a task.
    fn freeze(&mut self, subtask: SubtaskId) {
        let (epoch, attempts) = (self.epoch, self.attempts);
        let task = self.tasks.get_mut(&subtask).unwrap();
        let Some((checkpoint, kind)) = task.barriers.pop_front() else { return };
        let model = self.models.get_mut(&checkpoint).unwrap();
        model.0.extend(task.state.clone());
        model.1.extend(task.splits.clone());
        let behind = task.frozen.iter().any(|(n, at)| self.completed.contains(n) && *at > task.base);
        self.seen.late_bases += usize::from(behind);
        let (operator, written) = task.snapshot((checkpoint, kind.format), self.max, &mut self.random);
        let keyed = task.owned.clone().zip(written).map(|(groups, Written { runs, content, bytes })| {
            let name = format!("{epoch}-{checkpoint}-{subtask}-{attempts}");
            let object = (!content.is_empty()).then_some(name);
            if let Some(object) = &object {
                self.storage.objects.insert(format!("{}/{object}", kind.directory), content);
            }
            KeyedState { groups, object, runs, bytes }
        });
        let attempt = self.attempt.unwrap();
        if self.random.one_in(60) {
            self.messages.push((attempt, Message::Declined(checkpoint, subtask)));
            return;
        }
        let state = SubtaskState { keyed, operator, watermark: 5 };
        if self.random.one_in(10) {
            let twice = Message::Acknowledged(checkpoint, subtask, state.clone());
            self.messages.push((attempt, twice));
        }
        self.messages.push((attempt, Message::Acknowledged(checkpoint, subtask, state)));
    }

    fn deliver(&mut self) {
        if self.messages.is_empty() {
            return;
        }
        let i = self.random.below(self.messages.len());
        let (attempt, message) = self.messages.swap_remove(i);
        let now = self.now;
        let effects = match message {
            Message::Acknowledged(n, subtask, state) => {
                self.coordinator.on_acknowledged(now, attempt, n, subtask, state, Default::default())
            }
            Message::Declined(n, subtask) => {
                self.coordinator.on_declined(now, attempt, n, subtask, "no room".into())
            }
            Message::Completed(n, subtask) => {
                let savepoint = self.storage.is_savepoint(n);
                if let Some(task) = self.tasks.get_mut(&subtask).filter(|_| !savepoint) {
                    task.base = task.base.max(task.frozen.get(&n).copied().unwrap_or(0));
                }
                Vec::new()
            }
        };
        self.apply(effects);
    }

    /// Storage carries out one put, of whichever leader, and answers the present one.
    fn store(&mut self) {
        if self.puts.is_empty() {
            return;
        }
        let i = self.random.below(self.puts.len());
        let (epoch, put) = self.puts.swap_remove(i);
        let (at, decision, checkpoint) = match put.clone() {
            Put::Manifest(n, at, manifest) => (at, Decision::Complete(manifest), n),
            Put::Abandoned(n, at, lineage) => (at, Decision::Abandoned(lineage), n),
        };
        let (dropped, silent) = (self.random.one_in(8), self.random.one_in(8));
        let won = !dropped && !self.storage.names.contains_key(&at);
        if won {
            self.storage.names.insert(at.clone(), decision.clone());
        }
        // A deposed leader finds its successor's epoch, and reports nothing.
        if epoch < self.epoch {
            let void = self.lineage.voids(checkpoint, LeaderEpoch(epoch));
            self.seen.fenced += usize::from(won && void && matches!(put, Put::Manifest(..)));
            return;
        }
        let outcome = match won {
            _ if dropped || silent => StoreOutcome::Failed("connection reset".into()),
            true => StoreOutcome::Won,
            // The driver reads what stands there: an abandonment wins unless it meets this leader's manifest.
            false => match (&decision, &self.storage.names[&at]) {
                (Decision::Abandoned(_), Decision::Complete(manifest))
                    if manifest.lineage.epoch.0 == self.epoch =>
                {
                    StoreOutcome::Lost
                }
                (Decision::Abandoned(_), _) => StoreOutcome::Won,
                _ => StoreOutcome::Lost,
            },
        };
        let effects = match put {
            Put::Manifest(..) => self.coordinator.on_manifest_stored(self.now, checkpoint, outcome),
            Put::Abandoned(..) => {
                let before = self.completed.len();
                let effects = self.coordinator.on_abandoned_stored(self.now, checkpoint, outcome);
                self.apply(effects);
                self.seen.bound_after_all += self.completed.len() - before;
                Vec::new()
            }
        };
        self.apply(effects);
    }

    /// Another JobManager takes over.
    fn take_over(&mut self) {
        self.seen.takeovers += 1;
        self.epoch += 1;
        self.attempt = None;
        let id =
            |name: &str| name.strip_prefix(JOB_DIR)?.strip_prefix("/chk-")?.split('/').next()?.parse().ok();
        let named = |(name, decision): (&String, &Decision)| {
            Some((CheckpointId(id(name)?), decode(&encode(decision)).map_err(|error| error.to_string())))
        };
        let decisions: Vec<_> = self.storage.names.iter().filter_map(named).collect();
        let mut recovered = recover(JOB_DIR, decisions);
        recovered.lineage = recovered.taken_over(LeaderEpoch(self.epoch));
        recovered.highest = recovered.highest.next();
        let at = retention::deciding_name(JOB_DIR, recovered.highest);
        assert_eq!(self.storage.names.insert(at, Decision::Abandoned(recovered.lineage.clone())), None);
        self.lineage = recovered.lineage.clone();
        // Ids that have no name in the job's directory are used again.
        self.last_id = recovered.highest;
        self.completed.retain(|id| *id < recovered.highest);
        self.failed.retain(|id| *id < recovered.highest);
        if self.random.one_in(2) {
            recovered.objects = self.storage.objects.keys().cloned().collect();
        }
        recovered.next_subtask = SubtaskId(1_000 * self.epoch);
        self.coordinator = coordinator(&mut self.random, self.epoch, Some(recovered));
    }

    fn step(&mut self) {
        self.now = self.now + Duration::from_millis(self.random.below(12) as u64);
        if self.attempt.is_none() {
            if self.coordinator.is_settled() {
                self.begin_attempt();
            }
        } else {
            match self.random.below(200) {
                0 => {
                    self.attempt = None;
                    let effects = self.coordinator.end_attempt(self.now);
                    self.apply(effects);
                }
                1 => self.take_over(),
                2..6 => {
                    let (purpose, directory) = match self.random.below(6) {
                        0 => (Purpose::Savepoint, Some("mem://savepoints/".to_owned())),
                        1 => (Purpose::Stop { drain: false }, Some("mem://savepoints".to_owned())),
                        2 => (Purpose::Rescale, None),
                        _ => (Purpose::User, None),
                    };
                    // Sources go on in any case, so that one attempt sees many checkpoints.
                    let then = AfterBarrier::Continue;
                    let request = Request { then, directory, ..Request::of(purpose) };
                    let effects = self.coordinator.request(self.now, request);
                    self.apply(effects);
                }
                _ => self.work(),
            }
        }
        for _ in 0..self.random.below(4) {
            self.deliver();
        }
        if self.random.one_in(3) {
            self.store();
        }
        if self.coordinator.next_wakeup().is_some_and(|at| at <= self.now) {
            let effects = self.coordinator.on_tick(self.now);
            self.apply(effects);
            assert!(self.coordinator.next_wakeup().is_none_or(|at| at > self.now), "a tick does what is due");
        }
    }

    fn work(&mut self) {
        let ids: Vec<SubtaskId> = self.tasks.keys().copied().collect();
        let subtask = ids[self.random.below(ids.len())];
        if self.random.one_in(2) {
            self.freeze(subtask);
        }
        let (group, key, value) = (self.group(), self.random.below(4) as u8, self.random.next());
        let remove = self.random.one_in(4);
        let owner =
            self.tasks.values_mut().find(|t| t.owned.as_ref().is_some_and(|o| o.contains(KeyGroup(group))));
        let owner = owner.expect("every group has an owner");
        owner.clock += 1;
        let existed = if remove {
            owner.state.remove(&(group, key)).is_some()
        } else {
            owner.state.insert((group, key), value);
            true
        };
        if existed {
            owner.changed.insert((group, key), owner.clock);
        }
        let readers = self.tasks.values_mut().flat_map(|task| task.splits.values_mut());
        readers.for_each(|offset| *offset += 1);
    }
}

#[test]
fn whatever_happens_a_complete_checkpoint_is_the_state_at_its_barrier() {
    let seeds = std::env::var("CHECKPOINT_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(8);
    let mut total = Seen::default();
    for seed in 0..seeds {
        let mut world = World::new(seed);
        for _ in 0..4_000 {
            world.step();
        }
        let seen = world.seen;
        total.completed += seen.completed;
        total.failed += seen.failed;
        total.bound_after_all += seen.bound_after_all;
        total.rescaled += seen.rescaled;
        total.savepoints += seen.savepoints;
        total.rejected += seen.rejected;
        total.takeovers += seen.takeovers;
        total.fenced += seen.fenced;
        total.deleted += seen.deleted;
        total.late_bases += seen.late_bases;
    }
    println!("{total:?}");
    let Seen { completed, failed, bound_after_all, rescaled, savepoints, rejected, .. } = total;
    let Seen { takeovers, fenced, deleted, late_bases, .. } = total;
    let struck = [completed, failed, bound_after_all, rescaled, savepoints, rejected, takeovers];
    assert!(struck.into_iter().chain([fenced, deleted, late_bases]).all(|n| n > 0), "vacuous: {total:?}");
}
