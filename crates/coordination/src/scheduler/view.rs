//! Read access to a scheduler, for REST, logs and tests.

use super::attempt::DeployedAttempt;
use super::context::Context;
use super::demand::Demand;
use super::executor::Executor;
use super::settings::Settings;
use super::state::StateName;
use crate::action::EndState;
use crate::checkpoint::{Completed, Stats};
use crate::event::ParallelismBounds;
use crate::exceptions::History;
use crate::rescale::Timeline;
use crate::transition::Resources;
use reflow_graph::{JobGraph, RegionIndex, Vertex, VertexIndex};
use reflow_protocol::deployment::Attempt;
use reflow_types::{ExecutorId, Instant, MaxParallelism};
use reflow_view::JobStatus;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// When a job was in which status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusTimes {
    current: JobStatus,
    /// When it last entered each status that it was in.
    pub entered: BTreeMap<JobStatus, Instant>,
    /// How long it was in each status before, the present stay left out.
    pub spent: BTreeMap<JobStatus, Duration>,
}

impl StatusTimes {
    pub(super) fn new(now: Instant, status: JobStatus) -> Self {
        Self { current: status, entered: BTreeMap::from([(status, now)]), spent: BTreeMap::new() }
    }

    pub(super) fn enter(&mut self, now: Instant, status: JobStatus) {
        if status == self.current {
            return;
        }
        let stay = now.since(self.entered[&self.current]);
        *self.spent.entry(self.current).or_default() += stay;
        self.entered.insert(status, now);
        self.current = status;
    }
}

/// A vertex with what the scheduler has decided for it.
#[derive(Clone, Copy, Debug)]
pub struct VertexView<'a> {
    pub vertex: &'a Vertex,
    /// Subtasks of the current attempt; until there is one, what the job asks for.
    pub parallelism: u32,
    /// The number of its key groups.
    pub max_parallelism: MaxParallelism,
    /// Its requirements, as they are declared or by default.
    pub bounds: ParallelismBounds,
    /// The bounds within which the autoscaler may choose.
    pub scalable: ParallelismBounds,
    pub region: RegionIndex,
    /// Whether its region restarts, while others run on.
    pub restarts_alone: bool,
}

/// A restart of regions while others ran on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionRestart {
    /// When they failed.
    pub at: Instant,
    pub regions: BTreeSet<RegionIndex>,
}

/// What became of the attempt that executors ran when this leader began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// It goes on.
    Adopted(Attempt),
    /// It ended, and the job restarts from its last complete checkpoint.
    NewAttempt { former: Attempt, reason: String },
}

/// A scheduler at one moment. A list of what its parts show, read by field: nothing of it can be changed here.
#[derive(Clone, Debug)]
pub struct View<'a> {
    pub state: StateName,
    /// The same, as the outside sees it.
    pub status: JobStatus,
    /// When it was in which status.
    pub times: &'a StatusTimes,
    /// How the job ended, and why, if it has.
    pub end: Option<(EndState, Option<&'a str>)>,
    pub job: &'a JobGraph,
    pub settings: &'a Settings,
    /// The current attempt, or the last one.
    pub attempt: Option<&'a DeployedAttempt>,
    /// What became of the attempt of a former leader, if executors ran one.
    pub takeover: Option<&'a Takeover>,
    /// The executors whose slots it knows.
    pub executors: &'a BTreeMap<ExecutorId, Executor>,
    pub rescales: &'a Timeline,
    /// Failures.
    pub exceptions: &'a History,
    pub checkpoints: &'a Stats,
    /// The checkpoint from which the next attempt would start.
    pub latest: Option<&'a Completed>,
    /// Restarts after failures.
    pub restarts: u64,
    /// When regions have restarted alone last, and which.
    pub region_restart: Option<&'a RegionRestart>,
    /// Restarts for a rescale.
    pub rescaled: u64,
    /// What the user asked for and does not get.
    pub warnings: &'a [String],
    demand: &'a Demand,
    cut_is_requested: bool,
    absent: BTreeSet<RegionIndex>,
    resources: Resources,
    slots_needed: u32,
}

impl<'a> View<'a> {
    /// Whether a live rescale has cut, or is about to, and is not committed. A leader that is lost then costs a restart.
    pub fn is_cutting(&self) -> bool {
        let live = self.rescales.current().and_then(|rescale| rescale.live.as_ref());
        self.cut_is_requested || live.is_some_and(|live| live.has_cut())
    }

    pub(super) fn new(
        ctx: &'a Context,
        state: StateName,
        end: Option<(EndState, Option<&'a str>)>,
        times: &'a StatusTimes,
    ) -> Self {
        Self {
            state,
            status: state.job_status(end.map(|(end, _)| end)),
            times,
            end,
            job: ctx.demand.job(),
            settings: &ctx.settings,
            attempt: ctx.attempt.as_ref(),
            takeover: ctx.takeover.as_ref(),
            executors: ctx.cluster.executors(),
            rescales: &ctx.timeline,
            exceptions: ctx.failures.history(),
            checkpoints: ctx.coordinator.stats(),
            latest: ctx.coordinator.latest(),
            restarts: ctx.lineage.restarts(),
            region_restart: ctx.lineage.region_restart(),
            rescaled: ctx.lineage.rescales(),
            cut_is_requested: ctx.coordinator.is_cut_requested(),
            absent: ctx.coordinator.absent(),
            warnings: &ctx.warnings,
            demand: &ctx.demand,
            resources: ctx.resources(),
            slots_needed: ctx.slots_needed(),
        }
    }

    /// The vertices, in the job graph's order.
    pub fn vertices(&self) -> impl Iterator<Item = VertexView<'a>> + '_ {
        let of_attempt = self.attempt.map(DeployedAttempt::parallelism);
        let (bounds, max_parallelism) = (self.demand.declared(), self.demand.max_parallelism());
        self.job.vertices.iter().enumerate().map(move |(index, vertex)| VertexView {
            vertex,
            parallelism: of_attempt.as_ref().map_or(bounds[index].upper, |p| p[index]),
            max_parallelism: max_parallelism[index],
            bounds: bounds[index],
            scalable: self.demand.scalable(index),
            region: self.region(index),
            restarts_alone: self.absent.contains(&self.region(index)),
        })
    }

    /// The region of a vertex.
    pub fn region(&self, vertex: usize) -> RegionIndex {
        self.demand.regions().region(VertexIndex(vertex as u16))
    }

    /// Whether the slots that are there now are as many as the job asks for, or as it needs.
    pub fn resources(&self) -> Resources {
        self.resources
    }

    /// Slots without which the job does not run.
    pub fn slots_needed(&self) -> u32 {
        self.slots_needed
    }
}
