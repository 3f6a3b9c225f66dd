//! The record of an attempt, for the report with which the executor registers with the next JobManager.
//!
//! All commands and reports of the attempt pass through the executor, so it knows what the JobManager knows of its part: the
//! status of subtasks, the outcome of checkpoints, and the splits of readers.

use reflow_graph::{DeclaredList, ExecutionGraph, RegionIndex, Regions, VertexIndex};
use reflow_protocol::adoption::{ReaderReport, ReportedStatus, SplitNotice, TakenCheckpoint};
use reflow_protocol::command::{CheckpointCommand, Command, MoreSplits, SplitAssignment, SubtaskCommand};
use reflow_protocol::report::SubtaskEvent;
use reflow_protocol::snapshot::{AfterBarrier, Restore, StateFormat};
use reflow_types::{CheckpointId, GraphVersion, LeaderEpoch, SubtaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Bytes of the splits of a reader that are kept. If more are assigned between two checkpoints, the attempt ends with its
/// JobManager.
const MAX_ASSIGNED_BYTES: usize = 4 << 20;

/// What the executor has heard of an attempt.
pub(super) struct Record {
    /// The graph in effect.
    pub(super) graph: Arc<ExecutionGraph>,
    pub(super) version: GraphVersion,
    pub(super) restored: Option<CheckpointId>,
    pub(super) completed: Option<TakenCheckpoint>,
    undecided: Option<(TakenCheckpoint, StateFormat)>,
    pub(super) highest: Option<CheckpointId>,
    status: BTreeMap<SubtaskId, ReportedStatus>,
    readers: BTreeMap<SubtaskId, Reader>,
}

#[derive(Default)]
struct Reader {
    splits: u64,
    assigned: Vec<(Option<CheckpointId>, bytes::Bytes)>,
    assigned_bytes: usize,
    /// Whether splits were left out. `Some` has the last checkpoint that was triggered before the last of them.
    left_out: Option<Option<CheckpointId>>,
    notified: Option<MoreSplits>,
    requests: u64,
    exhausted: bool,
    has_sent_events: bool,
    /// Whether it gets the splits of other readers next, which it has not requested.
    awaits_moved: bool,
}

impl Record {
    /// An attempt, or a part of it, that begins from the checkpoint `restored`.
    pub(super) fn new(graph: Arc<ExecutionGraph>, restored: Option<CheckpointId>) -> Self {
        let (version, completed, undecided, status, readers) = Default::default();
        // Splits are assigned after it.
        let highest = restored;
        Self { graph, version, restored, completed, undecided, highest, status, readers }
    }

    /// Regions are deployed from the checkpoint `restored`, and nothing else runs here: the executor has taken part in no
    /// checkpoint since its subtasks have ended. One without these regions may be under way.
    pub(super) fn begin_again(&mut self, graph: Arc<ExecutionGraph>, restored: Option<CheckpointId>) {
        let (undecided, highest) = (self.undecided, self.highest);
        *self = Self { undecided, ..Self::new(graph, restored) };
        self.highest = self.highest.max(highest);
    }

    /// A subtask was deployed here. `reads` is whether it is a source's.
    pub(super) fn add(&mut self, subtask: SubtaskId, reads: bool, restore: Option<&Restore>) {
        self.status.entry(subtask).or_insert(ReportedStatus::Deploying);
        if reads {
            let lists = restore.into_iter().flat_map(|restore| &restore.operator);
            let splits = lists.filter(|list| list.name == DeclaredList::SPLITS);
            let splits = splits.map(|list| list.items.len() as u64).sum();
            self.readers.entry(subtask).or_insert(Reader { splits, ..Reader::default() });
        }
    }

    pub(super) fn undecided(&self) -> Option<TakenCheckpoint> {
        self.undecided.map(|(taken, _)| taken)
    }

    pub(super) fn subtasks(&self) -> impl Iterator<Item = (SubtaskId, ReportedStatus)> {
        self.status.iter().map(|(id, status)| (*id, *status))
    }

    pub(super) fn readers(&self) -> impl Iterator<Item = ReaderReport> {
        self.readers.iter().map(|(id, reader)| reader.report(*id))
    }

    /// Whether a notification is new. The next JobManager repeats those that it does not know to have arrived.
    pub(super) fn is_known(&self, checkpoint: CheckpointId, command: &CheckpointCommand) -> bool {
        let completed = self.completed.map(|taken| taken.checkpoint);
        *command == CheckpointCommand::NotifyComplete && completed >= Some(checkpoint)
    }

    /// A command is about to be carried out.
    pub(super) fn on_command(&mut self, epoch: LeaderEpoch, regions: &Regions, command: &Command) {
        match command {
            Command::Checkpoint { checkpoint, without, command } => {
                self.on_checkpoint(epoch, *checkpoint, (regions, without), command);
            }
            Command::Subtask { subtask, command: SubtaskCommand::AssignSplits(assignment) } => {
                let after = self.highest;
                if let Some(reader) = self.readers.get_mut(subtask) {
                    reader.assign(after, assignment);
                }
            }
            Command::Subtask { .. } | Command::Rescale { .. } => {}
        }
    }

    fn on_checkpoint(
        &mut self,
        epoch: LeaderEpoch,
        checkpoint: CheckpointId,
        (regions, without): (&Regions, &BTreeSet<RegionIndex>),
        command: &CheckpointCommand,
    ) {
        let part = TakenCheckpoint { epoch, checkpoint, then: AfterBarrier::Continue };
        match command {
            CheckpointCommand::Trigger(kind) => {
                self.highest = self.highest.max(Some(checkpoint));
                let taken = TakenCheckpoint { then: kind.then, ..part };
                self.undecided = Some((taken, kind.format));
            }
            CheckpointCommand::NotifyComplete => {
                let taken = self.undecided.take_if(|(taken, _)| taken.checkpoint == checkpoint);
                // An executor that was added for a region meanwhile has not got the trigger.
                let taken =
                    taken.or_else(|| (!without.is_empty()).then_some((part, StateFormat::Checkpoint)));
                // The job does not return to a savepoint after which it continues.
                let counts = |(taken, format): &(TakenCheckpoint, StateFormat)| {
                    *format == StateFormat::Checkpoint || taken.then != AfterBarrier::Continue
                };
                if let Some((taken, _)) = taken.filter(counts) {
                    self.completed = Some(taken);
                    // The checkpoint has the readers and enumerators of other regions as they were before.
                    let graph = &self.graph;
                    let takes_part = |subtask: SubtaskId| {
                        let vertex = graph.find(subtask).map(|(vertex, ..)| vertex);
                        vertex.is_none_or(|vertex| !without.contains(&regions.region(vertex)))
                    };
                    for (_, reader) in self.readers.iter_mut().filter(|(id, _)| takes_part(**id)) {
                        reader.complete(checkpoint);
                    }
                }
            }
            CheckpointCommand::NotifyAborted => {
                self.undecided.take_if(|(taken, _)| taken.checkpoint == checkpoint);
            }
        }
    }

    /// A subtask has reported an event. `next` is the graph of the live rescale under way.
    pub(super) fn observe(
        &mut self,
        subtask: SubtaskId,
        event: &SubtaskEvent,
        next: Option<&ExecutionGraph>,
    ) {
        let status = match event {
            SubtaskEvent::Running => Some(ReportedStatus::Running),
            SubtaskEvent::Ended => Some(ReportedStatus::Ended),
            SubtaskEvent::Finished => Some(ReportedStatus::Finished),
            _ => None,
        };
        if let Some(status) = status {
            self.status.insert(subtask, status);
        }
        let changes = next.is_some_and(|next| self.readers_change(subtask, next));
        let Some(reader) = self.readers.get_mut(&subtask) else { return };
        match event {
            SubtaskEvent::Exhausted => reader.exhausted = true,
            SubtaskEvent::SplitRequested => reader.requests += 1,
            SubtaskEvent::SourceEvent(_) => reader.has_sent_events = true,
            SubtaskEvent::Cut { splits, .. } => {
                reader.splits = reader.splits.saturating_sub(splits.len() as u64);
                if changes {
                    (reader.exhausted, reader.notified, reader.awaits_moved) = (false, None, true);
                }
            }
            _ => {}
        }
    }

    /// Whether the readers of a subtask's source differ in the next graph.
    fn readers_change(&self, subtask: SubtaskId, next: &ExecutionGraph) -> bool {
        let readers = |graph: &ExecutionGraph, vertex: VertexIndex| -> BTreeSet<SubtaskId> {
            graph.vertex(vertex).subtasks.iter().map(|subtask| subtask.id).collect()
        };
        let vertex = self.graph.find(subtask).map(|(vertex, _, _)| vertex);
        vertex.is_some_and(|vertex| readers(&self.graph, vertex) != readers(next, vertex))
    }

    /// Subtasks have ended, because one of their region has failed.
    pub(super) fn fail(&mut self, subtasks: &BTreeSet<SubtaskId>) {
        let failed = self.status.iter_mut().filter(|(id, _)| subtasks.contains(id));
        failed.for_each(|(_, status)| *status = ReportedStatus::Failed);
    }

    /// Another graph is in effect, and the subtasks that are not in it have ended.
    pub(super) fn take_graph(&mut self, graph: Arc<ExecutionGraph>) {
        self.status.retain(|id, _| graph.find(*id).is_some());
        self.readers.retain(|id, _| graph.find(*id).is_some());
        self.graph = graph;
    }
}

impl Reader {
    fn assign(&mut self, after: Option<CheckpointId>, assignment: &SplitAssignment) {
        let SplitAssignment { splits, more, .. } = assignment;
        self.splits += splits.len() as u64;
        if !self.awaits_moved {
            self.requests = self.requests.saturating_sub(splits.len() as u64);
        }
        if *more != MoreSplits::Follow {
            self.awaits_moved = false;
        }
        self.notified = Some(*more);
        self.assigned_bytes += splits.iter().map(bytes::Bytes::len).sum::<usize>();
        if self.assigned_bytes > MAX_ASSIGNED_BYTES {
            (self.assigned, self.assigned_bytes, self.left_out) = (Vec::new(), 0, Some(after));
        } else {
            // Copies, so that they do not keep the whole message.
            let copies = splits.iter().map(|split| (after, bytes::Bytes::copy_from_slice(split)));
            self.assigned.extend(copies);
        }
    }

    /// Splits that were assigned before the trigger of a complete checkpoint are part of it.
    fn complete(&mut self, checkpoint: CheckpointId) {
        let is_part = |after: &Option<CheckpointId>| *after < Some(checkpoint);
        self.assigned.retain(|(after, _)| !is_part(after));
        self.assigned_bytes = self.assigned.iter().map(|(_, split)| split.len()).sum();
        self.left_out.take_if(|after| is_part(after));
    }

    fn report(&self, subtask: SubtaskId) -> ReaderReport {
        ReaderReport {
            subtask,
            splits: self.splits,
            assigned: self.left_out.is_none().then(|| self.assigned.clone()),
            notified: match self.notified {
                None | Some(MoreSplits::Follow) => SplitNotice::Nothing,
                Some(MoreSplits::Possible) => SplitNotice::MayFollow,
                Some(MoreSplits::None) => SplitNotice::NoneFollow,
            },
            requests: self.requests,
            exhausted: self.exhausted,
            has_sent_events: self.has_sent_events,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use reflow_graph::{ExecutionVertex, JobGraph, Subtask, Vertex};
    use reflow_protocol::command::SnapshotKind;
    use reflow_types::{Attempt, ExecutorId, SlotId, VertexId};

    const READER: SubtaskId = SubtaskId(7);
    const LEADER: LeaderEpoch = LeaderEpoch(3);

    /// Of a job of one vertex.
    fn regions() -> Regions {
        let vertex = Vertex {
            id: VertexId(1),
            name: "read".into(),
            operators: Vec::new(),
            parallelism: None,
            max_parallelism: None,
            slot_sharing_group: "default".into(),
            source: true,
            keyed: false,
        };
        Regions::of(&JobGraph { vertices: vec![vertex], ..JobGraph::default() })
    }

    fn checkpoint(record: &mut Record, id: u64, command: CheckpointCommand) {
        let command = Command::Checkpoint { checkpoint: CheckpointId(id), without: BTreeSet::new(), command };
        record.on_command(LEADER, &regions(), &command);
    }

    fn trigger(format: StateFormat, then: AfterBarrier) -> CheckpointCommand {
        CheckpointCommand::Trigger(SnapshotKind {
            format,
            full: false,
            directory: String::new(),
            then,
            cut: None,
        })
    }

    fn assign(record: &mut Record, splits: &[&'static [u8]], more: MoreSplits) {
        let splits = splits.iter().map(|split| Bytes::from_static(split)).collect();
        let command = SubtaskCommand::AssignSplits(SplitAssignment { splits, states: vec![], more });
        record.on_command(LEADER, &regions(), &Command::Subtask { subtask: READER, command });
    }

    fn reader(record: &Record) -> ReaderReport {
        record.readers().next().expect("there is a reader")
    }

    fn record() -> Record {
        let mut record = Record::new(Arc::default(), None);
        record.add(READER, true, None);
        record
    }

    #[test]
    fn splits_are_kept_until_a_checkpoint_that_contains_them_is_complete() {
        let mut record = record();
        assert_eq!(reader(&record).notified, SplitNotice::Nothing);
        assign(&mut record, &[b"a"], MoreSplits::Follow);
        assert_eq!(reader(&record).notified, SplitNotice::Nothing, "the rest of the assignment follows");
        assign(&mut record, &[b"b"], MoreSplits::Possible);
        checkpoint(&mut record, 1, trigger(StateFormat::Checkpoint, AfterBarrier::Continue));
        assign(&mut record, &[b"c"], MoreSplits::Possible);
        // The job does not return to a savepoint.
        checkpoint(&mut record, 1, CheckpointCommand::NotifyAborted);
        checkpoint(&mut record, 2, trigger(StateFormat::Savepoint, AfterBarrier::Continue));
        checkpoint(&mut record, 2, CheckpointCommand::NotifyComplete);
        assert_eq!(reader(&record).assigned.map(|assigned| assigned.len()), Some(3));
        assert_eq!((record.completed, record.undecided()), (None, None));
        checkpoint(&mut record, 3, trigger(StateFormat::Checkpoint, AfterBarrier::Continue));
        assign(&mut record, &[b"d"], MoreSplits::None);
        let taken = record.undecided().expect("it is under way");
        assert_eq!((taken.epoch, taken.checkpoint), (LEADER, CheckpointId(3)));
        checkpoint(&mut record, 3, CheckpointCommand::NotifyComplete);
        assert_eq!((record.completed, record.undecided()), (Some(taken), None));
        let left = [(Some(CheckpointId(3)), Bytes::from_static(b"d"))];
        let reader = reader(&record);
        assert_eq!((reader.splits, reader.assigned.as_deref()), (4, Some(&left[..])));
        assert_eq!(reader.notified, SplitNotice::NoneFollow);
        assert!(record.is_known(CheckpointId(3), &CheckpointCommand::NotifyComplete));
        assert!(!record.is_known(CheckpointId(4), &CheckpointCommand::NotifyComplete));
    }

    #[test]
    fn too_many_splits_are_not_kept_but_known_to_be_missing() {
        let mut record = record();
        let large = Bytes::from(vec![0; MAX_ASSIGNED_BYTES + 1]);
        let assignment = SplitAssignment { splits: vec![large], states: vec![], more: MoreSplits::Possible };
        let command = SubtaskCommand::AssignSplits(assignment);
        record.on_command(LEADER, &regions(), &Command::Subtask { subtask: READER, command });
        assert_eq!((reader(&record).splits, reader(&record).assigned), (1, None));
        for checkpoint_id in [1, 2] {
            checkpoint(&mut record, checkpoint_id, trigger(StateFormat::Checkpoint, AfterBarrier::Continue));
            assert_eq!(reader(&record).assigned.is_some(), checkpoint_id == 2);
            checkpoint(&mut record, checkpoint_id, CheckpointCommand::NotifyComplete);
        }
        assert_eq!(reader(&record).assigned, Some(vec![]));
    }

    #[test]
    fn requests_are_counted_until_they_are_answered() {
        let mut record = record();
        for _ in 0..2 {
            record.observe(READER, &SubtaskEvent::SplitRequested, None);
        }
        assign(&mut record, &[], MoreSplits::Possible);
        assert_eq!(reader(&record).requests, 2);
        assign(&mut record, &[b"a"], MoreSplits::Possible);
        assert_eq!(reader(&record).requests, 1);
        record.observe(READER, &SubtaskEvent::Exhausted, None);
        record.observe(READER, &SubtaskEvent::Running, None);
        assert!(reader(&record).exhausted);
        assert_eq!(record.subtasks().collect::<Vec<_>>(), [(READER, ReportedStatus::Running)]);
    }

    /// The JobManager is lost when the manifest is stored, and its successor asks who has taken part.
    #[test]
    fn an_executor_whose_only_region_is_deployed_again_knows_the_checkpoint_under_way() {
        let mut record = record();
        checkpoint(&mut record, 4, trigger(StateFormat::Checkpoint, AfterBarrier::Continue));
        checkpoint(&mut record, 4, CheckpointCommand::NotifyComplete);
        let without = regions().all();
        let command = trigger(StateFormat::Checkpoint, AfterBarrier::Continue);
        let trigger = Command::Checkpoint { checkpoint: CheckpointId(5), without, command };
        record.on_command(LEADER, &regions(), &trigger);
        record.begin_again(Arc::default(), Some(CheckpointId(4)));
        let checkpoint = |taken: TakenCheckpoint| taken.checkpoint;
        assert_eq!(record.undecided().map(checkpoint), Some(CheckpointId(5)));
        assert_eq!((record.completed, record.restored), (None, Some(CheckpointId(4))));
        assert_eq!(record.highest, Some(CheckpointId(5)));
        assert_eq!(record.subtasks().count(), 0);
    }

    #[test]
    fn a_checkpoint_without_a_region_keeps_the_splits_of_its_readers() {
        let slot = SlotId { executor: ExecutorId(1), index: 0 };
        let (subtasks, attempt) = (vec![Subtask { id: READER, slot }], Attempt::default());
        let vertices = vec![ExecutionVertex { subtasks, table: None, attempt }];
        let mut record = Record::new(Arc::new(ExecutionGraph { vertices }), Some(CheckpointId(3)));
        record.add(READER, true, None);
        assign(&mut record, &[b"a"], MoreSplits::Possible);
        let without = regions().all();
        let absent = |record: &mut Record, id: u64, command| {
            let command =
                Command::Checkpoint { checkpoint: CheckpointId(id), without: without.clone(), command };
            record.on_command(LEADER, &regions(), &command);
        };
        // The executor was added after the trigger.
        absent(&mut record, 4, CheckpointCommand::NotifyComplete);
        let a = (Some(CheckpointId(3)), Bytes::from_static(b"a"));
        assert_eq!(reader(&record).assigned.as_deref(), Some(&[a.clone()][..]));
        assert_eq!(record.completed.map(|taken| taken.checkpoint), Some(CheckpointId(4)));

        absent(&mut record, 5, trigger(StateFormat::Checkpoint, AfterBarrier::Continue));
        assign(&mut record, &[b"b"], MoreSplits::Possible);
        absent(&mut record, 5, CheckpointCommand::NotifyComplete);
        let b = (Some(CheckpointId(5)), Bytes::from_static(b"b"));
        assert_eq!(reader(&record).assigned.as_deref(), Some(&[a, b][..]));

        checkpoint(&mut record, 6, trigger(StateFormat::Checkpoint, AfterBarrier::Continue));
        checkpoint(&mut record, 6, CheckpointCommand::NotifyComplete);
        assert_eq!(reader(&record).assigned, Some(vec![]));
    }
}
