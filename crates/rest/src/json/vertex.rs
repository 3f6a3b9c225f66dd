//! A vertex: `/jobs/:id/vertices/:v` with its subtasks, and `backpressure`.

use std::collections::BTreeMap;

use reflow_types::{AttemptNumber, SubtaskIndex, TaskManagerId, VertexId};
use serde::Serialize;

use super::statistics::Spread;
use super::{UNSET, duration_ms};
use reflow_view::{ExecutionState, IoView, SubtaskView, VertexView};

/// What subtasks have read, written and done with their time.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct IoMetrics {
    read_bytes: u64,
    read_bytes_complete: bool,
    write_bytes: u64,
    write_bytes_complete: bool,
    read_records: u64,
    read_records_complete: bool,
    write_records: u64,
    write_records_complete: bool,
    accumulated_backpressured_time: u64,
    accumulated_idle_time: u64,
    accumulated_busy_time: f64,
}

impl IoMetrics {
    /// The sums over subtasks.
    pub(crate) fn sum<'a>(ios: impl Iterator<Item = &'a IoView> + Clone) -> Self {
        let sum = |figure: fn(&IoView) -> u64| ios.clone().map(figure).sum();
        let busy_ms: u64 = sum(|io| io.busy_ms);
        Self {
            read_bytes: sum(|io| io.bytes_in),
            read_bytes_complete: true,
            write_bytes: sum(|io| io.bytes_out),
            write_bytes_complete: true,
            read_records: sum(|io| io.records_in),
            read_records_complete: true,
            write_records: sum(|io| io.records_out),
            write_records_complete: true,
            accumulated_backpressured_time: sum(|io| io.backpressured_ms),
            accumulated_idle_time: sum(|io| io.idle_ms),
            accumulated_busy_time: busy_ms as f64,
        }
    }
}

/// `GET /jobs/:id/vertices/:v`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VertexDetails<'a> {
    id: VertexId,
    name: String,
    parallelism: u32,
    max_parallelism: u32,
    now: i64,
    subtasks: Vec<Subtask<'a>>,
    aggregated: Aggregated,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Subtask<'a> {
    subtask: SubtaskIndex,
    status: ExecutionState,
    attempt: AttemptNumber,
    endpoint: &'a str,
    start_time: i64,
    end_time: i64,
    duration: i64,
    metrics: IoMetrics,
    taskmanager_id: Option<TaskManagerId>,
    status_duration: BTreeMap<ExecutionState, i64>,
    #[serde(rename = "start_time")]
    start_time_again: i64,
}

/// Each figure's spread over the subtasks.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Aggregated {
    metrics: BTreeMap<&'static str, Spread>,
    status_duration: BTreeMap<ExecutionState, Spread>,
}

impl<'a> VertexDetails<'a> {
    pub(crate) fn of(vertex: &'a VertexView, now_ms: i64) -> Self {
        Self {
            id: vertex.id,
            name: vertex.name(),
            parallelism: vertex.parallelism,
            max_parallelism: vertex.max_parallelism,
            now: now_ms,
            subtasks: vertex.subtasks.iter().map(|subtask| Subtask::of(subtask, now_ms)).collect(),
            aggregated: Aggregated::of(&vertex.subtasks, now_ms),
        }
    }
}

impl<'a> Subtask<'a> {
    pub(crate) fn of(subtask: &'a SubtaskView, now_ms: i64) -> Self {
        let start_time = subtask.started_at_ms().unwrap_or(UNSET);
        let ended_at_ms = subtask.ended_at_ms();
        let placement = subtask.placement.as_ref();
        Self {
            subtask: subtask.index,
            status: subtask.state,
            attempt: subtask.attempt,
            endpoint: placement.map_or("(unassigned)", |placement| &placement.endpoint),
            start_time,
            end_time: ended_at_ms.unwrap_or(UNSET),
            duration: duration_ms(subtask.started_at_ms(), ended_at_ms.unwrap_or(now_ms)),
            metrics: IoMetrics::sum(std::iter::once(&subtask.io)),
            taskmanager_id: placement.map(|placement| placement.task_manager),
            status_duration: status_durations(subtask, now_ms),
            start_time_again: start_time,
        }
    }
}

impl Aggregated {
    fn of(subtasks: &[SubtaskView], now_ms: i64) -> Self {
        let spread = |figure: fn(&IoView) -> u64| {
            Spread::of(subtasks.iter().map(|subtask| figure(&subtask.io) as f64))
        };
        let durations: Vec<_> = subtasks.iter().map(|subtask| status_durations(subtask, now_ms)).collect();
        let states = durations.iter().flat_map(BTreeMap::keys).copied();
        let in_state = |state| durations.iter().filter_map(move |by_state| by_state.get(&state));
        Self {
            metrics: BTreeMap::from([
                ("read-bytes", spread(|io| io.bytes_in)),
                ("write-bytes", spread(|io| io.bytes_out)),
                ("read-records", spread(|io| io.records_in)),
                ("write-records", spread(|io| io.records_out)),
                ("accumulated-backpressured-time", spread(|io| io.backpressured_ms)),
                ("accumulated-idle-time", spread(|io| io.idle_ms)),
                ("accumulated-busy-time", spread(|io| io.busy_ms)),
            ]),
            status_duration: states
                .map(|state| (state, Spread::of(in_state(state).map(|&duration_ms| duration_ms as f64))))
                .collect(),
        }
    }
}

/// How long a subtask was in each state that it entered and, unless it is over, left or is in.
fn status_durations(subtask: &SubtaskView, now_ms: i64) -> BTreeMap<ExecutionState, i64> {
    let mut entered: Vec<_> = subtask.entered_at_ms.iter().map(|(&state, &at_ms)| (at_ms, state)).collect();
    entered.sort_unstable();
    let left = entered.iter().skip(1).map(|&(at_ms, _)| at_ms).chain([now_ms]);
    let spans = entered.iter().zip(left);
    spans
        .filter(|((_, state), _)| !state.is_terminal())
        .map(|(&(entered_at_ms, state), left_at_ms)| (state, left_at_ms - entered_at_ms))
        .collect()
}

/// `GET /jobs/:id/vertices/:v/backpressure`
#[derive(Serialize)]
pub(crate) struct Backpressure {
    status: &'static str,
    #[serde(rename = "backpressureLevel")]
    level: Level,
    #[serde(rename = "end-timestamp")]
    end_timestamp: i64,
    subtasks: Vec<SubtaskBackpressure>,
    #[serde(rename = "backpressure-level")]
    level_again: Level,
}

#[derive(Serialize)]
struct SubtaskBackpressure {
    subtask: SubtaskIndex,
    #[serde(rename = "backpressureLevel")]
    level: Level,
    ratio: f64,
    #[serde(rename = "idleRatio")]
    idle_ratio: f64,
    #[serde(rename = "busyRatio")]
    busy_ratio: f64,
    #[serde(rename = "backpressure-level")]
    level_again: Level,
}

/// How much of its time a subtask waits for room downstream.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Low,
    High,
}

impl Level {
    fn of(share: f64) -> Self {
        match share {
            _ if share <= 0.10 => Self::Ok,
            _ if share <= 0.50 => Self::Low,
            _ => Self::High,
        }
    }
}

impl Backpressure {
    pub(crate) fn of(vertex: &VertexView, now_ms: i64) -> Self {
        let worst = vertex.subtasks.iter().map(|subtask| subtask.io.backpressured).fold(0.0, f64::max);
        let subtask = |subtask: &SubtaskView| {
            let level = Level::of(subtask.io.backpressured);
            SubtaskBackpressure {
                subtask: subtask.index,
                level,
                ratio: subtask.io.backpressured,
                idle_ratio: subtask.io.idle,
                busy_ratio: subtask.io.busy,
                level_again: level,
            }
        };
        Self {
            status: "ok",
            level: Level::of(worst),
            end_timestamp: now_ms,
            subtasks: vertex.subtasks.iter().map(subtask).collect(),
            level_again: Level::of(worst),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_flinks() {
        assert_eq!(
            [0.0, 0.1, 0.11, 0.5, 0.51, 1.0].map(Level::of).map(|level| level as u8),
            [0, 0, 1, 1, 2, 2]
        );
    }
}
