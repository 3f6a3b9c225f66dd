//! Leadership of a job: epochs, and what a JobManager resumes.
//!
//! Each start of a JobManager takes the next epoch by creating its record. If two try, one wins and the other takes the epoch
//! after. An epoch continues the job of the previous one, unless that job has ended or a fresh one is requested.
//!
//! The previous leader may still be alive, but it cannot complete anything. After it creates a deciding name, and
//! before the decision has any effect, it checks for later epochs ([`authority`]); and a new leader reads the
//! decisions only after it has created its epoch ([`claim`]). Later decisions of a deposed leader are void,
//! because its successor has recorded from where it resumed ([`reflow_coordination::manifest::lineage`]).
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
use reflow_coordination::restore::{RestoreError, UnclaimedState};
use reflow_env::{Location, StoreError};
use reflow_graph::JobGraph;
use reflow_types::{CheckpointId, JobId, LeaderEpoch, Timestamp, VertexId};
use reflow_view::{LeaderChange, LeaderChangeCause};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The most tries of a storage request.
const MAX_TRIES: u32 = 6;
/// The number of bad reads after which an object counts as damaged.
pub(crate) const MAX_READS: u32 = 4;
/// The most leaderships of which a record tells.
const MAX_HISTORY: usize = 20;
/// How often other JobManagers may create an epoch first.
const MAX_LOST_RACES: u32 = 100;

/// Why a JobManager cannot lead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeadershipError {
    /// Storage has failed.
    #[error("{error}: tried {MAX_TRIES} times; check execution.checkpointing.dir and its rights")]
    Storage {
        /// The last error, which names the object.
        error: StoreError,
    },
    /// Other JobManagers always create the epoch first.
    #[error("{MAX_LOST_RACES} other JobManagers took the leadership of {0} first: stop them")]
    Contended(Location),
    /// No epoch record can be read.
    #[error("the records of leadership in {0} are damaged: start with --fresh to begin a new job")]
    DamagedRecords(Location),
    /// There are no epoch records, but several jobs.
    #[error(
        "the records of leadership in {directory} are gone, and there are checkpoints of several jobs ({}): start \
         with --fresh and -s DIRECTORY/chk-N of the right one, or move the directories of the others away",
        in_words(jobs)
    )]
    SeveralJobs { directory: Location, jobs: BTreeSet<JobId> },
    /// There are checkpoints, but none can be read.
    #[error(
        "no checkpoint in {directory} can be read ({damage}): restore the files, or start with --fresh to begin \
         a new job"
    )]
    DamagedCheckpoints {
        /// The job's directory.
        directory: Location,
        /// The damage of the newest one.
        damage: String,
    },
    /// The mark of the last job's end cannot be read.
    #[error(
        "the mark of the last job's end cannot be read ({at}: {damage}): start with --fresh to begin a new job, or \
         delete the mark to go on with the last one"
    )]
    DamagedMark {
        /// The object of the mark.
        at: Location,
        /// The damage.
        damage: String,
    },
    /// The savepoint that the job is to start from cannot be read.
    #[error("cannot start from the savepoint {at}: {reason}")]
    Savepoint {
        /// Its manifest.
        at: Location,
        /// The reason.
        reason: String,
    },
    /// The checkpoint does not fit the job.
    #[error(
        "cannot restore {at} with this build of the job: {reason}. Its state is untouched: start a build that fits, such as the \
         one that wrote it; --fresh begins a new job without the state"
    )]
    Incompatible {
        /// The checkpoint's directory.
        at: String,
        /// The state, and what to do.
        reason: RestoreError,
    },
    /// The checkpoint does not say with which types another build wrote it.
    #[error(
        "{at} was written by another build of the job ({theirs}, this is {ours}) with an earlier release of Reflow, whose \
         checkpoints do not tell the types of the state: take a savepoint with the old build and start from it with -s, \
         or, if the types of the state are the same, start with --allow-other-build"
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

/// The content of an epoch's file, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EpochRecord {
    pub(crate) job: JobId,
    /// Whether the epoch starts a new job. Otherwise it resumes the job of the former epoch.
    pub(crate) fresh: bool,
    /// When the JobManager started, in milliseconds since the Unix epoch.
    pub(crate) started_at: Timestamp,
    /// A random id of this JobManager. It distinguishes its file from that of another one that takes the same
    /// number after the file was deleted. Earlier releases wrote none.
    #[serde(default)]
    pub(crate) leader: JobId,
    /// The last leaderships of the job, oldest first; the last one is this. Earlier releases wrote none.
    #[serde(default)]
    pub(crate) history: Vec<LeaderChange>,
}

/// The content of an ended job's mark, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EndedRecord {
    /// `FINISHED` or `CANCELED`. Earlier releases wrote `FAILED` as well, which does not count as an end: the job
    /// is resumed.
    pub(crate) state: String,
    pub(crate) epoch: LeaderEpoch,
    /// The time of the end, in milliseconds since the Unix epoch.
    pub(crate) ended_at: Timestamp,
    /// The clock of that time ([`JobSpec::clock`](crate::JobSpec)). Earlier releases did not write it.
    #[serde(default)]
    pub(crate) clock: String,
    /// Whether the JobManager that has ended the job has ended as well, as a clean entry of Flink's job result store says.
    /// If not, it was lost, and the next start replaces it, so that one begins no new job. Earlier releases did not write it.
    #[serde(default = "yes")]
    pub(crate) left: bool,
}

fn yes() -> bool {
    true
}

/// The record of a job's newest complete checkpoint, as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CompletedRecord {
    pub(crate) checkpoint: CheckpointId,
    /// The leadership that completed it, or went on from it.
    pub(crate) epoch: LeaderEpoch,
}

/// The parameters of a claim.
#[derive(Clone, Debug)]
pub(crate) struct Claimant {
    pub(crate) layout: Layout,
    /// The random id of the job, if it is a new one.
    pub(crate) new_job: JobId,
    pub(crate) fresh: bool,
    pub(crate) allow_other_build: bool,
    pub(crate) graph: Arc<JobGraph>,
    pub(crate) unclaimed_state: UnclaimedState,
    /// The job's sinks that commit with checkpoints.
    pub(crate) committing_sinks: Vec<String>,
    pub(crate) allow_replay: AllowReplay,
    /// The SHA-256 of the executable.
    pub(crate) build: String,
    /// The directory of the savepoint from which a job without checkpoints starts.
    pub(crate) start_from: Option<Location>,
    pub(crate) started_at: Timestamp,
    /// The clock of the start time.
    pub(crate) clock: String,
    pub(crate) lost_race: LostRace,
    /// The newest leadership that it has watched as a standby, 0 for none: it has not decided to claim the job from any other.
    pub(crate) watched: Option<LeaderEpoch>,
    /// Whether it has seen that the lease of the newest leadership is not renewed.
    pub(crate) lease_is_silent: bool,
    /// Whether it has stood by. Then an end is always that of the job that it has waited for.
    pub(crate) has_stood_by: bool,
    /// Why it claims the job now.
    pub(crate) reason: ClaimReason,
}

/// Why and when a JobManager claims a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClaimReason {
    pub(crate) cause: LeaderChangeCause,
    pub(crate) silence: Option<Duration>,
    pub(crate) at: Timestamp,
}

impl ClaimReason {
    /// The history of a job, with the leadership that begins now.
    pub(crate) fn added_to(self, mut history: Vec<LeaderChange>, epoch: LeaderEpoch) -> Vec<LeaderChange> {
        let silent_ms = self.silence.map(|silence| u64::try_from(silence.as_millis()).unwrap_or(u64::MAX));
        let excess = (history.len() + 1).saturating_sub(MAX_HISTORY);
        history.drain(..excess);
        history.push(LeaderChange { epoch, at_ms: self.at, cause: self.cause, silent_ms });
        history
    }
}

/// What follows if another JobManager takes the leadership first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LostRace {
    /// This one takes the next leadership.
    TakeNext,
    /// This one stands by.
    StandBy,
}

/// A leadership, with the state from which the job resumes.
#[derive(Clone, Debug)]
pub(crate) struct Leadership {
    pub(crate) job: JobId,
    /// Whether an earlier JobManager ran the same job.
    pub(crate) resumed: bool,
    pub(crate) recovered: Recovered,
    pub(crate) authority: Authority,
    /// The earlier epochs whose files exist, in ascending order.
    pub(crate) earlier: Vec<LeaderEpoch>,
    /// The last leaderships of the job; the last one is this.
    pub(crate) history: Vec<LeaderChange>,
    /// The content of the epoch's file.
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
