//! The set of the user keys that a key of the stream has in a map state.
//!
//! They are in the order of their hashes or in their own order, which is the same in every process and after every restore. Most
//! maps are small, so one member is inline, few are an array, and only many are a tree.

use reflow_types::{Key, KeyHash};
use std::collections::{BTreeMap, BTreeSet, btree_map, btree_set};
use std::ops::{Bound, RangeBounds};

/// With more members, inserting into an array costs more than into a tree.
const FEW: usize = 32;

/// A set of user keys.
pub trait MemberSet<S>: Send + 'static {
    /// A set without members.
    fn none() -> Self;
    /// The number of members.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Adds a member, if the set does not have it.
    fn insert(&mut self, member: S);
    /// Removes a member, if the set has it.
    fn remove(&mut self, member: &S);
    /// Whether the set has a member.
    fn contains(&self, member: &S) -> bool;
    /// The members, in the order of the set.
    fn iter<'a>(&'a self) -> impl Iterator<Item = &'a S>
    where
        S: 'a;
}

/// A set in the order of hashes.
pub enum Members<S> {
    /// One of them.
    One(S),
    /// Several, with their hashes, by which they are sorted.
    Few(Vec<(KeyHash, S)>),
    /// More, by hash. The number distinguishes those of one hash.
    #[expect(
        clippy::box_collection,
        reason = "a map of one member must not be as large as a tree and its tag"
    )]
    Many(Box<BTreeMap<(KeyHash, u32), S>>),
}

impl<S: Key> MemberSet<S> for Members<S> {
    fn none() -> Self {
        Members::Few(Vec::new())
    }

    fn len(&self) -> usize {
        match self {
            Members::One(_) => 1,
            Members::Few(members) => members.len(),
            Members::Many(members) => members.len(),
        }
    }

    fn insert(&mut self, member: S) {
        match self {
            Members::Few(members) if members.is_empty() => *self = Members::One(member),
            Members::One(other) if *other == member => {}
            Members::One(other) => {
                let mut members = vec![(other.key_hash(), other.clone()), (member.key_hash(), member)];
                members.sort_by_key(|(hash, _)| *hash);
                *self = Members::Few(members);
            }
            Members::Few(members) => {
                let hash = member.key_hash();
                let at = members.partition_point(|(other, _)| *other < hash);
                let equal = members[at..].iter().take_while(|(other, _)| *other == hash);
                if !equal.into_iter().any(|(_, other)| *other == member) {
                    members.insert(at, (hash, member));
                }
                if members.len() > FEW {
                    let mut many = BTreeMap::new();
                    std::mem::take(members)
                        .into_iter()
                        .for_each(|(hash, member)| add(&mut many, hash, member));
                    *self = Members::Many(Box::new(many));
                }
            }
            Members::Many(members) => add(members, member.key_hash(), member),
        }
    }

    fn remove(&mut self, member: &S) {
        match self {
            Members::One(other) if other == member => *self = Self::none(),
            Members::One(_) => {}
            Members::Few(members) => {
                let hash = member.key_hash();
                members.retain(|(other, it)| *other != hash || it != member);
            }
            Members::Many(members) => {
                let hash = member.key_hash();
                let mut of_hash = members.range((hash, 0)..=(hash, u32::MAX));
                if let Some(at) = of_hash.find(|(_, other)| *other == member).map(|(at, _)| *at) {
                    members.remove(&at);
                }
                if members.len() <= FEW / 2 {
                    let members = std::mem::take(&mut **members).into_iter();
                    *self = Members::Few(members.map(|((hash, _), member)| (hash, member)).collect());
                }
            }
        }
    }

    fn contains(&self, member: &S) -> bool {
        match self {
            Members::One(other) => other == member,
            Members::Few(members) => members.iter().any(|(_, other)| other == member),
            Members::Many(members) => {
                let hash = member.key_hash();
                members.range((hash, 0)..=(hash, u32::MAX)).any(|(_, other)| other == member)
            }
        }
    }

    fn iter<'a>(&'a self) -> impl Iterator<Item = &'a S>
    where
        S: 'a,
    {
        match self {
            Members::One(member) => MembersIter::One(Some(member)),
            Members::Few(members) => MembersIter::Few(members.iter()),
            Members::Many(members) => MembersIter::Many(members.values()),
        }
    }
}

fn add<S: Key>(members: &mut BTreeMap<(KeyHash, u32), S>, hash: KeyHash, member: S) {
    let mut free = 0;
    for ((_, number), other) in members.range((hash, 0)..=(hash, u32::MAX)) {
        if *other == member {
            return;
        }
        free = number + 1;
    }
    members.insert((hash, free), member);
}

/// The members in the order of their hashes.
enum MembersIter<'a, S> {
    /// Of [`Members::One`].
    One(Option<&'a S>),
    /// Of [`Members::Few`].
    Few(std::slice::Iter<'a, (KeyHash, S)>),
    /// Of [`Members::Many`].
    Many(btree_map::Values<'a, (KeyHash, u32), S>),
}

impl<'a, S> Iterator for MembersIter<'a, S> {
    type Item = &'a S;

    fn next(&mut self) -> Option<&'a S> {
        match self {
            MembersIter::One(member) => member.take(),
            MembersIter::Few(members) => members.next().map(|(_, member)| member),
            MembersIter::Many(members) => members.next(),
        }
    }
}

/// A set in ascending order.
pub enum SortedMembers<S> {
    /// One of them.
    One(S),
    /// Several, sorted.
    Few(Vec<S>),
    /// More.
    #[expect(
        clippy::box_collection,
        reason = "a map of one member must not be as large as a tree and its tag"
    )]
    Many(Box<BTreeSet<S>>),
}

impl<S: Key + Ord> MemberSet<S> for SortedMembers<S> {
    fn none() -> Self {
        SortedMembers::Few(Vec::new())
    }

    fn len(&self) -> usize {
        match self {
            SortedMembers::One(_) => 1,
            SortedMembers::Few(members) => members.len(),
            SortedMembers::Many(members) => members.len(),
        }
    }

    fn insert(&mut self, member: S) {
        match self {
            SortedMembers::Few(members) if members.is_empty() => *self = SortedMembers::One(member),
            SortedMembers::One(other) if *other == member => {}
            SortedMembers::One(other) => {
                let mut members = vec![other.clone(), member];
                members.sort();
                *self = SortedMembers::Few(members);
            }
            SortedMembers::Few(members) => {
                if let Err(at) = members.binary_search(&member) {
                    members.insert(at, member);
                }
                if members.len() > FEW {
                    *self = SortedMembers::Many(Box::new(std::mem::take(members).into_iter().collect()));
                }
            }
            SortedMembers::Many(members) => {
                members.insert(member);
            }
        }
    }

    fn remove(&mut self, member: &S) {
        match self {
            SortedMembers::One(other) if other == member => *self = Self::none(),
            SortedMembers::One(_) => {}
            SortedMembers::Few(members) => {
                if let Ok(at) = members.binary_search(member) {
                    members.remove(at);
                }
            }
            SortedMembers::Many(members) => {
                members.remove(member);
                if members.len() <= FEW / 2 {
                    *self = SortedMembers::Few(std::mem::take(&mut **members).into_iter().collect());
                }
            }
        }
    }

    fn contains(&self, member: &S) -> bool {
        match self {
            SortedMembers::One(other) => other == member,
            SortedMembers::Few(members) => members.binary_search(member).is_ok(),
            SortedMembers::Many(members) => members.contains(member),
        }
    }

    fn iter<'a>(&'a self) -> impl Iterator<Item = &'a S>
    where
        S: 'a,
    {
        self.range(&(..))
    }
}

impl<S: Ord> SortedMembers<S> {
    /// The members within a range, in ascending order.
    pub fn range(&self, range: &impl RangeBounds<S>) -> SortedRange<'_, S> {
        match self {
            SortedMembers::One(member) => SortedRange::One(Some(member).filter(|it| range.contains(it))),
            SortedMembers::Few(members) => {
                let first = members.partition_point(|member| match range.start_bound() {
                    Bound::Unbounded => false,
                    Bound::Included(start) => member < start,
                    Bound::Excluded(start) => member <= start,
                });
                let end = members.partition_point(|member| match range.end_bound() {
                    Bound::Unbounded => true,
                    Bound::Included(end) => member <= end,
                    Bound::Excluded(end) => member < end,
                });
                SortedRange::Few(members[first.min(end)..end].iter())
            }
            SortedMembers::Many(members) if is_void(range) => {
                debug_assert!(!members.is_empty());
                SortedRange::One(None)
            }
            SortedMembers::Many(members) => {
                SortedRange::Many(members.range((range.start_bound(), range.end_bound())))
            }
        }
    }
}

/// Whether nothing can be within a range, which trees refuse.
fn is_void<S: Ord>(range: &impl RangeBounds<S>) -> bool {
    match (range.start_bound(), range.end_bound()) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Included(end) | Bound::Excluded(end)) => {
            start >= end
        }
    }
}

/// Members within a range, in ascending order.
pub enum SortedRange<'a, S> {
    /// Of [`SortedMembers::One`].
    One(Option<&'a S>),
    /// Of [`SortedMembers::Few`].
    Few(std::slice::Iter<'a, S>),
    /// Of [`SortedMembers::Many`].
    Many(btree_set::Range<'a, S>),
}

impl<'a, S> Iterator for SortedRange<'a, S> {
    type Item = &'a S;

    fn next(&mut self) -> Option<&'a S> {
        match self {
            SortedRange::One(member) => member.take(),
            SortedRange::Few(members) => members.next(),
            SortedRange::Many(members) => members.next(),
        }
    }
}

impl<S> DoubleEndedIterator for SortedRange<'_, S> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            SortedRange::One(member) => member.take(),
            SortedRange::Few(members) => members.next_back(),
            SortedRange::Many(members) => members.next_back(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Keys of few hashes.
    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, reflow_types::Data)]
    struct Colliding(u32);

    impl Key for Colliding {
        fn encode(&self, out: &mut reflow_types::KeyWriter) {
            out.write(&self.0.to_le_bytes());
        }

        fn key_hash(&self) -> KeyHash {
            KeyHash(u64::from(self.0 % 5))
        }
    }

    /// Inserts and removes members, so that the set grows to its largest size and shrinks to nothing.
    fn check<M: MemberSet<Colliding>>(in_order: impl Fn(&M, &BTreeSet<Colliding>) -> bool) {
        let mut members = M::none();
        let mut model = BTreeSet::new();
        let mut random = 1u32;
        for step in 0..4_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let member = Colliding((random >> 16) % 80);
            let grows = (step / 500) % 2 == 0;
            if (random >> 8).is_multiple_of(4) != grows {
                members.insert(member.clone());
                model.insert(member);
            } else {
                members.remove(&member);
                model.remove(&member);
            }
            assert_eq!((members.len(), members.is_empty()), (model.len(), model.is_empty()));
            assert!(in_order(&members, &model));
            assert_eq!(members.iter().cloned().collect::<BTreeSet<_>>(), model);
            let probe = Colliding(random % 80);
            assert_eq!(members.contains(&probe), model.contains(&probe));
        }
    }

    #[test]
    fn members_are_found_whatever_their_number_and_hashes() {
        check::<Members<Colliding>>(|members, _| members.iter().map(Key::key_hash).is_sorted());
    }

    #[test]
    fn sorted_members_are_found_by_range() {
        let range = |of: &SortedMembers<_>, model: &BTreeSet<_>, bounds: (Bound<u32>, Bound<u32>)| {
            let bounds = (bounds.0.map(Colliding), bounds.1.map(Colliding));
            let expected = model.iter().filter(|member| bounds.contains(*member));
            of.range(&bounds).eq(expected.clone()) && of.range(&bounds).rev().eq(expected.rev())
        };
        check::<SortedMembers<Colliding>>(|members, model| {
            let at = model.len() as u32;
            use Bound::{Excluded, Included, Unbounded};
            [
                (Unbounded, Unbounded),
                (Included(at / 2), Included(at)),
                (Included(20), Excluded(60)),
                (Excluded(20), Included(60)),
                (Excluded(at), Unbounded),
                (Unbounded, Excluded(at)),
                (Included(40), Included(40)),
                (Excluded(40), Excluded(40)),
                (Included(60), Excluded(20)),
            ]
            .into_iter()
            .all(|bounds| range(members, model, bounds))
        });
    }

    #[test]
    fn one_member_takes_no_allocation() {
        assert_eq!((size_of::<Members<u64>>(), size_of::<SortedMembers<u64>>()), (24, 24));
    }
}
