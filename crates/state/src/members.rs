//! The set of the user keys that a key of the stream has in a map state.
//!
//! They are in the order of their hashes, which is the same in every process and after every restore. Most maps are
//! small, so one member is inline, few are an array, and only many are a tree.

use reflow_types::{Key, KeyHash};
use std::collections::{BTreeMap, btree_map};

/// With more members, inserting into an array costs more than into a tree.
const FEW: usize = 32;

/// A set of user keys.
pub(crate) enum Members<S> {
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

impl<S: Key> Members<S> {
    pub(crate) fn none() -> Self {
        Members::Few(Vec::new())
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Members::One(_) => 1,
            Members::Few(members) => members.len(),
            Members::Many(members) => members.len(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a member, if the set does not have it.
    pub(crate) fn insert(&mut self, hash: KeyHash, member: S) {
        match self {
            Members::Few(members) if members.is_empty() => *self = Members::One(member),
            Members::One(other) if *other == member => {}
            Members::One(other) => {
                let mut members = vec![(other.key_hash(), other.clone()), (hash, member)];
                members.sort_by_key(|(hash, _)| *hash);
                *self = Members::Few(members);
            }
            Members::Few(members) => {
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
            Members::Many(members) => add(members, hash, member),
        }
    }

    pub(crate) fn remove(&mut self, hash: KeyHash, member: &S) {
        match self {
            Members::One(other) if other == member => *self = Self::none(),
            Members::One(_) => {}
            Members::Few(members) => members.retain(|(other, it)| *other != hash || it != member),
            Members::Many(members) => {
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

    pub(crate) fn contains(&self, hash: KeyHash, member: &S) -> bool {
        match self {
            Members::One(other) => other == member,
            Members::Few(members) => members.iter().any(|(_, other)| other == member),
            Members::Many(members) => {
                members.range((hash, 0)..=(hash, u32::MAX)).any(|(_, other)| other == member)
            }
        }
    }

    pub(crate) fn iter(&self) -> MembersIter<'_, S> {
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
pub(crate) enum MembersIter<'a, S> {
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

    #[test]
    fn members_are_found_whatever_their_number_and_hashes() {
        let mut members = Members::none();
        let mut model = BTreeSet::new();
        let mut random = 1u32;
        for step in 0..4_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let member = Colliding((random >> 16) % 80);
            // It grows to its largest size, and shrinks to nothing.
            let grows = (step / 500) % 2 == 0;
            if (random >> 8).is_multiple_of(4) != grows {
                members.insert(member.key_hash(), member.clone());
                model.insert(member);
            } else {
                members.remove(member.key_hash(), &member);
                model.remove(&member);
            }
            assert_eq!(members.len(), model.len());
            let hashes: Vec<_> = members.iter().map(Key::key_hash).collect();
            assert!(hashes.is_sorted());
            assert_eq!(members.iter().cloned().collect::<BTreeSet<_>>(), model);
            let probe = Colliding(random % 80);
            assert_eq!(members.contains(probe.key_hash(), &probe), model.contains(&probe));
        }
    }

    #[test]
    fn one_member_takes_no_allocation() {
        assert_eq!(size_of::<Members<u64>>(), 24);
    }
}
