//! The mark of an entry: when it last changed and whether a snapshot has written it, as one number, so that
//! checking it before a change is one comparison.
//!
//! Each snapshot ends an epoch. A change between the freezes of snapshots `k − 1` and `k` gets epoch `k`. Marks
//! are ordered as follows; the comparisons rely on nothing else:
//!
//! ```text
//! clean(0) < clean(1) < … < changed(1) < fresh(1) < written_fresh(1) < written(1) < changed(2) < …
//! ```
//!
//! - `changed(k)`: the entry was changed in epoch `k`.
//! - `fresh(k)`: it was inserted in epoch `k`. If it is removed in the same epoch, no snapshot can know its key,
//!   and no tombstone is needed.
//! - `written(k)`: it was `changed` in an epoch up to `k`, and snapshot `k` has written it. If checkpoint `k`
//!   fails, the mark is still higher than the last complete epoch, so the next snapshot writes the entry again.
//! - `written_fresh(k)`: the same for an entry that was `fresh`. A roll-back to an earlier epoch removes it.
//! - `clean(k)`: a complete checkpoint contains it; snapshot `k`, a full one, has written it as well.

use std::num::NonZeroU32;

const DIRTY: u32 = 1 << 31;

/// The number of an epoch of a table, and of the snapshot that ends it. The first one is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Epoch(pub(crate) u32);

impl Epoch {
    pub(crate) const FIRST: Epoch = Epoch(1);
    /// The epoch before all changes: that of entries that were loaded from a complete checkpoint.
    pub(crate) const LOADED: Epoch = Epoch(0);

    /// The epoch that the last snapshot ended.
    pub(crate) fn before(self) -> Self {
        Self(self.0 - 1)
    }

    pub(crate) fn next(self) -> Self {
        assert!(self.0 < (DIRTY >> 2) - 2, "a table takes at most 2^29 snapshots between two restores");
        Self(self.0 + 1)
    }
}

/// The mark of an entry. See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark(NonZeroU32);

impl Mark {
    const fn of(value: u32) -> Self {
        match NonZeroU32::new(value) {
            Some(value) => Self(value),
            None => Self(NonZeroU32::MIN),
        }
    }

    pub(crate) const fn clean(epoch: Epoch) -> Self {
        Self::of(epoch.0 + 1)
    }

    pub(crate) const fn changed(epoch: Epoch) -> Self {
        Self::of(DIRTY + 4 * epoch.0)
    }

    pub(crate) const fn fresh(epoch: Epoch) -> Self {
        Self::of(DIRTY + 4 * epoch.0 + 1)
    }

    pub(crate) const fn written_fresh(epoch: Epoch) -> Self {
        Self::of(DIRTY + 4 * epoch.0 + 2)
    }

    pub(crate) const fn written(epoch: Epoch) -> Self {
        Self::of(DIRTY + 4 * epoch.0 + 3)
    }

    /// Whether a snapshot has written the entry since it changed.
    pub(crate) fn is_written(self) -> bool {
        self.0.get() >= DIRTY && self.0.get() % 4 >= 2
    }

    /// Whether snapshot `epoch`, or a later one, has written the entry since it changed.
    pub(crate) fn is_written_in(self, epoch: Epoch) -> bool {
        self >= Self::written_fresh(epoch)
    }

    /// Whether the entry was inserted after epoch `base` had ended.
    pub(crate) fn is_fresh_after(self, base: Epoch) -> bool {
        self > Self::written(base) && self.is_fresh()
    }

    fn is_fresh(self) -> bool {
        matches!(self.0.get() % 4, 1 | 2) && self.0.get() >= DIRTY
    }

    /// The mark of the entry after snapshot `epoch` has written it. `base` is the last complete epoch.
    pub(crate) fn after_write(self, epoch: Epoch, base: Epoch) -> Self {
        match self {
            mark if mark <= Self::written(base) => Self::clean(epoch),
            mark if mark.is_fresh() => Self::written_fresh(epoch),
            _ => Self::written(epoch),
        }
    }

    /// The form in which the undo log stores it.
    pub(crate) fn to_bytes(self) -> [u8; 4] {
        self.0.get().to_le_bytes()
    }

    pub(crate) fn from_bytes(bytes: [u8; 4]) -> Self {
        Self::of(u32::from_le_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_order_as_documented() {
        let (a, b) = (Epoch(1), Epoch(2));
        let order = [
            Mark::clean(Epoch::LOADED),
            Mark::clean(a),
            Mark::clean(b),
            Mark::changed(a),
            Mark::fresh(a),
            Mark::written_fresh(a),
            Mark::written(a),
            Mark::changed(b),
        ];
        assert!(order.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(size_of::<Option<Mark>>(), 4);
    }

    #[test]
    fn what_a_snapshot_has_written_still_says_whether_it_was_there_before() {
        let (a, b) = (Epoch(1), Epoch(2));
        let fresh = Mark::fresh(a).after_write(b, Epoch::LOADED);
        assert!(fresh.is_written_in(b) && fresh.is_fresh_after(a) && !fresh.is_fresh_after(b));
        let changed = Mark::changed(a).after_write(b, Epoch::LOADED);
        assert!(changed.is_written_in(b) && !changed.is_fresh_after(a));
        assert_eq!(Mark::fresh(a).after_write(b, a), Mark::clean(b));
        assert!(!Mark::clean(b).is_fresh_after(Epoch::LOADED));
    }
}
