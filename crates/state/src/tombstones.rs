//! Removed keys of one segment, for the next snapshots.

use crate::mark::Epoch;

/// Removed keys with the epoch of their removal.
///
/// # Invariants
/// - The epoch never falls along the list, so that the first ones are those that a snapshot knows.
pub(crate) struct Tombstones<K> {
    keys: Vec<(Epoch, K)>,
}

impl<K> Default for Tombstones<K> {
    fn default() -> Self {
        Self { keys: Vec::new() }
    }
}

impl<K> Tombstones<K> {
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// What they take in memory, without what the keys hold outside.
    pub(crate) fn bytes(&self) -> usize {
        self.keys.len() * size_of::<(Epoch, K)>()
    }

    /// How many were there when `epoch` ended.
    pub(crate) fn count_until(&self, epoch: Epoch) -> usize {
        self.keys.partition_point(|(removed_in, _)| *removed_in <= epoch)
    }

    pub(crate) fn at(&self, index: usize) -> &(Epoch, K) {
        &self.keys[index]
    }

    /// A key was removed in this epoch, which is the current one or the one before.
    pub(crate) fn push(&mut self, epoch: Epoch, key: K) {
        self.keys.push((epoch, key));
    }

    /// Moves the keys that `comes` is for here.
    pub(crate) fn absorb(&mut self, from: &mut Self, comes: impl Fn(&K) -> bool) {
        for (epoch, key) in from.keys.extract_if(.., |(_, key)| comes(key)) {
            let at = self.count_until(epoch);
            self.keys.insert(at, (epoch, key));
        }
    }

    /// Removes the keys that `leaves` is for.
    pub(crate) fn remove(&mut self, leaves: impl Fn(&K) -> bool) {
        self.keys.retain(|(_, key)| !leaves(key));
    }

    /// Frees what the complete checkpoint of `base` has.
    pub(crate) fn forget_until(&mut self, base: Epoch) {
        let known = self.count_until(base);
        if known > 0 {
            self.keys.drain(..known);
        }
        if self.keys.is_empty() {
            self.clear();
        }
    }

    /// Removes all, and frees the memory.
    pub(crate) fn clear(&mut self) {
        self.keys = Vec::new();
    }

    /// Panics if the type's invariants are broken.
    pub(crate) fn check_invariants(&self) {
        assert!(self.keys.is_sorted_by_key(|(epoch, _)| *epoch));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tombstones_of_another_owner_keep_the_order_of_epochs() {
        let [first, second, third] = [1, 2, 3].map(Epoch);
        let (mut own, mut others) = (Tombstones::default(), Tombstones::default());
        own.push(first, 1);
        own.push(third, 3);
        for key in [2, 20, 21] {
            others.push(second, key);
        }
        own.absorb(&mut others, |key| *key < 21);
        own.check_invariants();
        assert_eq!((own.count_until(first), own.count_until(second), own.len()), (1, 3, 4));
        assert_eq!((others.len(), others.at(0).1), (1, 21));
        own.forget_until(second);
        assert_eq!((own.len(), own.at(0).1), (1, 3));
    }
}
