//! The way of a reader's records into the chain, which counts them and notes which splits had none.

use crate::stage::{Control, Stage};
use reflow_api::Emit;
use reflow_types::Timestamp;

/// Hands a reader's records to the chain.
pub(super) struct Emitter<'a, C> {
    chain: &'a mut C,
    most: u64,
    emitted: u64,
    /// The split whose turn it is, and how many records had been emitted when that began.
    turn: Option<(u64, u64)>,
    /// Splits that had nothing in their turn.
    starved: Vec<u64>,
}

/// What came of a poll.
pub(super) struct Emitted {
    pub(super) records: u64,
    /// The reader could have emitted more.
    pub(super) has_room: bool,
    /// Splits that had nothing in their turn.
    pub(super) starved: Vec<u64>,
}

impl<'a, C: Control> Emitter<'a, C> {
    /// Takes at most `most` records. `starved` is an empty list, kept for its memory.
    pub(super) fn new(chain: &'a mut C, most: u64, starved: Vec<u64>) -> Self {
        Self { chain, most, emitted: 0, turn: None, starved }
    }

    /// The reader has returned.
    pub(super) fn finish(mut self) -> Emitted {
        self.end_turn();
        Emitted { records: self.emitted, has_room: self.has_room(), starved: self.starved }
    }

    fn end_turn(&mut self) {
        if let Some((split, before)) = self.turn.take()
            && self.emitted == before
            && self.has_room()
        {
            self.starved.push(split);
        }
    }

    #[inline]
    fn has_room(&self) -> bool {
        self.emitted < self.most && !self.chain.has_rest() && !self.chain.is_full()
    }
}

impl<T, C: Stage<T>> Emit<T> for Emitter<'_, C> {
    fn split(&mut self, split: u64) {
        self.end_turn();
        self.turn = Some((split, self.emitted));
        self.chain.split(split);
    }

    fn end_split(&mut self, split: u64) {
        self.turn = None;
        self.chain.split_ended(split);
    }

    #[inline]
    fn emit(&mut self, value: T, time: Timestamp) {
        self.emitted += 1;
        self.chain.push(value, time);
    }

    #[inline]
    fn is_full(&self) -> bool {
        !self.has_room()
    }
}
