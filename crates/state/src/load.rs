//! Restoring: blocks back into a table, whoever wrote them and however the groups were owned then.
//!
//! Runs of a segment are loaded in the order of their checkpoints; segments and tables in any order. The key
//! group of an entry is computed from its key, so that a savepoint restores at another max parallelism too.
//! Damage is found by the checksum before anything is decoded; nothing is allocated on the word of a header.

use crate::block::{Header, Kind};
use crate::error::{Site, StateError};
use crate::mark::Mark;
use crate::slots::Entry;
use crate::table::StateValue;
use crate::{KeyedTable, StateKey, TableId};
use reflow_types::{KeyGroupSet, KeyHash};

/// Checks the blocks of one run, or of several in order, before any of it is loaded. What does not pass is damaged, in
/// storage or on its way from there: reading it again tells which. `table` names the table in errors.
pub fn verify(table: &str, mut bytes: &[u8]) -> Result<(), StateError> {
    while !bytes.is_empty() {
        match Header::take(table, &mut bytes) {
            Ok(_) => {}
            // Its checksum is right: another release has written it so.
            Err(StateError::UnknownBlock { .. }) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What the next checkpoint may build on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The job's own last complete checkpoint: the next one adds increments to it.
    Own,
    /// A savepoint or another job's checkpoint: the next one contains everything.
    Foreign,
    /// An old owner, at a cut: the checkpoint of the cut contains it. If that fails, the next one does.
    HandedOver,
}

/// What is being loaded, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct Restore<'a> {
    /// The number that the table had when the state was written.
    pub table: TableId,
    /// The groups that this subtask owns; entries of others are passed over.
    pub owned: &'a KeyGroupSet,
    /// What the next checkpoint may build on.
    pub origin: Origin,
}

impl<K: StateKey, V: StateValue> KeyedTable<K, V> {
    /// Adds the blocks of one run, or of several in order. After an error the table's content is undefined:
    /// [`KeyedTable::reset`] it.
    pub fn load(&mut self, bytes: &[u8], restore: Restore<'_>) -> Result<(), StateError> {
        self.load_each(bytes, restore, |_| {})
    }

    /// Like [`KeyedTable::load`]; shows each key that was not there before.
    pub(crate) fn load_each(
        &mut self,
        mut bytes: &[u8],
        restore: Restore<'_>,
        mut inserted: impl FnMut(&K),
    ) -> Result<(), StateError> {
        while !bytes.is_empty() {
            let (header, entries) = Header::take(&self.name, &mut bytes)?;
            self.load_block(header, entries, restore, &mut inserted)?;
        }
        Ok(())
    }

    fn load_block(
        &mut self,
        header: Header,
        mut entries: &[u8],
        restore: Restore<'_>,
        inserted: &mut impl FnMut(&K),
    ) -> Result<(), StateError> {
        let site = Site { table: self.name.clone(), first: header.groups.0, last: header.groups.1 };
        let site = || site.clone();
        if header.table != restore.table {
            return Err(StateError::WrongTable {
                site: site(),
                expected: restore.table,
                found: header.table,
            });
        }
        let max = self.layout.max_parallelism();
        if header.max == max && !restore.owned.intersects(header.groups.0, header.groups.1) {
            return Ok(());
        }
        let block_bytes = entries.len() as u64;
        let (mut owned_entries, mut owned_segment) = (0, None);
        for entry in 0..header.entries {
            let undecodable = |e: crate::codec::Undecodable| StateError::Undecodable {
                site: site(),
                entry,
                field: e.field,
                reason: e.reason,
            };
            let key: K = header.codec.decode("key", &mut entries).map_err(undecodable)?;
            let value: Option<V> = match header.kind {
                Kind::Puts => Some(header.codec.decode("value", &mut entries).map_err(undecodable)?),
                Kind::Tombstones => None,
            };
            let hash = key.state_hash();
            let written_in = hash.group(header.max);
            if written_in < header.groups.0 || header.groups.1 < written_in {
                return Err(StateError::HashChanged { site: site(), entry, group: written_in });
            }
            if !restore.owned.contains(hash.group(max)) {
                continue;
            }
            owned_entries += 1;
            owned_segment = Some(self.layout.place(hash).segment);
            self.load_entry(hash, key, value, restore.origin, inserted);
        }
        if !entries.is_empty() {
            return Err(StateError::Excess { site: site(), bytes: entries.len() });
        }
        if let (Some(segment), Origin::Own | Origin::HandedOver) = (owned_segment, restore.origin) {
            let account = &mut self.segments[segment].account;
            let share = block_bytes * owned_entries / u64::from(header.entries);
            account.loaded(share + crate::block::HEADER as u64);
            if header.kind == Kind::Puts {
                account.measured(u64::from(header.entries), block_bytes);
            }
        }
        Ok(())
    }

    fn load_entry(
        &mut self,
        hash: KeyHash,
        key: K,
        value: Option<V>,
        origin: Origin,
        inserted: &mut impl FnMut(&K),
    ) {
        let place = self.layout.place(hash);
        let handed_over = (origin == Origin::HandedOver).then(|| self.epoch.before());
        let (slots, segment) = (&mut self.slots[place.segment], &mut self.segments[place.segment]);
        let found = slots.find(place.tag, &key);
        match (found, value) {
            (Some(position), Some(value)) => {
                let entry = slots.at_mut(position).expect("find returns an occupied slot");
                entry.value = value;
                if let Some(epoch) = handed_over {
                    entry.mark = Mark::written(epoch);
                    segment.account.count_handed_over();
                }
            }
            (Some(position), None) => {
                slots.remove(position);
                self.len -= 1;
                match (origin, handed_over) {
                    (Origin::Foreign, _) => segment.account.forgot_fresh(),
                    (_, Some(epoch)) => {
                        segment.tombstones.push((epoch, key));
                        segment.account.count_handed_over();
                    }
                    (_, None) => {}
                }
            }
            (None, Some(value)) => {
                let mark = match (origin, handed_over) {
                    (_, Some(epoch)) => Mark::written(epoch),
                    (Origin::Foreign, _) => Mark::changed(self.epoch),
                    (_, None) => Mark::clean(crate::mark::Epoch::LOADED),
                };
                match origin {
                    Origin::Own => {}
                    Origin::Foreign => segment.account.count_change(),
                    Origin::HandedOver => segment.account.count_handed_over(),
                }
                inserted(&key);
                slots.insert(Entry { mark, tag: place.tag, key, value });
                self.len += 1;
            }
            (None, None) => {}
        }
    }
}
