//! Loads runs into a table, whichever subtasks wrote them and owned their groups then.
//!
//! The runs of a segment are loaded in the order of their checkpoints; segments and tables may be loaded in any
//! order. The key group of an entry is computed from its key, so that a savepoint can be restored at another max
//! parallelism. The checksum is verified before anything is decoded, and no memory is allocated because a header
//! announces it.

use crate::block::{Header, Kind};
use crate::codec;
use crate::entries::Entries;
use crate::error::{Site, StateError};
use crate::layout::Place;
use crate::mark::{Epoch, Mark};
use crate::schema::EntryMigration;
use crate::slots::Entry;
use crate::{StateKey, TableId};
use reflow_types::{Data, KeyGroupSet};
use std::sync::Arc;

/// Verifies the blocks of one or more runs before any of them is loaded. An error means damage, in storage or on
/// the way from there; reading the bytes again shows which. `table` names the table in errors.
pub fn verify(table: &str, mut bytes: &[u8]) -> Result<(), StateError> {
    while !bytes.is_empty() {
        match Header::take(table, &mut bytes) {
            Ok(_) => {}
            // The checksum is correct, so this is not damage: another release wrote the block.
            Err(StateError::UnknownBlock { .. }) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The origin of loaded state, which determines what the next checkpoint must contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The job's own last complete checkpoint. The next one adds increments to it.
    Own,
    /// A savepoint or another job's checkpoint. The next checkpoint contains everything.
    Foreign,
    /// An old owner at a cut. The checkpoint of the cut contains the state; if it fails, the next one does.
    HandedOver,
}

/// The parameters of a load.
#[derive(Clone, Copy, Debug)]
pub struct Restore<'a> {
    /// The number that the table had when the state was written.
    pub table: TableId,
    /// The groups that this subtask owns. Entries of other groups are skipped.
    pub owned: &'a KeyGroupSet,
    pub origin: Origin,
}

/// Whether a loaded run has added a key to the table or removed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Added,
    Removed,
}

/// Loads runs into entries.
pub(crate) struct Loader<'a, K, V, F> {
    entries: &'a mut Entries<K, V>,
    /// The table's epoch.
    epoch: Epoch,
    restore: Restore<'a>,
    /// The translation of the entries that follow, if they have other types.
    migration: Option<Arc<EntryMigration>>,
    /// Called with each key that is new in the table or no longer in it.
    observe: F,
}

impl<'a, K: StateKey, V: Data, F: FnMut(&K, Presence)> Loader<'a, K, V, F> {
    pub(crate) fn new(
        entries: &'a mut Entries<K, V>,
        epoch: Epoch,
        restore: Restore<'a>,
        observe: F,
    ) -> Self {
        Self { entries, epoch, restore, migration: None, observe }
    }

    /// Translates the entries, until a block has a schema of its own.
    pub(crate) fn migrated(self, migration: Option<Arc<EntryMigration>>) -> Self {
        Self { migration, ..self }
    }

    /// Loads the blocks of one or more runs, in order.
    pub(crate) fn load(mut self, mut bytes: &[u8]) -> Result<(), StateError> {
        while !bytes.is_empty() {
            let (header, entries) = Header::take(self.entries.name(), &mut bytes)?;
            self.load_block(header, entries)?;
        }
        Ok(())
    }

    fn load_block(&mut self, header: Header, mut entries: &[u8]) -> Result<(), StateError> {
        let Restore { table, owned, origin } = self.restore;
        let name = self.entries.name().to_owned();
        let site = Site { table: name, first: header.groups.0, last: header.groups.1 };
        let site = || site.clone();
        if header.table != table {
            return Err(StateError::WrongTable { site: site(), expected: table, found: header.table });
        }
        if header.kind == Kind::Schema {
            let incompatible = |reason| StateError::Incompatible { site: site(), reason };
            self.migration = self.entries.schema().migrate_from(entries).map_err(incompatible)?.map(Arc::new);
            return Ok(());
        }
        let migration = self.migration.clone().filter(|of| of.fingerprint == header.fingerprint);
        if migration.is_none() && header.fingerprint != self.entries.schema().fingerprint() {
            return Err(StateError::OtherSchema { site: site() });
        }
        let max = self.entries.layout().max_parallelism();
        if header.max == max && !owned.intersects(header.groups.0, header.groups.1) {
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
            let key: K = codec::decode("key", &mut entries).map_err(undecodable)?;
            let value: Option<V> = match (header.kind, &migration) {
                (Kind::Puts, None) => Some(codec::decode("value", &mut entries).map_err(undecodable)?),
                (Kind::Puts, Some(of)) => Some(of.decode_value(&mut entries).map_err(undecodable)?),
                (Kind::Tombstones | Kind::Schema, _) => None,
            };
            let hash = key.state_hash();
            let written_in = hash.group(header.max);
            if written_in < header.groups.0 || header.groups.1 < written_in {
                return Err(StateError::HashChanged { site: site(), entry, group: written_in });
            }
            if !owned.contains(hash.group(max)) {
                continue;
            }
            owned_entries += 1;
            let place = self.entries.place(hash);
            owned_segment = Some(place.segment);
            match value {
                Some(value) => self.put(place, key, value),
                None => self.remove(place, key),
            }
        }
        if !entries.is_empty() {
            return Err(StateError::Excess { site: site(), bytes: entries.len() });
        }
        if let (Some(segment), Origin::Own | Origin::HandedOver) = (owned_segment, origin) {
            let account = &mut self.entries.segment_mut(segment).account;
            let share = block_bytes * owned_entries / u64::from(header.entries);
            account.loaded(share + crate::block::HEADER as u64);
            if header.kind == Kind::Puts {
                account.measured(u64::from(header.entries), block_bytes);
            }
        }
        Ok(())
    }

    /// The mark of an entry that this run adds.
    fn mark(&self) -> Mark {
        match self.restore.origin {
            Origin::Own => Mark::clean(Epoch::LOADED),
            Origin::Foreign => Mark::changed(self.epoch),
            Origin::HandedOver => Mark::written(self.epoch.before()),
        }
    }

    fn put(&mut self, place: Place, key: K, value: V) {
        let (mark, origin) = (self.mark(), self.restore.origin);
        match self.entries.slots(place.segment).find(place.tag, &key) {
            Some(position) => {
                let entry = self.entries.entry_mut(place.segment, position);
                entry.value = value;
                if origin == Origin::HandedOver {
                    entry.mark = mark;
                    self.entries.segment_mut(place.segment).account.count_handed_over();
                }
            }
            None => {
                let account = &mut self.entries.segment_mut(place.segment).account;
                match origin {
                    Origin::Own => {}
                    Origin::Foreign => account.count_change(),
                    Origin::HandedOver => account.count_handed_over(),
                }
                (self.observe)(&key, Presence::Added);
                self.entries.insert(place.segment, Entry { mark, tag: place.tag, key, value });
            }
        }
    }

    fn remove(&mut self, place: Place, key: K) {
        let Some(position) = self.entries.slots(place.segment).find(place.tag, &key) else { return };
        self.entries.remove(place.segment, position);
        (self.observe)(&key, Presence::Removed);
        let segment = self.entries.segment_mut(place.segment);
        match self.restore.origin {
            Origin::Own => {}
            Origin::Foreign => segment.account.forgot_fresh(),
            Origin::HandedOver => {
                segment.tombstones.push(self.epoch.before(), key);
                segment.account.count_handed_over();
            }
        }
    }
}
