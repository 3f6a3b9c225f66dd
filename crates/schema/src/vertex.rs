//! The JSON form of a vertex: `/jobs/:id/vertices/:v` with its subtasks, and `backpressure`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::statistics::Spread;
use crate::{UNSET, duration_ms};
use reflow_view::{ExecutionState, IoView, SubtaskView, VertexView};

/// The input and output of subtasks, and how they spend their time.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct IoMetrics {
    pub read_bytes: u64,
    pub read_bytes_complete: bool,
    pub write_bytes: u64,
    pub write_bytes_complete: bool,
    pub read_records: u64,
    pub read_records_complete: bool,
    pub write_records: u64,
    pub write_records_complete: bool,
    pub accumulated_backpressured_time: u64,
    pub accumulated_idle_time: u64,
    pub accumulated_busy_time: f64,
}

impl IoMetrics {
    /// The sums over subtasks.
    pub fn sum<'a>(ios: impl Iterator<Item = &'a IoView> + Clone) -> Self {
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
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VertexDetails {
    pub id: String,
    pub name: String,
    pub parallelism: u32,
    pub max_parallelism: u32,
    pub now: i64,
    pub subtasks: Vec<Subtask>,
    pub aggregated: Aggregated,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Subtask {
    pub subtask: u32,
    pub status: ExecutionState,
    pub attempt: u32,
    pub endpoint: String,
    pub start_time: i64,
    pub end_time: i64,
    pub duration: i64,
    pub metrics: IoMetrics,
    #[schema(required)]
    pub taskmanager_id: Option<String>,
    pub status_duration: BTreeMap<ExecutionState, i64>,
    #[serde(rename = "start_time")]
    pub start_time_again: i64,
}

/// The spread of each metric over the subtasks.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Aggregated {
    pub metrics: BTreeMap<String, Spread>,
    pub status_duration: BTreeMap<ExecutionState, Spread>,
}

impl VertexDetails {
    pub fn of(vertex: &VertexView, now_ms: i64) -> Self {
        Self {
            id: vertex.id.to_string(),
            name: vertex.name(),
            parallelism: vertex.parallelism,
            max_parallelism: vertex.max_parallelism,
            now: now_ms,
            subtasks: vertex.subtasks.iter().map(|subtask| Subtask::of(subtask, now_ms)).collect(),
            aggregated: Aggregated::of(vertex.subtasks.iter(), now_ms),
        }
    }
}

impl Subtask {
    pub fn of(subtask: &SubtaskView, now_ms: i64) -> Self {
        let start_time = subtask.started_at_ms().unwrap_or(UNSET);
        let ended_at_ms = subtask.ended_at_ms();
        let placement = subtask.placement.as_ref();
        Self {
            subtask: subtask.index.0,
            status: subtask.state,
            attempt: subtask.attempt.0,
            endpoint: placement.map_or("(unassigned)", |placement| &placement.endpoint).to_owned(),
            start_time,
            end_time: ended_at_ms.unwrap_or(UNSET),
            duration: duration_ms(subtask.started_at_ms(), ended_at_ms.unwrap_or(now_ms)),
            metrics: IoMetrics::sum(std::iter::once(&subtask.io)),
            taskmanager_id: placement.map(|placement| placement.task_manager.to_string()),
            status_duration: status_durations(subtask, now_ms),
            start_time_again: start_time,
        }
    }
}

impl Aggregated {
    pub(crate) fn of<'a>(subtasks: impl Iterator<Item = &'a SubtaskView> + Clone, now_ms: i64) -> Self {
        let spread = |figure: fn(&IoView) -> u64| {
            Spread::of(subtasks.clone().map(|subtask| figure(&subtask.io) as f64))
        };
        let durations: Vec<_> = subtasks.clone().map(|subtask| status_durations(subtask, now_ms)).collect();
        let states = durations.iter().flat_map(BTreeMap::keys).copied();
        let in_state = |state| durations.iter().filter_map(move |by_state| by_state.get(&state));
        Self {
            metrics: BTreeMap::from([
                ("read-bytes".to_owned(), spread(|io| io.bytes_in)),
                ("write-bytes".to_owned(), spread(|io| io.bytes_out)),
                ("read-records".to_owned(), spread(|io| io.records_in)),
                ("write-records".to_owned(), spread(|io| io.records_out)),
                ("accumulated-backpressured-time".to_owned(), spread(|io| io.backpressured_ms)),
                ("accumulated-idle-time".to_owned(), spread(|io| io.idle_ms)),
                ("accumulated-busy-time".to_owned(), spread(|io| io.busy_ms)),
            ]),
            status_duration: states
                .map(|state| (state, Spread::of(in_state(state).map(|&duration_ms| duration_ms as f64))))
                .collect(),
        }
    }
}

/// How long a subtask was in each state that it has entered, terminal states excepted. Flink's dashboard needs
/// `INITIALIZING`, in which a subtask here spends no time.
fn status_durations(subtask: &SubtaskView, now_ms: i64) -> BTreeMap<ExecutionState, i64> {
    let mut entered: Vec<_> = subtask.entered_at_ms.iter().map(|(&state, &at_ms)| (at_ms, state)).collect();
    entered.sort_unstable();
    let left = entered.iter().skip(1).map(|&(at_ms, _)| at_ms).chain([now_ms]);
    let initialized = entered.iter().any(|(_, state)| *state == ExecutionState::Running);
    let spans = entered.iter().zip(left);
    let spent = spans
        .filter(|((_, state), _)| !state.is_terminal())
        .map(|(&(entered_at_ms, state), left_at_ms)| (state, left_at_ms - entered_at_ms));
    initialized.then_some((ExecutionState::Initializing, 0)).into_iter().chain(spent).collect()
}

/// `GET /jobs/:id/vertices/:v/subtasktimes`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SubtaskTimes {
    pub id: String,
    pub name: String,
    pub now: i64,
    pub subtasks: Vec<TimesOfSubtask>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TimesOfSubtask {
    pub subtask: u32,
    pub endpoint: String,
    pub duration: i64,
    /// When it entered each state; 0 if never.
    pub timestamps: BTreeMap<ExecutionState, i64>,
}

impl SubtaskTimes {
    pub fn of(vertex: &VertexView, now_ms: i64) -> Self {
        let times = |subtask: &SubtaskView| {
            let Subtask { subtask: index, endpoint, duration, .. } = Subtask::of(subtask, now_ms);
            let entered = |state| (state, subtask.entered_at_ms.get(&state).copied().unwrap_or(0));
            TimesOfSubtask {
                subtask: index,
                endpoint,
                duration,
                timestamps: ExecutionState::ALL.map(entered).into(),
            }
        };
        Self {
            id: vertex.id.to_string(),
            name: vertex.name(),
            now: now_ms,
            subtasks: vertex.subtasks.iter().map(times).collect(),
        }
    }
}

/// `GET /jobs/:id/vertices/:v/backpressure`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Backpressure {
    pub status: String,
    #[serde(rename = "backpressureLevel")]
    pub level: BackpressureLevel,
    #[serde(rename = "end-timestamp")]
    pub end_timestamp: i64,
    pub subtasks: Vec<SubtaskBackpressure>,
    #[serde(rename = "backpressure-level")]
    pub level_again: BackpressureLevel,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SubtaskBackpressure {
    pub subtask: u32,
    #[serde(rename = "backpressureLevel")]
    pub level: BackpressureLevel,
    pub ratio: f64,
    #[serde(rename = "idleRatio")]
    pub idle_ratio: f64,
    #[serde(rename = "busyRatio")]
    pub busy_ratio: f64,
    #[serde(rename = "backpressure-level")]
    pub level_again: BackpressureLevel,
}

/// How much of its time a subtask is backpressured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackpressureLevel {
    Ok,
    Low,
    High,
}

impl BackpressureLevel {
    fn of(share: f64) -> Self {
        match share {
            _ if share <= 0.10 => Self::Ok,
            _ if share <= 0.50 => Self::Low,
            _ => Self::High,
        }
    }
}

impl Backpressure {
    pub fn of(vertex: &VertexView, now_ms: i64) -> Self {
        let worst = vertex.subtasks.iter().map(|subtask| subtask.io.backpressured).fold(0.0, f64::max);
        let subtask = |subtask: &SubtaskView| {
            let level = BackpressureLevel::of(subtask.io.backpressured);
            SubtaskBackpressure {
                subtask: subtask.index.0,
                level,
                ratio: subtask.io.backpressured,
                idle_ratio: subtask.io.idle,
                busy_ratio: subtask.io.busy,
                level_again: level,
            }
        };
        Self {
            status: "ok".to_owned(),
            level: BackpressureLevel::of(worst),
            end_timestamp: now_ms,
            subtasks: vertex.subtasks.iter().map(subtask).collect(),
            level_again: BackpressureLevel::of(worst),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_flinks() {
        assert_eq!(
            [0.0, 0.1, 0.11, 0.5, 0.51, 1.0].map(BackpressureLevel::of).map(|level| level as u8),
            [0, 0, 1, 1, 2, 2]
        );
    }
}
