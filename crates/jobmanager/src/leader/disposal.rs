//! The disposal of a savepoint, which only its user may ask for.
//!
//! The savepoint may be of any job. Its manifest is read first, because it shows that the directory is a savepoint and which
//! objects belong to it; nothing else in the directory is deleted. Then the leader checks that it still leads, and that its own
//! job does not need the savepoint: a job needs the one that it started from until it has a checkpoint of its own. The manifest
//! is deleted before the objects, so that no reader finds a manifest whose objects are gone.

use super::{Leader, Purpose};
use crate::layout::is_absolute;
use crate::leadership::authority::Standing;
use crate::operations::Kind;
use reflow_coordination::event::RequestId;
use reflow_coordination::manifest::{self, Decision};
use reflow_env::{Location, Output, StoreError, StoreOp, StoreReply, StoreResult};
use reflow_protocol::snapshot::StateFormat;
use reflow_types::{CheckpointId, JobId};
use reflow_view::CommandError;
use std::collections::BTreeMap;

/// The most disposals under way.
const MAX_UNDER_WAY: usize = 16;
/// The most objects of one savepoint that are deleted at a time.
const MAX_DELETIONS: usize = 16;

/// The disposals under way.
pub(super) type Disposals = BTreeMap<RequestId, Disposal>;

/// A step of a disposal, which is a request to storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Read the manifest.
    Read,
    /// Look for a later leadership.
    Confirm,
    /// Delete the manifest.
    Manifest,
    /// Delete one of its objects.
    Object,
}

/// A savepoint that is being deleted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Disposal {
    directory: Location,
    /// The job and the id of the savepoint, when its manifest is read.
    savepoint: Option<(JobId, CheckpointId)>,
    /// The objects whose deletion was not requested yet.
    objects: Vec<Location>,
    deletions_under_way: usize,
    /// The objects that could not be deleted, and the error of the first one.
    failed: Option<(usize, StoreError)>,
}

/// Whether the name of an object is one within the directory of its savepoint, as those of all its own objects are.
fn is_within(object: &str) -> bool {
    !is_absolute(object) && !object.split('/').any(|part| ["", ".", ".."].contains(&part))
}

type Steps = Vec<(Step, StoreOp)>;

impl Disposal {
    fn new(directory: Location) -> Self {
        Self { directory, savepoint: None, objects: Vec::new(), deletions_under_way: 0, failed: None }
    }

    fn manifest(&self) -> Location {
        self.directory.join("_metadata")
    }

    /// The name of the directory.
    fn name(&self) -> &str {
        self.directory.0.rsplit('/').next().unwrap_or_default()
    }

    /// Takes the manifest, which names the objects.
    fn read(&mut self, answer: StoreResult) -> Result<(), String> {
        let at = self.manifest();
        let bytes = match answer {
            Ok(StoreReply::Bytes(bytes)) => bytes,
            Ok(_) => return Err(format!("{at} is not an object")),
            Err(StoreError::NotFound(_)) => {
                return Err(format!("there is no savepoint: {at} does not exist"));
            }
            Err(error) => return Err(format!("the savepoint cannot be read: {error}")),
        };
        let savepoint = match manifest::decode(&bytes) {
            Ok(Decision::Complete(manifest)) if manifest.format == StateFormat::Savepoint => manifest,
            Ok(_) => {
                return Err(format!("{at} is of a checkpoint, not of a savepoint: its job deletes it"));
            }
            Err(error) => {
                return Err(format!("{at} cannot be read, so it is not known what belongs to it: {error}"));
            }
        };
        self.savepoint = Some((savepoint.job, savepoint.checkpoint));
        let own = savepoint.objects().into_iter().filter(|object| is_within(object));
        self.objects = own.map(|object| self.directory.join(object)).collect();
        Ok(())
    }

    /// Takes the outcome of the deletion of an object.
    fn deleted(&mut self, answer: StoreResult) {
        self.deletions_under_way -= 1;
        if let Err(error) = answer {
            let (count, first) = self.failed.take().unwrap_or((0, error));
            self.failed = Some((count + 1, first));
        }
    }

    /// The next deletions of objects.
    fn next_deletions(&mut self) -> Steps {
        let free = MAX_DELETIONS - self.deletions_under_way;
        let next = self.objects.split_off(self.objects.len().saturating_sub(free));
        self.deletions_under_way += next.len();
        next.into_iter().map(|at| (Step::Object, StoreOp::Delete { at })).collect()
    }

    /// The outcome, when nothing is left to do.
    fn outcome(self) -> Result<String, String> {
        match self.failed {
            None => Ok(self.directory.0),
            Some((count, error)) => Err(format!(
                "the savepoint is gone, but {count} of its objects could not be deleted, so delete the directory {}: {error}",
                self.directory
            )),
        }
    }
}

impl Leader {
    /// Begins to delete the savepoint in a directory.
    ///
    /// # Errors
    /// If that cannot be begun now.
    pub(crate) fn dispose_of_savepoint(
        &mut self,
        request: RequestId,
        directory: Location,
        out: &mut Vec<Output>,
    ) -> Result<(), CommandError> {
        if self.disposals.len() == MAX_UNDER_WAY {
            let text = format!("{MAX_UNDER_WAY} savepoints are being disposed of: try again");
            return Err(CommandError::Unavailable(text));
        }
        let disposal = Disposal::new(directory);
        let read = StoreOp::Get { at: disposal.manifest(), range: None };
        self.operations.begin(request, Kind::Disposal);
        self.disposals.insert(request, disposal);
        out.push(self.requests.ask(Purpose::Disposal(request, Step::Read), read));
        Ok(())
    }

    /// A step of a disposal was answered.
    pub(super) fn disposed(
        &mut self,
        request: RequestId,
        step: Step,
        answer: StoreResult,
        out: &mut Vec<Output>,
    ) {
        let Some(mut disposal) = self.disposals.remove(&request) else { return };
        let next = match step {
            Step::Read => {
                let confirm = vec![(Step::Confirm, self.authority.question())];
                disposal.read(answer).map(|()| confirm)
            }
            Step::Confirm => {
                let manifest = vec![(Step::Manifest, StoreOp::Delete { at: disposal.manifest() })];
                self.may_dispose(&disposal, &answer, out).map(|()| manifest)
            }
            Step::Manifest => match answer {
                Ok(_) => Ok(disposal.next_deletions()),
                Err(error) => Err(format!("the savepoint cannot be deleted: {error}")),
            },
            Step::Object => {
                disposal.deleted(answer);
                Ok(disposal.next_deletions())
            }
        };
        match next {
            Ok(steps) if steps.is_empty() && disposal.deletions_under_way == 0 => {
                tracing::info!(savepoint = %disposal.directory, "a savepoint was deleted, as a user has asked");
                self.operations.end(request, disposal.outcome());
            }
            Ok(steps) => {
                for (step, op) in steps {
                    out.push(self.requests.ask(Purpose::Disposal(request, step), op));
                }
                self.disposals.insert(request, disposal);
            }
            Err(cause) => self.operations.end(request, Err(cause)),
        }
    }

    /// Whether the savepoint may be deleted, given the answer to the question for a later leadership.
    fn may_dispose(
        &mut self,
        disposal: &Disposal,
        answer: &StoreResult,
        out: &mut Vec<Output>,
    ) -> Result<(), String> {
        match self.authority.standing(answer) {
            Standing::Leads => {}
            Standing::RecordGone(create) => self.write_record(create, out),
            Standing::Unknown(error) => {
                return Err(format!("it is not known whether this JobManager still leads: {error}"));
            }
            Standing::Deposed(successor) => {
                // The end of the job has a check of its own, and who starts after it deposes nobody.
                if self.end.is_none() {
                    self.deposed = Some(successor);
                }
                return Err("another JobManager leads: send the request to it".to_owned());
            }
        }
        let ends = self.end.as_ref().is_some_and(|end| end.state.is_final()) && self.deletions.are_held();
        let is_needed = |savepoint| self.scheduler.needs_savepoint(savepoint, disposal.name());
        if ends || disposal.savepoint.is_none_or(is_needed) {
            return Err(
                "the job needs this savepoint until it has a later checkpoint or has ended".to_owned()
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_within_the_directory_are_its_own() {
        for (object, own) in [
            ("1-2-3", true),
            ("data/1-2-3", true),
            ("../1-2-3", false),
            ("data/../../1", false),
            ("/c/1", false),
            ("s3://b/1", false),
            ("", false),
        ] {
            assert_eq!(is_within(object), own, "{object}");
        }
    }

    #[test]
    fn so_many_objects_go_at_a_time_and_what_stays_is_counted() {
        let mut disposal = Disposal::new(Location("/s/sp".into()));
        disposal.objects = (0..20).map(|n| Location(format!("/s/sp/{n}"))).collect();
        assert_eq!(disposal.next_deletions().len(), MAX_DELETIONS);
        assert_eq!(disposal.next_deletions(), vec![]);
        let failed = |at: &str| Err(StoreError::Failed { at: Location(at.into()), reason: "no".into() });
        for answer in [Ok(StoreReply::Done), failed("/s/sp/9"), failed("/s/sp/8")] {
            disposal.deleted(answer);
        }
        assert_eq!(disposal.next_deletions().len(), 3);
        let reason = disposal.outcome().unwrap_err();
        assert!(reason.contains("2 of its objects") && reason.contains("/s/sp/9: no"), "{reason}");
    }
}
