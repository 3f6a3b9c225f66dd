//! When a segment is written in full again.
//!
//! A checkpoint of a segment is a chain: one run in full and the increments since. The chain is what a restore
//! reads, so it must stay within about twice the live bytes; each rewrite costs the live bytes, so it must be
//! rare. Writing in full when the next increment would take the chain above twice the live bytes does both: with
//! 5 % changing per checkpoint, every 20th write of a segment is in full, and about 1.95 bytes are written per
//! byte changed.
//!
//! All segments are first written in one checkpoint. So that their rewrites do not all fall into one again, the
//! limit of the first rewrite differs from segment to segment.

use crate::block;
use crate::mark::Epoch;

/// What a segment has in storage and in memory, in bytes and entries.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// Bytes of the chain in complete checkpoints; 0 if there is none.
    chain_bytes: u64,
    /// Encoded bytes of an entry, on average.
    entry_bytes: f32,
    /// First changes of entries in an epoch, since ever: an entry that changes in two epochs counts twice.
    changes: u64,
    /// How many of them the last complete checkpoint contains.
    complete: u64,
    /// Changes that another owner has handed over, with a cut whose checkpoint is not complete yet.
    handed_over: u64,
    /// The chain's limit in live bytes, beyond the first.
    slack: f32,
    /// Removed keys were forgotten: the snapshots of this epoch and later ones write the segment in full, until one of
    /// them is complete.
    rewrite_from: Option<Epoch>,
}

/// How a snapshot writes a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing to write, or written already.
    Skip,
    /// What changed since the last complete checkpoint.
    Increment,
    /// All live entries.
    Full,
}

/// What a snapshot wrote of a segment; counts once the checkpoint is complete.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) segment: u16,
    pub(crate) mode: Mode,
    pub(crate) bytes: u64,
    /// The account's count of changes when the snapshot began.
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

    /// An entry came and went within the epoch.
    pub(crate) fn forgot_fresh(&mut self) {
        self.changes -= 1;
    }

    /// An upper bound of the entries and tombstones that are in no complete checkpoint.
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

    /// Entries with `bytes` in all have been encoded or decoded.
    pub(crate) fn measured(&mut self, entries: u64, bytes: u64) {
        if entries > 0 {
            let mean = bytes as f32 / entries as f32;
            self.entry_bytes = if self.entry_bytes == 0.0 { mean } else { (self.entry_bytes + mean) / 2.0 };
        }
    }

    /// Removed keys are forgotten: only a run in full, of `epoch` or later, tells that they are gone.
    pub(crate) fn rewrite_from(&mut self, epoch: Epoch) {
        self.rewrite_from = Some(epoch);
    }

    /// Whether increments would lack removed keys.
    pub(crate) fn must_be_rewritten(&self) -> bool {
        self.rewrite_from.is_some()
    }

    /// A complete checkpoint contains what a snapshot wrote that ended `epoch`.
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

    /// A run of a chain has been loaded.
    pub(crate) fn loaded(&mut self, bytes: u64) {
        self.chain_bytes += bytes;
    }

    /// An entry has changed with an owner before.
    pub(crate) fn count_handed_over(&mut self) {
        self.handed_over += 1;
    }

    /// The checkpoint of the cut, or a later one, is complete.
    pub(crate) fn complete_handed_over(&mut self) {
        self.handed_over = 0;
    }

    /// All changes since the last complete checkpoint are undone.
    pub(crate) fn rolled_back(&mut self) {
        (self.complete, self.handed_over, self.rewrite_from) = (self.changes, 0, None);
    }

    /// Another owner's segment comes in: `taken` of its `before` entries.
    pub(crate) fn absorb(&mut self, from: &mut Account, taken: usize, before: usize) {
        let share =
            if taken == before { from.chain_bytes } else { from.chain_bytes * taken as u64 / before as u64 };
        from.chain_bytes -= share;
        self.chain_bytes += share;
        // An upper bound, as before: all changes are counted wherever a part of them goes.
        self.handed_over += from.handed_over;
        if self.entry_bytes == 0.0 {
            self.entry_bytes = from.entry_bytes;
        }
    }

    /// Only `len` of `before` entries stayed with this owner.
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
