//! Roll-back in place: a table that outlives its attempt goes back to the last complete checkpoint by itself.
//!
//! [`KeyedTable::remember`](crate::KeyedTable::remember) begins a log. From then on the first change of an entry in an epoch leaves there how it was
//! and its mark. Entries that are new leave nothing: their marks say so. So what a record pays is what it pays for
//! a snapshot, once an entry and epoch, and a checkpoint that completes drops the log of all epochs that it ended.
//!
//! [`KeyedTable::roll_back`](crate::KeyedTable::roll_back) removes what was not there yet and puts back what the log has, newest first: the oldest
//! change of an entry since the checkpoint decides, and by its mark the log tells which that is.
//!
//! A snapshot that is written while the checkpoint before it is undecided leaves marks that say less: there is no way
//! back past it. The JobManager lets checkpoints follow one another.
//!
//! The log is bounded. Past its bound it ends, and begins anew with the next epoch: until a checkpoint has ended that
//! one, there is no way back, and the state is read from storage as that of a process that is gone.
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

/// The log.
pub(crate) struct Undo {
    /// There is a way back to the end of this epoch, and of each later one.
    since: Epoch,
    /// Of epochs after `since`, in their order.
    logs: VecDeque<Log>,
}

/// What one epoch has changed.
struct Log {
    epoch: Epoch,
    /// Mark, key and value, one behind the other.
    chunks: Vec<Vec<u8>>,
}

impl Undo {
    /// A log that leads back to the end of epoch `since`.
    pub(crate) fn new(since: Epoch) -> Self {
        Self { since, logs: VecDeque::new() }
    }

    /// A checkpoint has these epochs, or there is no way back to before the last of them.
    pub(crate) fn forget_until(&mut self, base: Epoch) {
        self.since = self.since.max(base);
        self.logs.retain(|log| log.epoch > base);
    }

    /// What it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.logs.iter().flat_map(|log| &log.chunks).map(Vec::capacity).sum()
    }

    /// Whether there is a way back to the end of epoch `base`.
    pub(crate) fn leads_to(&self, base: Epoch) -> bool {
        self.since <= base
    }

    /// Takes note of an entry that is about to change for the first time in this epoch.
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

    /// There is no way back past `epoch`, which has not ended.
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

    /// Takes the entries back to the end of epoch `base`, to which the log [leads](Self::leads_to). Returns whether what
    /// is logged could be decoded.
    pub(crate) fn roll_back<K: StateKey, V: Data>(self, entries: &mut Entries<K, V>, base: Epoch) -> bool {
        remove_fresh(entries, base);
        // The oldest change decides how an entry was, so that it is applied last.
        let mut newest_first = self.logs.iter().rev().flat_map(|log| &log.chunks);
        newest_first.all(|chunk| put_back(chunk, entries, base))
    }
}

/// Removes what was not there when epoch `base` ended, and what snapshots were to know.
fn remove_fresh<K: StateKey, V: Data>(entries: &mut Entries<K, V>, base: Epoch) {
    for number in 0..usize::from(entries.layout().segments()) {
        entries.extract_if(number, |entry| entry.mark.is_fresh_after(base), drop);
        let segment = entries.segment_mut(number);
        segment.tombstones.clear();
        segment.pending.clear();
        segment.account.rolled_back();
    }
}

/// Puts entries back as a piece of the log has them. Returns whether they could be decoded.
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
