//! The decision of a new leader whether the running attempt goes on under it.
//!
//! Executors that have lost their JobManager register with the next one and report what they run. [`Reports`] collects that.
//! The newest attempt is adopted if all of its executors report the same graph, run all of its subtasks, and have taken part
//! in the checkpoint from which the leader would otherwise restart the job. In any other case the job restarts from that
//! checkpoint. The design is described in `docs/design/adoption.md`.
//!
//! Pure: reports and what the leader knows go in, a [`Decision`] comes out.

use crate::checkpoint::Completed;
use reflow_graph::{ExecutionGraph, JobGraph, subtask_name};
use reflow_protocol::adoption::{
    AttemptReport, ReaderReport, ReportedStatus, RescaleProgress, TakenCheckpoint,
};
use reflow_protocol::deployment::Attempt;
use reflow_protocol::snapshot::AfterBarrier;
use reflow_types::{CheckpointId, ExecutorId, GraphVersion, MaxParallelism, SubtaskId, injected_fault};
use std::collections::{BTreeMap, BTreeSet};

/// What the new leader knows without the executors.
pub struct Known<'a> {
    pub job: &'a JobGraph,
    /// The number of key groups of each vertex.
    pub max_parallelism: &'a [MaxParallelism],
    /// The checkpoint from which the job would restart.
    pub latest: Option<&'a Completed>,
    /// The executors that have registered.
    pub registered: &'a BTreeSet<ExecutorId>,
}

/// The decision about the newest attempt that was reported.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Executors are missing that may still register.
    Wait,
    /// It goes on.
    Adopt(Box<Adopted>),
    /// It ends, for this reason, and the job restarts from its last checkpoint.
    NewAttempt(String),
}

/// An attempt that goes on under a new leader.
#[derive(Clone, Debug, PartialEq)]
pub struct Adopted {
    pub attempt: Attempt,
    pub graph: ExecutionGraph,
    /// The highest version of a graph that any executor has heard of.
    pub version: GraphVersion,
    /// The checkpoint from which it was deployed.
    pub restored: Option<CheckpointId>,
    /// The subtasks whose inputs have ended. All others run.
    pub ended: BTreeSet<SubtaskId>,
    pub readers: Vec<ReaderReport>,
    /// Whether an executor was not notified that the last complete checkpoint is complete.
    pub latest_is_unknown: bool,
    /// Checkpoints that were under way. They can never complete.
    pub aborted: BTreeSet<CheckpointId>,
    /// Live rescales that were being prepared.
    pub abandoned: BTreeSet<GraphVersion>,
    /// The highest checkpoint that was triggered.
    pub highest: CheckpointId,
}

/// Ids and versions count from 0 or 1. No job comes near this one, and the next leader must be able to use higher ones.
const IMPLAUSIBLE: u64 = 1 << 62;

/// Why nothing of a report can be believed, if it contradicts itself or names ids that no leader has given.
///
/// # Errors
/// If it does.
pub fn check_report(report: &AttemptReport) -> Result<(), String> {
    let taken = [report.completed, report.undecided].into_iter().flatten().map(|taken| taken.checkpoint);
    let checkpoints = taken.chain(report.highest).chain(report.restored);
    if let Some(checkpoint) = checkpoints.into_iter().find(|checkpoint| checkpoint.0 >= IMPLAUSIBLE) {
        return Err(format!("no leader has triggered checkpoint {checkpoint}"));
    }
    let preparing = match report.rescale {
        RescaleProgress::None => GraphVersion(0),
        RescaleProgress::Preparing(version) | RescaleProgress::Cut(version) => version,
    };
    let version = report.version.max(preparing);
    if version.0 >= IMPLAUSIBLE {
        return Err(format!("no leader has planned graph version {version}"));
    }
    let mut seen = BTreeSet::new();
    for (_, _, subtask) in report.graph.subtasks() {
        if subtask.id.0 >= IMPLAUSIBLE || !seen.insert(subtask.id) {
            return Err("no leader has deployed its subtasks like that".to_owned());
        }
    }
    Ok(())
}

/// The reports of executors, until the leader has decided.
#[derive(Debug, Default)]
pub struct Reports {
    by_executor: BTreeMap<ExecutorId, AttemptReport>,
}

impl Reports {
    /// An executor has reported the attempt that it runs.
    pub fn add(&mut self, executor: ExecutorId, report: AttemptReport) {
        self.by_executor.insert(executor, report);
    }

    /// An executor is lost.
    pub fn remove(&mut self, executor: ExecutorId) {
        self.by_executor.remove(&executor);
    }

    /// The newest attempt that was reported, with its graph.
    pub fn newest(&self) -> Option<(Attempt, &ExecutionGraph)> {
        let newest = self.by_executor.values().max_by_key(|report| report.attempt)?;
        Some((newest.attempt, &newest.graph))
    }

    /// The highest checkpoint that any of the executors has heard of.
    pub fn highest(&self) -> CheckpointId {
        self.by_executor.values().filter_map(|report| report.highest).max().unwrap_or_default()
    }

    /// The executors that run a part of any attempt.
    pub fn executors(&self) -> BTreeSet<ExecutorId> {
        self.by_executor.keys().copied().collect()
    }

    /// Decides about the newest attempt; `None` if none was reported.
    pub fn decide(&self, known: &Known<'_>) -> Option<Decision> {
        let (attempt, graph) = self.newest()?;
        Some(match self.examine(known, attempt, graph) {
            Ok(None) => Decision::Wait,
            Ok(Some(adopted)) => Decision::Adopt(Box::new(adopted)),
            Err(reason) => Decision::NewAttempt(reason),
        })
    }

    /// What is adopted, or `None` while executors are missing.
    fn examine(
        &self,
        known: &Known<'_>,
        attempt: Attempt,
        graph: &ExecutionGraph,
    ) -> Result<Option<Adopted>, String> {
        fits(known, graph)?;
        let members: BTreeSet<ExecutorId> =
            graph.subtasks().map(|(_, _, subtask)| subtask.slot.executor).collect();
        let mut adopted = Adopted {
            attempt,
            graph: graph.clone(),
            version: GraphVersion(0),
            restored: None,
            ended: BTreeSet::new(),
            readers: Vec::new(),
            latest_is_unknown: false,
            aborted: BTreeSet::new(),
            abandoned: BTreeSet::new(),
            highest: CheckpointId(0),
        };
        let mut is_complete = true;
        // Executors of a rescale that was being prepared run no subtask, but know checkpoints and versions.
        for (executor, report) in self.by_executor.iter().filter(|(_, report)| report.attempt == attempt) {
            no_cut(*executor, report)?;
            adopted.version = adopted.version.max(report.version);
            adopted.highest = adopted.highest.max(report.highest.unwrap_or_default());
            if let RescaleProgress::Preparing(version) = report.rescale {
                adopted.abandoned.insert(version);
            }
        }
        for executor in &members {
            let is_registered = known.registered.contains(executor);
            is_complete &= is_registered;
            match self.by_executor.get(executor) {
                Some(report) => adopted.take(*executor, report, known)?,
                None if is_registered => return Err(format!("executor {executor} does not run it any more")),
                None => {}
            }
        }
        Ok(is_complete.then_some(adopted))
    }
}

impl Adopted {
    /// Adds the report of an executor that runs a part of the graph.
    fn take(
        &mut self,
        executor: ExecutorId,
        report: &AttemptReport,
        known: &Known<'_>,
    ) -> Result<(), String> {
        if report.attempt != self.attempt {
            return Err(format!("executor {executor} runs attempt {}", report.attempt));
        }
        if report.graph != self.graph {
            return Err(format!("executor {executor} has another graph of it"));
        }
        self.take_subtasks(executor, report, known.job)?;
        self.take_checkpoints(executor, report, known)?;
        self.readers.extend(report.readers.iter().cloned());
        Ok(())
    }

    fn take_subtasks(
        &mut self,
        executor: ExecutorId,
        report: &AttemptReport,
        job: &JobGraph,
    ) -> Result<(), String> {
        let status: BTreeMap<SubtaskId, ReportedStatus> = report.subtasks.iter().copied().collect();
        let of_graph = self.graph.subtasks().filter(|(_, _, subtask)| subtask.slot.executor == executor);
        for (vertex, index, subtask) in of_graph {
            let problem = match status.get(&subtask.id) {
                Some(ReportedStatus::Running) => continue,
                Some(ReportedStatus::Ended) => {
                    self.ended.insert(subtask.id);
                    continue;
                }
                Some(ReportedStatus::Deploying) => "was being deployed".to_owned(),
                Some(ReportedStatus::Finished) => "has finished".to_owned(),
                Some(ReportedStatus::Failed) => "or another subtask of its executor has failed".to_owned(),
                None => format!("does not run on executor {executor}"),
            };
            let parallelism = self.graph.vertex(vertex).parallelism();
            let name = subtask_name(&job.vertex(vertex).name, index, parallelism);
            return Err(format!("{name} {problem}"));
        }
        match report.subtasks.iter().all(|(id, _)| self.graph.find(*id).is_some()) {
            false => Err(format!("executor {executor} runs a subtask that is not in its graph")),
            true => Ok(()),
        }
    }

    /// Whether an executor was added for regions that do not take part in the last complete checkpoint, and was deployed
    /// after its trigger, of which it has not heard. That checkpoint has the same state of the regions as the one that
    /// it restored.
    fn has_state_of(
        &self,
        executor: ExecutorId,
        report: &AttemptReport,
        job: &JobGraph,
        latest: &Completed,
    ) -> bool {
        let Some(restored) = report.restored.filter(|_| latest.owned) else { return false };
        let taken_over = latest.manifest.taken_over(job);
        let mut here = self.graph.subtasks().filter(|(.., subtask)| subtask.slot.executor == executor);
        restored <= latest.checkpoint
            && here.all(|(vertex, ..)| taken_over.get(&vertex).is_some_and(|taken_in| *taken_in <= restored))
    }

    /// Checks that the attempt has taken part in the last complete checkpoint, so that its tasks continue from it. A
    /// checkpoint of another attempt may have committed what these tasks would commit again.
    fn take_checkpoints(
        &mut self,
        executor: ExecutorId,
        report: &AttemptReport,
        known: &Known<'_>,
    ) -> Result<(), String> {
        let latest = known.latest;
        self.restored = self.restored.max(report.restored);
        let is_latest = |taken: &TakenCheckpoint| {
            latest.is_some_and(|latest| {
                latest.owned
                    && (taken.epoch, taken.checkpoint) == (latest.manifest.lineage.epoch, latest.checkpoint)
            })
        };
        let notified = report.completed.filter(is_latest);
        let unknown = report.undecided.filter(is_latest);
        let is_restored = report.completed.is_none()
            && (report.restored == latest.map(|latest| latest.checkpoint)
                || latest.is_some_and(|latest| self.has_state_of(executor, report, known.job, latest)));
        if let Some(taken) = notified.or(unknown) {
            if taken.then != AfterBarrier::Continue {
                let checkpoint = taken.checkpoint;
                return Err(format!(
                    "its sources have paused with checkpoint {checkpoint}, which is complete"
                ));
            }
        } else if !is_restored && !injected_fault::is_active("attempt_of_another_checkpoint_adopted") {
            let latest = latest.map_or("none".to_owned(), |latest| latest.checkpoint.to_string());
            return Err(format!(
                "executor {executor} has not taken part in the last complete checkpoint ({latest})"
            ));
        }
        self.latest_is_unknown |= unknown.is_some();
        if unknown.is_none() {
            self.aborted.extend(report.undecided.map(|undecided| undecided.checkpoint));
        }
        Ok(())
    }
}

/// Checks that the job and its state have the form of the graph.
fn fits(known: &Known<'_>, graph: &ExecutionGraph) -> Result<(), String> {
    if let Some(latest) = known.latest
        && latest.manifest.ending.is_some()
    {
        return Err(format!("the job ends with checkpoint {}", latest.checkpoint));
    }
    if graph.vertices.len() != known.job.vertices.len() {
        return Err("it has another job graph".to_owned());
    }
    for ((vertex, placed), max) in known.job.vertices.iter().zip(&graph.vertices).zip(known.max_parallelism) {
        let groups = placed.table.as_ref().map(|table| table.max_parallelism());
        if groups != vertex.keyed.then_some(*max) {
            return Err(format!("operator '{}' has another number of key groups", vertex.name));
        }
    }
    Ok(())
}

/// Checks that no cut is under way. From the trigger of a cut on, the subtasks of two graphs run, and only the former leader
/// knew which of them have passed it.
fn no_cut(executor: ExecutorId, report: &AttemptReport) -> Result<(), String> {
    match report.rescale {
        RescaleProgress::Cut(version) if !injected_fault::is_active("adoption_during_a_cut") => {
            Err(format!("executor {executor} was changing to graph version {version}"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "adoption_tests.rs"]
mod tests;
