//! The entries of one segment: an open-addressing hash table with linear probing and inline entries.
//!
//! The ideal position of an entry is *monotone* in its tag: `tag · capacity / 2^32`. So the array is ordered by
//! tag, except within a run of occupied slots. Growing it is one linear pass without hashing, and a snapshot can
//! remember its position as a tag, which stays valid when the array grows. Probing does not wrap around: spare
//! slots behind the capacity take entries that overflow at the end.
//!
//! # Invariants
//! - All slots from an entry's ideal position to the entry are occupied.
//! - `len` slots are occupied, at most three quarters of `capacity`.

use crate::mark::Mark;
use crate::prefetch::prefetch;

/// The number of different tags.
pub(crate) const TAGS: u64 = 1 << 32;

const SPARE: usize = 24;
const SMALLEST: u32 = 8;
/// An insertion that passes more entries shows that tags are not spread evenly: at a load of 3/4, one in many billions
/// does.
const LONG_PROBE: usize = 128;
/// The array grows for uneven tags only up to this many slots for each entry, because nothing helps against equal tags.
const MOST_ROOM: u32 = 64;

/// An entry. The fields are in this order so that a look-up mostly stays within one cache line.
#[repr(C)]
pub(crate) struct Entry<K, V> {
    pub(crate) mark: Mark,
    pub(crate) tag: u32,
    pub(crate) key: K,
    pub(crate) value: V,
}

pub(crate) struct Slots<K, V> {
    /// `capacity` ideal positions and the spare slots behind them; empty if the capacity is 0.
    slots: Box<[Option<Entry<K, V>>]>,
    capacity: u32,
    len: u32,
}

impl<K, V> Default for Slots<K, V> {
    fn default() -> Self {
        Self { slots: Box::default(), capacity: 0, len: 0 }
    }
}

impl<K: Eq, V> Slots<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// The number of positions: all slots, spare ones included.
    pub(crate) fn positions(&self) -> usize {
        self.slots.len()
    }

    #[inline]
    pub(crate) fn home(&self, tag: u64) -> usize {
        ((tag * u64::from(self.capacity)) >> 32) as usize
    }

    /// The lowest tag whose ideal position is `position` or beyond; [`TAGS`] if there is none.
    pub(crate) fn lowest_tag(&self, position: usize) -> u64 {
        match u64::from(self.capacity) {
            0 => TAGS,
            capacity => ((position as u64) << 32).div_ceil(capacity).min(TAGS),
        }
    }

    #[inline]
    pub(crate) fn find(&self, tag: u32, key: &K) -> Option<usize> {
        self.find_by(tag, |other| other == key)
    }

    /// As [`find`](Self::find), for the key of which `is` is true.
    #[inline]
    pub(crate) fn find_by(&self, tag: u32, is: impl Fn(&K) -> bool) -> Option<usize> {
        let mut position = self.home(u64::from(tag));
        while let Some(Some(entry)) = self.slots.get(position) {
            if entry.tag == tag && is(&entry.key) {
                return Some(position);
            }
            position += 1;
        }
        None
    }

    /// Prefetches the memory that a search for `tag` reads first.
    #[inline]
    pub(crate) fn prefetch(&self, tag: u32) {
        let home = self.home(u64::from(tag));
        prefetch(&self.slots, home);
        prefetch(&self.slots, home + 2);
    }

    #[inline]
    pub(crate) fn at(&self, position: usize) -> Option<&Entry<K, V>> {
        self.slots.get(position)?.as_ref()
    }

    #[inline]
    pub(crate) fn at_mut(&mut self, position: usize) -> Option<&mut Entry<K, V>> {
        self.slots.get_mut(position)?.as_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry<K, V>> {
        self.slots.iter().flatten()
    }

    /// Inserts an entry whose key is not in the segment. Returns its position.
    pub(crate) fn insert(&mut self, entry: Entry<K, V>) -> usize {
        if (u64::from(self.len) + 1) * 4 > u64::from(self.capacity) * 3 {
            self.resize((self.capacity + self.capacity / 2).max(SMALLEST));
        }
        let (home, mut position) = (self.home(u64::from(entry.tag)), self.free_position(entry.tag));
        // Entries that come in the order of their tags, such as those of a snapshot, first fill a part of the array
        // that is too small for them. It will have to grow in any case, so it grows now.
        if position - home > LONG_PROBE && self.capacity / MOST_ROOM < self.len {
            self.resize(self.capacity + self.capacity / 2);
            position = self.free_position(entry.tag);
        }
        self.len += 1;
        self.put(position, entry);
        position
    }

    /// Whether entries would be close to their positions with this capacity. They are not if the others were removed in
    /// the order of their tags: the rest needs the part of the array in which it is.
    fn would_fit(&self, capacity: u32) -> bool {
        let mut free = 0;
        self.iter().all(|entry| {
            let home = ((u64::from(entry.tag) * u64::from(capacity)) >> 32) as usize;
            free = free.max(home) + 1;
            free - home <= LONG_PROBE
        })
    }

    /// Removes the entry at an occupied position and closes the gap.
    pub(crate) fn remove(&mut self, position: usize) -> Entry<K, V> {
        let entry = self.slots[position].take().expect("the caller found an entry here");
        self.len -= 1;
        self.close(position);
        let enough = (self.len * 4).max(SMALLEST);
        // The question is asked again when half of the entries are left, because the answer takes a pass.
        if self.len < self.capacity / 8
            && enough < self.capacity
            && (self.len == 0 || self.len.is_power_of_two())
            && self.would_fit(enough)
        {
            self.resize(enough);
        }
        entry
    }

    /// Removes the entries for which `leaves` is true and shrinks the array.
    pub(crate) fn extract_if(
        &mut self,
        mut leaves: impl FnMut(&Entry<K, V>) -> bool,
        mut taken: impl FnMut(Entry<K, V>),
    ) {
        let before = self.len;
        for slot in &mut self.slots {
            if let Some(entry) = slot.take_if(|entry| leaves(entry)) {
                taken(entry);
                self.len -= 1;
            }
        }
        if self.len < before {
            self.resize(if self.len == 0 { 0 } else { (self.len * 2).max(SMALLEST) });
        }
    }

    /// All slots, for the caller to drop one by one.
    pub(crate) fn into_slots(self) -> std::vec::IntoIter<Option<Entry<K, V>>> {
        self.slots.into_vec().into_iter()
    }

    /// Moves entries behind a hole forward, so that a search, which ends at an empty slot, still finds them.
    fn close(&mut self, mut hole: usize) {
        for position in hole + 1..self.slots.len() {
            let Some(entry) = &self.slots[position] else { return };
            if self.home(u64::from(entry.tag)) <= hole {
                self.slots.swap(hole, position);
                hole = position;
            }
        }
    }

    fn resize(&mut self, capacity: u32) {
        let positions = if capacity == 0 { 0 } else { capacity as usize + SPARE };
        let old = std::mem::replace(&mut self.slots, (0..positions).map(|_| None).collect());
        self.capacity = capacity;
        for entry in old.into_iter().flatten() {
            self.place(entry);
        }
    }

    fn place(&mut self, entry: Entry<K, V>) {
        let position = self.free_position(entry.tag);
        self.put(position, entry);
    }

    /// The first position from the ideal one on that is not occupied, which may be behind the last slot.
    fn free_position(&self, tag: u32) -> usize {
        let mut position = self.home(u64::from(tag));
        while self.at(position).is_some() {
            position += 1;
        }
        position
    }

    fn put(&mut self, position: usize, entry: Entry<K, V>) {
        if position == self.slots.len() {
            self.add_spare();
        }
        self.slots[position] = Some(entry);
    }

    /// Adds spare slots but no capacity, because more capacity would not spread keys with equal tags.
    #[cold]
    fn add_spare(&mut self) {
        let positions = self.slots.len() + self.slots.len() / 2;
        let mut slots = std::mem::take(&mut self.slots).into_vec();
        slots.resize_with(positions, || None);
        self.slots = slots.into_boxed_slice();
    }

    /// Panics if the type's invariants are broken.
    pub(crate) fn check_invariants(&self) {
        assert_eq!(self.iter().count(), self.len());
        assert!(self.len * 4 <= self.capacity * 3, "{} entries in {} slots", self.len, self.capacity);
        for (position, entry) in self.slots.iter().enumerate().filter_map(|(i, e)| Some((i, e.as_ref()?))) {
            let home = self.home(u64::from(entry.tag));
            let reachable = home <= position && self.slots[home..position].iter().all(Option::is_some);
            assert!(reachable, "tag {:x} at {position} cannot be reached from {home}", entry.tag);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mark::Epoch;

    fn entry(tag: u32, key: u32) -> Entry<u32, u32> {
        Entry { mark: Mark::changed(Epoch::FIRST), tag, key, value: key }
    }

    #[test]
    fn an_entry_of_two_words_takes_three() {
        assert_eq!(size_of::<Option<Entry<u64, u64>>>(), 24);
        assert_eq!(size_of::<Slots<u64, u64>>(), 24);
    }

    #[test]
    fn equal_tags_and_the_last_tag_find_room() {
        for tag in [0, 7, u32::MAX] {
            let mut slots = Slots::default();
            (0..300).for_each(|key| {
                slots.insert(entry(tag, key));
            });
            slots.check_invariants();
            for key in (0..300).step_by(3) {
                slots.remove(slots.find(tag, &key).unwrap());
                slots.check_invariants();
            }
            assert_eq!((0..300).filter(|key| slots.find(tag, key).is_some()).count(), 200);
        }
    }

    #[test]
    fn an_emptied_array_frees_its_memory() {
        let mut slots = Slots::default();
        let tag = |key: u32| key.wrapping_mul(0x9e37_79b9);
        (0..1000).for_each(|key| {
            slots.insert(entry(tag(key), key));
        });
        for key in 0..1000 {
            slots.remove(slots.find(tag(key), &key).unwrap());
            slots.check_invariants();
        }
        assert_eq!(slots.positions(), SMALLEST as usize + SPARE);
    }

    /// A restore inserts the entries of a segment in the order of their tags, and walks remove them in that order. With one
    /// key that has many entries, a segment is large.
    #[test]
    fn entries_in_the_order_of_their_tags_are_not_far_from_their_positions() {
        const ENTRIES: u32 = 100_000;
        let tag = |n: u32| n * (u32::MAX / ENTRIES);
        let farthest = |slots: &Slots<u32, u32>| {
            let distance = |(position, slot): (usize, &Option<Entry<u32, u32>>)| {
                slot.as_ref().map(|entry| position - slots.home(u64::from(entry.tag)))
            };
            slots.slots.iter().enumerate().filter_map(distance).max()
        };
        let mut slots = Slots::default();
        for n in 0..ENTRIES {
            slots.insert(entry(tag(n), n));
            // In the beginning there is not yet enough room.
            if n > ENTRIES / 32 && n % 100 == 0 {
                assert!(farthest(&slots) <= Some(LONG_PROBE), "after {n}: {:?}", farthest(&slots));
            }
        }
        slots.check_invariants();
        assert!(slots.positions() < 4 * ENTRIES as usize, "{} positions", slots.positions());
        for n in 0..ENTRIES {
            slots.remove(slots.find(tag(n), &n).unwrap());
            assert!(n % 100 != 0 || farthest(&slots) <= Some(LONG_PROBE), "at {n}: {:?}", farthest(&slots));
        }
        assert_eq!(slots.positions(), SMALLEST as usize + SPARE);
    }

    #[test]
    fn a_position_and_its_lowest_tag_agree() {
        for capacity in [8u32, 12, 18, 1000, 77777] {
            let mut slots = Slots::<u32, u32>::default();
            slots.resize(capacity);
            for position in (0..capacity as usize).step_by(7) {
                let tag = slots.lowest_tag(position);
                assert_eq!(slots.home(tag), position);
                assert!(tag == 0 || slots.home(tag - 1) < position);
            }
            assert_eq!(slots.lowest_tag(capacity as usize), TAGS);
        }
    }
}
