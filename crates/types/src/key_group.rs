//! Key groups: the unit of ownership, of snapshots and of migration.

use crate::MaxParallelism;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The stable 64-bit hash of a key ([`crate::key::Key::key_hash`]).
///
/// Bits 24–55 determine the key group. Tables in memory use the other bits, so that keys of one group spread over a
/// table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyHash(pub u64);

impl KeyHash {
    /// The key group of a key with this hash.
    #[inline]
    pub fn group(self, max: MaxParallelism) -> KeyGroup {
        KeyGroup(((u64::from((self.0 >> 24) as u32) * u64::from(max.get())) >> 32) as u16)
    }
}

/// A key group, 0 … max parallelism − 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyGroup(pub u16);

impl fmt::Display for KeyGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of key groups, as sorted, disjoint, non-adjacent inclusive ranges.
///
/// # Invariants
/// For each pair of neighbours: `a.last + 1 < b.first`; within each: `first <= last`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct KeyGroupSet {
    ranges: Vec<(u16, u16)>,
}

/// A set from a file or a peer, before its invariants are checked.
#[derive(Deserialize)]
struct Unchecked {
    ranges: Vec<(u16, u16)>,
}

impl TryFrom<Unchecked> for KeyGroupSet {
    type Error = &'static str;
    fn try_from(Unchecked { ranges }: Unchecked) -> Result<Self, Self::Error> {
        let ordered = ranges.iter().all(|(first, last)| first <= last)
            && ranges.windows(2).all(|w| u32::from(w[0].1) + 1 < u32::from(w[1].0));
        if ordered { Ok(Self { ranges }) } else { Err("a set of key groups whose ranges are out of order") }
    }
}

impl KeyGroupSet {
    /// All groups of a vertex.
    pub fn all(max: MaxParallelism) -> Self {
        Self { ranges: vec![(0, (max.get() - 1) as u16)] }
    }

    /// Whether `group` is in the set.
    pub fn contains(&self, group: KeyGroup) -> bool {
        let next = self.ranges.partition_point(|&(first, _)| first <= group.0);
        next > 0 && group.0 <= self.ranges[next - 1].1
    }

    /// How many groups are in the set.
    pub fn len(&self) -> usize {
        self.ranges.iter().map(|&(first, last)| usize::from(last - first) + 1).sum()
    }

    /// Whether no group is in the set.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The groups in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = KeyGroup> + '_ {
        self.ranges.iter().flat_map(|&(first, last)| (first..=last).map(KeyGroup))
    }

    /// Sorted, disjoint, inclusive ranges.
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.ranges
    }

    /// The groups in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut ranges = Vec::new();
        let (mut i, mut j) = (0, 0);
        while let (Some(&(a, b)), Some(&(c, d))) = (self.ranges.get(i), other.ranges.get(j)) {
            let (first, last) = (a.max(c), b.min(d));
            if first <= last {
                ranges.push((first, last));
            }
            if b < d { i += 1 } else { j += 1 }
        }
        Self { ranges }
    }

    /// Whether some group within `first ..= last` is in the set.
    pub fn intersects(&self, first: KeyGroup, last: KeyGroup) -> bool {
        let next = self.ranges.partition_point(|&(start, _)| start <= last.0);
        next > 0 && self.ranges[next - 1].1 >= first.0
    }

    /// Whether all groups from `first` to `last` are in the set.
    #[inline]
    pub fn contains_range(&self, first: KeyGroup, last: KeyGroup) -> bool {
        let next = self.ranges.partition_point(|&(start, _)| start <= first.0);
        next > 0 && self.ranges[next - 1].1 >= last.0
    }

    /// Panics if the ranges break the type's invariants.
    pub fn check_invariants(&self) {
        assert!(self.ranges.iter().all(|(first, last)| first <= last), "a range is reversed: {self:?}");
        let gaps = self.ranges.windows(2).all(|w| u32::from(w[0].1) + 1 < u32::from(w[1].0));
        assert!(gaps, "ranges touch or are out of order: {self:?}");
    }
}

impl FromIterator<KeyGroup> for KeyGroupSet {
    fn from_iter<I: IntoIterator<Item = KeyGroup>>(groups: I) -> Self {
        let mut all: Vec<u16> = groups.into_iter().map(|g| g.0).collect();
        all.sort_unstable();
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for group in all {
            match ranges.last_mut() {
                Some((_, last)) if group <= last.saturating_add(1) => *last = group.max(*last),
                _ => ranges.push((group, group)),
            }
        }
        Self { ranges }
    }
}

/// No table of keyed state has more segments than this.
pub const MAX_SEGMENTS: u32 = 512;

/// The first and the last key group of a segment.
///
/// A table of keyed state is written in at most [`MAX_SEGMENTS`] segments, whatever the max parallelism: adjacent
/// groups share a segment where there are more groups than that, and a group is cut into several where there are
/// fewer. It depends on the max parallelism only, so that a segment's number means the same in every process, and
/// is part of the format of checkpoints. `None` for a number that no segment has.
pub fn segment_groups(max: MaxParallelism, segment: u16) -> Option<(KeyGroup, KeyGroup)> {
    let groups = max.get();
    let split = (MAX_SEGMENTS / groups).checked_ilog2().unwrap_or(0);
    let join = groups.div_ceil(MAX_SEGMENTS).next_power_of_two().ilog2();
    let (first, last) = (u32::from(segment) << join, (u32::from(segment) << join) + (1 << join) - 1);
    let (first, last) = (first >> split, (last >> split).min(groups - 1));
    (first < groups).then_some((KeyGroup(first as u16), KeyGroup(last as u16)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn set(groups: &[u16]) -> KeyGroupSet {
        groups.iter().copied().map(KeyGroup).collect()
    }

    #[test]
    fn sets_behave_like_sets() {
        let cases: [&[u16]; 6] = [&[], &[0], &[0, 1, 2], &[5, 1, 3, 1], &[0, 2, 4, 5, 6], &[7, 8, 32767]];
        for a in cases {
            let sa = set(a);
            sa.check_invariants();
            let ma: BTreeSet<u16> = a.iter().copied().collect();
            assert_eq!(sa.iter().map(|g| g.0).collect::<BTreeSet<_>>(), ma);
            assert_eq!(sa.len(), ma.len());
            for g in 0..10 {
                assert_eq!(sa.contains(KeyGroup(g)), ma.contains(&g));
            }
            for b in cases {
                let both = sa.intersection(&set(b));
                both.check_invariants();
                let model: Vec<u16> = ma.iter().copied().filter(|g| b.contains(g)).collect();
                assert_eq!(both.iter().map(|g| g.0).collect::<Vec<_>>(), model);
            }
            for first in 0..8 {
                for last in first..8 {
                    let model = ma.range(first..=last).next().is_some();
                    assert_eq!(sa.intersects(KeyGroup(first), KeyGroup(last)), model);
                    let all = (first..=last).all(|group| ma.contains(&group));
                    assert_eq!(sa.contains_range(KeyGroup(first), KeyGroup(last)), all);
                }
            }
        }
    }

    /// The group of a hash must never change between releases.
    #[test]
    fn groups_of_hashes_are_pinned() {
        let max = |n| MaxParallelism::new(n).unwrap();
        assert_eq!(KeyHash(0).group(max(128)), KeyGroup(0));
        assert_eq!(KeyHash(u64::MAX).group(max(128)), KeyGroup(127));
        assert_eq!(KeyHash(u64::MAX).group(max(32768)), KeyGroup(32767));
        assert_eq!(KeyHash(0x0080_0000_0000_0000 >> 1).group(max(128)), KeyGroup(32));
        assert_eq!(KeyHash(0x1234_5678_9abc_def0).group(max(4096)), KeyGroup(0x345));
    }

    #[test]
    fn segments_cover_the_groups_in_order() {
        for (groups, segments, third) in [
            (1, 512, (0, 0)),
            (128, 512, (0, 0)),
            (512, 512, (2, 2)),
            (720, 360, (4, 5)),
            (32768, 512, (128, 191)),
        ] {
            let max = MaxParallelism::new(groups).unwrap();
            assert_eq!(segment_groups(max, 2), Some((KeyGroup(third.0), KeyGroup(third.1))), "{groups}");
            assert_eq!(segment_groups(max, segments), None, "{groups}");
            let (_, last) = segment_groups(max, segments - 1).unwrap();
            assert_eq!(u32::from(last.0), groups - 1);
        }
    }
}
