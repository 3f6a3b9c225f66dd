//! What an index has for each key of the stream.
//!
//! It is divided into segments as the table is. So it grows in short pauses, and what belongs to a key group is
//! removed as fast as the table's entries are.

use crate::handover::Discarded;
use crate::layout::SegmentLayout;
use crate::mark::{Epoch, Mark};
use crate::slots::{Entry, Slots};
use reflow_types::{Key, KeyGroupSet, KeyHash};

/// A `P` for each key of the stream that has entries in a table.
pub(crate) struct PerKey<K, P> {
    layout: Option<SegmentLayout>,
    slots: Vec<Slots<K, P>>,
    discarded: Discarded<K, P>,
}

impl<K, P> Default for PerKey<K, P> {
    fn default() -> Self {
        Self { layout: None, slots: Vec::new(), discarded: Discarded::new() }
    }
}

impl<K: Key, P> PerKey<K, P> {
    pub(crate) fn set_layout(&mut self, layout: SegmentLayout) {
        self.slots = (0..layout.segments()).map(|_| Slots::default()).collect();
        self.layout = Some(layout);
    }

    #[inline]
    fn layout(&self) -> &SegmentLayout {
        self.layout.as_ref().expect("the layout is set when the index is put over its table")
    }

    /// The `P` of a key.
    #[inline]
    pub(crate) fn get(&self, hash: KeyHash, key: &K) -> Option<&P> {
        let place = self.layout().place(hash);
        let slots = &self.slots[place.segment];
        slots.at(slots.find(place.tag, key)?).map(|entry| &entry.value)
    }

    /// As [`get`](Self::get), to change.
    pub(crate) fn get_mut(&mut self, hash: KeyHash, key: &K) -> Option<&mut P> {
        let place = self.layout().place(hash);
        let slots = &mut self.slots[place.segment];
        slots.at_mut(slots.find(place.tag, key)?).map(|entry| &mut entry.value)
    }

    /// As [`get`](Self::get), to change. `init` makes it if there is none.
    pub(crate) fn upsert(&mut self, hash: KeyHash, key: &K, init: impl FnOnce() -> P) -> &mut P {
        let place = self.layout().place(hash);
        let slots = &mut self.slots[place.segment];
        let position = slots.find(place.tag, key).unwrap_or_else(|| {
            let mark = Mark::clean(Epoch::LOADED); // of no use here
            slots.insert(Entry { mark, tag: place.tag, key: key.clone(), value: init() })
        });
        &mut slots.at_mut(position).expect("it was found or inserted there").value
    }

    pub(crate) fn remove(&mut self, hash: KeyHash, key: &K) -> Option<P> {
        let place = self.layout().place(hash);
        let slots = &mut self.slots[place.segment];
        let position = slots.find(place.tag, key)?;
        Some(slots.remove(position).value)
    }

    pub(crate) fn clear(&mut self) {
        if let Some(layout) = self.layout {
            self.set_layout(layout);
        }
    }

    pub(crate) fn release(&mut self, groups: &KeyGroupSet) {
        let layout = *self.layout();
        let max = layout.max_parallelism();
        for (number, slots) in (0..layout.segments()).zip(&mut self.slots) {
            let (first, last) = layout.groups(number);
            if groups.contains_range(first, last) {
                self.discarded.add(std::mem::take(slots));
            } else if groups.intersects(first, last) {
                slots.extract_if(|entry| groups.contains(entry.key.key_hash().group(max)), drop);
            }
        }
    }

    pub(crate) fn discard(&mut self, budget: usize) -> bool {
        self.discarded.free(budget)
    }

    /// The memory of the array, in bytes, without what each `P` owns.
    pub(crate) fn memory_bytes(&self) -> usize {
        let positions: usize = self.slots.iter().map(Slots::positions).sum();
        positions * size_of::<Option<Entry<K, P>>>() + self.slots.len() * size_of::<Slots<K, P>>()
    }

    /// Each `P`.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &P> {
        self.slots.iter().flat_map(Slots::iter).map(|entry| &entry.value)
    }
}
