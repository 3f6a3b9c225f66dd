//! The authority of a leader: the check that it still leads.
//!
//! A leader must not rely on its own belief when it completes a checkpoint, answers a request or deletes an object. It first
//! creates a name in storage and then lists the epochs. If there is a later one, it was deposed and steps down. A successor
//! creates its epoch before it reads the decisions. So at least one of the two sees the other: either the successor finds the
//! decision, or the leader finds the successor.
//!
//! Deletions need no check of their own, because they follow from a confirmed checkpoint, and every successor resumes from
//! that one or a later one.
//!
//! A state machine without I/O.

use super::EpochRecord;
use crate::layout::epochs_in;
use crate::record;
use bytes::Bytes;
use reflow_coordination::manifest::{Decision, Lineage};
use reflow_env::{Location, ObjectMeta, PutMode, StoreOp, StoreReply, StoreResult};
use reflow_types::{LeaderEpoch, injected_fault};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// A leadership, as long as no later one is found.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    pub(crate) epoch: LeaderEpoch,
    /// The lineage that its decisions contain.
    pub(crate) lineage: Lineage,
    /// The earlier epochs whose files exist.
    earlier: BTreeSet<LeaderEpoch>,
    directory: Location,
    /// The file of its epoch, with its content.
    record: (Location, Bytes),
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The JobManager leads.
    Leads,
    /// The JobManager leads, but the file of its epoch was deleted and must be created again.
    RecordGone(StoreOp),
    /// Another JobManager leads.
    Deposed(LeaderEpoch),
    /// Storage has not answered.
    Unknown(String),
}

/// The author of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    Own,
    /// An earlier leadership. Its decision is void, because this one has not seen it.
    Former,
    Successor(LeaderEpoch),
}

impl Authority {
    pub(crate) fn new(
        lineage: Lineage,
        earlier: BTreeSet<LeaderEpoch>,
        directory: Location,
        record: (Location, Bytes),
    ) -> Self {
        Self { epoch: lineage.epoch, lineage, earlier, directory, record }
    }

    /// The directory of the epochs' files.
    pub(crate) fn directory(&self) -> &Location {
        &self.directory
    }

    /// The storage request of the check.
    pub(crate) fn question(&self) -> StoreOp {
        StoreOp::List { below: self.directory.clone() }
    }

    /// The answer to [`question`](Self::question).
    pub(crate) fn standing(&mut self, answer: &StoreResult) -> Standing {
        let listed: &[ObjectMeta] = match answer {
            Ok(StoreReply::Objects(objects)) => objects,
            Ok(_) => return Standing::Unknown("the store answered a listing with something else".to_owned()),
            Err(error) => return Standing::Unknown(error.to_string()),
        };
        let mut epochs: BTreeSet<LeaderEpoch> = epochs_in(listed).into_iter().collect();
        let recorded = epochs.remove(&self.epoch);
        // If files were deleted, a later leadership may have a lower number.
        if let Some(successor) = epochs.difference(&self.earlier).max()
            && !injected_fault::is_active("deposed_leader_goes_on")
        {
            return Standing::Deposed(*successor);
        }
        self.earlier = epochs;
        if recorded {
            return Standing::Leads;
        }
        let (at, body) = self.record.clone();
        Standing::RecordGone(StoreOp::Put { at, body, mode: PutMode::Create })
    }

    /// Reads the file of its epoch.
    pub(crate) fn read_record(&self) -> StoreOp {
        StoreOp::Get { at: self.record.0.clone(), range: None }
    }

    /// Whether that file belongs to another JobManager, which may have taken the same number after this
    /// leadership's file was deleted. A file that cannot be read does not count.
    pub(crate) fn is_replaced_by(&self, record: &[u8]) -> bool {
        self.record.1 != record && record::decode::<EpochRecord>(record).is_ok()
    }

    /// The author of a decision whose name this leadership wanted to create.
    pub(crate) fn author(&self, decision: &Decision) -> Author {
        let epoch = decision.lineage().epoch;
        match epoch.cmp(&self.epoch) {
            Ordering::Less => Author::Former,
            Ordering::Equal => Author::Own,
            Ordering::Greater => Author::Successor(epoch),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(epochs: &[u64]) -> StoreResult {
        let meta = |epoch: &u64| ObjectMeta { at: Location(format!("/e/{epoch:020}")), len: 1 };
        Ok(StoreReply::Objects(epochs.iter().map(meta).collect()))
    }

    fn authority() -> Authority {
        let earlier = [LeaderEpoch(1), LeaderEpoch(2)].into();
        let record = (Location("/e/3".into()), Bytes::new());
        Authority::new(Lineage::new(LeaderEpoch(3)), earlier, Location("/e".into()), record)
    }

    #[test]
    fn whoever_came_later_leads() {
        let mut authority = authority();
        assert_eq!(authority.standing(&listed(&[1, 2, 3])), Standing::Leads);
        assert_eq!(authority.standing(&listed(&[2, 3, 4, 5])), Standing::Deposed(LeaderEpoch(5)));
        let away = StoreResult::Err(reflow_env::StoreError::NotFound(Location("/e".into())));
        assert!(matches!(authority.standing(&away), Standing::Unknown(_)));
    }

    /// As by a rule of the bucket.
    #[test]
    fn a_later_leadership_is_known_after_the_files_of_epochs_were_deleted() {
        let mut authority = authority();
        assert!(matches!(authority.standing(&listed(&[])), Standing::RecordGone(StoreOp::Put { .. })));
        assert_eq!(authority.standing(&listed(&[1, 3])), Standing::Deposed(LeaderEpoch(1)));
    }
}
