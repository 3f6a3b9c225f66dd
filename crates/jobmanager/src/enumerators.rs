//! The split enumerators of the sources: their requests, the assignment of their splits to readers, and their
//! state.
//!
//! An assigned split belongs to its reader. Assignments and checkpoint triggers reach a reader in order, so a split that was
//! assigned before a trigger is in the reader's part of the checkpoint, and any other in the enumerator's. A reader holds
//! event time back until it has received the first answer from here. So after an enumerator's first search in an
//! attempt, readers without a split get a message that there is none for them now.
//!
//! No split is assigned after the trigger of a checkpoint after which sources emit nothing. A source whose readers change
//! assigns none from the trigger of the cut until its readers have reported the splits that they release.

pub(crate) mod adoption;
mod source;

use bytes::Bytes;
use reflow_api::Enumerator;
use reflow_api::source::ReaderMessage;
use reflow_env::{Answer, Output, Request, Ticket};
use reflow_graph::{ExecutionGraph, JobGraph, RegionIndex, Regions, VertexIndex};
use reflow_protocol::command::SplitAssignment;
use reflow_protocol::failure::Failure;
use reflow_protocol::snapshot::{OperatorState, Restore};
use reflow_types::{Bounds, CheckpointId, Instant, SubtaskId, injected_fault};
use source::Source;
use std::collections::BTreeSet;

/// Set in the tickets of enumerators' requests, which no other request of the JobManager has.
const OF_ENUMERATOR: u64 = 1 << 63;
/// How many bits a source's own tickets have; the number of the source is in those above.
const NUMBER_BITS: u32 = 40;

/// Splits for one reader.
pub(crate) type Assignment = (SubtaskId, SplitAssignment);

/// The requests and messages of the enumerators.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Work {
    /// With the tickets of the process.
    pub(crate) requests: Vec<(Ticket, Request)>,
    /// Calls that were requested before.
    pub(crate) canceled: Vec<Ticket>,
    pub(crate) assignments: Vec<Assignment>,
    /// Readers, each with the number of readers of its source that have splits to read.
    pub(crate) active: Vec<(SubtaskId, u32)>,
    /// Readers whose input ends.
    pub(crate) ends: Vec<SubtaskId>,
    /// Errors of enumerators, which fail the job.
    pub(crate) failures: Vec<Failure>,
}

impl Work {
    /// The outputs that carry the requests out.
    pub(crate) fn outputs(&mut self) -> impl Iterator<Item = Output> {
        let request = |(ticket, request)| match request {
            Request::Store(op) => Output::Store { ticket, op },
            Request::External(call) => Output::Call { ticket, call },
        };
        let canceled = std::mem::take(&mut self.canceled).into_iter();
        let canceled = canceled.map(|ticket| Output::CancelCall { ticket });
        std::mem::take(&mut self.requests).into_iter().map(request).chain(canceled)
    }
}

/// The source and its own ticket of an enumerator's request; `None` for any other request of the process.
fn of_source(ticket: Ticket) -> Option<(usize, Ticket)> {
    let number = ticket.0.checked_sub(OF_ENUMERATOR)?;
    Some(((number >> NUMBER_BITS) as usize, Ticket(number & ((1 << NUMBER_BITS) - 1))))
}

fn in_process(source: usize, ticket: Ticket) -> Ticket {
    Ticket(OF_ENUMERATOR | (source as u64) << NUMBER_BITS | ticket.0)
}

/// The enumerators of a job.
pub(crate) struct Enumerators {
    sources: Vec<Source>,
    /// Messages of readers that are not handled yet.
    messages: Vec<(SubtaskId, ReaderMessage)>,
    running: bool,
    /// The checkpoint after which sources emit nothing.
    paused_by: Option<CheckpointId>,
}

impl Enumerators {
    pub(crate) fn new(
        job: &JobGraph,
        enumerators: Vec<(String, Box<dyn Enumerator>)>,
        bounds: &Bounds,
    ) -> Self {
        let vertex_of = |uid: &str| {
            let mut vertices = job.numbered_vertices();
            vertices
                .find(|(_, vertex)| vertex.operators.iter().any(|op| op.uid == uid))
                .map(|(index, _)| index)
        };
        let regions = Regions::of(job);
        let source = |(uid, enumerator): (String, _)| {
            let place = vertex_of(&uid).map(|vertex| (vertex, regions.region(vertex)));
            Source::new(uid, place, enumerator, bounds.message_splits)
        };
        let sources = enumerators.into_iter().map(source).collect();
        Self { sources, messages: Vec::new(), running: false, paused_by: None }
    }

    /// An attempt is deployed. The enumerators continue from `states`, `(operator uid, state)`, or from their
    /// initial states.
    pub(crate) fn deploy(
        &mut self,
        now: Instant,
        graph: &ExecutionGraph,
        restore: &[(SubtaskId, Restore)],
        states: &[(String, Bytes)],
    ) -> Result<(), Failure> {
        self.running = true;
        self.messages.clear();
        self.paused_by = None;
        self.sources.iter_mut().try_for_each(|source| source.deploy(now, graph, restore, states))
    }

    /// Regions of the attempt are deployed again, with the state of `restore`. The other enumerators go on.
    pub(crate) fn deploy_regions(
        &mut self,
        now: Instant,
        regions: &BTreeSet<RegionIndex>,
        (graph, restore): (&ExecutionGraph, &[(SubtaskId, Restore)]),
        states: &[(String, Bytes)],
    ) -> Result<(), Failure> {
        if injected_fault::is_active("enumerators_of_all_regions_restored") {
            return self.deploy(now, graph, restore, states);
        }
        self.of_regions(regions).try_for_each(|source| source.deploy(now, graph, restore, states))
    }

    /// Regions of the attempt have ended.
    pub(crate) fn stop_regions(&mut self, regions: &BTreeSet<RegionIndex>) {
        self.of_regions(regions).for_each(Source::stop);
    }

    fn of_regions<'a>(
        &'a mut self,
        regions: &'a BTreeSet<RegionIndex>,
    ) -> impl Iterator<Item = &'a mut Source> {
        let of_one = |source: &&mut Source| source.region.is_some_and(|region| regions.contains(&region));
        self.sources.iter_mut().filter(of_one)
    }

    /// The attempt has ended. Its requests are cancelled with the next call of [`advance`](Self::advance).
    pub(crate) fn stop(&mut self) {
        self.running = false;
        self.sources.iter_mut().for_each(Source::stop);
    }

    /// A checkpoint begins after which sources emit nothing.
    pub(crate) fn pause(&mut self, checkpoint: CheckpointId) {
        self.paused_by = Some(checkpoint);
    }

    /// A checkpoint has failed. Sources that paused for it continue.
    pub(crate) fn resume(&mut self, checkpoint: CheckpointId) {
        if self.paused_by == Some(checkpoint) {
            self.paused_by = None;
        }
    }

    /// A cut begins. Sources whose readers differ in the `next` graph wait for
    /// [`move_splits`](Self::move_splits).
    pub(crate) fn begin_move(&mut self, graph: &ExecutionGraph, next: &ExecutionGraph) {
        let readers = |graph: &ExecutionGraph, vertex| -> BTreeSet<SubtaskId> {
            graph.vertex(vertex).subtasks.iter().map(|subtask| subtask.id).collect()
        };
        for source in &mut self.sources {
            source.moving = source.vertex.is_some_and(|v| readers(graph, v) != readers(next, v));
        }
    }

    /// The readers of a source have changed to `readers`, given with the number of their splits. They get the
    /// released splits, and are told again whether more splits will follow.
    pub(crate) fn move_splits(
        &mut self,
        vertex: VertexIndex,
        splits: Vec<Bytes>,
        states: Vec<OperatorState>,
        readers: Vec<(SubtaskId, usize)>,
    ) -> Vec<Assignment> {
        let mut assignments = Vec::new();
        if let Some(source) = self.sources.iter_mut().find(|source| source.vertex == Some(vertex)) {
            source.moving = false;
            source.told_last = false;
            source.notified.clear();
            source.exhausted.clear();
            source.told_end = false;
            source.active = None;
            source.load = readers.into_iter().collect();
            source.requests.retain(|reader| source.load.contains_key(reader));
            source.hand_out(splits, &states, &mut assignments);
            source.assign(&mut assignments);
            // Readers hold event time back until they have received an assignment.
            source.tell_others(&mut assignments);
        }
        assignments
    }

    /// The sources' states, `(operator uid, state)`.
    pub(crate) fn snapshot(&self) -> Vec<(String, Bytes)> {
        self.sources.iter().map(|source| (source.uid.clone(), source.snapshot())).collect()
    }

    /// Polls the enumerators and assigns their splits.
    pub(crate) fn advance(&mut self, now: Instant) -> Work {
        let mut work = Work::default();
        let is_active = self.is_active();
        if is_active {
            self.handle_messages(now, &mut work.failures);
        }
        for (index, source) in self.sources.iter_mut().enumerate() {
            if is_active {
                work.failures.extend(source.poll_if_due(now).err());
                source.assign(&mut work.assignments);
                work.active.extend(source.take_active());
                work.ends.extend(source.take_ends());
            }
            let (requests, canceled) = source.take_requests();
            work.requests
                .extend(requests.into_iter().map(|(ticket, request)| (in_process(index, ticket), request)));
            work.canceled.extend(canceled.into_iter().map(|ticket| in_process(index, ticket)));
        }
        work
    }

    /// A reader has finished its splits and waits for the other readers of its source.
    pub(crate) fn exhausted(&mut self, reader: SubtaskId) {
        if let Some(source) = self.of_reader(reader) {
            source.exhausted.insert(reader);
            source.told_end = false;
        }
    }

    /// A reader of the attempt has sent a message, which the next call of [`advance`](Self::advance) handles.
    pub(crate) fn received(&mut self, reader: SubtaskId, message: ReaderMessage) {
        self.messages.push((reader, message));
    }

    /// Handles the messages of readers. A reader that a live rescale has added may send some before the splits have
    /// moved, and is known only then.
    fn handle_messages(&mut self, now: Instant, failures: &mut Vec<Failure>) {
        let moving = self.sources.iter().any(|source| source.moving);
        for (reader, message) in std::mem::take(&mut self.messages) {
            match self.of_reader(reader) {
                Some(source) => failures.extend(source.on_message(now, reader, message).err()),
                None if moving => self.messages.push((reader, message)),
                None => {}
            }
        }
    }

    fn of_reader(&mut self, reader: SubtaskId) -> Option<&mut Source> {
        self.sources.iter_mut().find(|source| source.load.contains_key(&reader))
    }

    /// Passes an answer to its enumerator, which is polled next. Returns the answer if no enumerator has requested it.
    pub(crate) fn answered(&mut self, now: Instant, ticket: Ticket, answer: Answer) -> Option<Answer> {
        let Some((source, ticket)) = of_source(ticket) else { return Some(answer) };
        if let Some(source) = self.sources.get_mut(source) {
            source.answered(now, ticket, answer);
        }
        None
    }

    /// When an enumerator must be polled next.
    pub(crate) fn next_wakeup(&self) -> Option<Instant> {
        self.sources.iter().filter_map(Source::poll_at).min().filter(|_| self.is_active())
    }

    fn is_active(&self) -> bool {
        self.running && self.paused_by.is_none()
    }
}

/// The number of splits in a reader's restored state.
fn restored(restore: &[(SubtaskId, Restore)], reader: SubtaskId, uid: &str) -> usize {
    let of_reader = restore.iter().filter(|(subtask, _)| *subtask == reader);
    let states = of_reader.flat_map(|(_, restore)| &restore.operator).filter(|state| state.operator == uid);
    states.map(|state| state.items.len()).sum()
}

#[cfg(test)]
#[path = "enumerators_tests.rs"]
mod tests;
