//! One source: its enumerator, its readers, and which of them gets which split.

use super::{Assignment, restored};
use bytes::Bytes;
use reflow_api::source::{HandOut, ReaderMessage};
use reflow_api::{Enumerator, EnumeratorContext, Io};
use reflow_env::{Answer, Request, Ticket};
use reflow_graph::{ExecutionGraph, RegionIndex, VertexIndex};
use reflow_protocol::command::{MoreSplits, SplitAssignment};
use reflow_protocol::failure::{Failure, Fault};
use reflow_protocol::snapshot::{OperatorState, Restore};
use reflow_types::{Instant, SubtaskId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// The least time between two polls of an enumerator, even if it requests to be polled at once.
const MIN_POLL_PAUSE: Duration = Duration::from_millis(1);

/// A source's state in a checkpoint.
#[derive(Serialize, Deserialize)]
struct Snapshot {
    /// Splits that are not assigned.
    unassigned: Vec<Bytes>,
    enumerator: Bytes,
}

pub(super) struct Source {
    pub(super) uid: String,
    pub(super) vertex: Option<VertexIndex>,
    pub(super) region: Option<RegionIndex>,
    pub(super) enumerator: Box<dyn Enumerator>,
    /// The enumerator's initial state, from which a job without state starts.
    pristine: Bytes,
    pub(super) unassigned: VecDeque<Bytes>,
    /// The number of splits of each reader.
    pub(super) load: BTreeMap<SubtaskId, usize>,
    /// The readers of this attempt that have received an assignment.
    pub(super) notified: BTreeSet<SubtaskId>,
    pub(super) told_last: bool,
    /// Readers that have requested a split and not got one yet, once for each request.
    pub(super) requests: VecDeque<SubtaskId>,
    /// Readers that have read all of their splits.
    pub(super) exhausted: BTreeSet<SubtaskId>,
    /// Whether the readers were told that all are exhausted.
    pub(super) told_end: bool,
    /// The number of readers with splits to read that was last sent to the readers.
    pub(super) active: Option<u32>,
    /// Whether its readers are changing, so that no splits are assigned.
    pub(super) moving: bool,
    /// The most splits in a message.
    message_splits: usize,
    /// The enumerator's requests. It keeps its numbers over attempts, so an answer to a former one is not mistaken.
    io: Io,
    /// What the enumerator has in this attempt.
    context: EnumeratorContext,
    /// Whether its readers have ended.
    stopped: bool,
    /// When it is polled next.
    poll_at: Option<Instant>,
}

impl Source {
    pub(super) fn new(
        uid: String,
        place: Option<(VertexIndex, RegionIndex)>,
        enumerator: Box<dyn Enumerator>,
        message_splits: usize,
    ) -> Self {
        let io = Io::default();
        Self {
            uid,
            vertex: place.map(|(vertex, _)| vertex),
            region: place.map(|(_, region)| region),
            pristine: enumerator.snapshot(),
            enumerator,
            unassigned: VecDeque::new(),
            load: BTreeMap::new(),
            notified: BTreeSet::new(),
            told_last: false,
            requests: VecDeque::new(),
            exhausted: BTreeSet::new(),
            told_end: false,
            active: None,
            moving: false,
            message_splits,
            context: EnumeratorContext::new(io.for_task()),
            io,
            stopped: true,
            poll_at: None,
        }
    }

    pub(super) fn restore(&mut self, now: Instant, state: Option<&Bytes>) -> Result<(), Failure> {
        let snapshot = match state {
            Some(state) => postcard::from_bytes(state).map_err(|error| {
                self.failure(
                    Fault::Permanent,
                    &format!("the state of its enumerator cannot be read: {error}"),
                )
            })?,
            None => Snapshot { unassigned: Vec::new(), enumerator: self.pristine.clone() },
        };
        self.enumerator.restore(&snapshot.enumerator).map_err(|error| {
            self.failure(Fault::Permanent, &format!("its enumerator cannot be restored: {error}"))
        })?;
        self.unassigned = snapshot.unassigned.into();
        self.notified.clear();
        self.requests.clear();
        self.told_last = false;
        self.exhausted.clear();
        self.told_end = false;
        self.active = None;
        self.moving = false;
        self.context = EnumeratorContext::new(self.io.for_task());
        self.stopped = false;
        self.poll_at = Some(now);
        Ok(())
    }

    /// Its readers are deployed with this state.
    pub(super) fn deploy(
        &mut self,
        now: Instant,
        graph: &ExecutionGraph,
        restore: &[(SubtaskId, Restore)],
        states: &[(String, Bytes)],
    ) -> Result<(), Failure> {
        let state = states.iter().find(|(uid, _)| *uid == self.uid).map(|(_, state)| state);
        self.restore(now, state)?;
        let readers = self.vertex.map(|vertex| graph.vertex(vertex).subtasks.as_slice()).unwrap_or_default();
        self.load =
            readers.iter().map(|reader| (reader.id, restored(restore, reader.id, &self.uid))).collect();
        Ok(())
    }

    /// Its readers have ended, and with them the requests of the enumerator.
    pub(super) fn stop(&mut self) {
        self.context = EnumeratorContext::new(self.io.for_task());
        self.load.clear();
        self.stopped = true;
        self.poll_at = None;
    }

    /// When the enumerator must be polled next.
    pub(super) fn poll_at(&self) -> Option<Instant> {
        self.poll_at
    }

    /// Passes an answer to the enumerator.
    pub(super) fn answered(&mut self, now: Instant, ticket: Ticket, answer: Answer) {
        self.io.answer(ticket, answer);
        if !self.stopped {
            self.poll_at = Some(now);
        }
    }

    /// Handles a message of a reader.
    pub(super) fn on_message(
        &mut self,
        now: Instant,
        reader: SubtaskId,
        message: ReaderMessage,
    ) -> Result<(), Failure> {
        match message {
            ReaderMessage::SplitRequest => self.requests.push_back(reader),
            ReaderMessage::Event(event) => {
                self.poll_at = Some(now);
                let taken = self.enumerator.on_event(reader, &event);
                return taken.map_err(|error| self.failure(Fault::External, &error.to_string()));
            }
        }
        Ok(())
    }

    /// The requests since the last call, and the calls that were cancelled.
    pub(super) fn take_requests(&mut self) -> (Vec<(Ticket, Request)>, Vec<Ticket>) {
        (self.io.drain_submitted(), self.io.drain_canceled())
    }

    /// Polls the enumerator if it is due. After an error it is not polled again before the next attempt.
    pub(super) fn poll_if_due(&mut self, now: Instant) -> Result<(), Failure> {
        if self.poll_at.is_none_or(|at| at > now) {
            return Ok(());
        }
        self.poll_at = None;
        let wake = match self.enumerator.poll(now, &mut self.context) {
            Ok(wake) => wake,
            Err(error) => return Err(self.failure(Fault::External, &error.to_string())),
        };
        self.poll_at = wake.map(|at| at.max(now + MIN_POLL_PAUSE));
        self.unassigned.extend(self.context.take_found());
        Ok(())
    }

    pub(super) fn snapshot(&self) -> Bytes {
        let unassigned = self.unassigned.iter().cloned().collect();
        let snapshot = Snapshot { unassigned, enumerator: self.enumerator.snapshot() };
        postcard::to_stdvec(&snapshot).expect("a snapshot is plain data").into()
    }

    /// Assigns each split to the reader with the fewest, with the state that belongs to the splits.
    pub(super) fn hand_out(
        &mut self,
        splits: impl IntoIterator<Item = Bytes>,
        states: &[OperatorState],
        assignments: &mut Vec<Assignment>,
    ) {
        let mut of_reader = BTreeMap::new();
        for split in splits {
            let fewest = self.load.iter().min_by_key(|(_, load)| **load);
            let (reader, _) = fewest.expect("the caller knows that there are readers");
            self.give(*reader, split, &mut of_reader);
        }
        self.send(of_reader, states, assignments);
    }

    /// Assigns a split to each reader that has requested one.
    fn hand_out_on_request(&mut self, assignments: &mut Vec<Assignment>) {
        let mut of_reader = BTreeMap::new();
        while !self.unassigned.is_empty()
            && let Some(reader) = self.requests.pop_front()
            && let Some(split) = self.unassigned.pop_front()
        {
            self.give(reader, split, &mut of_reader);
        }
        self.send(of_reader, &[], assignments);
    }

    fn give(&mut self, reader: SubtaskId, split: Bytes, of_reader: &mut BTreeMap<SubtaskId, Vec<Bytes>>) {
        *self.load.entry(reader).or_default() += 1;
        of_reader.entry(reader).or_default().push(split);
    }

    fn send(
        &mut self,
        of_reader: BTreeMap<SubtaskId, Vec<Bytes>>,
        states: &[OperatorState],
        assignments: &mut Vec<Assignment>,
    ) {
        self.notified.extend(of_reader.keys());
        for (subtask, splits) in of_reader {
            let parts = splits.len().div_ceil(self.message_splits);
            for (i, part) in splits.chunks(self.message_splits).enumerate() {
                let states = if i == 0 { states.to_vec() } else { Vec::new() };
                let more = if i + 1 < parts { MoreSplits::Follow } else { MoreSplits::Possible };
                assignments.push((subtask, SplitAssignment { splits: part.to_vec(), states, more }));
            }
        }
    }

    /// Assigns splits, and tells readers whether more will be assigned, also those that get none.
    pub(super) fn assign(&mut self, assignments: &mut Vec<Assignment>) {
        if self.load.is_empty() || self.moving {
            return;
        }
        match self.enumerator.hand_out() {
            HandOut::AtOnce => {
                let splits = std::mem::take(&mut self.unassigned);
                self.hand_out(splits, &[], assignments);
            }
            HandOut::OnRequest => self.hand_out_on_request(assignments),
        }
        if self.enumerator.is_done() && self.unassigned.is_empty() && !self.told_last {
            self.told_last = true;
            self.notified.extend(self.load.keys());
            let last = |&subtask| (subtask, SplitAssignment::empty(MoreSplits::None));
            assignments.extend(self.load.keys().map(last));
        }
        // A search that is under way may still bring splits.
        if !self.enumerator.is_searching() {
            self.tell_others(assignments);
        }
    }

    /// The readers, once all are exhausted. If one ended alone, every later rescale would need a restart.
    pub(super) fn take_ends(&mut self) -> Vec<SubtaskId> {
        let all = self.load.keys().all(|reader| self.exhausted.contains(reader));
        if self.moving || !self.told_last || self.told_end || !all {
            return Vec::new();
        }
        self.told_end = true;
        self.load.keys().copied().collect()
    }

    /// All readers, with the number of those that have splits to read, if it has changed.
    pub(super) fn take_active(&mut self) -> Vec<(SubtaskId, u32)> {
        let is_active =
            |(reader, load): &(&SubtaskId, &usize)| **load > 0 && !self.exhausted.contains(reader);
        let active = u32::try_from(self.load.iter().filter(is_active).count()).unwrap_or(u32::MAX);
        if active == 0 || self.moving || self.active == Some(active) {
            return Vec::new();
        }
        self.active = Some(active);
        self.load.keys().map(|reader| (*reader, active)).collect()
    }

    /// Tells readers that have not received an assignment that there are no splits for them now.
    pub(super) fn tell_others(&mut self, assignments: &mut Vec<Assignment>) {
        let others: Vec<SubtaskId> =
            self.load.keys().filter(|reader| !self.notified.contains(reader)).copied().collect();
        let none_now = |&subtask| (subtask, SplitAssignment::empty(MoreSplits::Possible));
        assignments.extend(others.iter().map(none_now));
        self.notified.extend(others);
    }

    fn failure(&self, fault: Fault, message: &str) -> Failure {
        Failure { fault, operator: self.uid.clone(), message: message.to_owned() }
    }
}
