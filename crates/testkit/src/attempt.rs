//! One deployment of the job: the slots of its subtasks, the construction of its tasks, and their reports.

use crate::clock::ManualClock;
use crate::executor::{Machines, SteppedSlot};
use bytes::Bytes;
use reflow_coordination::alignment::EventTimeAlignment;
use reflow_coordination::checkpoint::Participant;
use reflow_coordination::manifest::Manifest;
use reflow_env::Clock;
use reflow_graph::{ExecutionGraph, ExecutionVertex, Subtask, Vertex};
use reflow_protocol::command::{MoreSplits, SplitAssignment, SubtaskCommand};
use reflow_protocol::deployment::Attempt as AttemptId;
use reflow_protocol::failure::Failure;
use reflow_protocol::report::EventTimeReport;
use reflow_protocol::snapshot::{AfterBarrier, FirstCheckpoint, Restore};
use reflow_runtime::{BuildContext, DeployedTask, SlotCommand, Wiring};
use reflow_stream::Job;
use reflow_types::{
    Bounds, CheckpointId, GraphVersion, JobId, MaxParallelism, OwnershipTable, SlotId, SubtaskId,
    SubtaskIndex,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The time between latency markers: so short that they are everywhere.
const LATENCY_INTERVAL: Duration = Duration::from_millis(1);

/// A running attempt.
pub(crate) struct Attempt {
    pub(crate) id: AttemptId,
    pub(crate) machines: Machines,
    pub(crate) participants: Vec<Participant>,
    alignment: EventTimeAlignment,
    pub(crate) running: BTreeSet<SubtaskId>,
    /// Sources that have read all of their splits.
    pub(crate) exhausted: BTreeSet<SubtaskId>,
    pub(crate) ended: BTreeSet<SubtaskId>,
    pub(crate) finished: BTreeSet<SubtaskId>,
}

/// The state that an attempt restores.
pub(crate) struct Restored {
    pub(crate) state: Vec<(SubtaskId, Restore)>,
    pub(crate) first_checkpoint: FirstCheckpoint,
    pub(crate) checkpoint: Option<CheckpointId>,
    pub(crate) then: AfterBarrier,
}

/// The parallelism of vertices.
pub(crate) struct Sizes {
    pub(crate) parallelism: u32,
    pub(crate) max_parallelism: MaxParallelism,
    pub(crate) executors: usize,
    pub(crate) bounds: Bounds,
}

impl Sizes {
    fn of(&self, vertex: &Vertex) -> (u32, MaxParallelism) {
        let max = vertex.max_parallelism.unwrap_or(self.max_parallelism);
        (vertex.parallelism.unwrap_or(self.parallelism).min(max.get()), max)
    }

    /// Places subtask i of each vertex into slot i. The ownership tables of `former` change as little as
    /// possible.
    pub(crate) fn place(&self, job: &Job, first: SubtaskId, former: Option<&Manifest>) -> ExecutionGraph {
        let mut next = first.0;
        let mut subtask = |index: u32| {
            next += 1;
            let executors = self.executors as u32;
            let executor = reflow_types::ExecutorId(u128::from(index % executors) + 1);
            Subtask { id: SubtaskId(next - 1), slot: SlotId { executor, index: index / executors } }
        };
        let mut widths: Vec<u32> = job.graph.vertices.iter().map(|vertex| self.of(vertex).0).collect();
        job.graph.cap_forward(&mut widths);
        let place = |(vertex, parallelism): (&Vertex, u32)| {
            let (_, max) = self.of(vertex);
            let table = || {
                let same = |state: &&reflow_coordination::manifest::VertexState| state.vertex == vertex.id;
                let former = former.and_then(|manifest| manifest.vertices.iter().find(same));
                let former = former.and_then(|state| state.table.as_ref());
                match former.filter(|table| table.max_parallelism() == max) {
                    Some(table) => {
                        let kept = |i| (i < parallelism).then_some(SubtaskIndex(i));
                        let kept: Vec<_> = (0..table.parallelism()).map(kept).collect();
                        table.rebalanced(parallelism, &kept)
                    }
                    None => OwnershipTable::initial(max, parallelism),
                }
            };
            ExecutionVertex {
                subtasks: (0..parallelism).map(&mut subtask).collect(),
                table: vertex.keyed.then(table),
                attempt: reflow_types::Attempt::default(),
            }
        };
        ExecutionGraph { vertices: job.graph.vertices.iter().zip(widths).map(place).collect() }
    }
}

impl Attempt {
    /// Builds and deploys the tasks. A task that cannot be built is a failure.
    pub(crate) fn deploy(
        id: AttemptId,
        job: &Job,
        graph: &ExecutionGraph,
        clock: &ManualClock,
        sizes: &Sizes,
        restored: Restored,
        survivors: Vec<SteppedSlot>,
    ) -> (Self, Vec<Failure>) {
        let executors = sizes.executors;
        let slots = graph.vertices.iter().map(|vertex| vertex.subtasks.len()).max().unwrap_or(1);
        let machines = Machines::new(executors, (slots, sizes.bounds), clock, survivors);
        let mut restore: BTreeMap<SubtaskId, Restore> = restored.state.into_iter().collect();
        let mut tasks: Vec<Vec<DeployedTask>> = (0..slots).map(|_| Vec::new()).collect();
        let (mut participants, mut failures) = (Vec::new(), Vec::new());
        let shared = Arc::new(graph.clone());
        for (vertex, index, subtask) in graph.subtasks() {
            let slot = index.0 as usize;
            let executor = &machines.executors[slot % executors];
            let name = job.graph.vertex(vertex).name.clone();
            participants.push(Participant { subtask: subtask.id, vertex, index });
            let wiring = Wiring {
                job: job.graph.clone(),
                graph: shared.clone(),
                version: GraphVersion(0),
                vertex,
                subtask: subtask.id,
                index,
                executor: executor.id,
                slots: executor.signals.clone().into(),
                hub: executor.hub.clone(),
            };
            let mut context = BuildContext {
                wiring,
                job_id: JobId(1),
                attempt: id,
                io: machines.slots[slot].io.for_task(),
                clock: Arc::new(clock.clone()) as Arc<dyn Clock>,
                restored: reflow_runtime::Restored {
                    state: restore.remove(&subtask.id).unwrap_or_default(),
                    first_checkpoint: restored.first_checkpoint,
                    checkpoint: restored.checkpoint,
                    then: restored.then,
                },
                from_local: true,
                bounds: sizes.bounds,
                latency_interval: Some(LATENCY_INTERVAL),
                prefetch_bandwidth: None,
                added: None,
            };
            match reflow_runtime::catch(&name, || job.factories[usize::from(vertex.0)](&mut context)) {
                Ok(task) => tasks[slot].push(DeployedTask { subtask: subtask.id, vertex, name, task }),
                Err(failure) => failures.push(failure),
            }
        }
        for (slot, tasks) in machines.slots.iter().zip(tasks) {
            slot.port.send(SlotCommand::Deploy { attempt: id, tasks });
        }
        let (alignment, running, exhausted, ended, finished) = Default::default();
        (Self { id, machines, participants, alignment, running, exhausted, ended, finished }, failures)
    }

    /// Assigns a source's splits in turn to its readers, as the last ones. Returns the commands for the readers
    /// that are `late`, with their slots.
    pub(crate) fn assign(
        &self,
        readers: &[Subtask],
        splits: Vec<Bytes>,
        late: &BTreeSet<usize>,
    ) -> Vec<(usize, SlotCommand)> {
        let mut of_reader: Vec<Vec<Bytes>> = vec![Vec::new(); readers.len()];
        for (number, split) in splits.into_iter().enumerate() {
            of_reader[number % readers.len()].push(split);
        }
        let mut held = Vec::new();
        for ((index, reader), splits) in readers.iter().enumerate().zip(of_reader) {
            let assignment = SubtaskCommand::AssignSplits(SplitAssignment {
                splits,
                ..SplitAssignment::empty(MoreSplits::None)
            });
            let command = SlotCommand::Subtask(reader.id, assignment);
            if late.contains(&index) {
                held.push((index, command));
            } else {
                self.machines.slots[index].port.send(command);
            }
        }
        held
    }

    /// Records that a source's subtask has read all of its splits. Once all subtasks of the vertex have, their
    /// inputs end.
    pub(crate) fn exhausted(&mut self, subtask: SubtaskId) {
        self.exhausted.insert(subtask);
        let vertex = self.participants.iter().find(|p| p.subtask == subtask).map(|p| p.vertex);
        let readers = || self.participants.iter().filter(|p| Some(p.vertex) == vertex);
        if readers().all(|reader| self.exhausted.contains(&reader.subtask)) {
            readers().for_each(|reader| self.send(reader.subtask, SubtaskCommand::EndSource));
        }
    }

    /// Takes a reader's report of its event time.
    pub(crate) fn event_time(&mut self, reader: SubtaskId, report: EventTimeReport) {
        for (reader, lowest) in self.alignment.report(reader, report) {
            self.send(reader, SubtaskCommand::SetLowestWatermark(lowest));
        }
    }

    fn send(&self, subtask: SubtaskId, command: SubtaskCommand) {
        if let Some(participant) = self.participants.iter().find(|p| p.subtask == subtask) {
            let slot = &self.machines.slots[participant.index.0 as usize];
            slot.port.send(SlotCommand::Subtask(subtask, command));
        }
    }

    /// Whether all subtasks are in `set`.
    pub(crate) fn all(&self, set: &BTreeSet<SubtaskId>) -> bool {
        self.participants.iter().all(|participant| set.contains(&participant.subtask))
    }
}
