//! The names of a job's objects in storage: its epochs, checkpoints and other records.
//!
//! ```text
//! <execution.checkpointing.dir>/<cluster-id>/<job name>/
//!     epochs/<20 digits>          one for each start of a JobManager; its creator leads
//!     leases/<20 digits>          the lease of a leadership, which its leader renews if there may be standbys
//!     ended/<job id>              the job is over: the next start begins another
//!     completed/<job id>          the newest complete checkpoint, in case that its decision is deleted
//!     <job id>/chk-<n>/_metadata  the decision about checkpoint n, or that the job ends
//!     <job id>/data/…             what checkpoints consist of
//!     <job id>/requirements/…     what users have declared, the greatest name last
//! ```

use reflow_coordination::checkpoint::retention::deciding_name;
use reflow_env::{Location, ObjectMeta};
use reflow_types::{CheckpointId, JobId, LeaderEpoch};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The names below a job's directory.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: Location,
}

/// The objects below the directory of a job id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Checkpoints about which something was decided, in ascending order.
    pub(crate) decided: Vec<CheckpointId>,
    /// Full names of data objects, with their lengths.
    pub(crate) objects: BTreeMap<String, u64>,
    /// Full names of declared requirements, in ascending order.
    pub(crate) requirements: Vec<String>,
    /// The highest epoch of a leadership that wrote any of these objects.
    pub(crate) epoch: LeaderEpoch,
}

/// The jobs in a listing of everything of one job name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FoundJobs {
    /// The jobs that have decided about a checkpoint.
    pub(crate) decided: BTreeSet<JobId>,
    /// The jobs that have recorded a complete checkpoint.
    pub(crate) completed: BTreeSet<JobId>,
    /// The jobs that are marked as ended.
    pub(crate) ended: BTreeSet<JobId>,
}

impl Layout {
    pub(crate) fn new(checkpoint_dir: &Location, cluster_id: &str, job_name: &str) -> Self {
        Self { root: checkpoint_dir.join(&file_name(cluster_id)).join(&file_name(job_name)) }
    }

    pub(crate) fn root(&self) -> &Location {
        &self.root
    }

    pub(crate) fn epochs(&self) -> Location {
        self.root.join("epochs")
    }

    pub(crate) fn epoch(&self, epoch: LeaderEpoch) -> Location {
        self.epochs().join(&format!("{:020}", epoch.0))
    }

    /// The lease of a leadership. Each has its own, so a deposed leader does not overwrite that of its successor.
    pub(crate) fn lease(&self, epoch: LeaderEpoch) -> Location {
        self.root.join("leases").join(&format!("{:020}", epoch.0))
    }

    pub(crate) fn ended(&self, job: JobId) -> Location {
        self.ended_jobs().join(&job.to_string())
    }

    /// The directory of the marks of jobs that have ended.
    pub(crate) fn ended_jobs(&self) -> Location {
        self.root.join("ended")
    }

    /// The record of a job's newest complete checkpoint. It is not in the job's directory, so that it remains if that is
    /// deleted.
    pub(crate) fn completed(&self, job: JobId) -> Location {
        self.root.join("completed").join(&job.to_string())
    }

    /// The directory of a job's checkpoints.
    pub(crate) fn job_dir(&self, job: JobId) -> Location {
        self.root.join(&job.to_string())
    }

    /// The directory of declared requirements.
    pub(crate) fn requirements(&self, job: JobId) -> Location {
        self.job_dir(job).join("requirements")
    }

    pub(crate) fn decision(&self, job: JobId, checkpoint: CheckpointId) -> Location {
        Location(deciding_name(&self.job_dir(job).0, checkpoint))
    }

    /// Evaluates a listing of a job's directory. Stores return the beginning of names in different forms, so only
    /// the part after the job's id counts.
    pub(crate) fn found(&self, job: JobId, objects: &[ObjectMeta]) -> Found {
        let mut found = Found::default();
        let marker = format!("/{job}/");
        for object in objects {
            let Some((_, name)) = object.at.0.rsplit_once(&marker) else { continue };
            if let Some((_, file)) = name.split_once('/')
                && let Some(epoch) = file.split('-').next().and_then(|epoch| epoch.parse().ok())
                && (name.starts_with("data/") || name.starts_with("requirements/"))
            {
                found.epoch = found.epoch.max(LeaderEpoch(epoch));
            }
            if name.starts_with("data/") {
                found.objects.insert(self.job_dir(job).join(name).0, object.len);
            } else if name.starts_with("requirements/") {
                found.requirements.push(self.job_dir(job).join(name).0);
            } else if let Some(id) =
                name.strip_prefix("chk-").and_then(|rest| rest.strip_suffix("/_metadata"))
            {
                found.decided.extend(id.parse().map(CheckpointId));
            }
        }
        found.decided.sort_unstable();
        found.requirements.sort_unstable();
        found
    }

    /// Finds jobs without epoch records, in a listing of everything of this job name.
    pub(crate) fn jobs(&self, objects: &[ObjectMeta]) -> FoundJobs {
        let mut found = FoundJobs::default();
        for object in objects {
            let mut parts = object.at.0.rsplit('/');
            match (parts.next(), parts.next(), parts.next()) {
                (Some("_metadata"), Some(checkpoint), Some(job)) if checkpoint.starts_with("chk-") => {
                    found.decided.extend(job.parse::<JobId>());
                }
                (Some(job), Some("completed"), _) => found.completed.extend(job.parse::<JobId>()),
                (Some(job), Some("ended"), _) => found.ended.extend(job.parse::<JobId>()),
                _ => {}
            }
        }
        found
    }
}

/// The epochs in a listing, in ascending order.
pub(crate) fn epochs_in(objects: &[ObjectMeta]) -> Vec<LeaderEpoch> {
    let name = |object: &ObjectMeta| object.at.0.rsplit('/').next().map(str::to_owned);
    let names = objects.iter().filter_map(name).filter(|name| name.len() == 20);
    let mut epochs: Vec<LeaderEpoch> = names.filter_map(|name| name.parse().ok().map(LeaderEpoch)).collect();
    epochs.sort_unstable();
    epochs
}

/// Whether a directory means the same in each process: a URL, or a path from the root.
pub(crate) fn is_absolute(directory: &str) -> bool {
    directory.contains("://") || directory.starts_with('/')
}

/// The longest name. Most file systems allow 255 bytes for a component of a path.
const MAX_NAME_BYTES: usize = 200;

/// A name as one component of a path: everything except letters, digits and `._-` is percent-encoded. Of a name
/// that is then too long, the beginning is kept, followed by a hash of the whole behind a `%`, which no encoding
/// contains.
fn file_name(name: &str) -> String {
    let only_dots = name.bytes().all(|byte| byte == b'.');
    let encode = |byte: u8| match byte {
        b'.' if !only_dots => ".".to_owned(),
        b'_' | b'-' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    };
    let whole: String = name.bytes().map(encode).collect();
    if whole.len() <= MAX_NAME_BYTES {
        return whole;
    }
    let mut out = String::new();
    for part in name.bytes().map(encode) {
        if out.len() + part.len() > MAX_NAME_BYTES / 2 {
            break;
        }
        out.push_str(&part);
    }
    out.push_str("%-");
    for byte in Sha256::digest(name).iter().take(16) {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(names: &[&str]) -> Vec<ObjectMeta> {
        names.iter().map(|name| ObjectMeta { at: Location((*name).to_owned()), len: 1 }).collect()
    }

    #[test]
    fn names_stay_below_the_directory() {
        for (name, expected) in
            [("flights", "flights"), ("..", "%2e%2e"), ("a/b c", "a%2fb%20c"), ("v1.2", "v1.2")]
        {
            let layout = Layout::new(&Location("/c/".into()), "default", name);
            assert_eq!(layout.root().0, format!("/c/default/{expected}"));
        }
    }

    #[test]
    fn names_of_any_length_are_told_apart() {
        let long = |last: &str| "\u{65e5}\u{672c}".repeat(60) + last;
        let names = [long("1"), long("2"), "x".repeat(200), "x".repeat(201), "x".repeat(202), "%".repeat(67)];
        let files: BTreeSet<String> = names.iter().map(|name| file_name(name)).collect();
        assert_eq!(files.len(), names.len(), "{files:?}");
        for file in files {
            assert!(file.len() <= MAX_NAME_BYTES, "{file}");
            // No encoding is cut in two.
            let begins = file.split_once("%-").map_or(file.as_str(), |(begins, _)| begins);
            let hex = |code: &str| code.get(..2).is_some_and(|hex| u8::from_str_radix(hex, 16).is_ok());
            assert!(begins.split('%').skip(1).all(hex), "{file}");
        }
    }

    #[test]
    fn listings_are_sorted_by_what_follows_the_job() {
        let layout = Layout::new(&Location("file:///c".into()), "default", "j");
        let job = JobId(5);
        let listing = objects(&[
            &format!("/c/default/j/{job}/chk-10/_metadata"),
            &format!("/c/default/j/{job}/chk-9/_metadata"),
            &format!("/c/default/j/{job}/chk-x/_metadata"),
            &format!("/c/default/j/{job}/data/1-2-3"),
            &format!("/c/default/j/{job}/requirements/2-0"),
            &format!("/c/default/j/{job}/requirements/1-9"),
            &format!("/c/default/j/{}/chk-11/_metadata", JobId(6)),
            &format!("/c/default/j/ended/{}", JobId(7)),
            &format!("/c/default/j/completed/{}", JobId(8)),
        ]);
        let found = layout.found(job, &listing);
        assert_eq!(found.decided, [CheckpointId(9), CheckpointId(10)]);
        assert_eq!(found.epoch, LeaderEpoch(2), "the leadership that has written last");
        assert_eq!(found.objects, [(format!("file:///c/default/j/{job}/data/1-2-3"), 1)].into());
        let jobs = layout.jobs(&listing);
        assert_eq!(jobs.decided.into_iter().collect::<Vec<_>>(), [job, JobId(6)]);
        assert_eq!(jobs.ended.into_iter().collect::<Vec<_>>(), [JobId(7)]);
        assert_eq!(jobs.completed.into_iter().collect::<Vec<_>>(), [JobId(8)]);
        let requirements =
            ["1-9", "2-0"].map(|name| format!("file:///c/default/j/{job}/requirements/{name}"));
        assert_eq!(found.requirements, requirements);
    }

    #[test]
    fn only_epochs_count() {
        let listing = objects(&["e/00000000000000000010", "e/00000000000000000009", "e/tmp", "e/9"]);
        assert_eq!(epochs_in(&listing), [LeaderEpoch(9), LeaderEpoch(10)]);
    }
}
