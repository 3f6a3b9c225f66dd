//! How a JobManager becomes the leader of its job, and what it finds of it.
//!
//! Each start takes the next epoch by creating its file; of two that try one wins, and the other takes the one
//! after. An epoch continues the job of the one before, unless that job has ended or a fresh one is asked for.
//! Then the leader takes from its predecessor, which may still be alive, the names by which it could complete
//! checkpoints ([`reflow_coordination::checkpoint::recovery`]), and reads what is complete.
//!
//! A state machine without I/O: [`Claim`] says what is to be asked of storage and is told the answers. Storage that
//! fails is asked again, a bounded number of times.

use crate::layout::{Layout, epochs_in};
use crate::requirements;
use bytes::Bytes;
use reflow_coordination::checkpoint::{self, Recovered};
use reflow_coordination::manifest::{self, Decision, Manifest};
use reflow_coordination::requirements::RequestedBounds;
use reflow_env::{Location, PutMode, StoreError, StoreOp, StoreReply, StoreResult};
use reflow_protocol::snapshot::Codec;
use reflow_types::{CheckpointId, Instant, JobId, LeaderEpoch, Timestamp, VertexId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often storage is asked for one thing.
const MAX_TRIES: u32 = 6;
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// How many others may take an epoch first.
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
}

/// What stands in an ended job's marker, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EndedRecord {
    /// `FINISHED`, `CANCELED` or `FAILED`.
    pub(crate) state: String,
    pub(crate) epoch: LeaderEpoch,
    /// In milliseconds since the Unix epoch.
    pub(crate) ended_at: Timestamp,
}

/// What the claim is made with.
#[derive(Clone, Debug)]
pub(crate) struct Claimant {
    pub(crate) layout: Layout,
    /// The id of the job if it is a new one.
    pub(crate) new_job: JobId,
    pub(crate) fresh: bool,
    pub(crate) allow_other_build: bool,
    /// The SHA-256 of the executable.
    pub(crate) build: String,
    /// The directory of the savepoint that a job without checkpoints starts from.
    pub(crate) start_from: Option<Location>,
    pub(crate) started_at: Timestamp,
}

/// A leadership, and what the job goes on from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Leadership {
    pub(crate) epoch: LeaderEpoch,
    pub(crate) job: JobId,
    /// Whether an earlier JobManager ran the same job.
    pub(crate) resumed: bool,
    pub(crate) recovered: Recovered,
    /// What stands in the epoch's file.
    pub(crate) record: Bytes,
    /// The requirements that users declared last.
    pub(crate) requirements: Option<BTreeMap<VertexId, RequestedBounds>>,
    /// The objects of all declarations.
    pub(crate) declarations: Vec<String>,
}

/// Names a question to storage within a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Question(u32);

/// What a question is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Epochs,
    Record(LeaderEpoch),
    Ended,
    Epoch,
    JobDir,
    Decision(CheckpointId),
    Abandon(CheckpointId),
    /// A declaration of requirements, by its place in `Claim::declarations`.
    Requirements(usize),
    Savepoint,
}

struct Asked {
    about: About,
    op: StoreOp,
    tries: u32,
    /// Set while the question waits to be asked again.
    again_at: Option<Instant>,
}

/// A claim under way.
pub(crate) struct Claim {
    by: Claimant,
    questions: BTreeMap<Question, Asked>,
    next_question: u32,
    lost_races: u32,
    /// Epochs before the one that is claimed, in ascending order.
    earlier: Vec<LeaderEpoch>,
    epoch: LeaderEpoch,
    job: JobId,
    fresh: bool,
    record: Bytes,
    decisions: BTreeMap<CheckpointId, Result<Decision, String>>,
    objects: Vec<String>,
    declarations: Vec<String>,
    requirements: Option<BTreeMap<VertexId, RequestedBounds>>,
    savepoint: Option<Box<Manifest>>,
    /// Above which id names were taken from the predecessor.
    fenced_above: Option<CheckpointId>,
}

/// What an answer leads to.
type Progress = Result<Option<Leadership>, LeadershipError>;

impl Claim {
    pub(crate) fn new(by: Claimant) -> Self {
        let mut claim = Self {
            job: by.new_job,
            by,
            questions: BTreeMap::new(),
            next_question: 0,
            lost_races: 0,
            earlier: Vec::new(),
            epoch: LeaderEpoch(0),
            fresh: true,
            record: Bytes::new(),
            decisions: BTreeMap::new(),
            objects: Vec::new(),
            declarations: Vec::new(),
            requirements: None,
            savepoint: None,
            fenced_above: None,
        };
        claim.list_epochs();
        claim
    }

    /// The questions that are to be asked now.
    pub(crate) fn ask(&mut self, now: Instant) -> Vec<(Question, StoreOp)> {
        let due = |asked: &Asked| asked.again_at.is_some_and(|at| at <= now);
        let due = self.questions.iter_mut().filter(|(_, asked)| due(asked));
        due.map(|(question, asked)| {
            asked.again_at = None;
            (*question, asked.op.clone())
        })
        .collect()
    }

    /// When there will be questions again.
    pub(crate) fn next_wakeup(&self) -> Option<Instant> {
        self.questions.values().filter_map(|asked| asked.again_at).min()
    }

    /// An answer from storage. `Some` at the end of the claim.
    pub(crate) fn answered(&mut self, now: Instant, question: Question, answer: StoreResult) -> Progress {
        let Some(mut asked) = self.questions.remove(&question) else { return Ok(None) };
        if let Err(StoreError::Failed { at, reason }) = &answer {
            asked.tries += 1;
            if asked.tries >= MAX_TRIES {
                return Err(LeadershipError::Storage { error: answer.expect_err("it is an error") });
            }
            tracing::warn!(%at, reason, "storage does not answer, trying again");
            asked.again_at = Some(now + FIRST_RETRY * (1 << (asked.tries - 1)));
            self.questions.insert(question, asked);
            return Ok(None);
        }
        self.take(asked.about, answer)?;
        if self.questions.is_empty() { self.conclude() } else { Ok(None) }
    }

    fn take(&mut self, about: About, answer: StoreResult) -> Result<(), LeadershipError> {
        match (about, answer) {
            (About::Epochs, answer) => self.take_epochs(epochs_in(&objects(answer))),
            (About::Record(epoch), answer) => self.take_record(epoch, answer)?,
            (About::Ended, Ok(StoreReply::Bytes(bytes))) => self.begin_after(&bytes),
            (About::Ended, _) => self.create_epoch(),
            (About::Epoch, Err(StoreError::AlreadyExists(_))) => {
                self.lost_races += 1;
                if self.lost_races == MAX_LOST_RACES {
                    return Err(LeadershipError::Contended(self.by.layout.epochs()));
                }
                self.list_epochs();
            }
            (About::Epoch, _) if self.fresh => self.read_savepoint(),
            (About::Epoch, _) => {
                self.question(About::JobDir, StoreOp::List { below: self.by.layout.job_dir(self.job) });
            }
            (About::JobDir, answer) => {
                let found = self.by.layout.found(self.job, &objects(answer));
                self.objects = found.objects;
                self.declarations = found.requirements;
                self.read_requirements(self.declarations.len());
                found.decided.into_iter().for_each(|checkpoint| self.read_decision(checkpoint));
            }
            (About::Decision(checkpoint), Ok(StoreReply::Bytes(bytes))) => {
                let decision = manifest::decode(&bytes).map_err(|error| error.to_string());
                self.decisions.insert(checkpoint, decision);
            }
            (About::Decision(_), _) => {} // deleted since it was listed: it was superseded
            (About::Abandon(checkpoint), Err(_)) => self.read_decision(checkpoint),
            (About::Abandon(checkpoint), Ok(_)) => {
                self.decisions.insert(checkpoint, Ok(Decision::Abandoned));
            }
            (About::Requirements(place), answer) => self.take_requirements(place, answer),
            (About::Savepoint, answer) => self.take_savepoint(answer)?,
        }
        Ok(())
    }

    fn list_epochs(&mut self) {
        self.question(About::Epochs, StoreOp::List { below: self.by.layout.epochs() });
    }

    fn take_epochs(&mut self, epochs: Vec<LeaderEpoch>) {
        let last = epochs.last().copied();
        self.earlier = epochs;
        self.epoch = last.map_or(LeaderEpoch(1), LeaderEpoch::next);
        self.job = self.by.new_job;
        self.fresh = true;
        match last {
            Some(last) if !self.by.fresh => self.read_record(last),
            _ => self.create_epoch(),
        }
    }

    fn read_record(&mut self, epoch: LeaderEpoch) {
        self.question(About::Record(epoch), get(self.by.layout.epoch(epoch)));
    }

    fn take_record(&mut self, epoch: LeaderEpoch, answer: StoreResult) -> Result<(), LeadershipError> {
        if let Ok(StoreReply::Bytes(bytes)) = answer
            && let Ok(record) = serde_json::from_slice::<EpochRecord>(&bytes)
        {
            self.job = record.job;
            self.fresh = false;
            self.question(About::Ended, get(self.by.layout.ended(self.job)));
            return Ok(());
        }
        tracing::warn!(at = %self.by.layout.epoch(epoch), "a record of leadership is damaged: trying the one before");
        match self.earlier.iter().rev().find(|earlier| **earlier < epoch) {
            Some(earlier) => self.read_record(*earlier),
            None => return Err(LeadershipError::DamagedRecords(self.by.layout.epochs())),
        }
        Ok(())
    }

    /// The last job has ended: this one is another.
    fn begin_after(&mut self, marker: &[u8]) {
        let state = serde_json::from_slice::<EndedRecord>(marker).map(|ended| ended.state);
        let state = state.unwrap_or_else(|_| "in an unknown state".to_owned());
        let directory = self.by.layout.job_dir(self.job);
        tracing::info!(last = %self.job, state, %directory, "the last job of this name has ended: this is a new one");
        self.job = self.by.new_job;
        self.fresh = true;
        self.create_epoch();
    }

    fn create_epoch(&mut self) {
        let record = EpochRecord { job: self.job, fresh: self.fresh, started_at: self.by.started_at };
        self.record = serde_json::to_vec(&record).expect("a record is plain data").into();
        let (at, body) = (self.by.layout.epoch(self.epoch), self.record.clone());
        self.question(About::Epoch, StoreOp::Put { at, body, mode: PutMode::Create });
    }

    fn read_decision(&mut self, checkpoint: CheckpointId) {
        self.question(About::Decision(checkpoint), get(self.by.layout.decision(self.job, checkpoint)));
    }

    /// Reads the newest declaration of requirements before `place`.
    fn read_requirements(&mut self, place: usize) {
        if let Some(place) = place.checked_sub(1) {
            let at = Location(self.declarations[place].clone());
            self.question(About::Requirements(place), get(at));
        }
    }

    fn take_requirements(&mut self, place: usize, answer: StoreResult) {
        let bytes = match answer {
            Ok(StoreReply::Bytes(bytes)) => bytes,
            _ => return self.read_requirements(place), // deleted since it was listed
        };
        match requirements::decode(&bytes) {
            Ok(requirements) => self.requirements = Some(requirements),
            Err(damage) => {
                let at = &self.declarations[place];
                tracing::error!(at, damage, "declared requirements are damaged: the ones before are tried");
                self.read_requirements(place);
            }
        }
    }

    fn read_savepoint(&mut self) {
        if let Some(directory) = &self.by.start_from {
            self.question(About::Savepoint, get(directory.join("_metadata")));
        }
    }

    fn take_savepoint(&mut self, answer: StoreResult) -> Result<(), LeadershipError> {
        let directory = self.by.start_from.clone().expect("it was asked for");
        let refused = |reason: String| LeadershipError::Savepoint { at: directory.join("_metadata"), reason };
        let bytes = match answer {
            Ok(StoreReply::Bytes(bytes)) => bytes,
            Ok(_) => return Err(refused("it is not an object".to_owned())),
            Err(error) => return Err(refused(error.to_string())),
        };
        match manifest::decode(&bytes).map_err(|error| refused(error.to_string()))? {
            Decision::Complete(manifest) => {
                self.savepoint = Some(manifest);
                Ok(())
            }
            Decision::Abandoned => Err(refused("it was never completed".to_owned())),
        }
    }

    /// All questions are answered: either more follow, or the claim is done.
    fn conclude(&mut self) -> Progress {
        if self.fresh {
            return self.lead();
        }
        let highest = self.decisions.keys().next_back().copied().unwrap_or_default();
        let abandoned = |decision: &Result<Decision, String>| matches!(decision, Ok(Decision::Abandoned));
        let completed =
            self.decisions.iter().rev().find(|(_, decision)| !abandoned(decision)).map(|(id, _)| *id);
        // A predecessor that completed one of the names that we wanted may run ahead of them all: again, from there.
        if self.fenced_above.is_none_or(|fenced| completed.is_some_and(|id| id > fenced)) {
            self.fenced_above = Some(highest);
            (1..=checkpoint::TAKEOVER_IDS).for_each(|ahead| self.abandon(CheckpointId(highest.0 + ahead)));
            return Ok(None);
        }
        if completed.is_none() && self.savepoint.is_none() && self.by.start_from.is_some() {
            self.read_savepoint();
            return Ok(None);
        }
        self.lead()
    }

    fn abandon(&mut self, checkpoint: CheckpointId) {
        let at = self.by.layout.decision(self.job, checkpoint);
        let body = manifest::encode(&Decision::Abandoned);
        self.question(About::Abandon(checkpoint), StoreOp::Put { at, body, mode: PutMode::Create });
    }

    fn lead(&mut self) -> Progress {
        let decisions = std::mem::take(&mut self.decisions);
        let job_dir = self.by.layout.job_dir(self.job);
        let mut recovered = checkpoint::recover(&job_dir.0, decisions);
        recovered.objects = std::mem::take(&mut self.objects);
        if let (Some(manifest), Some(directory)) = (self.savepoint.take(), &self.by.start_from) {
            let savepoint = Recovered::from_savepoint(&directory.0, *manifest);
            recovered.highest = recovered.highest.max(savepoint.highest);
            recovered.next_subtask = recovered.next_subtask.max(savepoint.next_subtask);
            recovered.completed = savepoint.completed;
        }
        for (checkpoint, damage) in &recovered.damaged {
            let at = self.by.layout.decision(self.job, *checkpoint);
            tracing::error!(%at, damage, "a checkpoint is damaged: an older one is tried");
        }
        if recovered.is_lost() {
            let damage = recovered.damaged.last().map(|(_, damage)| damage.clone()).unwrap_or_default();
            return Err(LeadershipError::DamagedCheckpoints { directory: job_dir, damage });
        }
        if let Some(latest) = recovered.latest() {
            let (theirs, ours) = (&latest.manifest.build, &self.by.build);
            if latest.manifest.codec == Codec::Exchange && theirs != ours && !self.by.allow_other_build {
                let (at, theirs, ours) = (latest.at.clone(), theirs.clone(), ours.clone());
                return Err(LeadershipError::OtherBuild { at, theirs, ours });
            }
        }
        Ok(Some(Leadership {
            epoch: self.epoch,
            job: self.job,
            resumed: !self.fresh,
            recovered,
            record: self.record.clone(),
            requirements: self.requirements.take(),
            declarations: std::mem::take(&mut self.declarations),
        }))
    }

    fn question(&mut self, about: About, op: StoreOp) {
        let question = Question(self.next_question);
        self.next_question += 1;
        self.questions.insert(question, Asked { about, op, tries: 0, again_at: Some(Instant(0)) });
    }
}

fn get(at: Location) -> StoreOp {
    StoreOp::Get { at, range: None }
}

fn objects(answer: StoreResult) -> Vec<reflow_env::ObjectMeta> {
    match answer {
        Ok(StoreReply::Objects(objects)) => objects,
        _ => Vec::new(),
    }
}

#[cfg(test)]
#[path = "leadership_tests.rs"]
mod tests;
