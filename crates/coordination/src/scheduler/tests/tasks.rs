//! What runs on the executors of the test world: subtasks with their key groups, splits and shared state.
//!
//! Sources have splits, sinks a broadcast state. Whatever happens, no split is lost or read twice, and every key
//! group has one owner: every manifest says so.

use super::fixtures::reported;
use crate::event::Event;
use crate::manifest::Manifest;
use bytes::Bytes;
use reflow_graph::{ExecutionGraph, JobGraph, RegionIndex, Regions, VertexIndex};
use reflow_protocol::deployment::Attempt;
use reflow_protocol::report::SubtaskEvent;
use reflow_protocol::rescale::{Cut, Installation};
use reflow_protocol::snapshot::{KeyedState, OperatorState, Redistribution, Restore, SubtaskState};
use reflow_types::{
    CheckpointId, ExecutorId, GraphVersion, KeyGroup, KeyGroupSet, OwnershipTable, SlotId, SubtaskId,
    VertexId,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How many splits a source has in all.
const SPLITS: usize = 6;

pub(super) struct Task {
    pub(super) slot: SlotId,
    vertex: VertexIndex,
    groups: Option<KeyGroupSet>,
    splits: Vec<Bytes>,
    /// Whether it waits for state from the old subtasks of its vertex.
    waits: bool,
    /// It leaves with the first complete checkpoint from this one on.
    leaves: Option<CheckpointId>,
}

pub(super) struct Tasks {
    job: Arc<JobGraph>,
    tasks: BTreeMap<SubtaskId, Task>,
    graph: ExecutionGraph,
    /// What is being prepared.
    next: Option<(GraphVersion, ExecutionGraph)>,
    /// The checkpoint that executors were told to read last, and the last one that was triggered.
    pub(super) read: Option<CheckpointId>,
    triggered: Option<CheckpointId>,
    /// The last cut.
    pub(super) cut: Option<CheckpointId>,
    /// Every table that stood in a manifest, by vertex and version.
    tables: BTreeMap<(VertexId, u64), OwnershipTable>,
}

fn split(vertex: VertexIndex, n: usize) -> Bytes {
    Bytes::from(format!("{}/{n}", vertex.0))
}

impl Tasks {
    pub(super) fn new(job: Arc<JobGraph>) -> Self {
        Self {
            job,
            tasks: BTreeMap::new(),
            graph: ExecutionGraph::default(),
            next: None,
            read: None,
            triggered: None,
            cut: None,
            tables: BTreeMap::new(),
        }
    }

    pub(super) fn job(&self) -> &JobGraph {
        &self.job
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (SubtaskId, &Task)> {
        self.tasks.iter().map(|(id, task)| (*id, task))
    }

    fn task(&self, graph: &ExecutionGraph, id: SubtaskId) -> Task {
        let (vertex, index, subtask) = graph.find(id).expect("it is in the graph");
        let groups = graph.vertex(vertex).table.as_ref().map(|table| table.groups_of(index));
        Task { slot: subtask.slot, vertex, groups, splits: Vec::new(), waits: false, leaves: None }
    }

    pub(super) fn deploy(
        &mut self,
        graph: &ExecutionGraph,
        restore: &[(SubtaskId, Restore)],
        restored: bool,
    ) {
        self.tasks = graph.subtasks().map(|(_, _, s)| (s.id, self.task(graph, s.id))).collect();
        (self.graph, self.next, self.cut) = (graph.clone(), None, None);
        let states = restore.iter().flat_map(|(id, r)| r.operator.iter().map(move |state| (*id, state)));
        for (id, state) in states.filter(|(_, state)| state.name == "splits") {
            self.tasks.get_mut(&id).expect("it is deployed").splits.extend(state.items.iter().cloned());
        }
        if restored && !restore.is_empty() {
            return;
        }
        for (vertex, _) in self.job.clone().numbered_vertices().filter(|(_, vertex)| vertex.source) {
            let readers: Vec<SubtaskId> = graph.vertex(vertex).subtasks.iter().map(|s| s.id).collect();
            for n in 0..SPLITS {
                let reader = self.tasks.get_mut(&readers[n % readers.len()]).expect("it is deployed");
                reader.splits.push(split(vertex, n));
            }
        }
    }

    /// The subtasks of regions end.
    pub(super) fn end_regions(&mut self, regions: &BTreeSet<RegionIndex>) {
        let all = Regions::of(&self.job);
        self.tasks.retain(|_, task| !regions.contains(&all.region(task.vertex)));
    }

    /// The subtasks of regions are deployed again.
    pub(super) fn deploy_regions(
        &mut self,
        regions: &BTreeSet<RegionIndex>,
        graph: &ExecutionGraph,
        restore: &[(SubtaskId, Restore)],
        restored: bool,
    ) {
        let all = Regions::of(&self.job);
        let others = self.tasks.keys().copied().collect::<BTreeSet<_>>();
        for (vertex, _, subtask) in graph.subtasks() {
            let restarts = regions.contains(&all.region(vertex));
            assert_eq!(restarts, !others.contains(&subtask.id), "subtask {} of another region", subtask.id);
        }
        let mut others = std::mem::take(&mut self.tasks);
        self.deploy(graph, restore, restored);
        self.tasks.retain(|id, _| !others.contains_key(id));
        self.tasks.append(&mut others);
    }

    /// All subtasks of the graph are there but those of some regions.
    pub(super) fn check_participants(&self, without: &BTreeSet<RegionIndex>) {
        let regions = Regions::of(&self.job);
        let missing = self.graph.subtasks().filter(|(.., subtask)| !self.tasks.contains_key(&subtask.id));
        for (vertex, ..) in missing {
            assert!(without.contains(&regions.region(vertex)), "a checkpoint while a region restarts");
        }
    }

    /// The checkpoint in which the vertices of a `deploy` line took part whose state is older than the checkpoint. Checks that
    /// there are some, all of one checkpoint.
    pub(super) fn check_taken_over(&self, line: &str) -> u64 {
        let older = line.split(", ").filter_map(|part| part.split_once(" of "));
        let older: BTreeSet<u64> = older.map(|(_, of)| of.parse().expect("a number")).collect();
        assert_eq!(older.len(), 1, "{line}");
        older.into_iter().next().expect("there is one")
    }

    /// Whether a subtask is of one of these regions.
    pub(super) fn is_of(&self, subtask: SubtaskId, regions: &BTreeSet<RegionIndex>) -> bool {
        regions.contains(&Regions::of(&self.job).region(self.tasks[&subtask].vertex))
    }

    /// What each subtask writes for a checkpoint.
    pub(super) fn states(&self) -> BTreeMap<SubtaskId, SubtaskState> {
        self.tasks.iter().map(|(id, task)| (*id, self.state(task))).collect()
    }

    fn state(&self, task: &Task) -> SubtaskState {
        let vertex = self.job.vertex(task.vertex);
        let keyed =
            task.groups.clone().map(|groups| KeyedState { groups, object: None, runs: Vec::new(), bytes: 0 });
        let operator = vertex.operators[0].uid.clone();
        let mut states = Vec::new();
        if vertex.source {
            let (name, redistribution) = ("splits".into(), Redistribution::Split);
            states.push(OperatorState { operator, name, redistribution, items: task.splits.clone() });
        } else if !vertex.keyed {
            states.push(rules(operator));
        }
        SubtaskState { keyed, operator: states, ..SubtaskState::default() }
    }

    pub(super) fn prepare(
        &mut self,
        version: GraphVersion,
        graph: &ExecutionGraph,
        present: &ExecutionGraph,
    ) {
        assert_eq!(&self.graph, present, "what runs is what the world deployed");
        assert!(self.next.is_none(), "two rescales are prepared at a time");
        let stay = |id: SubtaskId| {
            graph.find(id).is_some_and(|(v, _, s)| {
                present.find(id).is_some_and(|(old, _, place)| (old, place.slot) == (v, s.slot))
            })
        };
        let both = present.subtasks().filter(|(_, _, s)| graph.find(s.id).is_some());
        both.for_each(|(_, _, s)| assert!(stay(s.id), "subtask {} keeps its id elsewhere", s.id));
        self.next = Some((version, graph.clone()));
    }

    pub(super) fn abandon(&mut self, version: GraphVersion) {
        let next = self.next.take();
        assert_eq!(next.map(|(version, _)| version), Some(version), "what is abandoned was prepared");
    }

    /// The executors of both graphs.
    pub(super) fn readers(&self) -> BTreeSet<ExecutorId> {
        let next = self.next.iter().flat_map(|(_, graph)| graph.subtasks());
        self.graph.subtasks().chain(next).map(|(_, _, subtask)| subtask.slot.executor).collect()
    }

    /// A checkpoint is triggered.
    pub(super) fn triggered(&mut self, checkpoint: CheckpointId) {
        self.triggered = Some(checkpoint);
    }

    pub(super) fn begin_cut(&mut self, checkpoint: CheckpointId) {
        assert_eq!(self.read, self.triggered, "the cut follows the checkpoint that was read last");
        self.cut = Some(checkpoint);
    }

    /// A subtask takes the new graph, after it has written the cut.
    pub(super) fn pass_cut(&mut self, attempt: Attempt, id: SubtaskId, cut: &Cut) -> Event {
        let (_, next) = self.next.as_ref().expect("it was prepared");
        let keep = cut.splits.iter().find(|(subtask, _)| *subtask == id).map(|(_, keep)| *keep as usize);
        let shared = self.state(&self.tasks[&id]).operator.into_iter();
        let operator = shared.filter(|state| state.redistribution != Redistribution::Split).collect();
        let place =
            next.find(id).map(|(v, index, _)| next.vertex(v).table.as_ref().map(|t| t.groups_of(index)));
        let checkpoint = self.cut;
        let task = self.tasks.get_mut(&id).expect("it runs");
        let keep = keep.unwrap_or(task.splits.len()).min(task.splits.len());
        let splits = task.splits.split_off(keep);
        match place {
            Some(groups) => task.groups = groups,
            None => {
                assert!(task.splits.is_empty(), "who leaves keeps no split");
                task.groups = task.groups.take().map(|_| KeyGroupSet::default());
                task.leaves = checkpoint;
            }
        }
        reported(attempt, id, SubtaskEvent::Cut { version: cut.version, splits, operator })
    }

    /// The new subtasks are there. Returns what those report that wait for nothing but key groups.
    pub(super) fn finish_cut(&mut self, attempt: Attempt, version: GraphVersion) -> Vec<Event> {
        let (_, next) = self.next.clone().expect("it was prepared");
        let mut report: BTreeSet<SubtaskId> = self.graph.moves(&next).into_iter().map(|m| m.to).collect();
        for (vertex, _, subtask) in next.subtasks() {
            if self.graph.find(subtask.id).is_none() {
                let source = self.job.vertex(vertex).source;
                let task = self.task(&next, subtask.id);
                self.tasks.insert(subtask.id, Task { waits: !source, ..task });
                if source {
                    report.insert(subtask.id)
                } else {
                    report.remove(&subtask.id)
                };
            }
        }
        self.graph = next;
        report.into_iter().map(|id| self.installed(attempt, version, id)).collect()
    }

    pub(super) fn installed(&self, attempt: Attempt, version: GraphVersion, subtask: SubtaskId) -> Event {
        let installation = Installation { bytes: 10, parked: 2, pause_us: subtask.0 };
        reported(attempt, subtask, SubtaskEvent::Installed { version, installation })
    }

    /// An added subtask gets the state that it waits for. Returns the graph with which it comes.
    pub(super) fn adopt(&mut self, id: SubtaskId, states: &[OperatorState]) -> GraphVersion {
        let (version, _) = self.next.as_ref().expect("a rescale is under way");
        let task = self.tasks.get_mut(&id).expect("it was prepared");
        assert!(std::mem::take(&mut task.waits), "subtask {id} does not wait for state");
        let vertex = self.job.vertex(task.vertex);
        let expected = if vertex.keyed { Vec::new() } else { vec![rules(vertex.operators[0].uid.clone())] };
        assert_eq!(states, expected, "what the old subtasks had");
        *version
    }

    pub(super) fn move_splits(
        &mut self,
        vertex: VertexIndex,
        splits: &[Bytes],
        readers: &[(SubtaskId, usize)],
    ) {
        let mut load: BTreeMap<SubtaskId, usize> = readers.iter().copied().collect();
        for (id, count) in readers {
            let task = self.tasks.get(id).expect("a reader runs");
            assert!(task.leaves.is_none() && task.vertex == vertex, "{id} reads");
            assert_eq!(task.splits.len(), *count, "how many splits reader {id} has");
        }
        for split in splits {
            let (id, count) = load.iter_mut().min_by_key(|(_, count)| **count).expect("there are readers");
            *count += 1;
            self.tasks.get_mut(id).expect("a reader runs").splits.push(split.clone());
        }
    }

    pub(super) fn leaves_with(&self, id: SubtaskId, checkpoint: CheckpointId) -> bool {
        self.tasks[&id].leaves.is_some_and(|cut| cut <= checkpoint)
    }

    pub(super) fn remove(&mut self, id: SubtaskId) {
        self.tasks.remove(&id);
    }

    /// The rescale is over. Returns the graph that runs.
    pub(super) fn commit(&mut self, version: GraphVersion) -> &ExecutionGraph {
        let (prepared, next) = self.next.take().expect("it was prepared");
        let graph = &self.graph;
        assert_eq!((prepared, &next), (version, graph));
        assert!(self.tasks.keys().all(|id| graph.find(*id).is_some()), "somebody has not left");
        assert!(self.tasks.values().all(|task| !task.waits), "somebody waits for state");
        graph
    }

    /// Every group has one owner, every split one reader, and a table of a version is always the same.
    pub(super) fn check_manifest(&mut self, manifest: &Manifest) {
        for vertex in &manifest.vertices {
            if let Some(table) = &vertex.table {
                let key = (vertex.vertex, table.version());
                let former = self.tables.entry(key).or_insert_with(|| table.clone());
                assert_eq!(former, table, "two tables have version {}", table.version());
                let newest = self.tables.range((vertex.vertex, 0)..=(vertex.vertex, u64::MAX)).next_back();
                // A checkpoint that was given up because a region failed may have had a newer table of it.
                let newest = newest.filter(|_| vertex.taken_in == manifest.checkpoint);
                let newest = newest.or_else(|| self.tables.get_key_value(&key));
                assert_eq!(newest.map(|(key, _)| key.1), Some(table.version()), "an older table comes back");
                let groups: Vec<KeyGroup> = vertex.keyed.iter().flat_map(|part| part.groups.iter()).collect();
                let owned: BTreeSet<KeyGroup> = groups.iter().copied().collect();
                assert_eq!(owned.len(), groups.len(), "a key group has two owners");
                assert_eq!(owned.len() as u32, vertex.max_parallelism.get(), "a key group has no owner");
            }
            let splits: Vec<&Bytes> = vertex
                .operator
                .iter()
                .filter(|state| state.name == "splits")
                .flat_map(|state| &state.items)
                .collect();
            let distinct: BTreeSet<&Bytes> = splits.iter().copied().collect();
            assert_eq!(distinct.len(), splits.len(), "a split has two readers");
            if !splits.is_empty() {
                assert_eq!(splits.len(), SPLITS, "a split has no reader");
            }
        }
    }
}

/// The broadcast state of a vertex that is neither a source nor keyed.
fn rules(operator: String) -> OperatorState {
    let (name, redistribution) = ("rules".into(), Redistribution::Broadcast);
    OperatorState { operator, name, redistribution, items: vec![Bytes::from_static(b"rule")] }
}
