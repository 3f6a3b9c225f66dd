//! The account of a segment: what it has in storage and in memory, and whether its next snapshot is an increment
//! or a full run.
//!
//! A checkpoint of a segment is a chain: a full run and the increments since. A restore reads the chain, so it
//! must not exceed about twice the live bytes; a rewrite costs the live bytes, so it must be rare. Both hold if a
//! segment is written in full whenever the next increment would take the chain above twice the live bytes: if 5 %
//! of the entries change per checkpoint, every 20th run is full, and about 1.95 bytes are written for each
//! changed byte.
//!
//! All segments are first written in the same checkpoint. The limit of the first rewrite differs from segment to
//! segment, so that the rewrites do not fall into one checkpoint again.

use crate::block;
use crate::mark::Epoch;

/// The bytes and entries of a segment, in storage and in memory.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// Bytes of the chain in complete checkpoints; 0 if there is no chain.
    chain_bytes: u64,
    /// The average encoded length of an entry.
    entry_bytes: f32,
    /// The number of changes since the table was created. Only the first change of an entry in an epoch counts.
    changes: u64,
    /// The part of `changes` that the last complete checkpoint contains.
    complete: u64,
    /// The number of changes that an old owner has handed over at a cut whose checkpoint is not complete yet.
    handed_over: u64,
    /// The chain may have `1 + slack` times the live bytes.
    slack: f32,
    /// Set if tombstones were dropped: snapshots of this epoch and later ones write the segment in full until one
    /// of them is complete.
    rewrite_from: Option<Epoch>,
}

/// How a snapshot writes a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Not at all: nothing has changed, or the segment is written already.
    Skip,
    /// The changes since the last complete checkpoint.
    Increment,
    /// All live entries.
    Full,
}

/// What a snapshot wrote of a segment. It enters the account when the checkpoint is complete.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) segment: u16,
    pub(crate) mode: Mode,
    pub(crate) bytes: u64,
    /// The value of [`Account::changes`] when the snapshot began.
    pub(crate) changes: u64,
}

impl Account {
    pub(crate) fn new(segment: u16) -> Self {
        let spread = u32::from(segment).wrapping_mul(0x9e37_79b9) as f32 / u32::MAX as f32;
        Self {
            chain_bytes: 0,
            entry_bytes: 0.0,
            changes: 0,
            complete: 0,
            handed_over: 0,
            slack: 0.25 + 0.75 * spread,
            rewrite_from: None,
        }
    }

    #[inline]
    pub(crate) fn count_change(&mut self) {
        self.changes += 1;
    }

    /// An entry was inserted and removed within the epoch, so no snapshot needs to know of it.
    pub(crate) fn forgot_fresh(&mut self) {
        self.changes -= 1;
    }

    /// An upper bound on the entries and tombstones that no complete checkpoint contains.
    pub(crate) fn changed(&self) -> usize {
        (self.changes - self.complete + self.handed_over) as usize
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    pub(crate) fn live_bytes(&self, len: usize) -> u64 {
        (len as f32 * self.entry_bytes) as u64
    }

    /// How the next snapshot should write the segment, which has `len` entries and `tombstones`.
    pub(crate) fn plan(&self, len: usize, tombstones: usize) -> Mode {
        if self.rewrite_from.is_some() {
            return Mode::Full;
        }
        if self.changed() == 0 {
            return Mode::Skip;
        }
        if self.chain_bytes == 0 {
            return Mode::Full;
        }
        let live = self.live_bytes(len) as f32 + block::HEADER as f32;
        let increment = self.changed().min(len + tombstones) as f32 * self.entry_bytes;
        if self.chain_bytes as f32 + increment > live * (1.0 + self.slack) {
            Mode::Full
        } else {
            Mode::Increment
        }
    }

    /// Updates the average length by entries that were encoded or decoded, with `bytes` in total.
    pub(crate) fn measured(&mut self, entries: u64, bytes: u64) {
        if entries > 0 {
            let mean = bytes as f32 / entries as f32;
            self.entry_bytes = if self.entry_bytes == 0.0 { mean } else { (self.entry_bytes + mean) / 2.0 };
        }
    }

    /// Tombstones were dropped. Only a full run, of `epoch` or later, shows that their keys are removed.
    pub(crate) fn rewrite_from(&mut self, epoch: Epoch) {
        self.rewrite_from = Some(epoch);
    }

    /// Whether an increment would be wrong because tombstones were dropped.
    pub(crate) fn must_be_rewritten(&self) -> bool {
        self.rewrite_from.is_some()
    }

    /// The checkpoint whose snapshot ended `epoch` is complete and contains `written`.
    pub(crate) fn complete(&mut self, epoch: Epoch, written: &Written) {
        self.complete = self.complete.max(written.changes);
        if written.mode == Mode::Full {
            self.rewrite_from.take_if(|from| *from <= epoch);
            if self.chain_bytes > 0 {
                self.slack = 1.0;
            }
            self.chain_bytes = 0;
        }
        self.chain_bytes += written.bytes;
    }

    /// A run of the chain has been loaded.
    pub(crate) fn loaded(&mut self, bytes: u64) {
        self.chain_bytes += bytes;
    }

    /// Counts a change that an old owner has handed over.
    pub(crate) fn count_handed_over(&mut self) {
        self.handed_over += 1;
    }

    /// The checkpoint of the cut, or a later one, is complete.
    pub(crate) fn complete_handed_over(&mut self) {
        self.handed_over = 0;
    }

    /// All changes since the last complete checkpoint were rolled back.
    pub(crate) fn rolled_back(&mut self) {
        (self.complete, self.handed_over, self.rewrite_from) = (self.changes, 0, None);
    }

    /// Adds the share of a segment whose `taken` of `before` entries were moved into this one.
    pub(crate) fn absorb(&mut self, from: &mut Account, taken: usize, before: usize) {
        let share =
            if taken == before { from.chain_bytes } else { from.chain_bytes * taken as u64 / before as u64 };
        from.chain_bytes -= share;
        self.chain_bytes += share;
        // Still an upper bound: each destination counts all changes, although it gets only a part of them.
        self.handed_over += from.handed_over;
        if self.entry_bytes == 0.0 {
            self.entry_bytes = from.entry_bytes;
        }
    }

    /// Removes the share of entries that have left: `len` of `before` remain.
    pub(crate) fn kept(&mut self, len: usize, before: usize) {
        self.chain_bytes = if len == 0 { 0 } else { self.chain_bytes * len as u64 / before.max(1) as u64 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_rewritten_when_its_chain_would_pass_twice_its_live_bytes() {
        let mut account = Account::new(0);
        account.measured(100, 10_000);
        let mut modes = Vec::new();
        for _ in 0..50 {
            (0..5).for_each(|_| account.count_change());
            let mode = account.plan(100, 0);
            modes.push(mode);
            let bytes = if mode == Mode::Full { 10_000 } else { 500 };
            account.complete(Epoch::FIRST, &Written { segment: 0, mode, bytes, changes: account.changes() });
        }
        let fulls: Vec<usize> = (0..50).filter(|&i| modes[i] == Mode::Full).collect();
        assert_eq!(fulls, [0, 6, 27, 48]);
    }
}
