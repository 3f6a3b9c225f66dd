//! The undo log, by which a table that outlives its attempt rolls itself back to the last complete checkpoint.
//!
//! [`KeyedTable::remember`](crate::KeyedTable::remember) begins the log. From then on, the first change of an
//! entry in an epoch logs its old value and mark. New entries are not logged, because their marks identify them.
//! So a record pays for the log at most once per entry and epoch, as it does for a snapshot. When a checkpoint
//! completes, the log of all epochs up to its own is dropped.
//!
//! [`KeyedTable::roll_back`](crate::KeyedTable::roll_back) removes entries that did not exist at the checkpoint
//! and restores logged values, newest first, so that the oldest change of an entry since the checkpoint decides.
//! The logged mark shows which one that is.
//!
//! If a snapshot is written while the previous checkpoint is undecided, its marks no longer show what the
//! previous one contains, so there is no roll-back past it. The JobManager takes one checkpoint after the other.
//!
//! The log is bounded. When it reaches the bound, it is dropped and begins again with the next epoch. Until a
//! checkpoint completes that epoch, a roll-back is not possible, and the state is read from storage, as that of a
//! lost process.
//!
//! ```
//! use reflow_state::{KeyedTable, Progress, SnapshotKind, SnapshotWriter, TableId};
//! use reflow_types::{CheckpointId, Key, MaxParallelism};
//!
//! let mut counts = KeyedTable::<u64, u64>::new(TableId(0), "counts", MaxParallelism::DEFAULT);
//! counts.remember(None);
//! counts.insert_or_replace(1u64.key_hash(), &1, 10);
//! counts.freeze(CheckpointId(1), SnapshotKind::Checkpoint);
//! while counts.snapshot_step(1 << 20, &mut SnapshotWriter::new(Vec::new()))? == Progress::More {}
//! counts.complete(CheckpointId(1));
//!
//! // The attempt changes an entry twice, adds another one, and fails.
//! counts.insert_or_replace(1u64.key_hash(), &1, 11);
//! counts.insert_or_replace(1u64.key_hash(), &1, 12);
//! counts.insert_or_replace(2u64.key_hash(), &2, 20);
//! assert!(counts.roll_back(CheckpointId(1)));
//! assert_eq!(counts.get(1u64.key_hash(), &1), Some(&10));
//! assert_eq!(counts.get(2u64.key_hash(), &2), None);
//! # Ok::<(), reflow_state::StateError>(())
//! ```

use crate::StateKey;
use crate::codec;
use crate::entries::Entries;
use crate::mark::{Epoch, Mark};
use crate::slots::Entry;
use reflow_types::{Bounds, Data, injected_fault};
use std::collections::VecDeque;

/// The undo log of a table.
pub(crate) struct Undo {
    /// The log leads back to the end of this epoch and of each later one.
    since: Epoch,
    /// The logs of epochs after `since`, in order.
    logs: VecDeque<Log>,
}

/// The log of one epoch.
struct Log {
    epoch: Epoch,
    /// Records of mark, key and value, one after the other.
    chunks: Vec<Vec<u8>>,
}

impl Undo {
    /// A log that leads back to the end of epoch `since`.
    pub(crate) fn new(since: Epoch) -> Self {
        Self { since, logs: VecDeque::new() }
    }

    /// Drops the log up to epoch `base`: a complete checkpoint contains these epochs, or no roll-back past them
    /// is possible.
    pub(crate) fn forget_until(&mut self, base: Epoch) {
        self.since = self.since.max(base);
        self.logs.retain(|log| log.epoch > base);
    }

    /// The memory that it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.logs.iter().flat_map(|log| &log.chunks).map(Vec::capacity).sum()
    }

    /// Whether the log leads back to the end of epoch `base`.
    pub(crate) fn leads_to(&self, base: Epoch) -> bool {
        self.since <= base
    }

    /// Logs an entry that is about to change for the first time in this epoch.
    pub(crate) fn log_before_change<K: StateKey, V: Data>(
        &mut self,
        epoch: Epoch,
        entries: &Entries<K, V>,
        segment: usize,
        position: usize,
        bounds: &Bounds,
    ) {
        if self.since >= epoch {
            return;
        }
        let full = |chunk: &Vec<u8>| chunk.len() >= bounds.undo_chunk_bytes;
        let log = self.logs.back().filter(|log| log.epoch == epoch);
        if log.is_none_or(|log| log.chunks.last().is_none_or(full)) {
            let bytes = self.bytes() as u64;
            if bytes >= bounds.undo_log_bytes && bytes >= entries.live_bytes() / 4 {
                return self.give_up(epoch);
            }
            self.add_chunk(epoch, bounds.undo_chunk_bytes);
        }
        let chunk = self.logs.back_mut().and_then(|log| log.chunks.last_mut());
        let entry = entries.entry(segment, position);
        if log_entry(chunk.expect("there is one with room"), entry).is_err() {
            self.give_up(epoch);
        }
    }

    /// Drops the log and begins again with the end of `epoch`, the current one.
    fn give_up(&mut self, epoch: Epoch) {
        *self = Self::new(epoch);
    }

    fn add_chunk(&mut self, epoch: Epoch, chunk_bytes: usize) {
        if self.logs.back().is_none_or(|log| log.epoch != epoch) {
            self.logs.push_back(Log { epoch, chunks: Vec::new() });
        }
        let log = self.logs.back_mut().expect("one was pushed");
        log.chunks.push(Vec::with_capacity(chunk_bytes));
    }

    /// Rolls the entries back to the end of epoch `base`, to which the log [leads](Self::leads_to). Returns
    /// whether the log could be decoded.
    pub(crate) fn roll_back<K: StateKey, V: Data>(self, entries: &mut Entries<K, V>, base: Epoch) -> bool {
        remove_fresh(entries, base);
        // The oldest change has the value at the checkpoint, so it is applied last.
        let mut newest_first = self.logs.iter().rev().flat_map(|log| &log.chunks);
        newest_first.all(|chunk| put_back(chunk, entries, base))
    }
}

/// Removes entries that did not exist when epoch `base` ended, and the data of snapshots.
fn remove_fresh<K: StateKey, V: Data>(entries: &mut Entries<K, V>, base: Epoch) {
    for number in 0..usize::from(entries.layout().segments()) {
        entries.extract_if(number, |entry| entry.mark.is_fresh_after(base), drop);
        let segment = entries.segment_mut(number);
        segment.tombstones.clear();
        segment.pending.clear();
        segment.account.rolled_back();
    }
}

/// Restores the entries of a chunk of the log. Returns whether they could be decoded.
fn put_back<K: StateKey, V: Data>(mut records: &[u8], entries: &mut Entries<K, V>, base: Epoch) -> bool {
    while let Some((mark, rest)) = records.split_first_chunk() {
        records = rest;
        let mark = Mark::from_bytes(*mark);
        let key = codec::decode::<K>("key", &mut records);
        let value = codec::decode::<V>("value", &mut records);
        let (Ok(key), Ok(value)) = (key, value) else { return false };
        let place = entries.place(key.state_hash());
        let found = entries.slots(place.segment).find(place.tag, &key);
        if mark.is_fresh_after(base) {
            if let Some(position) = found {
                entries.remove(place.segment, position);
            }
        } else if mark <= Mark::written(base) && !injected_fault::is_active("change_not_rolled_back") {
            match found {
                Some(position) => {
                    let entry = entries.entry_mut(place.segment, position);
                    (entry.mark, entry.value) = (mark, value);
                }
                None => {
                    entries.insert(place.segment, Entry { mark, tag: place.tag, key, value });
                }
            }
        }
    }
    true
}

fn log_entry<K: StateKey, V: Data>(chunk: &mut Vec<u8>, entry: &Entry<K, V>) -> Result<(), String> {
    chunk.extend_from_slice(&entry.mark.to_bytes());
    codec::encode_put(&entry.key, &entry.value, chunk)
}
