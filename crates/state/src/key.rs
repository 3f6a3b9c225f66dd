//! The keys of tables: a stream's key, alone or with a scope such as a window or the time of a timer.

use reflow_types::{Data, Key, KeyHash};

/// A type that can be the key of a table.
///
/// Implementors guarantee that equal keys have equal hashes in every process; that bits 24–55 of the hash are
/// those of the stream's key, so that state is on the subtask that gets the records; and that the other bits
/// spread all keys of the table.
pub trait StateKey: Data + Clone + Eq {
    /// The hash by which the table places the key.
    fn state_hash(&self) -> KeyHash;

    /// The memory that the key owns beside its own size, in bytes, for estimates.
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl<K: Key> StateKey for K {
    #[inline]
    fn state_hash(&self) -> KeyHash {
        self.key_hash()
    }
}

/// A key with a scope, so that one key may have many entries, all in the key group of the key.
///
/// ```
/// use reflow_state::{Scoped, StateKey};
/// use reflow_types::{Key, MaxParallelism};
/// let max = MaxParallelism::DEFAULT;
/// let entry = Scoped { key: 7u64, scope: (0i64, 1_000i64) };
/// assert_eq!(entry.state_hash(), Scoped::<u64, (i64, i64)>::hash(7u64.key_hash(), &(0, 1_000)));
/// assert_eq!(entry.state_hash().group(max), 7u64.key_hash().group(max));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Data)]
pub struct Scoped<K, S> {
    /// The stream's key, which determines the key group.
    pub key: K,
    /// The scope: a window or a timer.
    pub scope: S,
}

impl<K: Key, S: Key> Scoped<K, S> {
    /// The hash of `scope` under a key whose hash is known.
    #[inline]
    pub fn hash(key: KeyHash, scope: &S) -> KeyHash {
        const GROUP_BITS: u64 = 0x00ff_ffff_ff00_0000;
        KeyHash(key.0 ^ (scope.key_hash().0 & !GROUP_BITS))
    }
}

impl<K: Key, S: Key> StateKey for Scoped<K, S> {
    #[inline]
    fn state_hash(&self) -> KeyHash {
        Self::hash(self.key.key_hash(), &self.scope)
    }
}
