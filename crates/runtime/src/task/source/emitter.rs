//! The emitter, which passes a reader's records to the chain, counts them and records which splits had none.

use crate::stage::{Control, Stage};
use reflow_api::Emit;
use reflow_types::Timestamp;

/// Passes a reader's records to the chain.
pub(super) struct Emitter<'a, C> {
    chain: &'a mut C,
    most: u64,
    /// The watermark above which splits are paused, if event time is aligned.
    limit: Option<Timestamp>,
    emitted: u64,
    /// The split that is being read, and the value of `emitted` when it began.
    turn: Option<(u64, u64)>,
    /// Splits that were read and had no records.
    starved: Vec<u64>,
}

/// The outcome of a poll.
pub(super) struct Emitted {
    pub(super) records: u64,
    /// Whether the reader could have emitted more.
    pub(super) has_room: bool,
    /// Splits that were read and had no records.
    pub(super) starved: Vec<u64>,
}

impl<'a, C: Control> Emitter<'a, C> {
    /// An emitter that takes at most `most` records, and pauses splits whose watermark is above `limit`. `starved` is an
    /// empty list, passed for its memory.
    pub(super) fn new(chain: &'a mut C, (most, limit): (u64, Option<Timestamp>), starved: Vec<u64>) -> Self {
        Self { chain, most, limit, emitted: 0, turn: None, starved }
    }

    /// Ends the poll.
    pub(super) fn finish(mut self) -> Emitted {
        self.end_turn();
        Emitted { records: self.emitted, has_room: self.has_room(), starved: self.starved }
    }

    fn end_turn(&mut self) {
        if let Some((split, before)) = self.turn.take()
            && self.emitted == before
            && self.has_room()
            && !self.pauses(split)
        {
            self.starved.push(split);
        }
    }

    fn pauses(&self, split: u64) -> bool {
        let splits = self.limit.and_then(|limit| Some((limit, self.chain.aligned()?)));
        splits.is_some_and(|(limit, splits)| splits.watermark_of(split) > limit)
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

    fn is_paused(&self, split: u64) -> bool {
        self.pauses(split)
    }

    #[inline]
    fn is_full(&self) -> bool {
        !self.has_room()
    }
}
