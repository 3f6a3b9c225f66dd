//! Metrics of subtasks: the latest values, rates over the last seconds, and totals across restarts.
//!
//! A subtask counts from its deployment. Users expect counters to continue when the job restarts, so the counts
//! of an attempt are added to those of the subtasks of the next one with the same vertex and index. Counts of
//! indices that no longer exist are added to those of the first subtask.

mod user;

use self::user::{Accumulators, UserMetrics};
use reflow_graph::{ExecutionGraph, VertexIndex};
use reflow_protocol::control::{SourceLatency, SubtaskMetrics};
use reflow_types::{Instant, SubtaskId};
use reflow_view::Figure;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// The time over which rates are computed.
const WINDOW: Duration = Duration::from_secs(5);
/// The most samples that are kept for a subtask.
const MAX_SAMPLES: usize = 32;

/// Counters, without rates.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Totals {
    pub(crate) records_in: u64,
    pub(crate) records_out: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) busy: Duration,
    pub(crate) backpressured: Duration,
    pub(crate) idle: Duration,
    pub(crate) late_records: u64,
    pub(crate) skipped_records: u64,
}

impl Totals {
    fn of(metrics: &SubtaskMetrics) -> Self {
        Self {
            records_in: metrics.records_in,
            records_out: metrics.records_out,
            bytes_in: metrics.bytes_in,
            bytes_out: metrics.bytes_out,
            busy: metrics.busy,
            backpressured: metrics.backpressured,
            idle: metrics.idle,
            late_records: metrics.late_records,
            skipped_records: metrics.skipped_records,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            records_in: self.records_in.saturating_add(other.records_in),
            records_out: self.records_out.saturating_add(other.records_out),
            bytes_in: self.bytes_in.saturating_add(other.bytes_in),
            bytes_out: self.bytes_out.saturating_add(other.bytes_out),
            busy: self.busy.saturating_add(other.busy),
            backpressured: self.backpressured.saturating_add(other.backpressured),
            idle: self.idle.saturating_add(other.idle),
            late_records: self.late_records.saturating_add(other.late_records),
            skipped_records: self.skipped_records.saturating_add(other.skipped_records),
        }
    }
}

/// Changes per second, and shares of time (0 … 1).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rates {
    pub(crate) records_in: f64,
    pub(crate) records_out: f64,
    pub(crate) bytes_in: f64,
    pub(crate) bytes_out: f64,
    pub(crate) busy: f64,
    pub(crate) backpressured: f64,
    pub(crate) idle: f64,
}

/// A subtask's figures.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// Includes the counts of former attempts.
    pub(crate) totals: Totals,
    pub(crate) rates: Rates,
    /// The latest metrics; `None` if none were received yet.
    pub(crate) latest: Option<SubtaskMetrics>,
}

#[derive(Default)]
struct Series {
    /// Oldest first.
    samples: VecDeque<(Instant, SubtaskMetrics)>,
    carried: Totals,
    user: UserMetrics,
    latencies: Vec<SourceLatency>,
}

/// The figures of the current attempt's subtasks.
#[derive(Default)]
pub(crate) struct Metrics {
    subtasks: BTreeMap<SubtaskId, Series>,
    /// The vertex and index of each subtask.
    places: BTreeMap<SubtaskId, (VertexIndex, u32)>,
}

impl Metrics {
    /// Starts a new attempt, in which the counters continue.
    pub(crate) fn deploy(&mut self, graph: &ExecutionGraph) {
        let mut next: BTreeMap<(VertexIndex, u32), Series> = BTreeMap::new();
        let graph_has: BTreeSet<SubtaskId> = graph.subtasks().map(|(_, _, subtask)| subtask.id).collect();
        for (subtask, (vertex, index)) in std::mem::take(&mut self.places) {
            // It runs on while another region restarts.
            if graph_has.contains(&subtask) {
                continue;
            }
            let Some(former) = self.subtasks.remove(&subtask) else { continue };
            let index = if index < graph.vertex(vertex).parallelism() { index } else { 0 };
            next.entry((vertex, index)).or_default().continue_from(&former);
        }
        self.subtasks.retain(|subtask, _| graph_has.contains(subtask));
        for (vertex, index, subtask) in graph.subtasks() {
            let place = (vertex, index.0);
            self.subtasks.entry(subtask.id).or_insert_with(|| next.remove(&place).unwrap_or_default());
            self.places.insert(subtask.id, place);
        }
    }

    /// Adds subtasks of another graph to those of the attempt. Their counters start at zero.
    pub(crate) fn join(&mut self, graph: &ExecutionGraph) {
        for (vertex, index, subtask) in graph.subtasks() {
            self.subtasks.entry(subtask.id).or_default();
            self.places.entry(subtask.id).or_insert((vertex, index.0));
        }
    }

    /// Removes all subtasks but the graph's. The counts of the removed ones are added to those of the first
    /// subtask of their vertex.
    pub(crate) fn remove_leaving(&mut self, graph: &ExecutionGraph) {
        for (subtask, (vertex, _)) in std::mem::take(&mut self.places) {
            if graph.find(subtask).is_some() {
                continue;
            }
            let Some(former) = self.subtasks.remove(&subtask) else { continue };
            let first_subtask = graph.vertex(vertex).subtasks.first().map(|first| first.id);
            if let Some(series) = first_subtask.and_then(|id| self.subtasks.get_mut(&id)) {
                series.continue_from(&former);
            }
        }
        self.places =
            graph.subtasks().map(|(vertex, index, subtask)| (subtask.id, (vertex, index.0))).collect();
    }

    /// Takes an executor's metrics. Metrics of subtasks that do not belong to the current attempt are dropped.
    pub(crate) fn take(&mut self, now: Instant, metrics: Vec<SubtaskMetrics>) {
        for of_subtask in metrics {
            if let Some(series) = self.subtasks.get_mut(&of_subtask.subtask) {
                series.add(now, of_subtask);
            }
        }
    }

    /// What the functions of a subtask count and measure, by the names that users see.
    pub(crate) fn user_metrics(&self, subtask: SubtaskId) -> BTreeMap<String, Figure> {
        self.subtasks.get(&subtask).map(|series| series.user.shown()).unwrap_or_default()
    }

    /// The latencies of records from each source to a subtask.
    pub(crate) fn latencies(&self, subtask: SubtaskId) -> &[SourceLatency] {
        self.subtasks.get(&subtask).map_or(&[], |series| &series.latencies)
    }

    /// What the functions of a subtask and of its predecessors have accumulated.
    pub(crate) fn accumulators(&self, subtask: SubtaskId) -> Accumulators {
        self.subtasks.get(&subtask).map(|series| series.user.accumulated()).unwrap_or_default()
    }

    /// A subtask's figures.
    pub(crate) fn of(&self, subtask: SubtaskId) -> Figures {
        self.subtasks.get(&subtask).map(Series::figures).unwrap_or_default()
    }
}

impl Series {
    /// Adds the counts of a subtask that is no more.
    fn continue_from(&mut self, former: &Series) {
        self.carried = self.carried.plus(former.totals());
        self.user.carry(former.user.accumulated());
    }

    fn add(&mut self, now: Instant, mut metrics: SubtaskMetrics) {
        self.user.add(now, std::mem::take(&mut metrics.user));
        self.latencies = std::mem::take(&mut metrics.latencies);
        self.samples.push_back((now, metrics));
        // The first sample is the newest one outside the window.
        while self.samples.len() > MAX_SAMPLES
            || self.samples.get(1).is_some_and(|(at, _)| now.since(*at) >= WINDOW)
        {
            self.samples.pop_front();
        }
    }

    fn totals(&self) -> Totals {
        let latest = self.samples.back().map(|(_, metrics)| Totals::of(metrics)).unwrap_or_default();
        self.carried.plus(latest)
    }

    fn figures(&self) -> Figures {
        let latest = self.samples.back().map(|(_, metrics)| metrics.clone());
        Figures { totals: self.totals(), rates: self.rates(), latest }
    }

    fn rates(&self) -> Rates {
        let (Some((from, first)), Some((to, last))) = (self.samples.front(), self.samples.back()) else {
            return Rates::default();
        };
        let seconds = to.since(*from).as_secs_f64();
        if seconds == 0.0 {
            return Rates::default();
        }
        let per_second =
            |count: fn(&SubtaskMetrics) -> u64| count(last).saturating_sub(count(first)) as f64 / seconds;
        let share = |time: fn(&SubtaskMetrics) -> Duration| {
            (time(last).saturating_sub(time(first)).as_secs_f64() / seconds).min(1.0)
        };
        Rates {
            records_in: per_second(|m| m.records_in),
            records_out: per_second(|m| m.records_out),
            bytes_in: per_second(|m| m.bytes_in),
            bytes_out: per_second(|m| m.bytes_out),
            busy: share(|m| m.busy),
            backpressured: share(|m| m.backpressured),
            idle: share(|m| m.idle),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reflow_graph::{ExecutionVertex, Subtask};
    use reflow_types::{ExecutorId, SlotId};

    fn graph(ids: &[u64]) -> ExecutionGraph {
        let slot = SlotId { executor: ExecutorId(1), index: 0 };
        let subtasks = ids.iter().map(|id| Subtask { id: SubtaskId(*id), slot }).collect();
        ExecutionGraph {
            vertices: vec![ExecutionVertex {
                subtasks,
                table: None,
                attempt: reflow_types::Attempt::default(),
            }],
        }
    }

    fn counted(subtask: u64, records_in: u64, busy: Duration) -> SubtaskMetrics {
        SubtaskMetrics { subtask: SubtaskId(subtask), records_in, busy, ..SubtaskMetrics::default() }
    }

    #[test]
    fn rates_are_of_the_last_seconds() {
        let mut metrics = Metrics::default();
        metrics.deploy(&graph(&[1]));
        for second in 0..20u64 {
            // 100 records a second at first, 10 from second 10 on
            let records = if second < 10 { second * 100 } else { 1_000 + (second - 10) * 10 };
            let now = Instant::from_millis(second * 1_000);
            metrics.take(now, vec![counted(1, records, Duration::from_millis(second * 250))]);
        }
        let figures = metrics.of(SubtaskId(1));
        assert_eq!((figures.rates.records_in, figures.rates.busy), (10.0, 0.25));
        assert_eq!(figures.totals.records_in, 1_090);
        assert_eq!(metrics.of(SubtaskId(2)).latest, None);
    }

    #[test]
    fn counters_go_on_over_attempts() {
        let mut metrics = Metrics::default();
        metrics.deploy(&graph(&[1, 2]));
        metrics.take(Instant(0), vec![counted(1, 10, Duration::ZERO), counted(2, 5, Duration::ZERO)]);
        metrics.deploy(&graph(&[3]));
        metrics.take(Instant(1), vec![counted(1, 99, Duration::ZERO), counted(3, 1, Duration::ZERO)]);
        assert_eq!(metrics.of(SubtaskId(3)).totals.records_in, 16);
        metrics.deploy(&graph(&[4, 5]));
        assert_eq!(metrics.of(SubtaskId(4)).totals.records_in, 16);
        assert_eq!(metrics.of(SubtaskId(5)).totals.records_in, 0);
    }
}
