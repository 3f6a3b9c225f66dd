//! What a stage of a chain is.

use crate::wiring::Wiring;
use reflow_api::Io;
use reflow_protocol::control::SubtaskMetrics;
use reflow_protocol::deployment::Attempt;
use reflow_protocol::failure::Failure;
use reflow_protocol::snapshot::{OperatorState, Redistribution};
use reflow_state::{SnapshotKind, SnapshotTable};
use reflow_types::{
    Bounds, CheckpointId, Data, Instant, JobId, MaxParallelism, SubtaskId, SubtaskIndex, Timestamp, data,
};
use std::time::Duration;

/// A stage of a chain, and with it all that follows: takes records.
pub trait Stage<T>: Control {
    /// Takes a record. On a record's way: inlined into the stage before.
    fn push(&mut self, value: T, time: Timestamp);
}

/// Stands for the splits that a source is yet to be told of: from its start, and from a cut with which splits change
/// their reader, until its enumerator has said which are its own. Meanwhile it holds the watermark back as a split does that is there and has no record yet.
pub const AWAITED_SPLIT: u64 = u64::MAX - 1;

/// Records that come from another task belong to no split.
pub const NO_SPLIT: u64 = u64::MAX;

/// Stands for splits that no longer can come, from the moment that the enumerator has said so. It is always idle: a
/// reader that has read all of its splits holds no watermark back while it waits for the others. The lowest of the
/// numbers that readers may not give.
pub const NO_MORE_SPLITS: u64 = u64::MAX - 2;

/// What happens to a chain besides records. Each stage does its part and passes the call on; rare, so it may
/// cost something. Every call passes to the next stage by default: a stage has only the methods that concern it.
///
/// The order of calls: `open`; `start`; then any; `end` after the last record and the last watermark. While work is
/// [left](Self::has_rest) neither records nor `idle` nor `snapshot` come; a `watermark` and `end` may, and count once that
/// work is done. `snapshot` comes between records, `completed` and `aborted` at any time after it. A snapshot with a cut
/// comes after `prepare`, and `rescaled` right after it. `close` is the last call, and may come after a call that unwound.
pub trait Control: Send {
    /// The next stage; [`EndOfChain`] if there is none.
    type Next: Control;
    /// The next stage.
    fn next_stage(&self) -> &Self::Next;
    /// The next stage.
    fn next_stage_mut(&mut self) -> &mut Self::Next;

    /// Before the first record: takes back operator state.
    fn open(&mut self, context: &mut OpenContext<'_>) {
        self.next_stage_mut().open(context);
    }
    /// The task runs: keyed state is restored, and what comes next is the first record or signal. Not called if the task
    /// never gets there. Opens user functions, those of the last stage first.
    fn start(&mut self) {
        self.next_stage_mut().start();
    }
    /// A live rescale has given the subtask another place among those of its vertex.
    fn rescaled(&mut self, place: Place) {
        self.next_stage_mut().rescaled(place);
    }
    /// The task ends. Closes the user functions that were opened, each once, and adds the failures of those that cannot be
    /// closed. Does not unwind.
    fn close(&mut self, failures: &mut Vec<Failure>) {
        self.next_stage_mut().close(failures);
    }
    /// The source has a further split.
    fn split_added(&mut self, split: u64) {
        self.next_stage_mut().split_added(split);
    }
    /// The records that follow are of this split.
    fn split(&mut self, split: u64) {
        self.next_stage_mut().split(split);
    }
    /// The source has finished a split.
    fn split_ended(&mut self, split: u64) {
        self.next_stage_mut().split_ended(split);
    }
    /// The input was read and had nothing. `at` is the time in which it could have been read, from any beginning on.
    fn starved(&mut self, at: Duration, splits: Starved<'_>) {
        self.next_stage_mut().starved(at, splits);
    }
    /// Event time has come this far.
    fn watermark(&mut self, time: Timestamp) {
        self.next_stage_mut().watermark(time);
    }
    /// Whether all inputs are idle.
    fn idle(&mut self, idle: bool) {
        self.next_stage_mut().idle(idle);
    }
    /// Once before each step: the wall clock, answers from storage.
    fn tick(&mut self, now: Instant) {
        self.next_stage_mut().tick(now);
    }
    /// Goes on with work that was too much for one step, most downstream first, and passes on at most so many records.
    /// Returns how many it has passed on, or `None` if there was no such work. While there is, no record comes.
    fn resume(&mut self, most: usize) -> Option<usize> {
        self.next_stage_mut().resume(most)
    }
    /// Whether work is left for [`resume`](Self::resume). While there is, no barrier comes either.
    #[inline]
    fn has_rest(&self) -> bool {
        self.next_stage().has_rest()
    }
    /// When `tick` is next needed.
    #[inline]
    fn next_wakeup(&self) -> Option<Instant> {
        self.next_stage().next_wakeup()
    }
    /// The barrier of a checkpoint has come: hands out operator state, freezes tables, passes the barrier on.
    fn snapshot(&mut self, context: &mut SnapshotContext<'_>) {
        self.next_stage_mut().snapshot(context);
    }
    /// Whether everything that sinks have prepared is in storage; no checkpoint can be complete before. An error if
    /// something could not be stored: the checkpoint under way fails, and the next one tries again.
    fn prepared(&mut self) -> Result<bool, String> {
        self.next_stage_mut().prepared()
    }
    /// A barrier whose checkpoint has been given up: passes it on.
    fn barrier(&mut self, checkpoint: CheckpointId) {
        self.next_stage_mut().barrier(checkpoint);
    }
    /// Another graph is to come, with the task at this place or, without one, gone: opens its channels.
    fn prepare(&mut self, wiring: Option<&Wiring>) {
        self.next_stage_mut().prepare(wiring);
    }
    /// It does not come after all.
    fn abandon(&mut self) {
        self.next_stage_mut().abandon();
    }
    /// Union and broadcast state of other subtasks that this one is to have, too.
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
    /// The input has ended.
    fn end(&mut self) {
        self.next_stage_mut().end();
    }
    /// Whether all commits that were due are done.
    #[inline]
    fn is_settled(&self) -> bool {
        self.next_stage().is_settled()
    }
    /// Whether the outputs have room for what a step emits.
    fn has_room(&mut self) -> bool {
        self.next_stage_mut().has_room()
    }
    /// Whether what was passed on since [`has_room`](Self::has_room) was asked has used the room up. Then the step
    /// takes no further record, so that few stand before a barrier however slow the receiver. Asked after each record.
    #[inline]
    fn is_full(&self) -> bool {
        self.next_stage().is_full()
    }
    /// The input pauses: passes on what waits for more.
    fn flush(&mut self) {
        self.next_stage_mut().flush();
    }
    /// Shows every keyed table.
    fn tables(&mut self, visit: &mut dyn FnMut(&mut dyn SnapshotTable)) {
        self.next_stage_mut().tables(visit);
    }
    /// Adds what was counted.
    #[inline]
    fn count(&self, metrics: &mut SubtaskMetrics) {
        self.next_stage().count(metrics);
    }
}

/// Follows the last stage of a chain, and has nothing to do.
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
    fn watermark(&mut self, _: Timestamp) {}
    fn idle(&mut self, _: bool) {}
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
    fn barrier(&mut self, _: CheckpointId) {}
    fn prepare(&mut self, _: Option<&Wiring>) {}
    fn abandon(&mut self) {}
    fn adopt(&mut self, _: &mut AdoptedState) {}
    fn completed(&mut self, _: CheckpointId) {}
    fn aborted(&mut self, _: CheckpointId) {}
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

/// Which splits had nothing when the input was read.
#[derive(Clone, Copy)]
pub enum Starved<'a> {
    /// This one. Records that come from another task count as the split [`NO_SPLIT`].
    Split(u64),
    /// All of the reader's, but for those that have more.
    AllBut(&'a dyn Fn(u64) -> bool),
}

/// The place of a subtask among those of its vertex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its index.
    pub index: SubtaskIndex,
    /// How many subtasks its vertex has.
    pub parallelism: u32,
}

/// What a stage gets before the first record.
pub struct OpenContext<'a> {
    /// The job.
    pub job: JobId,
    /// The attempt.
    pub attempt: Attempt,
    /// The subtask.
    pub subtask: SubtaskId,
    /// Its place among the subtasks of its vertex.
    pub place: Place,
    /// The number of key groups of the vertex.
    pub max_parallelism: MaxParallelism,
    /// The slot's storage.
    pub io: &'a Io,
    /// The watermark of the checkpoint that is restored, or the lowest one.
    pub watermark: Timestamp,
    /// The wall clock.
    pub now: Instant,
    /// How much of something is done at a time.
    pub bounds: Bounds,
    pub(crate) operator: &'a mut Vec<OperatorState>,
}

impl OpenContext<'_> {
    /// Takes the items of an operator's list state. Empty if there are none.
    pub fn take_list<I: Data>(&mut self, operator: &str, name: &str) -> Vec<I> {
        take_list(self.operator, operator, name)
    }
}

/// Operator state of other subtasks.
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

/// What a stage hands over at a barrier.
pub struct SnapshotContext<'a> {
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// Checkpoint, cut or savepoint. With a cut, outputs go over to the channels that were prepared, just behind the
    /// barrier.
    pub kind: SnapshotKind,
    /// With a cut: what the task has said of event time does not hold behind the barrier. It will read what others have
    /// read, which may lie behind, and says anew where it is once that is known. A stage may set it for those after it.
    pub resets: bool,
    pub(crate) operator: &'a mut Vec<OperatorState>,
}

impl SnapshotContext<'_> {
    /// Hands over an operator's list state.
    pub fn put_list<I: Data>(
        &mut self,
        operator: &str,
        name: &str,
        redistribution: Redistribution,
        items: impl IntoIterator<Item = I>,
    ) {
        let encode = |item: I| data::to_vec(&item).expect("an item of an operator does not nest deep").into();
        let items = items.into_iter().map(encode).collect();
        let (operator, name) = (operator.to_owned(), name.to_owned());
        self.operator.push(OperatorState { operator, name, redistribution, items });
    }
}
