//! The demand of a job: the bounds of its vertices, and the parallelism for a number of slots.

use super::settings::Settings;
use crate::event::ParallelismBounds;
use crate::requirements::{self, RequestedBounds, RequirementsError, SchedulerMode};
use crate::rescale;
use crate::slots::{self, Offer, Parallelism, Placement};
use crate::transition::Resources;
use reflow_graph::{JobGraph, Regions, VertexIndex};
use reflow_types::{MaxParallelism, VertexId};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Demand {
    job: Arc<JobGraph>,
    regions: Regions,
    /// By vertex.
    max_parallelism: Vec<MaxParallelism>,
    /// By vertex: what is declared, or by default.
    declared: Vec<ParallelismBounds>,
    /// By vertex: the same, below the limits of the autoscaler.
    bounds: Vec<ParallelismBounds>,
    /// Whether a user has declared the bounds.
    by_user: bool,
    /// In reactive mode the job requests all available slots.
    mode: SchedulerMode,
}

impl Demand {
    pub(super) fn new(job: Arc<JobGraph>, max_parallelism: Vec<MaxParallelism>, settings: &Settings) -> Self {
        let mode = settings.mode;
        let bounds = requirements::defaults(&job, &max_parallelism, mode, settings.default_parallelism);
        let regions = Regions::of(&job);
        Self { job, regions, max_parallelism, declared: bounds.clone(), bounds, by_user: false, mode }
    }

    pub(super) fn job(&self) -> &JobGraph {
        &self.job
    }

    pub(super) fn regions(&self) -> &Regions {
        &self.regions
    }

    pub(super) fn max_parallelism(&self) -> &[MaxParallelism] {
        &self.max_parallelism
    }

    /// The bounds that are declared, or by default.
    pub(super) fn declared(&self) -> &[ParallelismBounds] {
        &self.declared
    }

    /// The bounds that count.
    pub(super) fn bounds(&self) -> &[ParallelismBounds] {
        &self.bounds
    }

    /// The bounds within which the autoscaler may choose: those that a user has declared, otherwise all that the vertex can
    /// have. The parallelism that the job was given is where it begins.
    pub(super) fn scalable(&self, index: usize) -> ParallelismBounds {
        let declared = self.declared[index];
        let upper = if self.by_user { declared.upper } else { self.max_parallelism[index].get() };
        ParallelismBounds { upper, ..declared }
    }

    /// Checks requested requirements.
    pub(super) fn validate(
        &self,
        requested: &BTreeMap<VertexId, RequestedBounds>,
    ) -> Result<BTreeMap<VertexId, ParallelismBounds>, RequirementsError> {
        requirements::validate(&self.job, &self.max_parallelism, self.mode, requested)
    }

    /// Sets checked requirements. Limits of the autoscaler end.
    pub(super) fn update(&mut self, bounds: &BTreeMap<VertexId, ParallelismBounds>) {
        for (vertex, own) in self.job.vertices.iter().zip(&mut self.declared) {
            if let Some(new) = bounds.get(&vertex.id) {
                *own = *new;
            }
        }
        self.by_user = true;
        self.bounds.clone_from(&self.declared);
    }

    /// Sets the limits of the autoscaler, as far as the declared bounds allow them.
    pub(super) fn limit(&mut self, parallelism: &BTreeMap<VertexId, u32>) {
        for index in 0..self.job.vertices.len() {
            if let Some(limit) = parallelism.get(&self.job.vertices[index].id) {
                let range = self.scalable(index);
                self.bounds[index] =
                    ParallelismBounds { upper: (*limit).clamp(range.lower, range.upper), ..range };
            }
        }
    }

    /// The parallelism for this number of slots, as many of which are shared out as in `former`; `None` if they are too few.
    pub(super) fn parallelism(&self, slots: u32, former: Option<&[u32]>) -> Option<Parallelism> {
        let planned = slots::parallelism(&self.job, &self.bounds, slots)?;
        let kept = former.and_then(|former| slots::as_before(&self.job, &self.bounds, &planned, former));
        Some(kept.unwrap_or(planned))
    }

    /// The parallelism of the vertices that restart for this number of slots, while the others keep theirs; `None` if the
    /// slots are too few.
    pub(super) fn parallelism_beside(
        &self,
        slots: u32,
        former: &Placement,
        restarts: impl Fn(VertexIndex) -> bool,
    ) -> Option<Parallelism> {
        let bounds = self.bounds.iter().zip(former).zip(self.job.numbered_vertices());
        let bounds = bounds.map(|((bounds, former), (index, _))| match restarts(index) {
            true => *bounds,
            false => ParallelismBounds { lower: former.len() as u32, upper: former.len() as u32 },
        });
        slots::parallelism(&self.job, &bounds.collect::<Vec<_>>(), slots)
    }

    /// Assigns subtasks to slots, to their former ones if possible.
    pub(super) fn assign(
        &self,
        parallelism: &Parallelism,
        offers: &[Offer],
        former: Option<&Placement>,
    ) -> Placement {
        slots::assign(&self.job, &self.bounds, parallelism, offers, former)
    }

    /// The least number of slots with which the job runs, and the number that it requests. In reactive mode it
    /// requests all available ones.
    pub(super) fn slots(&self, available: u32) -> (u32, u32) {
        let groups = slots::sharing_groups(&self.job, &self.bounds);
        let lower: u32 = groups.iter().map(|group| group.lower).sum();
        let upper: u32 = groups.iter().map(|group| group.upper).sum();
        match self.mode {
            SchedulerMode::Reactive => (lower, upper.min(available.max(lower))),
            SchedulerMode::Default => (lower, upper),
        }
    }

    /// The resources that a deployment into this number of slots would get.
    pub(super) fn resources(&self, available: u32) -> Resources {
        let (lower, upper) = self.slots(available);
        Resources { desired: available >= upper, sufficient: available >= lower, ..Resources::default() }
    }

    /// The start of a rescale record, with the former parallelism.
    pub(super) fn rescale_start(&self, before: Option<&[u32]>) -> rescale::Start {
        let of_vertex = |index: usize| before.map(|parallelism| parallelism[index]);
        let vertices = self.job.vertices.iter().zip(&self.bounds).enumerate();
        let vertices = vertices.map(|(index, (vertex, bounds))| rescale::VertexChange {
            vertex: vertex.id,
            name: vertex.name.clone(),
            slot_sharing_group: vertex.slot_sharing_group.clone(),
            desired: bounds.upper,
            sufficient: bounds.lower,
            before: of_vertex(index),
            after: None,
        });
        let groups = slots::sharing_groups(&self.job, &self.bounds);
        let slots = groups.iter().map(|group| rescale::SlotChange {
            slot_sharing_group: group.name.to_owned(),
            desired: group.upper,
            sufficient: group.lower,
            before: group.vertices.iter().filter_map(|v| of_vertex(usize::from(v.0))).max(),
            after: None,
        });
        rescale::Start { vertices: vertices.collect(), slots: slots.collect() }
    }
}
