//! The job's history: its figures once a second, and its events, in bounded memory.
//!
//! Figures are kept by the second for ten minutes, by ten seconds for two hours, and by the minute for a day, with a thousand
//! events: at most 600 kB, and as much again for the published view. The history begins when a JobManager becomes the leader.
//! It is derived from the published views, so no other code reports to it.

use reflow_types::{CheckpointId, LeaderEpoch, MAX_WATERMARK};
use reflow_view::RescaleId;
use reflow_view::{
    CheckpointOutcome, ClusterView, Figure, JobStatus, JobView, LatencyPoint, LeaderChange,
    LeaderChangeCause, LeadershipView, RegionRestartView, SubtaskView, TakeoverView, TerminalState,
    TimelineEvent, TimelineEventKind, TimelinePoint, TimelineView, VertexView,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// The distances of points, in milliseconds, with the number of points that are kept; finest first.
const LEVELS: [(i64, usize); 3] = [(1_000, 600), (10_000, 720), (60_000, 1_440)];
const MAX_EVENTS: usize = 1_000;
/// The longest text of an event, in characters.
const MAX_TEXT: usize = 300;

/// The history of the job, with what was recorded already.
#[derive(Default)]
pub(crate) struct Timeline {
    levels: [Level; LEVELS.len()],
    events: VecDeque<TimelineEvent>,
    seen: Seen,
}

/// The points at one distance.
#[derive(Default)]
struct Level {
    points: VecDeque<TimelinePoint>,
    /// The number of samples in the mean that is the last point.
    samples: u32,
}

/// What was recorded of a job's histories.
#[derive(Default)]
struct Seen {
    states: BTreeMap<JobStatus, i64>,
    rescales: BTreeSet<RescaleId>,
    failures: i64,
    checkpoints: BTreeSet<CheckpointId>,
    scaled_at_ms: i64,
    provisioned_at_ms: i64,
    restarts: u64,
    leadership: Option<LeaderEpoch>,
}

impl Timeline {
    /// Records what `view` shows of its job, and adds the history to the view.
    pub(crate) fn follow(&mut self, view: &mut ClusterView) {
        let Some(job) = view.jobs.first() else { return };
        let point = point(view, job);
        for (level, (step_ms, capacity)) in self.levels.iter_mut().zip(LEVELS) {
            level.add(point, step_ms, capacity);
        }
        let mut events = self.seen.news(view.now_ms, job);
        events.extend(self.seen.leader_changes(&view.leadership, job.status));
        events.sort_by_key(|event| event.at_ms);
        self.events.extend(events);
        let excess = self.events.len().saturating_sub(MAX_EVENTS);
        self.events.drain(..excess);
        view.jobs[0].timeline = Arc::new(self.show());
    }

    /// The published history: of each level, the points that are older than all of the next finer one.
    fn show(&self) -> TimelineView {
        let mut points: Vec<TimelinePoint> = Vec::new();
        let mut finest_from = i64::MAX;
        for level in &self.levels {
            let older = level.points.iter().take_while(|point| point.at_ms < finest_from);
            points.extend(older.copied().collect::<Vec<_>>().into_iter().rev());
            finest_from = level.points.front().map_or(finest_from, |first| first.at_ms.min(finest_from));
        }
        points.reverse();
        TimelineView { interval_ms: LEVELS[0].0, points, events: self.events.iter().cloned().collect() }
    }
}

impl Level {
    /// Adds a sample. Within the step of the last point, it becomes part of that point's mean.
    fn add(&mut self, sample: TimelinePoint, step_ms: i64, capacity: usize) {
        match self.points.back_mut() {
            Some(last) if sample.at_ms.div_euclid(step_ms) <= last.at_ms.div_euclid(step_ms) => {
                self.samples += 1;
                merge(last, sample, self.samples);
            }
            _ => {
                self.points.push_back(sample);
                self.samples = 1;
            }
        }
        if self.points.len() > capacity {
            self.points.pop_front();
        }
    }
}

/// Rates and shares become means of `samples` samples; everything else is that of the last one.
fn merge(mean: &mut TimelinePoint, sample: TimelinePoint, samples: u32) {
    let weighed = |old: f64, new: f64| old + (new - old) / f64::from(samples);
    *mean = TimelinePoint {
        at_ms: sample.at_ms.max(mean.at_ms),
        records_in_per_second: weighed(mean.records_in_per_second, sample.records_in_per_second),
        records_out_per_second: weighed(mean.records_out_per_second, sample.records_out_per_second),
        busy: weighed(mean.busy, sample.busy),
        backpressured: weighed(mean.backpressured, sample.backpressured),
        ..sample
    };
}

fn point(view: &ClusterView, job: &JobView) -> TimelinePoint {
    let subtasks = || job.vertices.iter().flat_map(|vertex| &vertex.subtasks);
    let most = |share: fn(&SubtaskView) -> f64| subtasks().map(share).fold(0.0, f64::max);
    let is_source = |vertex: &&VertexView| vertex.inputs.is_empty();
    let is_sink = |vertex: &&VertexView| {
        let feeds = |other: &VertexView| other.inputs.iter().any(|input| input.from == vertex.id);
        !job.vertices.iter().any(feeds)
    };
    let sources = || job.vertices.iter().filter(is_source).flat_map(|vertex| &vertex.subtasks);
    let sinks = || job.vertices.iter().filter(is_sink).flat_map(|vertex| &vertex.subtasks);
    let pending = sources().filter_map(|source| match source.metrics.get("pendingRecords") {
        Some(Figure::Number(pending)) => Some(*pending),
        _ => None,
    });
    let watermarks = subtasks()
        .filter(|subtask| !subtask.state.is_terminal())
        .filter_map(|subtask| subtask.input_watermark_ms)
        .filter(|&watermark_ms| watermark_ms < MAX_WATERMARK);
    let last = job.checkpoints.as_ref().and_then(|checkpoints| checkpoints.latest_completed.as_ref());
    let records_in_per_second = sources().map(|source| source.io.records_in_per_second).sum();
    let latencies = sinks().flat_map(|sink| sink.latencies_ms.values());
    let latency = latencies.map(|ms| LatencyPoint { median_ms: ms.median(), p99_ms: ms.p99() }).reduce(
        |most, other| LatencyPoint {
            median_ms: most.median_ms.max(other.median_ms),
            p99_ms: most.p99_ms.max(other.p99_ms),
        },
    );
    TimelinePoint {
        at_ms: view.now_ms,
        parallelism: job.vertices.iter().map(|vertex| vertex.subtasks.len() as u32).max().unwrap_or(0),
        slots_total: view.slots_total(),
        slots_free: view.slots_free(),
        task_managers: view.task_managers.len() as u32,
        records_in_per_second,
        records_out_per_second: sinks().map(|sink| sink.io.records_out_per_second).sum(),
        lag: pending.map(|records| records as u64).reduce(u64::saturating_add),
        event_time_lag_ms: watermarks.min().map(|watermark_ms| view.now_ms.saturating_sub(watermark_ms)),
        busy: most(|subtask| subtask.io.busy),
        backpressured: most(|subtask| subtask.io.backpressured),
        checkpoint_ms: last.map(|checkpoint| checkpoint.duration_ms()),
        // Without records there are no markers, and the latest latencies are old.
        latency: latency.filter(|_| records_in_per_second > 0.0),
    }
}

impl Seen {
    /// The events of a job's histories that were not recorded before.
    fn news(&mut self, now_ms: i64, job: &JobView) -> Vec<TimelineEvent> {
        let mut events = self.states(job);
        events.extend(self.rescales(job));
        events.extend(self.failures(job));
        events.extend(self.checkpoints(job));
        events.extend(self.decisions(job));
        events.extend(self.provisioning(job));
        if job.restarts > self.restarts {
            self.restarts = job.restarts;
            let entered = [JobStatus::Restarting, JobStatus::Created].map(|it| job.entered_at_ms.get(&it));
            let whole_ms = entered.into_iter().flatten().max().copied().unwrap_or(now_ms);
            let of_regions = job.region_restart.as_ref().filter(|restart| {
                job.entered_at_ms.get(&JobStatus::Restarting).is_none_or(|at_ms| *at_ms < restart.at_ms)
            });
            let (at_ms, of) = match of_regions {
                Some(RegionRestartView { at_ms, vertices }) => {
                    let names = vertices.iter().filter_map(|id| job.vertex(*id)).map(VertexView::name);
                    (*at_ms, format!(" of {}", names.collect::<Vec<_>>().join(", ")))
                }
                None => (whole_ms, String::new()),
            };
            let (number, text) = (job.restarts.to_string(), format!("restart {}{of}", job.restarts));
            events.push(event(at_ms, TimelineEventKind::Restart, number, &text));
        }
        events
    }

    fn states(&mut self, job: &JobView) -> Vec<TimelineEvent> {
        let mut events = Vec::new();
        for (&status, &at_ms) in &job.entered_at_ms {
            if self.states.insert(status, at_ms) != Some(at_ms) {
                let name = status.to_string();
                events.push(event(at_ms, TimelineEventKind::State, name.clone(), &name));
            }
        }
        events
    }

    /// The events of rescales, except those that became unnecessary.
    fn rescales(&mut self, job: &JobView) -> Vec<TimelineEvent> {
        let ended = job.rescales.history.iter().filter_map(|rescale| Some((rescale, rescale.ended?)));
        let mut events = Vec::new();
        let mut known = BTreeSet::new();
        for (rescale, (at_ms, reason)) in ended {
            known.insert(rescale.id);
            if self.rescales.contains(&rescale.id) || reason.terminal_state() == TerminalState::Ignored {
                continue;
            }
            let most = |parallelism: fn(&_) -> Option<u32>| {
                rescale.vertices.iter().filter_map(parallelism).max().unwrap_or(0)
            };
            let (before, after) = (most(|vertex| vertex.before), most(|vertex| vertex.after));
            let how = match (reason.terminal_state(), &rescale.live) {
                (TerminalState::Failed, _) => "failed",
                (_, Some(_)) => "live",
                (_, None) => "by a deployment",
            };
            let took_ms = at_ms - rescale.started_at_ms;
            let text = format!("{before} \u{2192} {after}, {how}, {took_ms} ms");
            events.push(event(at_ms, TimelineEventKind::Rescale, rescale.id.to_string(), &text));
        }
        self.rescales = known;
        events
    }

    fn failures(&mut self, job: &JobView) -> Vec<TimelineEvent> {
        let noted_ms = self.failures;
        let new = job.exceptions.iter().filter(|failure| failure.at_ms > noted_ms);
        let events: Vec<_> = new
            .map(|failure| {
                let place = failure.task_name.as_ref().map(|name| format!(" in {name}")).unwrap_or_default();
                let text = format!("{}{place}: {}", failure.name, failure.message);
                event(failure.at_ms, TimelineEventKind::Failure, failure.at_ms.to_string(), &text)
            })
            .collect();
        self.failures = events.iter().map(|event| event.at_ms).fold(noted_ms, i64::max);
        events
    }

    /// The changes of the leader since the job began. The last one is recorded when it is known what became of the tasks.
    fn leader_changes(&mut self, leadership: &LeadershipView, status: JobStatus) -> Vec<TimelineEvent> {
        let last = leadership.changes.last().map(|change| change.epoch);
        let is_decided =
            leadership.takeover.is_some() || status == JobStatus::Running || status.is_terminal();
        let noted = self.leadership;
        let changes = leadership.changes.iter().skip(1);
        let new =
            changes.filter(|change| Some(change.epoch) > noted && (Some(change.epoch) < last || is_decided));
        let events: Vec<_> = new
            .map(|change| {
                self.leadership = Some(change.epoch);
                let own = leadership.takeover.as_ref().filter(|_| Some(change.epoch) == last);
                let outcome = match own {
                    None => String::new(),
                    Some(TakeoverView::Adopted) => "; the tasks run on".to_owned(),
                    Some(TakeoverView::Restarted { reason }) => format!("; the job restarts: {reason}"),
                };
                let text = format!("leadership {}: {}{outcome}", change.epoch, in_words(change));
                event(change.at_ms, TimelineEventKind::LeaderChange, change.epoch.to_string(), &text)
            })
            .collect();
        events
    }

    /// The decisions of the autoscaler.
    fn decisions(&mut self, job: &JobView) -> Vec<TimelineEvent> {
        let noted_ms = self.scaled_at_ms;
        let decisions = job.autoscaler.iter().flat_map(|autoscaler| &autoscaler.decisions);
        let new = decisions.filter(|decision| decision.at_ms > noted_ms);
        let events: Vec<_> = new
            .map(|decision| {
                let id = decision.at_ms.to_string();
                event(decision.at_ms, TimelineEventKind::Autoscaler, id, &decision.reason)
            })
            .collect();
        self.scaled_at_ms = events.iter().map(|event| event.at_ms).fold(noted_ms, i64::max);
        events
    }

    /// What became of the number of TaskManagers that the autoscaler has asked for.
    fn provisioning(&mut self, job: &JobView) -> Vec<TimelineEvent> {
        let noted_ms = self.provisioned_at_ms;
        let all = job.autoscaler.iter().flat_map(|autoscaler| &autoscaler.provisioning.events);
        let new = all.filter(|(at_ms, _)| *at_ms > noted_ms);
        let events: Vec<_> = new
            .map(|(at_ms, text)| event(*at_ms, TimelineEventKind::Autoscaler, at_ms.to_string(), text))
            .collect();
        self.provisioned_at_ms = events.iter().map(|event| event.at_ms).fold(noted_ms, i64::max);
        events
    }

    fn checkpoints(&mut self, job: &JobView) -> Vec<TimelineEvent> {
        let Some(checkpoints) = &job.checkpoints else { return Vec::new() };
        let mut events = Vec::new();
        let mut known = BTreeSet::new();
        for checkpoint in checkpoints.history.iter().chain(&checkpoints.latest_failed) {
            let CheckpointOutcome::Failed { at_ms, reason } = &checkpoint.outcome else { continue };
            if known.insert(checkpoint.id) && !self.checkpoints.contains(&checkpoint.id) {
                let text = format!("checkpoint {}: {reason}", checkpoint.id);
                let id = checkpoint.id.to_string();
                events.push(event(*at_ms, TimelineEventKind::CheckpointFailed, id, &text));
            }
        }
        self.checkpoints = known;
        events
    }
}

fn in_words(change: &LeaderChange) -> String {
    match (change.cause, change.silent_ms) {
        (LeaderChangeCause::Started, _) => "a JobManager was started".to_owned(),
        (LeaderChangeCause::HandedOver, _) => "the former leader handed the job over".to_owned(),
        (LeaderChangeCause::LeaseExpired, silent_ms) => {
            format!("the former leader was silent for {} ms", silent_ms.unwrap_or(0))
        }
    }
}

fn event(at_ms: i64, kind: TimelineEventKind, id: String, text: &str) -> TimelineEvent {
    TimelineEvent { at_ms, kind, id, text: text.chars().take(MAX_TEXT).collect() }
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
