//! The autoscaler of the job: feeds the policy with what subtasks report, and passes its decisions to the scheduler.

use crate::members::Members;
use crate::metrics::Metrics;
use reflow_config::{Config, options};
use reflow_coordination::autoscaler::provisioning::Report;
use reflow_coordination::autoscaler::{Decision, Observation, Policy, Settings, VertexLoad};
use reflow_coordination::event::Event;
use reflow_coordination::scheduler::{Scheduler, StateName, SubtaskStatus, View};
use reflow_graph::VertexIndex;
use reflow_types::Instant;
use reflow_view::{AutoscalerView, ProvisioningView, ScalingDecisionView};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The time between two observations. Subtasks report as often.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long TaskManagers may take to register with a new JobManager. Before, nobody knows how many there are, and an HPA
/// would remove those that it is not told of.
const SETTLED_AFTER: Duration = Duration::from_secs(10);
/// The number of decisions that are shown.
const KEPT_DECISIONS: usize = 100;

pub(crate) struct Autoscaler {
    policy: Policy,
    began_at: Instant,
    look_at: Instant,
    /// Since when all subtasks of the job run.
    runs_since: Option<Instant>,
    decisions: VecDeque<Decision>,
    provisioning: ProvisioningView,
}

impl Autoscaler {
    /// The autoscaler, if the options enable it.
    pub(crate) fn new(config: &Config, now: Instant) -> Option<Self> {
        let enabled = options::AUTOSCALER_ENABLED.get(config);
        enabled.then(|| Self {
            policy: Policy::new(settings(config)),
            began_at: now,
            look_at: now,
            runs_since: None,
            decisions: VecDeque::new(),
            provisioning: ProvisioningView::default(),
        })
    }

    pub(crate) fn next_wakeup(&self) -> Instant {
        self.look_at
    }

    /// The provider of TaskManagers has reported.
    pub(crate) fn provisioned(&mut self, now: Instant, report: Report) {
        let ProvisioningView { status, events } = &mut self.provisioning;
        *status = report.status;
        for text in report.events {
            // Each has a time of its own, by which the time line tells it from others.
            let after_last = events.last().map_or(i64::MIN, |(at_ms, _)| at_ms + 1);
            events.push((now.as_millis().max(after_last), text));
        }
        events.drain(..events.len().saturating_sub(KEPT_DECISIONS));
    }

    /// A user has changed the job's requirements.
    pub(crate) fn requirements_changed(&mut self, now: Instant) {
        self.policy.begin_anew(now);
    }

    /// Looks at the job if it is time to. Returns the event for the scheduler if the parallelism should change.
    pub(crate) fn on_time(
        &mut self,
        now: Instant,
        scheduler: &Scheduler,
        metrics: &Metrics,
        members: &Members,
    ) -> Option<Event> {
        if now < self.look_at {
            return None;
        }
        self.look_at = now + INTERVAL;
        let view = scheduler.view();
        let Some(observation) = observe(&view, metrics, members) else {
            self.policy.pause(now, "waiting for the job to run steadily");
            self.runs_since = None;
            if now >= self.began_at + SETTLED_AFTER {
                self.policy.wait_for(needed(&view, members));
            }
            return None;
        };
        self.runs_since.get_or_insert(now);
        let decision = self.policy.observe(now, observation)?;
        tracing::info!("autoscaler: {}", decision.reason);
        self.decisions.push_back(decision);
        self.decisions.drain(..self.decisions.len().saturating_sub(KEPT_DECISIONS));
        let parallelism = self.policy.assessment().parallelism.clone();
        self.policy.settings().scaling.then_some(Event::LimitParallelism { parallelism })
    }

    /// Whether the job runs for long enough to tell that it needs no more TaskManagers.
    fn has_observed(&self) -> bool {
        let Settings { window, stabilization, .. } = *self.policy.settings();
        let begun = self.began_at + SETTLED_AFTER;
        self.runs_since.is_some_and(|since| self.look_at >= begun.max(since + window + stabilization))
    }

    pub(crate) fn view(&self) -> AutoscalerView {
        let assessment = self.policy.assessment();
        let decision = |decision: &Decision| ScalingDecisionView {
            at_ms: decision.at.as_millis(),
            from: decision.from,
            to: decision.to,
            reason: decision.reason.clone(),
        };
        AutoscalerView {
            scaling: self.policy.settings().scaling,
            desired_task_managers: assessment.task_managers,
            desired_is_least: !self.has_observed(),
            parallelism: assessment.parallelism.clone(),
            utilization: assessment.utilization,
            lag_records: assessment.lag_records,
            lag_seconds: assessment.lag_seconds,
            arriving_per_second: assessment.arriving_per_second,
            status: assessment.status.clone(),
            decisions: self.decisions.iter().map(decision).collect(),
            provisioning: self.provisioning.clone(),
        }
    }
}

/// The metrics of the job that the autoscaler adds.
pub(crate) fn metrics(view: &AutoscalerView) -> BTreeMap<String, f64> {
    let desired = view.desired_task_managers.map(|desired| ("desiredTaskManagers", f64::from(desired)));
    let others = [
        ("utilization", view.utilization),
        ("lagRecords", view.lag_records as f64),
        ("lagSeconds", view.lag_seconds),
    ];
    desired.into_iter().chain(others).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The TaskManagers with which a job can run that does not: those that there are, or as many as its lower bounds need.
fn needed(view: &View<'_>, members: &Members) -> u32 {
    let mut lower: BTreeMap<&str, u32> = BTreeMap::new();
    for of_vertex in view.vertices() {
        let of_group = lower.entry(of_vertex.vertex.slot_sharing_group.as_str()).or_default();
        *of_group = (*of_group).max(of_vertex.scalable.lower);
    }
    let slots: u32 = lower.into_values().sum();
    let there = members.task_managers().filter(|(_, task_manager)| !task_manager.draining).count();
    slots.div_ceil(slots_of_one(members)).max(u32::try_from(there).unwrap_or(u32::MAX))
}

/// The slots that a further TaskManager is expected to have, from those that stay. If all leave, the next ones are like them.
fn slots_of_one(members: &Members) -> u32 {
    let slots = |leaves: bool| {
        let task_managers = members.task_managers().map(|(_, task_manager)| task_manager);
        task_managers.filter(|it| it.draining == leaves).map(|it| it.slots).max()
    };
    slots(false).or_else(|| slots(true)).unwrap_or(1)
}

fn settings(config: &Config) -> Settings {
    Settings {
        scaling: options::AUTOSCALER_SCALING.get(config),
        window: options::AUTOSCALER_WINDOW.get(config),
        stabilization: options::AUTOSCALER_STABILIZATION.get(config),
        target: options::AUTOSCALER_TARGET.get(config),
        max_utilization: options::AUTOSCALER_MAX_UTILIZATION.get(config),
        min_utilization: options::AUTOSCALER_MIN_UTILIZATION.get(config),
        scale_up_factor: options::AUTOSCALER_SCALE_UP_FACTOR.get(config),
        scale_down_factor: options::AUTOSCALER_SCALE_DOWN_FACTOR.get(config),
        scale_down_interval: options::AUTOSCALER_SCALE_DOWN_INTERVAL.get(config),
        scale_up_grace: options::AUTOSCALER_SCALE_UP_GRACE.get(config),
        catch_up: options::AUTOSCALER_CATCH_UP.get(config),
        restart: options::AUTOSCALER_RESTART_TIME.get(config),
        min_parallelism: options::AUTOSCALER_MIN_PARALLELISM.get(config),
        max_parallelism: options::AUTOSCALER_MAX_PARALLELISM.get(config),
        min_task_managers: options::AUTOSCALER_MIN_TASK_MANAGERS.get(config),
        max_task_managers: options::AUTOSCALER_MAX_TASK_MANAGERS.get(config),
    }
}

/// The load of a job all of whose subtasks run.
fn observe(view: &View<'_>, metrics: &Metrics, members: &Members) -> Option<Observation> {
    let attempt = view.attempt?;
    let runs = attempt.subtasks().values().all(|subtask| subtask.status == SubtaskStatus::Running);
    if view.state != StateName::Executing || !runs {
        return None;
    }
    let mut groups: Vec<&str> = Vec::new();
    let mut vertices = Vec::new();
    for (index, of_vertex) in view.vertices().enumerate() {
        let index = VertexIndex(u16::try_from(index).ok()?);
        let group = of_vertex.vertex.slot_sharing_group.as_str();
        let known = groups.iter().position(|name| *name == group);
        let group = known.unwrap_or_else(|| {
            groups.push(group);
            groups.len() - 1
        });
        let mut load = VertexLoad {
            vertex: of_vertex.vertex.id,
            name: of_vertex.vertex.name.clone(),
            group,
            inputs: view.job.inputs(index).map(|(_, edge)| usize::from(edge.from.0)).collect(),
            parallelism: of_vertex.parallelism,
            bounds: of_vertex.scalable,
            records_in: 0,
            records_out: 0,
            busy_s: 0.0,
            backpressured_s: 0.0,
            counted_s: 0.0,
            pending: None,
            state_bytes: 0,
        };
        for (_, subtask) in attempt.graph().vertex(index).numbered() {
            let figures = metrics.of(subtask.id);
            let totals = figures.totals;
            load.records_in += totals.records_in;
            load.records_out += totals.records_out;
            load.busy_s += totals.busy.as_secs_f64();
            load.backpressured_s += totals.backpressured.as_secs_f64();
            load.counted_s += (totals.busy + totals.backpressured + totals.idle).as_secs_f64();
            if let Some(latest) = &figures.latest {
                load.state_bytes += latest.state_bytes;
                if let Some(pending) = latest.pending_records {
                    load.pending = Some(load.pending.unwrap_or(0) + pending);
                }
            }
        }
        vertices.push(load);
    }
    let stay = members.task_managers().map(|(_, task_manager)| task_manager).filter(|it| !it.draining);
    let memory = stay.filter_map(|task_manager| {
        let hardware = &task_manager.hardware;
        let limited = hardware.process_memory < hardware.physical_memory;
        limited.then(|| hardware.process_memory / u64::from(task_manager.slots.max(1)))
    });
    Some(Observation {
        vertices,
        slots_per_task_manager: slots_of_one(members),
        memory_per_slot: memory.min(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_one_report_have_times_of_their_own() {
        let config = Config::from_pairs([("job.autoscaler.enabled", "true")]).unwrap();
        let mut autoscaler = Autoscaler::new(&config, Instant(0)).unwrap();
        let report = || Report { status: None, events: vec!["a".to_owned(), "b".to_owned()] };
        let now = Instant(0) + Duration::from_millis(5);
        autoscaler.provisioned(now, report());
        autoscaler.provisioned(now, report());
        let times = autoscaler.view().provisioning.events.into_iter().map(|(at_ms, _)| at_ms);
        assert_eq!(times.collect::<Vec<_>>(), [5, 6, 7, 8]);
    }
}
