//! The layout of a table: the segment and the 32-bit tag that belong to the hash of a key.
//!
//! A table has at most [`MAX_SEGMENTS`] segments, whatever the max parallelism. With more key groups, several
//! adjacent groups share a segment; with fewer, a group is divided into several segments. So growing or rewriting
//! a segment concerns only a small part of the state, and a record costs the same instructions at max parallelism
//! 128 and 32768.

use reflow_types::{KeyGroup, KeyHash, MaxParallelism};

/// The largest number of segments of a table.
pub const MAX_SEGMENTS: u32 = 512;

/// The mapping of hashes to segments.
///
/// # Invariants
/// - The segments of a lower key group come before those of a higher one.
/// - The layout depends only on the max parallelism, so that a segment's number means the same in every process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentLayout {
    max: MaxParallelism,
    scale: u64,
    shift: u32,
    segments: u32,
}

/// The place of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: usize,
    /// The 32 bits of the hash that do not determine the key group.
    pub(crate) tag: u32,
}

impl SegmentLayout {
    /// The layout for a vertex with `max` key groups.
    pub fn new(max: MaxParallelism) -> Self {
        let groups = max.get();
        let split = (MAX_SEGMENTS / groups).checked_ilog2().unwrap_or(0);
        let join = groups.div_ceil(MAX_SEGMENTS).next_power_of_two().ilog2();
        let segments = (groups << split).div_ceil(1 << join);
        Self { max, scale: u64::from(groups) << split, shift: 32 + join, segments }
    }

    /// The max parallelism that this layout is for.
    pub fn max_parallelism(&self) -> MaxParallelism {
        self.max
    }

    /// The number of segments.
    pub fn segments(&self) -> u16 {
        self.segments as u16
    }

    /// The first and the last key group of a segment.
    pub fn groups(&self, segment: u16) -> (KeyGroup, KeyGroup) {
        let split = self.scale / u64::from(self.max.get());
        let join = 1u64 << (self.shift - 32);
        let first = u64::from(segment) * join / split;
        let last = (u64::from(segment) * join + join - 1) / split;
        (KeyGroup(first as u16), KeyGroup(last.min(u64::from(self.max.get()) - 1) as u16))
    }

    /// The segment of a key with this hash.
    pub fn segment(&self, hash: KeyHash) -> u16 {
        self.place(hash).segment as u16
    }

    #[inline]
    pub(crate) fn place(&self, hash: KeyHash) -> Place {
        let h = hash.0;
        let segment = (u64::from((h >> 24) as u32) * self.scale) >> self.shift;
        Place { segment: segment as usize, tag: (h as u32 & 0x00ff_ffff) | (((h >> 56) as u32) << 24) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_follow_groups() {
        for groups in [1, 2, 3, 127, 128, 129, 511, 512, 513, 720, 4096, 32767, 32768] {
            let layout = SegmentLayout::new(MaxParallelism::new(groups).unwrap());
            assert!((1..=512).contains(&layout.segments()), "{groups} groups");
            assert!(layout.segments() > 256, "{groups} groups give only {} segments", layout.segments());
            let mut next = 0;
            for segment in 0..layout.segments() {
                let (first, last) = layout.groups(segment);
                assert!(first <= last && (first.0 == next || first.0 + 1 == next), "{groups}: {segment}");
                next = last.0 + 1;
            }
            assert_eq!(u32::from(next), groups);
            for i in 0..10_000u64 {
                let hash = KeyHash(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                let (first, last) = layout.groups(layout.place(hash).segment as u16);
                assert!((first..=last).contains(&hash.group(layout.max)));
            }
            layout.place(KeyHash(u64::MAX));
            assert_eq!(layout.place(KeyHash(u64::MAX)).segment, usize::from(layout.segments()) - 1);
        }
    }
}
