//! The claim of a JobManager to become the leader of its job.
//!
//! ```text
//! list ended jobs
//!     v
//! list epochs --> read the last record --> has the job ended? --> create the next epoch
//!     ^                                                                |
//!     |                                  a new job: lead <-------------+
//!     |  a later epoch                                                 v
//!     +----------------- look for later epochs <-- record the takeover <-- list and read what is decided
//! ```
//!
//! The order matters:
//! - The epoch is created before the listing, so the listing contains all that the previous leader completed while it still
//!   saw itself as the leader.
//! - The takeover is recorded before anything is deployed, so a later decision of the previous leader is void for every
//!   reader.
//! - The mark of the job's end is read after the listing, because a leader writes it before it deletes the objects of a
//!   finished job.
//! - The marks are also listed first, and a mark that may be later than this start counts as not listed: a job that ends while it
//!   is claimed, or whose end is decided but not marked yet, is the job that this start was for, so no other job begins.
//!
//! If an object was listed and is gone when it is read, a previous leader that still runs has deleted it, and the
//! listing is repeated. Without epoch records the job is found by its checkpoints, so it never restarts from
//! nothing silently. It may be that only the last record is gone and the one before belongs to a job that has
//! ended. So before another job begins, the objects of all jobs of this name are searched.
//!
//! If the newest checkpoint cannot be read and output would be written twice without it, nothing is taken over: the
//! claim ends with the question ([`Recovered::question`]), and nothing is deployed. What is damaged was read several
//! times, with pauses.
//!
//! A state machine without I/O: [`Claim`] returns storage requests and takes their answers. Failed requests are
//! repeated a bounded number of times.

mod end;
mod epoch;
mod fit;
mod jobs;
mod leased;
mod question;
mod savepoint;

use super::authority::{Authority, Standing};
use super::{
    Claimant, CompletedRecord, EpochRecord, Leadership, LeadershipError, LostRace, MAX_LOST_RACES, MAX_READS,
    MAX_TRIES,
};
use crate::layout::epochs_in;
use crate::{record, requirements};
use bytes::Bytes;
use end::end_in;
use jobs::Search;
pub(crate) use question::Question;
use question::{Asked, Purpose};
use reflow_coordination::checkpoint::{self, Recovered};
use reflow_coordination::manifest::{self, Decision, Lineage, Manifest};
use reflow_coordination::requirements::RequestedBounds;
use reflow_env::{Location, ObjectMeta, PutMode, StoreError, StoreOp, StoreReply, StoreResult};
use reflow_types::{CheckpointId, Instant, JobId, LeaderEpoch, VertexId, injected_fault};
use reflow_view::LeaderChange;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const FIRST_RETRY: Duration = Duration::from_millis(250);

/// The time after the start from which the list of ended jobs may contain a job that has ended since.
const LATE_LIST: Duration = Duration::from_secs(1);

/// The most storage requests at once, because each needs a connection and a name may have had thousands of jobs.
const MAX_OUTSTANDING: usize = 32;

/// The findings below the job's directory.
#[derive(Default)]
struct Findings {
    decisions: BTreeMap<CheckpointId, Result<Decision, String>>,
    objects: BTreeMap<String, u64>,
    declarations: Vec<String>,
    requirements: Option<BTreeMap<VertexId, RequestedBounds>>,
    /// The newest complete checkpoint, as it was recorded.
    completed: Option<CompletedRecord>,
    /// The highest epoch of any object.
    epoch: LeaderEpoch,
    /// Whether an object was deleted before it could be read.
    outdated: bool,
    /// The state in which the job has ended.
    ended: Option<String>,
}

/// The step of the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The last job is being searched by the objects of all jobs.
    Searching,
    /// The epoch is being created.
    Epoch,
    /// The decisions are being read.
    Reading,
    /// The takeover is being recorded.
    TakingOver,
    /// The epochs are checked for the last time.
    Confirming,
    /// The end that the predecessor decided is being marked.
    Ending,
    /// Another JobManager was first, and this one does not try again.
    Behind,
    /// The newest leadership has a lease, and this JobManager none.
    Leased(LeaderEpoch),
}

/// A claim under way.
pub(crate) struct Claim {
    by: Claimant,
    questions: BTreeMap<Question, Asked>,
    next_question: u32,
    step: Step,
    lost_races: u32,
    /// The epochs before the claimed one, in ascending order.
    earlier: Vec<LeaderEpoch>,
    epoch: LeaderEpoch,
    /// Whether the claimed one exists.
    is_created: bool,
    /// The highest epoch found. The claimed one is higher.
    highest_seen: LeaderEpoch,
    /// The jobs that had ended before this start.
    ended_before: BTreeSet<JobId>,
    /// Whether the list of ended jobs arrived so late that it may contain jobs that have ended since the start.
    late_list: bool,
    /// The time of the last answer.
    now: Instant,
    search: Search,
    job: JobId,
    fresh: bool,
    /// Whether a new job begins, whatever the last one is.
    begin_new: bool,
    record: Bytes,
    /// The leaderships of the job before this one.
    history: Vec<LeaderChange>,
    found: Findings,
    savepoint: Option<Box<Manifest>>,
    recovered: Recovered,
    lineage: Lineage,
}

/// The result of a claim.
#[derive(Clone, Debug)]
pub(crate) enum Claimed {
    Leadership(Box<Leadership>),
    /// The job has ended meanwhile, in this state, so there is nothing to lead.
    Ended(JobId, String),
    /// Another JobManager has taken the leadership, and this one stands by.
    StandBy,
    /// The newest leadership has a lease, which its leader may renew, and this JobManager has none.
    Leased(LeaderEpoch),
}

/// The result of an answer.
type Progress = Result<Option<Claimed>, LeadershipError>;

impl Claim {
    pub(crate) fn new(by: Claimant) -> Self {
        let mut claim = Self {
            job: by.new_job,
            begin_new: by.fresh,
            by,
            questions: BTreeMap::new(),
            next_question: 0,
            step: Step::Epoch,
            lost_races: 0,
            earlier: Vec::new(),
            epoch: LeaderEpoch(0),
            is_created: false,
            highest_seen: LeaderEpoch(0),
            ended_before: BTreeSet::new(),
            late_list: false,
            now: Instant::default(),
            search: Search::default(),
            fresh: true,
            record: Bytes::new(),
            history: Vec::new(),
            found: Findings::default(),
            savepoint: None,
            recovered: Recovered::default(),
            lineage: Lineage::default(),
        };
        claim.question(Purpose::EndedJobs, StoreOp::List { below: claim.by.layout.ended_jobs() });
        claim
    }

    /// The storage requests to send now.
    pub(crate) fn ask(&mut self, now: Instant) -> Vec<(Question, StoreOp)> {
        let outstanding = self.questions.values().filter(|asked| asked.again_at.is_none()).count();
        let due = |asked: &Asked| asked.again_at.is_some_and(|at| at <= now);
        let due = self.questions.iter_mut().filter(|(_, asked)| due(asked));
        due.take(MAX_OUTSTANDING.saturating_sub(outstanding))
            .map(|(question, asked)| {
                asked.again_at = None;
                (*question, asked.op.clone())
            })
            .collect()
    }

    /// When there will be storage requests again.
    pub(crate) fn next_wakeup(&self) -> Option<Instant> {
        self.questions.values().filter_map(|asked| asked.again_at).min()
    }

    /// Handles an answer from storage. Returns `Some` at the end of the claim.
    pub(crate) fn answered(&mut self, now: Instant, question: Question, answer: StoreResult) -> Progress {
        self.now = now;
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
        if asked.purpose.is_damaged(&answer) && asked.bad_reads + 1 < MAX_READS {
            tracing::warn!(at = ?asked.op, "what was read is damaged, reading it again");
            asked.bad_reads += 1;
            asked.again_at = Some(now + FIRST_RETRY * (1 << (asked.bad_reads - 1)));
            self.questions.insert(question, asked);
            return Ok(None);
        }
        if asked.purpose == Purpose::EndedJobs && self.since_start(now) > LATE_LIST {
            self.late_list = true;
        }
        self.take(asked.purpose, answer)?;
        if self.questions.is_empty() { self.conclude() } else { Ok(None) }
    }

    fn since_start(&self, now: Instant) -> Duration {
        Duration::from_millis(u64::try_from(now.as_millis() - self.by.started_at).unwrap_or(0))
    }

    fn take(&mut self, purpose: Purpose, answer: StoreResult) -> Result<(), LeadershipError> {
        match (purpose, answer) {
            (Purpose::EndedJobs, answer) => {
                self.ended_before = self.by.layout.jobs(&objects(answer)).ended;
                self.begin();
            }
            (Purpose::Epochs, answer) => self.take_epochs(epochs_in(&objects(answer))),
            (Purpose::Lease(epoch), answer) => self.take_lease(epoch, answer),
            (Purpose::Record(epoch), answer) => self.take_record(epoch, answer),
            (Purpose::Jobs, answer) => self.take_jobs(&objects(answer)),
            (Purpose::Ended, Ok(StoreReply::Bytes(mark))) => {
                self.exceed_epoch_of(&mark);
                match self.end_marked(&mark) {
                    _ if self.begin_new => self.search(),
                    Ok(Some(end)) if self.ended_before_start(self.job, &end) => {
                        tracing::info!(job = %self.job, state = end.state, "the last job of this name has ended");
                        self.search();
                    }
                    Ok(Some(end)) => self.take_end(self.job, end),
                    Ok(None) => self.create_epoch(),
                    Err(damage) => return Err(damage),
                }
            }
            (Purpose::Ended, _) if self.begin_new => self.search(),
            (Purpose::Ended, _) => self.create_epoch(),
            (Purpose::LastDecision(job), answer) => self.take_last_decision(job, answer),
            (Purpose::LastCompleted(job), answer) => self.take_last_completed(job, answer),
            (Purpose::Mark(job), answer) => self.take_mark(job, answer)?,
            (Purpose::Epoch, Err(StoreError::AlreadyExists(at))) => self.question(Purpose::OwnEpoch, get(at)),
            (Purpose::Epoch, _) => self.epoch_created(),
            (Purpose::OwnEpoch, answer) => self.take_own_epoch(&answer)?,
            (Purpose::JobDir, answer) => self.take_job_dir(&objects(answer)),
            (Purpose::EndedMeanwhile, Ok(StoreReply::Bytes(bytes))) => {
                self.found.ended = self.end_marked(&bytes)?.map(|end| end.state);
            }
            (Purpose::EndedMeanwhile, _) => {}
            (Purpose::Decision(checkpoint), Ok(StoreReply::Bytes(bytes))) => {
                self.take_decision(checkpoint, &bytes);
            }
            (Purpose::Decision(_), _) => self.found.outdated = true,
            (Purpose::Completed, answer) => self.take_completed(answer),
            (Purpose::Requirements(place), answer) => self.take_requirements(place, answer),
            (Purpose::Savepoint, answer) => self.take_savepoint(answer)?,
            (Purpose::Takeover, Ok(_)) => {
                self.recovered.abandoned.push(self.recovered.highest);
                self.step = Step::Confirming;
                self.question(Purpose::Successors, StoreOp::List { below: self.by.layout.epochs() });
            }
            (Purpose::Takeover, Err(_)) => self.found.outdated = true,
            (Purpose::Successors, answer) => self.look_for_successors(&answer)?,
            (Purpose::End, _) => {}
        }
        Ok(())
    }

    /// Begins, or begins again, with the epochs.
    fn begin(&mut self) {
        self.is_created = false;
        self.step = Step::Epoch;
        self.question(Purpose::Epochs, StoreOp::List { below: self.by.layout.epochs() });
    }

    fn begin_again(&mut self) -> Result<(), LeadershipError> {
        self.lost_races += 1;
        if self.lost_races == MAX_LOST_RACES {
            return Err(LeadershipError::Contended(self.by.layout.epochs()));
        }
        self.by.lease_is_silent = false; // that of another leadership, which may be renewed
        self.begin();
        Ok(())
    }

    fn take_epochs(&mut self, epochs: Vec<LeaderEpoch>) {
        let last = epochs.last().copied();
        self.earlier = epochs;
        self.history.clear();
        self.search = Search::default();
        self.epoch = last.unwrap_or_default().max(self.highest_seen).next();
        if self.by.watched.take().is_some_and(|watched| watched != last.unwrap_or_default()) {
            self.step = Step::Behind;
            return;
        }
        match last {
            Some(last) => self.read_lease(last),
            None if injected_fault::is_active("job_without_epochs_begun_anew") => self.create_fresh_epoch(),
            None => self.search(),
        }
    }

    fn read_record(&mut self, epoch: LeaderEpoch) {
        self.question(Purpose::Record(epoch), get(self.by.layout.epoch(epoch)));
    }

    fn take_record(&mut self, epoch: LeaderEpoch, answer: StoreResult) {
        let at = self.by.layout.epoch(epoch);
        if let Ok(StoreReply::Bytes(bytes)) = answer {
            match record::decode::<EpochRecord>(&bytes) {
                Ok(record) => {
                    self.search.recorded = Some(epoch);
                    self.history = record.history;
                    self.resume(record.job);
                }
                // The record before it may belong to a former job, and the last job would be started without its
                // state.
                Err(damage) => {
                    tracing::warn!(%at, %damage, "a record of leadership is damaged");
                    self.search();
                }
            }
            return;
        }
        tracing::warn!(%at, "a record of leadership is gone: trying the one before");
        match self.earlier.iter().rev().find(|earlier| **earlier < epoch) {
            Some(earlier) => self.read_record(*earlier),
            None => self.search(),
        }
    }

    fn resume(&mut self, job: JobId) {
        self.job = job;
        self.fresh = false;
        self.question(Purpose::Ended, get(self.by.layout.ended(job)));
    }

    fn list_job_dir(&mut self) {
        self.step = Step::Reading;
        self.found = Findings::default();
        self.question(Purpose::JobDir, StoreOp::List { below: self.by.layout.job_dir(self.job) });
        self.question(Purpose::Completed, get(self.by.layout.completed(self.job)));
    }

    fn take_job_dir(&mut self, listed: &[ObjectMeta]) {
        let found = self.by.layout.found(self.job, listed);
        self.found.objects = found.objects;
        self.found.declarations = found.requirements;
        self.found.epoch = found.epoch;
        self.read_requirements(self.found.declarations.len());
        found.decided.into_iter().for_each(|checkpoint| self.read_decision(checkpoint));
        self.question(Purpose::EndedMeanwhile, get(self.by.layout.ended(self.job)));
    }

    fn read_decision(&mut self, checkpoint: CheckpointId) {
        self.question(Purpose::Decision(checkpoint), get(self.by.layout.decision(self.job, checkpoint)));
    }

    fn take_decision(&mut self, checkpoint: CheckpointId, bytes: &[u8]) {
        let at = self.by.layout.decision(self.job, checkpoint);
        let decision = manifest::decode(bytes).map_err(|error| format!("{at}: {error}"));
        self.found.decisions.insert(checkpoint, decision);
    }

    fn take_completed(&mut self, answer: StoreResult) {
        let Ok(StoreReply::Bytes(bytes)) = answer else { return };
        match record::decode(&bytes) {
            Ok(record) => self.found.completed = Some(record),
            Err(damage) => {
                let at = self.by.layout.completed(self.job);
                tracing::warn!(%at, damage, "the record of the newest checkpoint is damaged");
            }
        }
    }

    /// Reads the newest declaration of requirements before `place`.
    fn read_requirements(&mut self, place: usize) {
        if let Some(place) = place.checked_sub(1) {
            let at = Location(self.found.declarations[place].clone());
            self.question(Purpose::Requirements(place), get(at));
        }
    }

    fn take_requirements(&mut self, place: usize, answer: StoreResult) {
        let Ok(StoreReply::Bytes(bytes)) = answer else {
            self.found.outdated = true; // a later declaration has replaced it
            return;
        };
        match requirements::decode(&bytes) {
            Ok(requirements) => self.found.requirements = Some(requirements),
            Err(damage) => {
                let at = &self.found.declarations[place];
                tracing::error!(at, damage, "declared requirements are damaged: the ones before are tried");
                self.read_requirements(place);
            }
        }
    }

    /// All requests are answered. Either more follow, or the claim is complete.
    fn conclude(&mut self) -> Progress {
        match self.step {
            Step::Epoch => {}
            Step::Searching => {
                self.decide_job()?;
                if self.questions.is_empty() {
                    return self.conclude();
                }
            }
            Step::Reading if self.fresh => {
                self.recovered = self.begin_from_savepoint(Recovered::default());
                self.check_readable()?;
                self.lineage = Lineage::new(self.epoch);
                // No other JobManager has this job's id, but an earlier try may have stored it.
                self.record_takeover(PutMode::Overwrite);
            }
            Step::Reading | Step::Ending if self.found.ended.is_some() => {
                let state = self.found.ended.take().unwrap_or_default();
                return Ok(Some(Claimed::Ended(self.job, state)));
            }
            Step::Reading | Step::TakingOver if self.found.outdated => {
                self.lost_races += 1;
                if self.lost_races == MAX_LOST_RACES {
                    return Err(LeadershipError::Contended(self.by.layout.epochs()));
                }
                self.list_job_dir();
            }
            Step::Reading => return self.take_over(),
            Step::TakingOver | Step::Ending => {}
            Step::Confirming => return Ok(Some(self.lead())),
            Step::Behind => return Ok(Some(Claimed::StandBy)),
            Step::Leased(epoch) => return Ok(Some(Claimed::Leased(epoch))),
        }
        Ok(None)
    }

    /// Takes over the job, after everything was read.
    fn take_over(&mut self) -> Progress {
        let job_dir = self.by.layout.job_dir(self.job);
        let mut recovered = checkpoint::recover(&job_dir.0, self.found.decisions.clone());
        if let Some(CompletedRecord { checkpoint, epoch }) = self.found.completed {
            let at = self.by.layout.decision(self.job, checkpoint);
            recovered.expect_complete(checkpoint, epoch, &at.0);
        }
        let seen = recovered.lineage.epoch.max(self.found.epoch);
        // An object of an epoch as high as this one means that the epoch's file was deleted, or that another JobManager has
        // claimed the job since. The number must not be used twice, and a standby leaves the job to the other one.
        if seen >= self.epoch {
            self.highest_seen = seen;
            if self.by.lost_race == LostRace::StandBy {
                self.by.watched = Some(self.epoch);
            }
            self.begin_again()?;
            return Ok(None);
        }
        if let Some(state) = recovered.ended {
            let (state, epoch) = (state.as_str().to_owned(), recovered.lineage.epoch);
            self.found.ended = Some(state.clone());
            self.step = Step::Ending;
            self.mark_end(state, epoch);
            return Ok(None);
        }
        if recovered.completed.is_empty() && self.savepoint.is_none() && self.by.start_from.is_some() {
            self.read_savepoint();
            return Ok(None);
        }
        self.lineage = recovered.taken_over(self.epoch);
        let mut recovered = self.begin_from_savepoint(recovered);
        recovered.take_objects(&job_dir.0, std::mem::take(&mut self.found.objects));
        recovered.highest = recovered.highest.next();
        recovered.lineage = self.lineage.clone();
        recovered.decide_fallback(&self.by.committing_sinks, self.by.allow_replay);
        self.recovered = recovered;
        self.check_readable()?;
        if self.recovered.question().is_some() {
            return Ok(Some(self.lead()));
        }
        self.record_takeover(PutMode::Create);
        Ok(None)
    }

    /// Records the takeover, which shows this epoch even if its file is deleted before a checkpoint is complete.
    fn record_takeover(&mut self, mode: PutMode) {
        self.step = Step::TakingOver;
        let at = self.by.layout.decision(self.job, self.recovered.highest);
        let body = manifest::encode(&Decision::Abandoned(self.lineage.clone()));
        self.question(Purpose::Takeover, StoreOp::Put { at, body, mode });
    }

    fn authority(&self) -> Authority {
        let record = (self.by.layout.epoch(self.epoch), self.record.clone());
        let earlier = self.earlier.iter().copied().collect();
        Authority::new(self.lineage.clone(), earlier, self.by.layout.epochs(), record)
    }

    fn look_for_successors(&mut self, answer: &StoreResult) -> Result<(), LeadershipError> {
        match self.authority().standing(answer) {
            Standing::Deposed(_) => self.lose_race(),
            Standing::Leads | Standing::RecordGone(_) | Standing::Unknown(_) => Ok(()),
        }
    }

    fn lead(&mut self) -> Claimed {
        let authority = self.authority();
        Claimed::Leadership(Box::new(Leadership {
            job: self.job,
            resumed: !self.fresh,
            recovered: std::mem::take(&mut self.recovered),
            authority,
            earlier: std::mem::take(&mut self.earlier),
            history: std::mem::take(&mut self.history),
            record: self.record.clone(),
            requirements: self.found.requirements.take(),
            declarations: std::mem::take(&mut self.found.declarations),
        }))
    }

    fn question(&mut self, purpose: Purpose, op: StoreOp) {
        let question = Question(self.next_question);
        self.next_question += 1;
        self.questions
            .insert(question, Asked { purpose, op, tries: 0, bad_reads: 0, again_at: Some(Instant(0)) });
    }
}

fn get(at: Location) -> StoreOp {
    StoreOp::Get { at, range: None }
}

fn objects(answer: StoreResult) -> Vec<ObjectMeta> {
    match answer {
        Ok(StoreReply::Objects(objects)) => objects,
        _ => Vec::new(),
    }
}
