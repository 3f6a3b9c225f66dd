//! The entries of a table, by segment, with what snapshots keep about each segment.

use crate::account::Account;
use crate::error::Site;
use crate::layout::{Place, SegmentLayout};
use crate::mark::{Epoch, Mark};
use crate::pending::Pending;
use crate::schema::EntrySchema;
use crate::slots::{Entry, Slots};
use crate::tombstones::Tombstones;
use crate::{StateKey, TableId};
use reflow_types::{KeyGroupSet, KeyHash, MaxParallelism};

/// The content of a table.
///
/// # Invariants
/// - An entry is in the segment of its hash.
/// - An entry that has changed since the last complete epoch is counted in its segment's account.
pub(crate) struct Entries<K, V> {
    id: TableId,
    name: String,
    layout: SegmentLayout,
    schema: EntrySchema,
    /// What each record touches, apart from the rest so that it stays in the nearest cache.
    slots: Vec<Slots<K, V>>,
    segments: Vec<Segment<K>>,
    len: usize,
}

/// What a segment needs for snapshots only.
pub(crate) struct Segment<K> {
    pub(crate) tombstones: Tombstones<K>,
    /// Entries that changed again before the snapshot came by, as they were.
    pub(crate) pending: Pending,
    pub(crate) account: Account,
}

impl<K: StateKey, V> Entries<K, V> {
    pub(crate) fn new(id: TableId, name: &str, max: MaxParallelism, schema: EntrySchema) -> Self {
        let layout = SegmentLayout::new(max);
        let segment = |segment| Segment {
            tombstones: Tombstones::default(),
            pending: Pending::default(),
            account: Account::new(segment),
        };
        Self {
            id,
            name: name.to_owned(),
            layout,
            schema,
            slots: (0..layout.segments()).map(|_| Slots::default()).collect(),
            segments: (0..layout.segments()).map(segment).collect(),
            len: 0,
        }
    }

    /// No entries for the same table.
    pub(crate) fn new_like(&self) -> Self {
        Self::new(self.id, &self.name, self.layout.max_parallelism(), self.schema.clone())
    }

    pub(crate) fn id(&self) -> TableId {
        self.id
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The schema of its entries.
    pub(crate) fn schema(&self) -> &EntrySchema {
        &self.schema
    }

    pub(crate) fn layout(&self) -> &SegmentLayout {
        &self.layout
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// A segment's part of the table, for errors.
    pub(crate) fn site(&self, segment: usize) -> Site {
        let (first, last) = self.layout.groups(segment as u16);
        Site { table: self.name.clone(), first, last }
    }

    #[inline]
    pub(crate) fn place(&self, hash: KeyHash) -> Place {
        self.layout.place(hash)
    }

    #[inline]
    pub(crate) fn slots(&self, segment: usize) -> &Slots<K, V> {
        &self.slots[segment]
    }

    /// An occupied slot, by the place and position at which an entry was found.
    #[inline]
    pub(crate) fn entry(&self, segment: usize, position: usize) -> &Entry<K, V> {
        self.slots[segment].at(position).expect("find returns an occupied slot")
    }

    /// As [`entry`](Self::entry).
    #[inline]
    pub(crate) fn entry_mut(&mut self, segment: usize, position: usize) -> &mut Entry<K, V> {
        self.slots[segment].at_mut(position).expect("find returns an occupied slot")
    }

    /// As [`entry`](Self::entry), and what its segment has encoded for the snapshot under way.
    pub(crate) fn entry_and_pending(
        &mut self,
        segment: usize,
        position: usize,
    ) -> (&Entry<K, V>, &mut Pending) {
        let entry = self.slots[segment].at(position).expect("find returns an occupied slot");
        (entry, &mut self.segments[segment].pending)
    }

    /// Forgets removed keys where they take more memory than the live entries and `most` bytes: while checkpoints fail,
    /// they would pile up without end. Such a segment is written in full from `epoch` on, which says as much.
    pub(crate) fn forget_tombstones(&mut self, epoch: Epoch, most: usize) {
        for (slots, segment) in self.slots.iter().zip(&mut self.segments) {
            let live = segment.account.live_bytes(slots.len()) as usize;
            if segment.tombstones.bytes() > live + most {
                segment.tombstones.clear();
                segment.account.rewrite_from(epoch);
            }
        }
    }

    /// The entry at any position.
    pub(crate) fn at_mut(&mut self, segment: usize, position: usize) -> Option<&mut Entry<K, V>> {
        self.slots[segment].at_mut(position)
    }

    pub(crate) fn segment(&self, segment: usize) -> &Segment<K> {
        &self.segments[segment]
    }

    #[inline]
    pub(crate) fn segment_mut(&mut self, segment: usize) -> &mut Segment<K> {
        &mut self.segments[segment]
    }

    /// The slots of each segment, and what else it has.
    pub(crate) fn segments(&self) -> impl Iterator<Item = (&Slots<K, V>, &Segment<K>)> {
        self.slots.iter().zip(&self.segments)
    }

    /// As [`segments`](Self::segments).
    pub(crate) fn segments_mut(&mut self) -> impl Iterator<Item = (&Slots<K, V>, &mut Segment<K>)> {
        self.slots.iter().zip(&mut self.segments)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry<K, V>> {
        self.slots.iter().flat_map(Slots::iter)
    }

    /// Adds an entry whose key is not there. Returns its position in its segment.
    pub(crate) fn insert(&mut self, segment: usize, entry: Entry<K, V>) -> usize {
        self.len += 1;
        self.slots[segment].insert(entry)
    }

    /// Takes out the entry at an occupied position.
    pub(crate) fn remove(&mut self, segment: usize, position: usize) -> Entry<K, V> {
        self.len -= 1;
        self.slots[segment].remove(position)
    }

    /// Takes out the entries of a segment that `leaves` is for.
    pub(crate) fn extract_if(
        &mut self,
        segment: usize,
        leaves: impl FnMut(&Entry<K, V>) -> bool,
        taken: impl FnMut(Entry<K, V>),
    ) {
        let slots = &mut self.slots[segment];
        let before = slots.len();
        slots.extract_if(leaves, taken);
        self.len -= before - slots.len();
    }

    /// Takes out all entries of a segment at once.
    pub(crate) fn take_slots(&mut self, segment: usize) -> Slots<K, V> {
        let slots = std::mem::take(&mut self.slots[segment]);
        self.len -= slots.len();
        slots
    }

    /// Puts all entries of a segment in, which has none.
    pub(crate) fn put_slots(&mut self, segment: usize, slots: Slots<K, V>) {
        debug_assert_eq!(self.slots[segment].len(), 0, "entries would be lost");
        self.len += slots.len();
        self.slots[segment] = slots;
    }

    /// All entries, to be dropped one by one.
    pub(crate) fn into_slots(self) -> Vec<Slots<K, V>> {
        self.slots
    }

    /// Removes what a segment has of `groups`.
    pub(crate) fn remove_groups(&mut self, number: usize, groups: &KeyGroupSet) {
        let max = self.layout.max_parallelism();
        let leaves = |key: &K| groups.contains(key.state_hash().group(max));
        let before = self.slots[number].len();
        self.extract_if(number, |entry| leaves(&entry.key), drop);
        let segment = &mut self.segments[number];
        segment.tombstones.remove(leaves);
        segment.account.kept(self.slots[number].len(), before);
    }

    /// About what the entries take in a snapshot, in bytes.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.segments().map(|(slots, segment)| segment.account.live_bytes(slots.len())).sum()
    }

    /// About what they take in memory, in bytes. What entries hold outside the table is extrapolated from the first ones.
    pub(crate) fn memory_bytes(&self, heap_bytes: fn(&K, &V) -> usize) -> usize {
        const SAMPLE: usize = 256;
        let inline: usize = self.slots.iter().map(|s| s.positions() * size_of::<Option<Entry<K, V>>>()).sum();
        let sample = || self.iter().take(SAMPLE);
        let heap: usize = sample().map(|entry| heap_bytes(&entry.key, &entry.value)).sum();
        let per_segment = size_of::<Slots<K, V>>() + size_of::<Segment<K>>();
        let beside: usize = self.segments.iter().map(|s| s.pending.len() + s.tombstones.bytes()).sum();
        let entries = inline + heap * self.len / sample().count().max(1);
        entries + beside + self.segments.len() * per_segment
    }

    /// Panics if the type's invariants are broken, where a complete checkpoint has ended epoch `base`.
    pub(crate) fn check_invariants(&self, base: Epoch) {
        let mut len = 0;
        for (number, (slots, segment)) in self.segments().enumerate() {
            slots.check_invariants();
            len += slots.len();
            for entry in slots.iter() {
                let place = self.place(entry.key.state_hash());
                let here = Place { segment: number, tag: entry.tag };
                assert_eq!(place, here, "an entry is in the wrong place");
            }
            // One that a later snapshot has written as well may be in the complete one.
            let changed = |mark: Mark| mark > Mark::written(base) && !mark.is_written();
            let changed = slots.iter().filter(|entry| changed(entry.mark)).count();
            let counted = segment.account.changed();
            assert!(changed <= counted, "segment {number} has {changed} changed entries, counted {counted}");
            segment.tombstones.check_invariants();
        }
        assert_eq!(len, self.len);
    }
}
