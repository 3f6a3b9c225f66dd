//! The chain of an owner: the runs that contain the state of its key groups.
//!
//! A checkpoint writes, per table and segment, either a full run or an increment; what restores a segment is its
//! last full run and the increments since. A segment may hold several key groups, and after a rescale those may
//! come from several former owners with different runs. So a segment is kept as *strands*: disjoint sets of groups,
//! each with its runs per table. A run of the present owner is added to all strands of the segment; a full run
//! makes the strands equal, and they become one.
//!
//! ```
//! use reflow_coordination::checkpoint::chain::Chain;
//! use reflow_protocol::snapshot::Run;
//! use reflow_types::{KeyGroup, KeyGroupSet, MaxParallelism};
//!
//! let max = MaxParallelism::UPPER_BOUND; // a segment has 64 groups
//! let groups = |first, last| (first..=last).map(KeyGroup).collect::<KeyGroupSet>();
//! let run = |full| [Run { table: 0, segment: 0, full, offset: 0, len: 1 }];
//! // The objects that restore each part of a chain.
//! let objects = |chain: &Chain| -> Vec<String> {
//!     let of_part = |part: &reflow_coordination::manifest::OwnedRuns| {
//!         let runs = part.segments.iter().flat_map(|segment| &segment.runs);
//!         runs.map(|run| run.object.as_str()).collect::<Vec<_>>().join("+")
//!     };
//!     chain.parts().iter().map(of_part).collect()
//! };
//!
//! // Two owners share segment 0. The second writes it in full and then an increment.
//! let (mut one, mut two) = (Chain::new(groups(0, 31), max), Chain::new(groups(32, 63), max));
//! one.append("a", &run(true));
//! two.append("b", &run(true));
//! two.append("c", &run(false));
//! assert_eq!(objects(&two), ["b+c"]);
//!
//! // A rescale gives all groups to one owner: two strands, and its increment is added to both.
//! let former = [one.parts(), two.parts()].concat();
//! let mut owner = Chain::inherit(groups(0, 63), max, &former);
//! owner.append("d", &run(false));
//! assert_eq!(objects(&owner), ["a+d", "b+c+d"]);
//!
//! // Its full run replaces them all.
//! owner.append("e", &run(true));
//! assert_eq!(objects(&owner), ["e"]);
//! ```
//!
//! Rejected: one list of runs for each former owner, in front of the owner's own. Its order would bind readers
//! across parts, and it would grow with each rescale. Strands keep parts independent of each other, at the price
//! of reading a segment at the border of two former owners once for each of them until it is written in full.

use crate::manifest::{OwnedRuns, SegmentRuns};
use reflow_protocol::snapshot::{Run, RunRef};
use reflow_types::key_group::segment_groups;
use reflow_types::{KeyGroup, KeyGroupSet, MaxParallelism};
use std::collections::BTreeMap;

/// The runs of one owner.
///
/// # Invariants
/// - The strands of a segment are disjoint, not empty, and no two have the same runs.
/// - All groups of a segment's strands are the owner's, and of that segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    owned: KeyGroupSet,
    max: MaxParallelism,
    segments: BTreeMap<u16, Vec<Strand>>,
}

/// Groups of a segment that have the same history.
#[derive(Clone, Debug, PartialEq)]
struct Strand {
    groups: KeyGroupSet,
    tables: BTreeMap<u16, Vec<RunRef>>,
}

impl Chain {
    /// A chain without runs.
    pub fn new(owned: KeyGroupSet, max: MaxParallelism) -> Self {
        Self { owned, max, segments: BTreeMap::new() }
    }

    /// The chain of a new owner of the groups `owned`, with the runs of the `former` owners. Segments that the
    /// max parallelism does not have are skipped: [`restore::plan`](crate::restore::plan) refuses them.
    pub fn inherit(owned: KeyGroupSet, max: MaxParallelism, former: &[OwnedRuns]) -> Self {
        let mut chain = Self::new(owned, max);
        for part in former {
            let shared = part.groups.intersection(&chain.owned);
            if shared.is_empty() {
                continue;
            }
            let mut strands: BTreeMap<u16, Strand> = BTreeMap::new();
            for piece in &part.segments {
                let Some(groups) = within(&shared, max, piece.segment) else { continue };
                let strand = Strand { groups, tables: BTreeMap::new() };
                let strand = strands.entry(piece.segment).or_insert(strand);
                strand.tables.entry(piece.table).or_default().extend(piece.runs.iter().cloned());
            }
            for (segment, strand) in strands {
                chain.segments.entry(segment).or_default().push(strand);
            }
        }
        chain.segments.values_mut().for_each(unify);
        chain
    }

    /// The chain of the same groups without runs.
    pub fn cleared(&self) -> Self {
        Self::new(self.owned.clone(), self.max)
    }

    /// The chain of an owner that has lost all its groups.
    pub fn of_nothing(&self) -> Self {
        Self::new(KeyGroupSet::default(), self.max)
    }

    /// The groups of the owner.
    pub fn owned(&self) -> &KeyGroupSet {
        &self.owned
    }

    /// Adds the runs that the owner has written to `object` for one checkpoint. A run follows the previous run of
    /// its segment and table.
    pub fn append(&mut self, object: &str, runs: &[Run]) {
        for run in runs {
            let Some(groups) = within(&self.owned, self.max, run.segment) else { continue };
            let strands = self.segments.entry(run.segment).or_default();
            let rest: KeyGroupSet =
                groups.iter().filter(|&group| !strands.iter().any(|s| s.groups.contains(group))).collect();
            if !rest.is_empty() {
                strands.push(Strand { groups: rest, tables: BTreeMap::new() });
            }
            for strand in strands.iter_mut() {
                let chain = strand.tables.entry(run.table).or_default();
                if run.full {
                    chain.clear();
                }
                if run.len > 0 {
                    let Run { table, segment, offset, len, .. } = *run;
                    chain.push(RunRef { object: object.to_owned(), table, segment, offset, len });
                }
            }
            unify(strands);
        }
    }

    /// The chain in the form of a manifest, with as few parts as the segment with the most strands has. The
    /// parts' groups are disjoint, and together they are the owner's.
    ///
    /// Groups of a segment that are in none of its strands have no state and must not be in a part with its runs,
    /// because these may contain entries that an earlier owner of the groups has removed since.
    pub fn parts(&self) -> Vec<OwnedRuns> {
        let empty = BTreeMap::new();
        let mut segments = Vec::with_capacity(self.segments.len());
        for (&segment, strands) in &self.segments {
            let with_runs = strands.iter().map(|strand| (strand.groups.clone(), &strand.tables));
            let rest = self.rest(segment, strands).map(|rest| (rest, &empty));
            segments.push((segment, with_runs.chain(rest).collect::<Vec<_>>()));
        }
        let count = segments.iter().map(|(_, pieces)| pieces.len()).max().unwrap_or(0).max(1);
        let mut parts: Vec<(Vec<KeyGroup>, Vec<SegmentRuns>)> = vec![Default::default(); count];
        for (segment, pieces) in segments {
            for (i, (piece, tables)) in pieces.into_iter().enumerate() {
                let (groups, segments) = &mut parts[i];
                groups.extend(piece.iter());
                segments.extend(tables.iter().map(|(&table, runs)| SegmentRuns {
                    segment,
                    table,
                    runs: runs.clone(),
                }));
            }
        }
        let others: KeyGroupSet =
            parts.iter().skip(1).flat_map(|(groups, _)| groups.iter().copied()).collect();
        let first: KeyGroupSet = self.owned.iter().filter(|&group| !others.contains(group)).collect();
        let part = |(i, (groups, segments)): (usize, (Vec<KeyGroup>, Vec<SegmentRuns>))| OwnedRuns {
            groups: if i == 0 { first.clone() } else { groups.into_iter().collect() },
            segments,
        };
        parts.into_iter().enumerate().map(part).collect()
    }

    /// The owner's groups of a segment that are in none of its strands.
    fn rest(&self, segment: u16, strands: &[Strand]) -> Option<KeyGroupSet> {
        let all = within(&self.owned, self.max, segment)?;
        let rest: KeyGroupSet =
            all.iter().filter(|&group| !strands.iter().any(|s| s.groups.contains(group))).collect();
        Some(rest).filter(|rest| !rest.is_empty())
    }

    /// The bytes that a restore reads.
    pub fn bytes(&self) -> u64 {
        let runs = self.segments.values().flatten().flat_map(|strand| strand.tables.values()).flatten();
        runs.map(|run| u64::from(run.len)).sum()
    }

    /// Panics if the type's invariants are violated.
    pub fn check_invariants(&self) {
        for (&segment, strands) in &self.segments {
            let groups =
                within(&self.owned, self.max, segment).expect("only segments of the owner have strands");
            for (i, strand) in strands.iter().enumerate() {
                assert!(!strand.groups.is_empty(), "segment {segment} has a strand without groups");
                assert_eq!(
                    strand.groups.intersection(&groups),
                    strand.groups,
                    "groups outside segment {segment}"
                );
                for other in &strands[..i] {
                    assert!(
                        strand.groups.intersection(&other.groups).is_empty(),
                        "strands of {segment} overlap"
                    );
                    assert_ne!(strand.tables, other.tables, "two strands of segment {segment} are one");
                }
            }
        }
    }
}

/// The groups of `set` in a segment, if any.
fn within(set: &KeyGroupSet, max: MaxParallelism, segment: u16) -> Option<KeyGroupSet> {
    let (first, last) = segment_groups(max, segment)?;
    let range: KeyGroupSet = (first.0..=last.0).map(KeyGroup).collect();
    Some(set.intersection(&range)).filter(|groups| !groups.is_empty())
}

/// Joins strands with the same runs, and drops empty ones.
fn unify(strands: &mut Vec<Strand>) {
    let mut unified: Vec<Strand> = Vec::with_capacity(strands.len());
    for mut strand in strands.drain(..) {
        strand.tables.retain(|_, runs| !runs.is_empty());
        match unified.iter_mut().find(|other| other.tables == strand.tables) {
            Some(other) => other.groups = other.groups.iter().chain(strand.groups.iter()).collect(),
            None => unified.push(strand),
        }
    }
    unified.retain(|strand| !strand.tables.is_empty());
    unified.sort_by_key(|strand| strand.groups.ranges()[0]);
    *strands = unified;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(first: u16, last: u16) -> KeyGroupSet {
        (first..=last).map(KeyGroup).collect()
    }

    fn run(table: u16, segment: u16, full: bool, len: u32) -> Run {
        Run { table, segment, full, offset: 0, len }
    }

    /// 32768 groups: segment 0 is groups 0 ... 63.
    fn check(chain: &Chain, expect: &str) {
        chain.check_invariants();
        let runs = |segment: &SegmentRuns| {
            let names: Vec<&str> = segment.runs.iter().map(|run| run.object.as_str()).collect();
            format!(" {}/{}:{}", segment.segment, segment.table, names.join("+"))
        };
        let text = chain.parts().into_iter().map(|part| {
            format!("{:?}{}", part.groups.ranges(), part.segments.iter().map(runs).collect::<String>())
        });
        assert_eq!(text.collect::<Vec<_>>().join(" | "), expect);
    }

    #[test]
    fn increments_follow_the_last_full_run_of_their_table() {
        let mut chain = Chain::new(groups(0, 127), MaxParallelism::UPPER_BOUND);
        check(&chain, "[(0, 127)]");
        chain.append("a", &[run(0, 0, true, 9), run(0, 1, true, 9), run(1, 0, true, 9)]);
        chain.append("b", &[run(0, 0, false, 1), run(1, 0, false, 1)]);
        check(&chain, "[(0, 127)] 0/0:a+b 0/1:a+b 1/0:a");
        chain.append("c", &[run(0, 0, true, 8)]);
        check(&chain, "[(0, 127)] 0/0:c 0/1:a+b 1/0:a");
        chain.append("d", &[run(0, 0, true, 0), run(0, 1, false, 0)]);
        check(&chain, "[(0, 127)] 0/1:a+b 1/0:a");
    }

    #[test]
    fn a_segment_of_two_former_owners_has_two_strands_until_it_is_written_in_full() {
        let max = MaxParallelism::UPPER_BOUND;
        let (mut a, mut b) = (Chain::new(groups(0, 31), max), Chain::new(groups(32, 127), max));
        a.append("a", &[run(0, 0, true, 9)]);
        b.append("b", &[run(0, 0, true, 9), run(0, 1, true, 9)]);
        let former: Vec<OwnedRuns> = a.parts().into_iter().chain(b.parts()).collect();
        let mut chain = Chain::inherit(groups(16, 100), max, &former);
        check(&chain, "[(16, 31), (64, 100)] 0/0:a 1/0:b | [(32, 63)] 0/0:b");
        chain.append("c", &[run(0, 0, false, 1)]);
        check(&chain, "[(16, 31), (64, 100)] 0/0:a+c 1/0:b | [(32, 63)] 0/0:b+c");
        let again = Chain::inherit(groups(16, 100), max, &chain.parts());
        assert_eq!(again, chain);
        chain.append("d", &[run(0, 0, true, 9)]);
        check(&chain, "[(16, 100)] 0/0:d 1/0:b");
        check(&Chain::inherit(groups(0, 15), max, &chain.parts()), "[(0, 15)]");
    }

    #[test]
    fn an_increment_covers_groups_that_held_nothing() {
        let max = MaxParallelism::UPPER_BOUND;
        let mut a = Chain::new(groups(0, 31), max);
        a.append("a", &[run(0, 0, false, 9)]);
        let mut chain = Chain::inherit(groups(0, 63), max, &a.parts());
        chain.append("b", &[run(0, 0, false, 9)]);
        check(&chain, "[(0, 31)] 0/0:a+b | [(32, 63)] 0/0:b");
    }

    #[test]
    fn what_one_of_two_owners_has_removed_does_not_come_back_with_the_others_runs() {
        let max = MaxParallelism::UPPER_BOUND;
        let mut before = Chain::new(groups(0, 63), max);
        before.append("both", &[run(0, 0, true, 9)]);
        let mut a = Chain::inherit(groups(0, 31), max, &before.parts());
        let mut b = Chain::inherit(groups(32, 63), max, &before.parts());
        a.append("nothing", &[run(0, 0, true, 0)]);
        b.append("b", &[run(0, 0, false, 1)]);
        let former: Vec<OwnedRuns> = a.parts().into_iter().chain(b.parts()).collect();
        let after = Chain::inherit(groups(0, 63), max, &former);
        check(&after, "[(32, 63)] 0/0:both+b | [(0, 31)]");
        assert_eq!(Chain::inherit(groups(0, 63), max, &after.parts()), after);
    }

    #[test]
    fn groups_of_few_key_groups_span_segments() {
        let mut chain = Chain::new(groups(1, 1), MaxParallelism::new(128).unwrap());
        chain.append("a", &[run(0, 3, true, 9), run(0, 4, true, 9), run(0, 7, true, 9), run(0, 8, true, 9)]);
        check(&chain, "[(1, 1)] 4/0:a 7/0:a");
    }
}
