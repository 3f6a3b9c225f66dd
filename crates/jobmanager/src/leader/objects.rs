//! The check that storage has the objects that a manifest names, before the checkpoint is decided.
//!
//! A checkpoint builds on objects of earlier ones. If their directory vanishes while the job runs, a file system creates it
//! again with the next object. Without this check such a checkpoint would be complete although nothing can be restored from
//! it, and readable ones would be deleted because it replaces them.

use super::Purpose;
use crate::decisions::{Wanted, create};
use reflow_coordination::event::StoreOutcome;
use reflow_coordination::manifest::{self, Decision, Manifest};
use reflow_env::{Location, StoreOp, StoreReply, StoreResult};
use reflow_types::CheckpointId;
use std::collections::{BTreeMap, BTreeSet};

/// A manifest whose objects are being checked.
#[derive(Debug)]
pub(super) struct Check {
    checkpoint: CheckpointId,
    /// The deciding name.
    at: String,
    manifest: Box<Manifest>,
    /// The objects that were not found yet, each with its least length.
    missing: BTreeMap<String, u64>,
    /// The directories of objects that were not listed yet.
    directories: BTreeSet<String>,
}

impl Check {
    pub(super) fn new(checkpoint: CheckpointId, at: String, manifest: Box<Manifest>) -> Self {
        let missing = manifest.extents(parent(&at));
        let directories = missing.keys().map(|object| parent(object).to_owned()).collect();
        Self { checkpoint, at, manifest, missing, directories }
    }

    /// The next request: a listing or, if all objects exist, the creation of the deciding name.
    pub(super) fn proceed(mut self) -> (Purpose, StoreOp) {
        match self.question() {
            Some(question) => (Purpose::Objects(Box::new(self)), question),
            None => {
                let body = manifest::encode(&Decision::Complete(self.manifest));
                (Purpose::Name(self.checkpoint, Wanted::Complete), create(self.at, body))
            }
        }
    }

    pub(super) fn checkpoint(&self) -> CheckpointId {
        self.checkpoint
    }

    /// The next listing to request.
    fn question(&mut self) -> Option<StoreOp> {
        self.directories.pop_first().map(|directory| StoreOp::List { below: Location(directory) })
    }

    /// Handles the answer to a listing.
    ///
    /// # Errors
    /// The outcome that makes the checkpoint fail.
    pub(super) fn listed(&mut self, answer: StoreResult) -> Result<(), StoreOutcome> {
        match answer {
            Ok(StoreReply::Objects(found)) => {
                let found: BTreeMap<_, _> =
                    found.into_iter().map(|object| (object.at.0, object.len)).collect();
                self.missing.retain(|object, needed| found.get(object).is_none_or(|len| len < needed));
            }
            Ok(_) => {
                return Err(StoreOutcome::Failed(
                    "the store answered a listing with something else".to_owned(),
                ));
            }
            Err(error) => return Err(StoreOutcome::Failed(error.to_string())),
        }
        match self.missing.keys().next() {
            Some(first) if self.directories.is_empty() => Err(StoreOutcome::ObjectGone(format!(
                "{} of the objects that it consists of are gone from storage or shortened, {first} among them: let \
                 nothing delete or move them; the next checkpoint writes all state anew",
                self.missing.len()
            ))),
            _ => Ok(()),
        }
    }
}

/// The directory of an object.
fn parent(object: &str) -> &str {
    object.rsplit_once('/').map_or("", |(directory, _)| directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_manifest::checkpoint_of;
    use reflow_env::{ObjectMeta, StoreError};

    fn check(objects: &[&str]) -> Check {
        Check::new(CheckpointId(7), "/c/chk-7/_metadata".into(), Box::new(checkpoint_of(objects)))
    }

    fn listed(objects: &[(&str, u64)]) -> StoreResult {
        let meta = |(at, len): &(&str, u64)| ObjectMeta { at: Location((*at).into()), len: *len };
        Ok(StoreReply::Objects(objects.iter().map(meta).collect()))
    }

    #[test]
    fn each_directory_is_listed_once_and_all_objects_must_be_there() {
        let mut check = check(&["/c/data/a", "/c/data/b", "/other/o", "own"]);
        let mut answers = [
            ("/c/chk-7", listed(&[("/c/chk-7/own", 10)])),
            ("/c/data", listed(&[("/c/data/a", 10), ("/c/data/b", 11), ("/c/data/x", 1)])),
            ("/other", listed(&[("/other/o", 10)])),
        ]
        .into_iter();
        while let Some(StoreOp::List { below }) = check.question() {
            let (directory, answer) = answers.next().expect("a directory is listed twice");
            assert_eq!(below.0, directory);
            assert_eq!(check.listed(answer), Ok(()));
        }
        assert_eq!(answers.next(), None);
    }

    #[test]
    fn what_is_gone_or_shortened_is_named() {
        for found in [&[("/c/data/a", 10)][..], &[("/c/data/a", 10), ("/c/data/b", 9)]] {
            let mut check = check(&["/c/data/a", "/c/data/b"]);
            assert!(check.question().is_some());
            let Err(StoreOutcome::ObjectGone(reason)) = check.listed(listed(found)) else {
                panic!("{found:?}")
            };
            assert!(reason.starts_with("1 of the objects") && reason.contains("/c/data/b"), "{reason}");
        }
        let mut check = check(&["/c/data/a"]);
        let away = Err(StoreError::Failed { at: Location("/c".into()), reason: "timed out".into() });
        assert!(matches!(check.listed(away), Err(StoreOutcome::Failed(_))), "nothing is known");
    }
}
