//! The keyed table: one look-up per record, and a mark on what changed.
//!
//! Reading ([`KeyedTable::get`]) and changing ([`KeyedTable::upsert`], [`KeyedTable::get_mut`],
//! [`KeyedTable::remove`]) are different calls, as only a change costs a checkpoint anything. A change looks at
//! the entry's mark: if the entry has changed in this epoch already, and it mostly has, that one compare is all.
//!
//! Runs on the slot's thread, like all that owns it. Snapshots are in `snapshot`, restoring is in `load`.

use crate::account::Account;
use crate::codec::Codec;
use crate::error::{Site, StateError};
use crate::handover::Arrivals;
use crate::layout::{Place, SegmentLayout};
use crate::mark::{Epoch, Mark};
use crate::pending::Pending;
use crate::sample::Sample;
use crate::slots::{Entry, Slots};
use crate::snapshot::{Awaiting, Walk};
use crate::undo::Undo;
use crate::{StateKey, TableId};
use reflow_types::{Bounds, CheckpointId, KeyHash, MaxParallelism};
use serde::{Serialize, de::DeserializeOwned};

/// How many records ahead to [prefetch](KeyedTable::prefetch): enough to cover a miss, few enough that nothing
/// is evicted before it is used.
pub const PREFETCH_DISTANCE: usize = 16;

/// What a table can hold per key.
pub trait StateValue: Serialize + DeserializeOwned + Send + 'static {}
impl<V: Serialize + DeserializeOwned + Send + 'static> StateValue for V {}

/// Values by key, partitioned by key group, with incremental snapshots.
///
/// ```
/// use reflow_state::{KeyedTable, TableId};
/// use reflow_types::{Key, MaxParallelism};
/// let mut counts = KeyedTable::<u64, u64>::new(TableId(0), "counts", MaxParallelism::DEFAULT);
/// for key in [1u64, 2, 1] {
///     *counts.upsert(key.key_hash(), &key, || 0) += 1;
/// }
/// assert_eq!(counts.get(1u64.key_hash(), &1), Some(&2));
/// ```
///
/// Each call takes the key's [`StateKey::state_hash`], which the record brings along.
///
/// # Invariants
/// - An entry is in the segment of its hash.
/// - An entry that has changed since the last complete epoch is counted in its segment's account.
/// - While a snapshot is written, whatever it must still write has its content of when the snapshot began.
pub struct KeyedTable<K, V> {
    pub(crate) id: TableId,
    pub(crate) name: String,
    pub(crate) layout: SegmentLayout,
    /// What each record touches, apart from the rest so that it stays in the nearest cache.
    pub(crate) slots: Vec<Slots<K, V>>,
    pub(crate) segments: Vec<Segment<K>>,
    /// `Mark::changed(self.epoch)`: marks from here on need nothing done before a change.
    current: Mark,
    pub(crate) epoch: Epoch,
    /// The epoch that the last complete checkpoint ended.
    pub(crate) base: Epoch,
    /// That checkpoint.
    pub(crate) base_checkpoint: Option<CheckpointId>,
    /// How entries were that have changed since, if that is remembered.
    pub(crate) undo: Option<Undo>,
    pub(crate) walk: Option<Walk>,
    /// Which entries are tried when they are encoded.
    pub(crate) sample: Sample,
    pub(crate) awaiting: Vec<Awaiting>,
    pub(crate) arrivals: Option<Box<Arrivals<K, V>>>,
    /// The epoch of the last cut with which groups came, until a checkpoint contains them.
    pub(crate) handed_over_in: Option<Epoch>,
    /// Let go of, and to be freed bit by bit.
    pub(crate) discarded: Vec<std::vec::IntoIter<Option<Entry<K, V>>>>,
    /// An entry that could not be encoded before it changed. The snapshot under way fails by it.
    pub(crate) failed: Option<StateError>,
    pub(crate) len: usize,
    pub(crate) heap_bytes: fn(&K, &V) -> usize,
    pub(crate) bounds: Bounds,
}

/// What a segment needs for snapshots only.
pub(crate) struct Segment<K> {
    /// Removed keys with the epoch of their removal, which never falls along the list.
    pub(crate) tombstones: Vec<(Epoch, K)>,
    /// Entries that changed again before the snapshot came by, as they were.
    pub(crate) pending: Pending,
    pub(crate) account: Account,
}

impl<K> Segment<K> {
    /// What the removed keys take in memory, without what they hold outside.
    pub(crate) fn tombstone_bytes(&self) -> usize {
        self.tombstones.len() * size_of::<(Epoch, K)>()
    }
}

impl<K: StateKey, V: StateValue> KeyedTable<K, V> {
    /// An empty table. `id` and `name` must each be the table's alone within its operator.
    pub fn new(id: TableId, name: &str, max: MaxParallelism) -> Self {
        let layout = SegmentLayout::new(max);
        let mut table = Self {
            id,
            name: name.to_owned(),
            layout,
            slots: Vec::new(),
            segments: Vec::new(),
            current: Mark::changed(Epoch::FIRST),
            epoch: Epoch::FIRST,
            base: Epoch::LOADED,
            base_checkpoint: None,
            undo: None,
            walk: None,
            sample: Sample::default(),
            awaiting: Vec::new(),
            arrivals: None,
            handed_over_in: None,
            discarded: Vec::new(),
            failed: None,
            len: 0,
            heap_bytes: |key, _| key.heap_bytes(),
            bounds: Bounds::default(),
        };
        table.reset();
        table
    }

    /// Tells the memory estimate how many bytes an entry holds outside the table (strings, boxes).
    #[must_use]
    pub fn with_heap_bytes(mut self, heap_bytes: fn(&K, &V) -> usize) -> Self {
        self.heap_bytes = heap_bytes;
        self
    }

    /// Sets how large the pieces of snapshots and of the undo log are.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Forgets everything: entries, snapshots under way and awaited.
    pub fn reset(&mut self) {
        let segments = usize::from(self.layout.segments());
        self.slots = (0..segments).map(|_| Slots::default()).collect();
        self.segments = (0..segments as u16)
            .map(|segment| Segment {
                tombstones: Vec::new(),
                pending: Pending::default(),
                account: Account::new(segment),
            })
            .collect();
        self.enter_epoch(Epoch::FIRST);
        self.base = Epoch::LOADED;
        self.base_checkpoint = None;
        self.undo = None;
        self.walk = None;
        self.awaiting.clear();
        self.arrivals = None;
        self.handed_over_in = None;
        self.discarded.clear();
        self.failed = None;
        self.len = 0;
    }

    /// The value of `key`, to read.
    #[inline]
    pub fn get(&self, hash: KeyHash, key: &K) -> Option<&V> {
        let place = self.layout.place(hash);
        let slots = &self.slots[place.segment];
        let position = slots.find(place.tag, key)?;
        slots.at(position).map(|entry| &entry.value)
    }

    /// The value of `key`, to change: the entry counts as changed.
    #[inline]
    pub fn get_mut(&mut self, hash: KeyHash, key: &K) -> Option<&mut V> {
        let place = self.layout.place(hash);
        let position = self.slots[place.segment].find(place.tag, key)?;
        Some(self.change(place, position))
    }

    /// The value of `key`, to change; `init` makes it if there is none.
    #[inline]
    pub fn upsert(&mut self, hash: KeyHash, key: &K, init: impl FnOnce() -> V) -> &mut V {
        let place = self.layout.place(hash);
        match self.slots[place.segment].find(place.tag, key) {
            Some(position) => self.change(place, position),
            None => {
                let position = self.insert(place, key.clone(), init());
                &mut self.slots[place.segment].at_mut(position).expect("it was put there").value
            }
        }
    }

    /// Asks for the memory that a look-up will read, and does not wait for it. Called for the record that comes
    /// about [`PREFETCH_DISTANCE`] later, it takes a third off what a look-up costs in a table larger than the
    /// caches.
    #[inline]
    pub fn prefetch(&self, hash: KeyHash) {
        let place = self.layout.place(hash);
        self.slots[place.segment].prefetch(place.tag);
    }

    /// Sets the value of `key` and returns the one it had.
    pub fn insert_or_replace(&mut self, hash: KeyHash, key: &K, value: V) -> Option<V> {
        let place = self.layout.place(hash);
        match self.slots[place.segment].find(place.tag, key) {
            Some(position) => Some(std::mem::replace(self.change(place, position), value)),
            None => {
                self.insert(place, key.clone(), value);
                None
            }
        }
    }

    /// Removes `key` and returns its value. Leaves a tombstone for the next snapshot, unless no snapshot can
    /// know the key.
    pub fn remove(&mut self, hash: KeyHash, key: &K) -> Option<V> {
        let place = self.layout.place(hash);
        let position = self.slots[place.segment].find(place.tag, key)?;
        let mark = self.slots[place.segment].at(position).expect("find returns an occupied slot").mark;
        if mark < self.current {
            self.before_change(place.segment, position);
        }
        let entry = self.slots[place.segment].remove(position);
        let segment = &mut self.segments[place.segment];
        if mark == Mark::fresh(self.epoch) {
            segment.account.forgot_fresh();
        } else {
            segment.tombstones.push((self.epoch, entry.key));
        }
        self.len -= 1;
        Some(entry.value)
    }

    /// All entries, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.slots.iter().flat_map(Slots::iter).map(|entry| (&entry.key, &entry.value))
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The table's name within its operator.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The table's number within its operator.
    pub fn id(&self) -> TableId {
        self.id
    }

    /// How keys map to segments.
    pub fn layout(&self) -> &SegmentLayout {
        &self.layout
    }

    /// About what the live entries take in a snapshot, in bytes.
    pub fn live_bytes(&self) -> u64 {
        self.slots.iter().zip(&self.segments).map(|(slots, s)| s.account.live_bytes(slots.len())).sum()
    }

    /// About what the table takes in memory, in bytes. Walks the first segments only, so it is cheap: what
    /// entries hold outside the table is extrapolated from a sample.
    pub fn memory_bytes(&self) -> usize {
        const SAMPLE: usize = 256;
        let inline: usize = self.slots.iter().map(|s| s.positions() * size_of::<Option<Entry<K, V>>>()).sum();
        let sample = || self.iter().take(SAMPLE);
        let heap: usize = sample().map(|(key, value)| (self.heap_bytes)(key, value)).sum();
        let per_segment = size_of::<Slots<K, V>>() + size_of::<Segment<K>>();
        let beside: usize = self.segments.iter().map(|s| s.pending.len() + s.tombstone_bytes()).sum();
        let undo = self.undo.as_ref().map_or(0, Undo::bytes);
        let entries = inline + heap * self.len / sample().count().max(1);
        entries + beside + undo + self.segments.len() * per_segment
    }

    /// Panics if the type's invariants are broken. Looks at every entry.
    pub fn check_invariants(&self) {
        let mut len = 0;
        for (number, slots) in self.slots.iter().enumerate() {
            slots.check_invariants();
            len += slots.len();
            for entry in slots.iter() {
                let place = self.layout.place(entry.key.state_hash());
                assert_eq!(
                    place,
                    Place { segment: number, tag: entry.tag },
                    "an entry is in the wrong place"
                );
            }
            // One that a later snapshot has written as well may be in the complete one.
            let changed = |mark: Mark| mark > Mark::written(self.base) && !mark.is_written();
            let changed = slots.iter().filter(|entry| changed(entry.mark)).count();
            let counted = self.segments[number].account.changed();
            assert!(changed <= counted, "segment {number} has {changed} changed entries, counted {counted}");
            assert!(self.segments[number].tombstones.is_sorted_by_key(|(epoch, _)| *epoch));
        }
        assert_eq!(len, self.len);
    }

    pub(crate) fn enter_epoch(&mut self, epoch: Epoch) {
        self.epoch = epoch;
        self.current = Mark::changed(epoch);
    }

    pub(crate) fn site(&self, segment: usize) -> Site {
        let (first, last) = self.layout.groups(segment as u16);
        Site { table: self.name.clone(), first, last }
    }

    #[inline]
    fn change(&mut self, place: Place, position: usize) -> &mut V {
        let entry = self.slots[place.segment].at(position).expect("find returns an occupied slot");
        if entry.mark < self.current {
            self.before_change(place.segment, position);
        }
        &mut self.slots[place.segment].at_mut(position).expect("find returns an occupied slot").value
    }

    #[inline(never)]
    fn insert(&mut self, place: Place, key: K, value: V) -> usize {
        self.len += 1;
        self.segments[place.segment].account.count_change();
        let entry = Entry { mark: Mark::fresh(self.epoch), tag: place.tag, key, value };
        self.slots[place.segment].insert(entry)
    }

    /// The first change of an entry in this epoch: a snapshot under way takes the entry as it is, and the log of what
    /// a roll-back needs.
    #[inline(never)]
    fn before_change(&mut self, segment: usize, position: usize) {
        self.log_before_change(segment, position);
        let entry = self.slots[segment].at_mut(position).expect("find returns an occupied slot");
        let wanted = self.walk.as_ref().filter(|walk| walk.wants(segment, entry.mark));
        let codec: Option<Codec> = wanted.map(|walk| walk.codec);
        entry.mark = self.current;
        self.segments[segment].account.count_change();
        if let Some(codec) = codec {
            let entry = self.slots[segment].at(position).expect("find returns an occupied slot");
            if let Err(reason) = self.sample.look_at(codec, &entry.key, &entry.value) {
                let error = codec.not_restorable(self.site(segment), reason);
                self.failed.get_or_insert(error);
            } else if let Err(reason) = self.segments[segment].pending.push(
                (codec, self.bounds.block_bytes),
                &entry.key,
                &entry.value,
            ) {
                let site = self.site(segment);
                self.failed.get_or_insert(StateError::Encode { site, reason });
            }
        }
    }
}
