//! A restart of regions: their subtasks end and are deployed again from the last complete checkpoint, while the others of
//! the attempt run on.
//!
//! Part of the state Executing. Waits for the backoff, for the executors that run the regions, for storage to report the
//! outcome of the checkpoint that was under way, and for slots. If it turns out that the regions cannot restart alone, the
//! job restarts. The design is described in `docs/design/regions.md`.

use super::attempt::{SubtaskRecord, SubtaskStatus};
use super::context::Context;
use super::graph::{placement_of, region_graph};
use super::next::BackoffEnd;
use crate::action::Action;
use crate::event::Event;
use crate::restart::Failover;
use crate::restore::{self, Plan};
use crate::slots::{Offer, Parallelism, Placement};
use reflow_graph::{RegionIndex, Regions, VertexIndex};
use reflow_protocol::deployment::{Attempt, Deployment};
use reflow_protocol::regions::RegionRestart as Message;
use reflow_protocol::report::ExecutorReport;
use reflow_protocol::snapshot::AfterBarrier;
use reflow_types::{ExecutorId, Instant, SlotId, SubtaskId, injected_fault};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A restart of regions, from their failure until they are deployed.
pub(super) struct RegionRestart {
    message: Message,
    /// The executors that have not ended their part of the regions.
    awaited: BTreeSet<ExecutorId>,
    /// When an executor has taken too long.
    deadline: Option<Instant>,
    not_before: Instant,
    until: BackoffEnd,
    /// Since when it waits for slots.
    waits_since: Option<Instant>,
    /// When it goes on by itself.
    wakeup: Option<Instant>,
}

/// What has become of a restart of regions.
pub(super) enum Progress {
    /// It waits.
    Waits,
    /// The regions are deployed.
    Deployed,
    /// They cannot restart alone.
    NotPossible,
}

impl RegionRestart {
    /// Whether these regions can restart alone.
    pub(super) fn is_possible(ctx: &Context, regions: &BTreeSet<RegionIndex>) -> bool {
        let started = ctx.attempt.as_ref().is_some_and(|attempt| attempt.has_started());
        let all = ctx.demand.regions().all();
        let allowed = ctx.settings.failover == Failover::Region;
        allowed && started && !regions.is_empty() && *regions != all && ctx.coordinator.can_restart_regions()
    }

    /// Begins to cancel these regions, together with those of a `former` restart that is under way.
    pub(super) fn begin(
        ctx: &mut Context,
        now: Instant,
        regions: BTreeSet<RegionIndex>,
        (backoff, until): (Duration, BackoffEnd),
        former: Option<Self>,
    ) -> Self {
        let effects = ctx.coordinator.begin_region_restart(now, &regions);
        ctx.apply(effects);
        ctx.lineage.count_region_restart(now, &regions);
        let not_before = former.map_or(now, |former| former.not_before).max(now + backoff);
        let restarts = restarts(ctx.demand.regions(), &regions);
        let attempt = ctx.attempt.as_mut().expect("regions of an attempt restart");
        attempt.advance_each(now, SubtaskStatus::Canceling, |record| restarts(record.vertex));
        let of_regions = attempt.subtasks().values().filter(|record| restarts(record.vertex));
        let executors: BTreeSet<ExecutorId> = of_regions.map(|record| record.slot.executor).collect();
        let awaited: BTreeSet<ExecutorId> = executors.intersection(attempt.holders()).copied().collect();
        let message = Message { attempt: attempt.attempt(), version: attempt.next_version(), regions };
        let executors = awaited.iter().copied().collect();
        ctx.outputs.push(Action::CancelRegions { restart: message.clone(), executors });
        let deadline = ctx.settings.cancellation_timeout.map(|timeout| now + timeout);
        Self { message, awaited, deadline, not_before, until, waits_since: None, wakeup: deadline }
    }

    /// The regions that restart.
    pub(super) fn regions(&self) -> &BTreeSet<RegionIndex> {
        &self.message.regions
    }

    /// Updates it by an event.
    pub(super) fn on_event(&mut self, ctx: &mut Context, now: Instant, event: &Event) {
        let restarts = restarts(ctx.demand.regions(), &self.message.regions);
        match event {
            Event::ExecutorReported {
                executor,
                report: ExecutorReport::RegionsCanceled { attempt, version },
            } if (*attempt, *version) == (self.message.attempt, self.message.version) => {
                self.awaited.remove(executor);
                if let Some(current) = &mut ctx.attempt {
                    current.advance_each(now, SubtaskStatus::Canceled, |record| {
                        record.slot.executor == *executor && restarts(record.vertex)
                    });
                }
            }
            Event::ExecutorLost { executor, .. } => {
                self.awaited.remove(executor);
                let ran =
                    |record: &SubtaskRecord| record.slot.executor == *executor && restarts(record.vertex);
                // One that is cut off from others may have answered the cancellation before that was decided.
                let caused_it = ctx.isolation.has_cut_off(*executor)
                    || ctx.attempt.as_ref().is_some_and(|attempt| attempt.subtasks().values().any(ran));
                if caused_it && self.until == BackoffEnd::ElapsedOrExecutorLost {
                    self.not_before = now;
                }
            }
            _ => {}
        }
    }

    /// Deploys the regions if nothing is awaited any more.
    pub(super) fn advance(&mut self, ctx: &mut Context, now: Instant) -> Progress {
        if !self.awaited.is_empty() {
            return self.wait_until(now, self.deadline);
        }
        if !ctx.coordinator.is_settled_for(&self.message.regions) || now < self.not_before {
            self.wakeup = Some(self.not_before).filter(|at| *at > now);
            return Progress::Waits;
        }
        let restarts = restarts(ctx.demand.regions(), &self.message.regions);
        let planned = plan(ctx, &restarts);
        if planned.is_none() || !ctx.resources().desired {
            // As while the job waits for resources: for more slots a short time, for those that it needs a long time. It
            // may have enough if the others give some up, for which the job restarts.
            let since = *self.waits_since.get_or_insert(now);
            let waits = match planned.is_some() || ctx.plan().is_some() {
                true => Some(ctx.settings.resource_stabilization_timeout),
                false => ctx.settings.resource_wait_timeout,
            };
            if let Progress::Waits = self.wait_until(now, waits.map(|waits| since + waits)) {
                return Progress::Waits;
            }
        }
        let Some((parallelism, placement)) = planned else { return Progress::NotPossible };
        if !is_beside(ctx, &placement, &restarts) || !ctx.coordinator.can_restart_regions() {
            return Progress::NotPossible;
        }
        ctx.timeline.decide(&parallelism.vertices, &parallelism.groups);
        match self.deploy(ctx, now, &placement, &restarts) {
            Ok(()) => Progress::Deployed,
            Err(_) => Progress::NotPossible,
        }
    }

    /// Waits no longer than until this time.
    fn wait_until(&mut self, now: Instant, by: Option<Instant>) -> Progress {
        self.wakeup = by;
        if by.is_some_and(|by| by <= now) { Progress::NotPossible } else { Progress::Waits }
    }

    /// Redistributes these regions' state of the last complete checkpoint and deploys them.
    fn deploy(
        &self,
        ctx: &mut Context,
        now: Instant,
        placement: &Placement,
        restarts: &impl Fn(VertexIndex) -> bool,
    ) -> Result<(), restore::RestoreError> {
        let attempt = ctx.attempt.as_mut().expect("regions of an attempt restart");
        let name = Attempt { epoch: ctx.identity.epoch, number: ctx.lineage.next_attempt() };
        let graph = region_graph(&ctx.demand, &mut ctx.lineage, placement, attempt.graph(), (name, restarts));
        let latest = match injected_fault::is_active("region_restarted_from_an_older_checkpoint") {
            true => ctx.coordinator.before_latest().or(ctx.coordinator.latest()),
            false => ctx.coordinator.latest(),
        };
        let Plan { mut restore, first_checkpoint } = match latest {
            Some(latest) => {
                let job = ctx.demand.job();
                restore::plan(job, &latest.manifest, &graph, ctx.settings.unclaimed_state)?
            }
            None => Plan::empty(),
        };
        let fresh = graph.subtasks().filter(|(vertex, ..)| restarts(*vertex));
        let fresh: BTreeSet<SubtaskId> = fresh.map(|(.., subtask)| subtask.id).collect();
        restore.retain(|(subtask, _)| fresh.contains(subtask));
        let checkpoint = latest.map(|latest| latest.checkpoint);
        let taken_over =
            latest.map(|latest| latest.manifest.taken_over(ctx.demand.job())).unwrap_or_default();
        let vertices = ctx.demand.job().numbered_vertices().filter(|(index, _)| restarts(*index));
        let uids: BTreeSet<&str> = vertices
            .flat_map(|(_, vertex)| &vertex.operators)
            .map(|operator| operator.uid.as_str())
            .collect();
        let states = latest.map(|latest| latest.manifest.enumerators.clone()).unwrap_or_default();
        let enumerators = states.into_iter().filter(|(uid, _)| uids.contains(uid.as_str())).collect();
        let regions = &self.message.regions;
        ctx.coordinator.restart_regions(now, ctx.demand.job(), &graph, (regions, restarts));
        let bounds = ctx.demand.bounds();
        attempt.restart_regions(now, graph.clone(), checkpoint, bounds, (regions, restarts));
        attempt.note_task_managers(|holder| ctx.cluster.task_manager(holder));
        let (attempt, then) = (self.message.attempt, AfterBarrier::Continue);
        let deployment =
            Deployment { attempt, graph, restore, first_checkpoint, checkpoint, taken_over, then };
        let (restart, deployment) = (self.message.clone(), Box::new(deployment));
        ctx.outputs.push(Action::DeployRegions { restart, deployment, enumerators });
        Ok(())
    }

    /// When something is due.
    pub(super) fn next_wakeup(&self) -> Option<Instant> {
        self.wakeup
    }
}

/// Whether a vertex belongs to one of these regions.
fn restarts(all: &Regions, regions: &BTreeSet<RegionIndex>) -> impl Fn(VertexIndex) -> bool + use<> {
    let (all, regions) = (all.clone(), regions.clone());
    move |vertex| regions.contains(&all.region(vertex))
}

/// The parallelism and the slots of the vertices that restart, beside the others, which stay; `None` if there are too few
/// slots.
fn plan(ctx: &Context, restarts: &impl Fn(VertexIndex) -> bool) -> Option<(Parallelism, Placement)> {
    let former = placement_of(ctx.attempt.as_ref()?.graph());
    // Others stay also where a TaskManager is being drained.
    let mut offers: BTreeMap<SlotId, Offer> =
        ctx.cluster.offers().into_iter().map(|offer| (offer.slot, offer)).collect();
    for slot in others(&former, restarts).flat_map(|(_, slots)| slots) {
        let task_manager = ctx.cluster.task_manager(slot.executor)?;
        offers.entry(*slot).or_insert(Offer { slot: *slot, task_manager });
    }
    let parallelism = ctx.demand.parallelism_beside(offers.len() as u32, &former, restarts)?;
    let offers: Vec<Offer> = offers.into_values().collect();
    let mut placement = ctx.demand.assign(&parallelism, &offers, Some(&former));
    for (vertex, slots) in others(&former, restarts) {
        placement[vertex].clone_from(slots);
    }
    Some((parallelism, placement))
}

/// The vertices that stay, with their slots.
fn others<'a>(
    placement: &'a Placement,
    restarts: &'a impl Fn(VertexIndex) -> bool,
) -> impl Iterator<Item = (usize, &'a Vec<SlotId>)> {
    placement.iter().enumerate().filter(|(vertex, _)| !restarts(VertexIndex(*vertex as u16)))
}

/// Whether no slot of a vertex that restarts serves vertices of another slot sharing group that stay.
fn is_beside(ctx: &Context, placement: &Placement, restarts: &impl Fn(VertexIndex) -> bool) -> bool {
    let vertices = &ctx.demand.job().vertices;
    let group = |vertex: usize| vertices[vertex].slot_sharing_group.as_str();
    let taken: BTreeMap<SlotId, &str> = others(placement, restarts)
        .flat_map(|(vertex, slots)| slots.iter().map(move |slot| (*slot, group(vertex))))
        .collect();
    let fits = |vertex: usize| {
        placement[vertex].iter().all(|slot| taken.get(slot).is_none_or(|taken| *taken == group(vertex)))
    };
    (0..placement.len()).filter(|vertex| restarts(VertexIndex(*vertex as u16))).all(fits)
}
