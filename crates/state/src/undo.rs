//! Roll-back in place: a table that outlives its attempt goes back to the last complete checkpoint by itself.
//!
//! [`KeyedTable::remember`] begins a log. From then on the first change of an entry in an epoch leaves there how it was
//! and its mark. Entries that are new leave nothing: their marks say so. So what a record pays is what it pays for
//! a snapshot, once an entry and epoch, and a checkpoint that completes drops the log of all epochs that it ended.
//!
//! [`KeyedTable::roll_back`] removes what was not there yet and puts back what the log has, newest first: the oldest
//! change of an entry since the checkpoint decides, and by its mark the log tells which that is.
//!
//! A snapshot that is written while the checkpoint before it is undecided leaves marks that say less: there is no way
//! back past it. The JobManager lets checkpoints follow one another.
//!
//! The log is bounded. Past its bound it ends, and begins anew with the next epoch: until a checkpoint has ended that
//! one, there is no way back, and the state is read from storage as that of a process that is gone.

use crate::codec::Codec;
use crate::mark::{Epoch, Mark};
use crate::slots::Entry;
use crate::table::StateValue;
use crate::{KeyedTable, StateKey};
use reflow_types::{CheckpointId, injected_fault};
use std::any::Any;
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
    fn new(since: Epoch) -> Self {
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

    /// There is no way back past `epoch`, which has not ended.
    fn give_up(&mut self, epoch: Epoch) {
        *self = Self::new(epoch);
    }

    /// The piece that the next record of an epoch goes to; `None` if it has no room.
    fn chunk(&mut self, epoch: Epoch, chunk_bytes: usize) -> Option<&mut Vec<u8>> {
        let log = self.logs.back_mut().filter(|log| log.epoch == epoch)?;
        log.chunks.last_mut().filter(|chunk| chunk.len() < chunk_bytes)
    }

    fn add_chunk(&mut self, epoch: Epoch, chunk_bytes: usize) {
        if self.logs.back().is_none_or(|log| log.epoch != epoch) {
            self.logs.push_back(Log { epoch, chunks: Vec::new() });
        }
        let log = self.logs.back_mut().expect("one was pushed");
        log.chunks.push(Vec::with_capacity(chunk_bytes));
    }
}

impl<K: StateKey, V: StateValue> KeyedTable<K, V> {
    /// Everything in the table is in `checkpoint`, or it has no checkpoint yet: from here on it remembers how to get
    /// back to one.
    pub fn remember(&mut self, checkpoint: Option<CheckpointId>) {
        if checkpoint.is_some() {
            (self.base, self.base_checkpoint) = (self.epoch.before(), checkpoint);
        }
        self.undo = Some(Undo::new(self.epoch.before()));
    }

    /// Undoes what has changed since `checkpoint`, which is complete, and forgets snapshots under way. Says whether it
    /// could; if not, what the table holds is undefined: [`reset`](Self::reset) it.
    pub fn roll_back(&mut self, checkpoint: CheckpointId) -> bool {
        if self.base_checkpoint != Some(checkpoint) {
            self.complete(checkpoint);
        }
        let leads_there = |undo: &Undo| undo.since <= self.base;
        let knows = self.base_checkpoint == Some(checkpoint) && self.handed_over_in.is_none();
        if !knows || !self.undo.as_ref().is_some_and(leads_there) {
            return false;
        }
        let Some(undo) = self.undo.take() else { return false };
        self.walk = None;
        self.failed = None;
        self.awaiting.clear();
        self.abandon_arrivals();
        self.remove_fresh();
        let newest_first = undo.logs.iter().rev().flat_map(|log| &log.chunks);
        for chunk in newest_first {
            if !self.put_back(chunk) {
                return false;
            }
        }
        self.enter_epoch(self.epoch.next());
        true
    }

    /// Takes all out that there is, for a table of the same kind to [go on with](Self::go_on_with).
    pub(crate) fn take(&mut self) -> Self {
        let empty = Self::new(self.id, &self.name, self.layout.max_parallelism());
        std::mem::replace(self, empty.with_heap_bytes(self.heap_bytes))
    }

    /// Goes on with what was taken from a table of the attempt before, as `checkpoint` has it. Says whether that could
    /// be; if not, what the table holds is undefined: [`reset`](Self::reset) it.
    pub(crate) fn go_on_with(&mut self, former: Box<dyn Any + Send>, checkpoint: CheckpointId) -> bool {
        let Ok(former) = former.downcast::<Self>() else { return false };
        let same = (former.id, former.layout) == (self.id, self.layout);
        *self = *former;
        same && self.roll_back(checkpoint)
    }

    /// Removes what was not there at the checkpoint, and what snapshots were to know.
    fn remove_fresh(&mut self) {
        let base = self.base;
        for (slots, segment) in self.slots.iter_mut().zip(&mut self.segments) {
            let before = slots.len();
            slots.extract_if(|entry| entry.mark.is_fresh_after(base), drop);
            self.len -= before - slots.len();
            segment.tombstones = Vec::new();
            segment.pending.clear();
            segment.account.rolled_back();
        }
    }

    /// Puts entries back as a piece of the log has them. Says whether they could be decoded.
    fn put_back(&mut self, mut records: &[u8]) -> bool {
        while let Some((mark, rest)) = records.split_first_chunk() {
            records = rest;
            let mark = Mark::from_bytes(*mark);
            let key = Codec::Exchange.decode::<K>("key", &mut records);
            let value = Codec::Exchange.decode::<V>("value", &mut records);
            let (Ok(key), Ok(value)) = (key, value) else { return false };
            let place = self.layout.place(key.state_hash());
            let slots = &mut self.slots[place.segment];
            let found = slots.find(place.tag, &key);
            if mark.is_fresh_after(self.base) {
                if let Some(position) = found {
                    slots.remove(position);
                    self.len -= 1;
                }
            } else if mark <= Mark::written(self.base) && !injected_fault::is_active("change_not_rolled_back")
            {
                match found.and_then(|position| slots.at_mut(position)) {
                    Some(entry) => (entry.mark, entry.value) = (mark, value),
                    None => {
                        slots.insert(Entry { mark, tag: place.tag, key, value });
                        self.len += 1;
                    }
                }
            }
        }
        true
    }

    /// Takes note of an entry that is about to change for the first time in this epoch.
    pub(crate) fn log_before_change(&mut self, segment: usize, position: usize) {
        let Some(undo) = self.undo.as_mut().filter(|undo| undo.since < self.epoch) else { return };
        let entry = self.slots[segment].at(position).expect("the caller found an entry here");
        if let Some(chunk) = undo.chunk(self.epoch, self.bounds.undo_chunk_bytes) {
            if log(chunk, entry).is_err() {
                undo.give_up(self.epoch);
            }
            return;
        }
        let bytes = undo.bytes() as u64;
        let may = bytes < self.bounds.undo_log_bytes || bytes < self.live_bytes() / 4;
        let (epoch, undo) = (self.epoch, self.undo.as_mut().expect("it was there"));
        if !may {
            return undo.give_up(epoch);
        }
        undo.add_chunk(epoch, self.bounds.undo_chunk_bytes);
        self.log_before_change(segment, position);
    }
}

fn log<K: StateKey, V: StateValue>(chunk: &mut Vec<u8>, entry: &Entry<K, V>) -> Result<(), String> {
    chunk.extend_from_slice(&entry.mark.to_bytes());
    Codec::Exchange.encode_put(&entry.key, &entry.value, chunk)
}
