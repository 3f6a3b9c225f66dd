//! Leadership of a job: epochs, and what a JobManager resumes.
//!
//! Each start of a JobManager takes the next epoch by creating its record. If two try, one wins and the other takes the epoch
//! after. An epoch continues the job of the previous one, unless that job has ended or a fresh one is requested.
//!
//! The previous leader may still be alive, but it cannot complete anything. After it creates a deciding name, and before
//! anybody is told, it looks for later epochs ([`authority`]); and a new leader reads the decisions only after it has created
//! its epoch ([`claim`]). What a deposed leader decides later is void, because its successor has recorded from where it
//! resumed ([`reflow_coordination::manifest::lineage`]).
//!
//! `leadership_tests.rs` begins with an example of two JobManagers.

pub(crate) mod authority;
pub(crate) mod claim;

use crate::layout::Layout;
use authority::Authority;
use bytes::Bytes;
use reflow_coordination::checkpoint::Recovered;
use reflow_coordination::checkpoint::fallback::AllowReplay;
use reflow_coordination::requirements::RequestedBounds;
use reflow_env::{Location, StoreError};
use reflow_types::{JobId, LeaderEpoch, Timestamp, VertexId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How often storage is asked for one thing.
const MAX_TRIES: u32 = 6;
/// How often something is read before it counts as damaged.
const MAX_READS: u32 = 4;
/// How often others may be faster.
const MAX_LOST_RACES: u32 = 100;

/// Why a JobManager cannot lead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeadershipError {
    /// Storage does not work.
    #[error("{error}: tried {MAX_TRIES} times; check execution.checkpointing.dir and its rights")]
    Storage {
        /// The last error, which names the object.
        error: StoreError,
    },
    /// Others are faster, again and again.
    #[error("{MAX_LOST_RACES} other JobManagers took the leadership of {0} first: stop them")]
    Contended(Location),
    /// No record of an earlier leadership can be read.
    #[error("the records of leadership in {0} are damaged: start with --fresh to begin a new job")]
    DamagedRecords(Location),
    /// The records of leadership are gone, and there is more than one job.
    #[error(
        "the records of leadership in {directory} are gone, and there are checkpoints of several jobs ({}): start \
         with --fresh and -s DIRECTORY/chk-N of the right one, or move the directories of the others away",
        in_words(jobs)
    )]
    SeveralJobs { directory: Location, jobs: BTreeSet<JobId> },
    /// There are checkpoints, and none can be read.
    #[error(
        "no checkpoint in {directory} can be read ({damage}): restore the files, or start with --fresh to begin \
         a new job"
    )]
    DamagedCheckpoints {
        /// The job's directory.
        directory: Location,
        /// What is wrong with the newest.
        damage: String,
    },
    /// The mark of the last job's end cannot be read.
    #[error(
        "the mark of the last job's end cannot be read ({at}: {damage}): start with --fresh to begin a new job, or \
         delete the mark to go on with the last one"
    )]
    DamagedMark {
        /// The mark.
        at: Location,
        /// What is wrong with it.
        damage: String,
    },
    /// The savepoint that the job is to start from cannot be read.
    #[error("cannot start from the savepoint {at}: {reason}")]
    Savepoint {
        /// Its manifest.
        at: Location,
        /// Why not.
        reason: String,
    },
    /// The checkpoint is in a codec that is private to another build.
    #[error(
        "{at} was written by another build of the job ({theirs}, this is {ours}): take a savepoint with the old \
         build and start from it with -s, begin anew with --fresh, or, if the types of the state are the same, \
         start with --allow-other-build"
    )]
    OtherBuild {
        /// The checkpoint's directory.
        at: String,
        /// The SHA-256 of its build.
        theirs: String,
        /// The SHA-256 of this build.
        ours: String,
    },
}

/// What stands in an epoch's file, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EpochRecord {
    pub(crate) job: JobId,
    /// Whether it begins the job; otherwise it resumes the former epoch's.
    pub(crate) fresh: bool,
    /// When the JobManager started, in milliseconds since the Unix epoch.
    pub(crate) started_at: Timestamp,
    /// Drawn by this JobManager alone: tells its file from that of another one which takes the same number after the
    /// file was deleted. Earlier releases wrote none.
    #[serde(default)]
    pub(crate) leader: JobId,
}

/// What stands in an ended job's marker, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EndedRecord {
    /// `FINISHED` or `CANCELED`. Earlier releases wrote `FAILED` as well, which is no end: the job is resumed.
    pub(crate) state: String,
    pub(crate) epoch: LeaderEpoch,
    /// In milliseconds since the Unix epoch.
    pub(crate) ended_at: Timestamp,
    /// The clock that says so ([`JobSpec::clock`](crate::JobSpec)). Earlier releases did not name it.
    #[serde(default)]
    pub(crate) clock: String,
}

/// What a claim is made with.
#[derive(Clone, Debug)]
pub(crate) struct Claimant {
    pub(crate) layout: Layout,
    /// The id of the job if it is a new one. Drawn at random for each JobManager.
    pub(crate) new_job: JobId,
    pub(crate) fresh: bool,
    pub(crate) allow_other_build: bool,
    /// The job's sinks whose output cannot be taken back, and whether it may be written again.
    pub(crate) committing_sinks: Vec<String>,
    pub(crate) allow_replay: AllowReplay,
    /// The SHA-256 of the executable.
    pub(crate) build: String,
    /// The directory of the savepoint that a job without checkpoints starts from.
    pub(crate) start_from: Option<Location>,
    pub(crate) started_at: Timestamp,
    /// The clock that says so.
    pub(crate) clock: String,
}

/// A leadership, and what the job goes on from.
#[derive(Clone, Debug)]
pub(crate) struct Leadership {
    pub(crate) job: JobId,
    /// Whether an earlier JobManager ran the same job.
    pub(crate) resumed: bool,
    pub(crate) recovered: Recovered,
    pub(crate) authority: Authority,
    /// The epochs before it whose files are there, in ascending order.
    pub(crate) earlier: Vec<LeaderEpoch>,
    /// What stands in the epoch's file.
    pub(crate) record: Bytes,
    /// The requirements that users declared last.
    pub(crate) requirements: Option<BTreeMap<VertexId, RequestedBounds>>,
    /// The objects of all declarations.
    pub(crate) declarations: Vec<String>,
}

fn in_words(jobs: &BTreeSet<JobId>) -> String {
    jobs.iter().map(JobId::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[path = "leadership_tests.rs"]
mod tests;
