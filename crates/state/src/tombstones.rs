//! The tombstones of one segment: removed keys, which the next increments must contain.

use crate::mark::Epoch;

/// Removed keys, each with the epoch of its removal.
///
/// # Invariants
/// - Epochs do not decrease along the list, so the tombstones of a snapshot are a prefix of it.
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

    /// The memory that they take, in bytes, without the memory that the keys own.
    pub(crate) fn bytes(&self) -> usize {
        self.keys.len() * size_of::<(Epoch, K)>()
    }

    /// The number of tombstones when `epoch` ended.
    pub(crate) fn count_until(&self, epoch: Epoch) -> usize {
        self.keys.partition_point(|(removed_in, _)| *removed_in <= epoch)
    }

    pub(crate) fn at(&self, index: usize) -> &(Epoch, K) {
        &self.keys[index]
    }

    /// Adds a key that was removed in this epoch, which is the current or the previous one.
    pub(crate) fn push(&mut self, epoch: Epoch, key: K) {
        self.keys.push((epoch, key));
    }

    /// Moves the keys for which `comes` is true from another list into this one.
    pub(crate) fn absorb(&mut self, from: &mut Self, comes: impl Fn(&K) -> bool) {
        for (epoch, key) in from.keys.extract_if(.., |(_, key)| comes(key)) {
            let at = self.count_until(epoch);
            self.keys.insert(at, (epoch, key));
        }
    }

    /// Removes the keys for which `leaves` is true.
    pub(crate) fn remove(&mut self, leaves: impl Fn(&K) -> bool) {
        self.keys.retain(|(_, key)| !leaves(key));
    }

    /// Removes the tombstones up to epoch `base`, which a complete checkpoint contains.
    pub(crate) fn forget_until(&mut self, base: Epoch) {
        let known = self.count_until(base);
        if known > 0 {
            self.keys.drain(..known);
        }
        if self.keys.is_empty() {
            self.clear();
        }
    }

    /// Removes all tombstones and frees their memory.
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
