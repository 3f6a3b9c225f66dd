//! The entries of a table by segment, with the data that snapshots keep for each segment.

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
    /// The part that each record accesses. Apart from the rest, so that it stays in the nearest cache.
    slots: Vec<Slots<K, V>>,
    segments: Vec<Segment<K>>,
    len: usize,
}

/// The part of a segment that only snapshots need.
pub(crate) struct Segment<K> {
    pub(crate) tombstones: Tombstones<K>,
    /// Earlier values of entries that changed before the snapshot under way reached them.
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

    /// Empty entries for the same table.
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

    /// The site of a segment, for errors.
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

    /// The entry at the position that `find` has returned.
    #[inline]
    pub(crate) fn entry(&self, segment: usize, position: usize) -> &Entry<K, V> {
        self.slots[segment].at(position).expect("find returns an occupied slot")
    }

    /// As [`entry`](Self::entry), to change.
    #[inline]
    pub(crate) fn entry_mut(&mut self, segment: usize, position: usize) -> &mut Entry<K, V> {
        self.slots[segment].at_mut(position).expect("find returns an occupied slot")
    }

    /// As [`entry`](Self::entry), with the pending entries of its segment.
    pub(crate) fn entry_and_pending(
        &mut self,
        segment: usize,
        position: usize,
    ) -> (&Entry<K, V>, &mut Pending) {
        let entry = self.slots[segment].at(position).expect("find returns an occupied slot");
        (entry, &mut self.segments[segment].pending)
    }

    /// Drops the tombstones of segments in which they take more memory than the live entries and `most` bytes,
    /// because while checkpoints fail they would grow without limit. Such a segment is written in full from
    /// `epoch` on, which makes its tombstones unnecessary.
    pub(crate) fn forget_tombstones(&mut self, epoch: Epoch, most: usize) {
        for (slots, segment) in self.slots.iter().zip(&mut self.segments) {
            let live = segment.account.live_bytes(slots.len()) as usize;
            if segment.tombstones.bytes() > live + most {
                segment.tombstones.clear();
                segment.account.rewrite_from(epoch);
            }
        }
    }

    /// The entry at a position, if the slot is occupied.
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

    /// The slots of each segment, with its other data.
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

    /// Adds an entry whose key is not in the table. Returns its position in its segment.
    pub(crate) fn insert(&mut self, segment: usize, entry: Entry<K, V>) -> usize {
        self.len += 1;
        self.slots[segment].insert(entry)
    }

    /// Removes the entry at an occupied position.
    pub(crate) fn remove(&mut self, segment: usize, position: usize) -> Entry<K, V> {
        self.len -= 1;
        self.slots[segment].remove(position)
    }

    /// Removes the entries of a segment for which `leaves` is true, and passes them to `taken`.
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

    /// Removes all entries of a segment at once.
    pub(crate) fn take_slots(&mut self, segment: usize) -> Slots<K, V> {
        let slots = std::mem::take(&mut self.slots[segment]);
        self.len -= slots.len();
        slots
    }

    /// Sets the entries of an empty segment.
    pub(crate) fn put_slots(&mut self, segment: usize, slots: Slots<K, V>) {
        debug_assert_eq!(self.slots[segment].len(), 0, "entries would be lost");
        self.len += slots.len();
        self.slots[segment] = slots;
    }

    /// All entries, for the caller to drop one by one.
    pub(crate) fn into_slots(self) -> Vec<Slots<K, V>> {
        self.slots
    }

    /// Removes the entries and tombstones of `groups` from a segment.
    pub(crate) fn remove_groups(&mut self, number: usize, groups: &KeyGroupSet) {
        let max = self.layout.max_parallelism();
        let leaves = |key: &K| groups.contains(key.state_hash().group(max));
        let before = self.slots[number].len();
        self.extract_if(number, |entry| leaves(&entry.key), drop);
        let segment = &mut self.segments[number];
        segment.tombstones.remove(leaves);
        segment.account.kept(self.slots[number].len(), before);
    }

    /// The estimated length of all entries in a snapshot, in bytes.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.segments().map(|(slots, segment)| segment.account.live_bytes(slots.len())).sum()
    }

    /// The estimated memory of all entries, in bytes. Memory that entries own outside the table is extrapolated
    /// from the first ones.
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

    /// Panics if the type's invariants are violated. `base` is the last complete epoch.
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
            // An entry that a later snapshot has written may also be in the complete one, so it need not be
            // counted.
            let changed = |mark: Mark| mark > Mark::written(base) && !mark.is_written();
            let changed = slots.iter().filter(|entry| changed(entry.mark)).count();
            let counted = segment.account.changed();
            assert!(changed <= counted, "segment {number} has {changed} changed entries, counted {counted}");
            segment.tombstones.check_invariants();
        }
        assert_eq!(len, self.len);
    }
}
