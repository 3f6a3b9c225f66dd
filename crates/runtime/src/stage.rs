//! The interface of the stages of a chain.

use crate::stages::SplitTimes;
use crate::wiring::{Place, Wiring};
use bytes::Bytes;
use reflow_api::metrics::TaskMetrics;
use reflow_api::{Input, Io, OutputTag};
use reflow_protocol::control::SubtaskMetrics;
use reflow_protocol::data::LatencyMarker;
use reflow_protocol::deployment::Attempt;
use reflow_protocol::failure::Failure;
use reflow_protocol::snapshot::{AfterBarrier, OperatorState, Redistribution};
use reflow_state::{SnapshotKind, SnapshotTable};
use reflow_types::{
    Bounds, CheckpointId, Data, Instant, JobId, JobParameters, KeyGroupSet, MaxParallelism, SubtaskId,
    Timestamp, data,
};
use std::time::Duration;

/// A stage of a chain, with all stages that follow it.
pub trait Stage<T>: Control {
    /// Takes a record. Inlined into the previous stage, because every record passes through it.
    fn push(&mut self, value: T, time: Timestamp);
}

/// The placeholder for splits that are not assigned yet. It holds the watermark back, as a split without records
/// does, until the enumerator has assigned this reader's splits: at the start, and after a cut that moves splits
/// to other readers.
pub const AWAITED_SPLIT: u64 = u64::MAX - 1;

/// The split number of records that come from another task.
pub const NO_SPLIT: u64 = u64::MAX;

/// The placeholder for the fact that no further splits will be assigned. It is always idle, so that a reader that
/// has finished its splits holds no watermark back while it waits for the others. The lowest of the numbers that
/// readers must not use for a split.
pub const NO_MORE_SPLITS: u64 = u64::MAX - 2;

/// The calls of a chain besides records. Each stage does its part and passes the call on. These calls are rare
/// and may cost something. By default a call is passed to the next stage, so a stage implements only the methods
/// that concern it.
///
/// The order of calls: `open` first; `end` after the last record and the last watermark. While work is
/// [left](Self::has_rest), neither records nor `idle` nor `snapshot` are called; `watermark` and `end` may be,
/// and take effect when that work is done. `snapshot` is called between records, `completed` and `aborted` at any
/// time after it. A snapshot with a cut follows `prepare`.
pub trait Control: Send {
    /// The next stage; [`EndOfChain`] if there is none.
    type Next: Control;
    /// The next stage.
    fn next_stage(&self) -> &Self::Next;
    /// The next stage.
    fn next_stage_mut(&mut self) -> &mut Self::Next;

    /// Sends a record of the operator before this stage to the side output of `tag`. Only a
    /// [`SideOutput`](crate::stages::SideOutput) takes records of a tag; it stands directly behind the operator, so other
    /// stages do not pass the call on.
    #[inline]
    fn emit_to<T: 'static>(
        &mut self,
        _tag: &OutputTag<T>,
        _value: T,
        _time: Timestamp,
    ) -> Result<(), Refused> {
        Err(Refused::NotTaken)
    }
    /// Called before the first record. Restores operator state.
    fn open(&mut self, context: &mut OpenContext<'_>) {
        self.next_stage_mut().open(context);
    }
    /// Opens user functions, those of the last stage first. Called when keyed state is restored, before the first
    /// record or signal. Not called if the task ends before.
    fn start(&mut self) {
        self.next_stage_mut().start();
    }
    /// A live rescale has given the subtask another place among those of its vertex.
    fn rescaled(&mut self, place: Place) {
        self.next_stage_mut().rescaled(place);
    }
    /// Closes the user functions that were opened, each once, because the task ends. Adds the failures of those that
    /// cannot be closed. Does not unwind.
    fn close(&mut self, failures: &mut Vec<Failure>) {
        self.next_stage_mut().close(failures);
    }
    /// The source has got a split.
    fn split_added(&mut self, split: u64) {
        self.next_stage_mut().split_added(split);
    }
    /// The following records belong to this split.
    fn split(&mut self, split: u64) {
        self.next_stage_mut().split(split);
    }
    /// The source has finished a split.
    fn split_ended(&mut self, split: u64) {
        self.next_stage_mut().split_ended(split);
    }
    /// The input was read and had no records. `at` is the reading of a clock that runs only while the input could
    /// have been read.
    fn starved(&mut self, at: Duration, splits: Starved<'_>) {
        self.next_stage_mut().starved(at, splits);
    }
    /// The event time of the reader's splits, if it is aligned with that of others.
    #[inline]
    fn aligned(&self) -> Option<&SplitTimes> {
        self.next_stage().aligned()
    }
    /// The watermark has advanced.
    fn watermark(&mut self, time: Timestamp) {
        self.next_stage_mut().watermark(time);
    }
    /// Whether all inputs are idle has changed.
    fn idle(&mut self, idle: bool) {
        self.next_stage_mut().idle(idle);
    }
    /// A latency marker, which overtakes what the stages hold back. Called while the outputs have room.
    fn latency_marker(&mut self, marker: LatencyMarker) {
        self.next_stage_mut().latency_marker(marker);
    }
    /// Called once before each step, for the wall clock and answers of storage.
    fn tick(&mut self, now: Instant) {
        self.next_stage_mut().tick(now);
    }
    /// Continues work that was too much for one step, most downstream first, and passes on at most `most`
    /// records. Returns how many, or `None` if there was no such work. While there is, no record is pushed.
    fn resume(&mut self, most: usize) -> Option<usize> {
        self.next_stage_mut().resume(most)
    }
    /// Whether work is left for [`resume`](Self::resume). While there is, no snapshot begins.
    #[inline]
    fn has_rest(&self) -> bool {
        self.next_stage().has_rest()
    }
    /// When `tick` is needed next.
    #[inline]
    fn next_wakeup(&self) -> Option<Instant> {
        self.next_stage().next_wakeup()
    }
    /// Takes the snapshot at the barrier of a checkpoint: adds operator state and passes the barrier on. The task
    /// has frozen the tables.
    fn snapshot(&mut self, context: &mut SnapshotContext<'_>) {
        self.next_stage_mut().snapshot(context);
    }
    /// Whether everything that sinks have prepared is in storage; the checkpoint cannot complete before. An error
    /// means that something could not be stored: the checkpoint under way fails, and the next one tries again.
    fn prepared(&mut self) -> Result<bool, String> {
        self.next_stage_mut().prepared()
    }
    /// Brings the records before the last barrier to where others read them, without firing timers. Returns whether all
    /// are there. Before, no key may move to another subtask, whose records of that key could overtake them.
    fn deliver(&mut self, now: Instant) -> bool {
        self.next_stage_mut().deliver(now)
    }
    /// Passes on the barrier of an aborted checkpoint, without a snapshot.
    fn barrier(&mut self, checkpoint: CheckpointId) {
        self.next_stage_mut().barrier(checkpoint);
    }
    /// Opens the channels of the next graph. `wiring` is the task's place in it; `None` if it does not have the
    /// task.
    fn prepare(&mut self, wiring: Option<&Wiring>) {
        self.next_stage_mut().prepare(wiring);
    }
    /// Closes the channels of the next graph, because the rescale was abandoned.
    fn abandon(&mut self) {
        self.next_stage_mut().abandon();
    }
    /// Adds union and broadcast state of other subtasks, and items that they have released. A stage that does not release
    /// items gets such state only before its first record.
    fn adopt(&mut self, states: &mut AdoptedState) {
        self.next_stage_mut().adopt(states);
    }
    /// A checkpoint is complete.
    fn completed(&mut self, checkpoint: CheckpointId) {
        self.next_stage_mut().completed(checkpoint);
    }
    /// A checkpoint has failed.
    fn aborted(&mut self, checkpoint: CheckpointId) {
        self.next_stage_mut().aborted(checkpoint);
    }
    /// One of two inputs has ended.
    fn input_ended(&mut self, input: Input) {
        self.next_stage_mut().input_ended(input);
    }
    /// The input has ended.
    fn end(&mut self) {
        self.next_stage_mut().end();
    }
    /// Whether nothing that was taken is still under way, so that the end of the input has been passed on if it was
    /// reached. Only the head of a task has records under way.
    #[inline]
    fn is_drained(&self) -> bool {
        true
    }
    /// Whether all due commits are done.
    #[inline]
    fn is_settled(&self) -> bool {
        self.next_stage().is_settled()
    }
    /// Whether the outputs have room for the records of a step.
    fn has_room(&mut self) -> bool {
        self.next_stage_mut().has_room()
    }
    /// Whether the records since the last [`has_room`](Self::has_room) have used up the room. Then the step takes
    /// no further record, so that few are in front of a barrier however slow the receiver is. Called after each
    /// record.
    #[inline]
    fn is_full(&self) -> bool {
        self.next_stage().is_full()
    }
    /// Sends incomplete batches, because the input has no records.
    fn flush(&mut self) {
        self.next_stage_mut().flush();
    }
    /// Calls `visit` with each keyed table.
    fn tables(&mut self, visit: &mut dyn FnMut(&mut dyn SnapshotTable)) {
        self.next_stage_mut().tables(visit);
    }
    /// Adds the stage's counters.
    #[inline]
    fn count(&self, metrics: &mut SubtaskMetrics) {
        self.next_stage().count(metrics);
    }
}

/// Why a record was not sent to a side output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The job does not take the output.
    NotTaken,
    /// The job takes the output as one of records of this other type.
    TakenAs(&'static str),
}

/// The end of every chain, which does nothing.
pub struct EndOfChain;

impl Control for EndOfChain {
    type Next = Self;

    fn next_stage(&self) -> &Self {
        self
    }
    fn next_stage_mut(&mut self) -> &mut Self {
        self
    }
    fn open(&mut self, _: &mut OpenContext<'_>) {}
    fn start(&mut self) {}
    fn rescaled(&mut self, _: Place) {}
    fn close(&mut self, _: &mut Vec<Failure>) {}
    fn split_added(&mut self, _: u64) {}
    fn split(&mut self, _: u64) {}
    fn split_ended(&mut self, _: u64) {}
    fn starved(&mut self, _: Duration, _: Starved<'_>) {}
    #[inline]
    fn aligned(&self) -> Option<&SplitTimes> {
        None
    }
    fn watermark(&mut self, _: Timestamp) {}
    fn idle(&mut self, _: bool) {}
    fn latency_marker(&mut self, _: LatencyMarker) {}
    fn tick(&mut self, _: Instant) {}
    fn resume(&mut self, _: usize) -> Option<usize> {
        None
    }
    #[inline]
    fn has_rest(&self) -> bool {
        false
    }
    #[inline]
    fn next_wakeup(&self) -> Option<Instant> {
        None
    }
    fn snapshot(&mut self, _: &mut SnapshotContext<'_>) {}
    fn prepared(&mut self) -> Result<bool, String> {
        Ok(true)
    }
    fn deliver(&mut self, _: Instant) -> bool {
        true
    }
    fn barrier(&mut self, _: CheckpointId) {}
    fn prepare(&mut self, _: Option<&Wiring>) {}
    fn abandon(&mut self) {}
    fn adopt(&mut self, _: &mut AdoptedState) {}
    fn completed(&mut self, _: CheckpointId) {}
    fn aborted(&mut self, _: CheckpointId) {}
    fn input_ended(&mut self, _: Input) {}
    fn end(&mut self) {}
    #[inline]
    fn is_settled(&self) -> bool {
        true
    }
    fn has_room(&mut self) -> bool {
        true
    }
    #[inline]
    fn is_full(&self) -> bool {
        false
    }
    fn flush(&mut self) {}
    fn tables(&mut self, _: &mut dyn FnMut(&mut dyn SnapshotTable)) {}
    #[inline]
    fn count(&self, _: &mut SubtaskMetrics) {}
}

/// The splits that had no records when the input was read.
#[derive(Clone, Copy)]
pub enum Starved<'a> {
    /// One split. The input from another task counts as the split [`NO_SPLIT`].
    Split(u64),
    /// All splits of the reader, except those for which the function is true.
    AllBut(&'a dyn Fn(u64) -> bool),
}

/// The arguments of [`Control::open`].
pub struct OpenContext<'a> {
    pub job: JobId,
    pub attempt: Attempt,
    pub subtask: SubtaskId,
    /// Its place among the subtasks of its vertex.
    pub place: Place,
    /// The number of key groups of the vertex.
    pub max_parallelism: MaxParallelism,
    /// The slot's storage.
    pub io: &'a Io,
    /// The metrics of the task's functions.
    pub metrics: &'a TaskMetrics,
    /// The job's parameters.
    pub parameters: &'a JobParameters,
    /// The watermark of the restored checkpoint, or the lowest one.
    pub watermark: Timestamp,
    /// The wall clock.
    pub now: Instant,
    /// Bounds on steps and queues.
    pub bounds: Bounds,
    /// What the task does after the restore.
    pub then: AfterBarrier,
    pub(crate) operator: &'a mut Vec<OperatorState>,
}

impl OpenContext<'_> {
    /// Takes the encoded items of an operator's list state; empty if there are none.
    pub fn take_items(&mut self, operator: &str, name: &str) -> Vec<Bytes> {
        let ours = |state: &mut OperatorState| state.operator == operator && state.name == name;
        self.operator.extract_if(.., ours).flat_map(|state| state.items).collect()
    }

    /// Takes the items of an operator's list state; empty if there are none.
    pub fn take_list<I: Data>(&mut self, operator: &str, name: &str) -> Vec<I> {
        take_list(self.operator, operator, name)
    }
}

/// Union and broadcast state of other subtasks, and items that they have released.
pub struct AdoptedState(pub(crate) Vec<OperatorState>);

impl AdoptedState {
    /// As [`OpenContext::take_list`].
    pub fn take_list<I: Data>(&mut self, operator: &str, name: &str) -> Vec<I> {
        take_list(&mut self.0, operator, name)
    }
}

pub(crate) fn take_list<I: Data>(states: &mut Vec<OperatorState>, operator: &str, name: &str) -> Vec<I> {
    let mut items = Vec::new();
    let ours = |state: &OperatorState| state.operator == operator && state.name == name;
    for state in states.extract_if(.., |state| ours(state)) {
        for item in &state.items {
            match data::decode(item) {
                Ok(item) => items.push(item),
                Err(error) => crate::fail(
                    reflow_protocol::failure::Fault::Permanent,
                    operator,
                    format!(
                        "its restored state '{name}' cannot be decoded as {}: {error}",
                        std::any::type_name::<I>()
                    ),
                ),
            }
        }
    }
    items
}

/// The arguments of [`Control::snapshot`].
pub struct SnapshotContext<'a> {
    pub checkpoint: CheckpointId,
    /// The kind of snapshot. At a cut, outputs switch to the prepared channels directly behind the barrier.
    pub kind: SnapshotKind,
    /// At a cut: whether the watermark and idleness that the task has sent end at the barrier. It will read input
    /// of other subtasks, which may have reached a lower event time, and sends its watermark again once that is
    /// known. A stage may set it for the stages after it.
    pub resets: bool,
    /// What the task does after the barrier.
    pub then: AfterBarrier,
    /// Whether the subtask goes on behind the barrier.
    pub(crate) fate: Fate,
    /// Set at a cut that changes the subtasks of the vertex.
    pub(crate) release: Option<Release>,
    pub(crate) operator: &'a mut Vec<OperatorState>,
    /// Items for other subtasks. They are also part of the snapshot.
    pub(crate) released: &'a mut Vec<OperatorState>,
}

/// What becomes of a subtask behind a barrier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays.
    #[default]
    Stays,
    /// The barrier is that of a cut, with which the subtask is removed.
    IsRemoved,
}

/// The items of a subtask that other subtasks take over at a cut, of state of which each item belongs to one subtask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Release {
    /// The subtask stays, and items belong to no key.
    Nothing,
    /// The subtask is removed.
    All,
    /// The subtask stays with these key groups.
    AllBut(KeyGroupSet),
}

impl SnapshotContext<'_> {
    /// Adds an operator's list state, whose items are encoded.
    pub fn put_items(
        &mut self,
        operator: &str,
        name: String,
        redistribution: Redistribution,
        items: Vec<Bytes>,
    ) {
        self.operator.push(OperatorState { operator: operator.to_owned(), name, redistribution, items });
    }

    /// At a cut that changes the subtasks of the vertex: what the operator releases.
    pub fn take_release(&mut self) -> Option<Release> {
        self.release.take()
    }

    /// Releases items of an operator's list state to other subtasks.
    pub fn release_items(
        &mut self,
        operator: &str,
        name: String,
        redistribution: Redistribution,
        items: Vec<Bytes>,
    ) {
        self.released.push(OperatorState { operator: operator.to_owned(), name, redistribution, items });
    }

    /// Adds an operator's list state.
    pub fn put_list<I: Data>(
        &mut self,
        operator: &str,
        name: &str,
        redistribution: Redistribution,
        items: impl IntoIterator<Item = I>,
    ) {
        let items = items.into_iter().map(|item| encode(&item)).collect();
        let (operator, name) = (operator.to_owned(), name.to_owned());
        self.operator.push(OperatorState { operator, name, redistribution, items });
    }

    /// Adds an operator's broadcast state. One subtask adds it for all.
    pub fn put_broadcast<I: Data>(&mut self, operator: &str, name: &str, state: &I) {
        let (operator, name) = (operator.to_owned(), name.to_owned());
        let (redistribution, items) = (Redistribution::Broadcast, vec![encode(state)]);
        self.operator.push(OperatorState { operator, name, redistribution, items });
    }
}

fn encode(item: &impl Data) -> Bytes {
    data::to_vec(item).expect("an item of an operator does not nest deep").into()
}
