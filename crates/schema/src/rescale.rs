//! The JSON form of rescales: `/jobs/:id/rescales/overview`, `history`, `details/:rescale`, `summary` and
//! `config`.
//!
//! The fields are Flink's, except `liveRescale` and `restartReason` in the details, which Reflow adds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::UNSET;
use crate::statistics::Statistics;
use crate::task_manager::ResourceProfile;
use reflow_view::{
    LiveOutcomeView, LivePhaseView, LiveRescaleView, RescaleConfigView, RescaleCounts, RescaleView,
    RescalesView, SchedulerStateView, SlotRescaleView, TerminalState, TerminatedReason, TriggerCause,
    VertexRescaleView,
};

/// A rescale. In lists, its vertices, slots and states are left out.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rescale {
    pub rescale_uuid: String,
    pub resource_requirements_uuid: String,
    pub rescale_attempt_id: u64,
    pub vertices: BTreeMap<String, RescaledVertex>,
    pub slots: BTreeMap<String, RescaledSlots>,
    pub scheduler_states: Vec<SchedulerState>,
    pub start_timestamp_in_millis: i64,
    #[schema(required)]
    pub end_timestamp_in_millis: Option<i64>,
    #[schema(required)]
    pub terminal_state: Option<TerminalState>,
    pub trigger_cause: TriggerCause,
    #[schema(required)]
    pub terminated_reason: Option<TerminatedReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub live_rescale: Option<LiveRescale>,
    /// Why the rescale restarts the running job instead of being live.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub restart_reason: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LiveRescale {
    pub graph_version: u64,
    pub phases: Vec<LivePhase>,
    pub key_groups_moved: u64,
    pub key_groups_kept: u64,
    pub read_bytes: u64,
    pub bytes_to_read: u64,
    pub handed_over_bytes: u64,
    pub parked_records: u64,
    pub longest_pause_in_micros: u64,
    #[schema(required)]
    pub outcome: Option<LiveOutcome>,
    #[schema(required)]
    pub reason: Option<String>,
}

/// The outcome of a live rescale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LiveOutcome {
    Committed,
    GivenUp,
    Interrupted,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LivePhase {
    pub phase: String,
    pub enter_timestamp_in_millis: i64,
    #[schema(required)]
    pub leave_timestamp_in_millis: Option<i64>,
    #[schema(required)]
    pub duration_in_millis: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RescaledVertex {
    pub job_vertex_id: String,
    pub job_vertex_name: String,
    pub slot_sharing_group_id: String,
    pub slot_sharing_group_name: String,
    pub desired_parallelism: u32,
    pub sufficient_parallelism: u32,
    #[schema(required)]
    pub pre_rescale_parallelism: Option<u32>,
    #[schema(required)]
    pub post_rescale_parallelism: Option<u32>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RescaledSlots {
    pub slot_sharing_group_id: String,
    pub slot_sharing_group_name: String,
    pub request_resource_profile: ResourceProfile,
    pub desired_slots: u32,
    pub minimal_required_slots: u32,
    #[schema(required)]
    pub pre_rescale_slots: Option<u32>,
    #[schema(required)]
    pub post_rescale_slots: Option<u32>,
    #[schema(required)]
    pub acquired_resource_profile: Option<ResourceProfile>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchedulerState {
    pub state: String,
    pub enter_timestamp_in_millis: i64,
    #[schema(required)]
    pub leave_timestamp_in_millis: Option<i64>,
    #[schema(required)]
    pub duration_in_millis: Option<i64>,
    #[schema(required)]
    pub stringified_exception: Option<String>,
}

impl Rescale {
    fn in_list(rescale: &RescaleView) -> Self {
        Self {
            rescale_uuid: rescale.id.to_string(),
            resource_requirements_uuid: rescale.requirements.to_string(),
            rescale_attempt_id: rescale.attempt,
            vertices: BTreeMap::new(),
            slots: BTreeMap::new(),
            scheduler_states: Vec::new(),
            start_timestamp_in_millis: rescale.started_at_ms,
            end_timestamp_in_millis: rescale.ended.map(|(at_ms, _)| at_ms),
            terminal_state: rescale.terminal_state(),
            trigger_cause: rescale.cause,
            terminated_reason: rescale.ended.map(|(_, reason)| reason),
            live_rescale: None,
            restart_reason: None,
        }
    }

    /// `GET /jobs/:id/rescales/details/:rescale`
    pub fn in_detail(rescale: &RescaleView) -> Self {
        Self {
            vertices: rescale
                .vertices
                .iter()
                .map(|vertex| (vertex.id.to_string(), RescaledVertex::of(vertex)))
                .collect(),
            slots: rescale
                .slots
                .iter()
                .map(|slots| (slots.sharing_group.id.clone(), RescaledSlots::of(slots)))
                .collect(),
            scheduler_states: rescale.states.iter().map(SchedulerState::of).collect(),
            live_rescale: rescale.live.as_ref().map(LiveRescale::of),
            restart_reason: rescale.restart_reason.clone(),
            ..Self::in_list(rescale)
        }
    }
}

impl RescaledVertex {
    fn of(vertex: &VertexRescaleView) -> Self {
        Self {
            job_vertex_id: vertex.id.to_string(),
            job_vertex_name: vertex.name.clone(),
            slot_sharing_group_id: vertex.sharing_group.id.clone(),
            slot_sharing_group_name: vertex.sharing_group.name.clone(),
            desired_parallelism: vertex.desired,
            sufficient_parallelism: vertex.sufficient,
            pre_rescale_parallelism: vertex.before,
            post_rescale_parallelism: vertex.after,
        }
    }
}

impl RescaledSlots {
    fn of(slots: &SlotRescaleView) -> Self {
        Self {
            slot_sharing_group_id: slots.sharing_group.id.clone(),
            slot_sharing_group_name: slots.sharing_group.name.clone(),
            request_resource_profile: slots.requested.map_or(ResourceProfile::UNKNOWN, ResourceProfile::from),
            desired_slots: slots.desired,
            minimal_required_slots: slots.sufficient,
            pre_rescale_slots: slots.before,
            post_rescale_slots: slots.after,
            acquired_resource_profile: slots.acquired.map(ResourceProfile::from),
        }
    }
}

impl LiveRescale {
    fn of(live: &LiveRescaleView) -> Self {
        let (outcome, reason) = match &live.outcome {
            None => (None, None),
            Some(LiveOutcomeView::Committed) => (Some(LiveOutcome::Committed), None),
            Some(LiveOutcomeView::GivenUp { reason }) => (Some(LiveOutcome::GivenUp), Some(reason.clone())),
            Some(LiveOutcomeView::Interrupted) => (Some(LiveOutcome::Interrupted), None),
        };
        Self {
            graph_version: live.graph_version,
            phases: live.phases.iter().map(LivePhase::of).collect(),
            key_groups_moved: live.key_groups_moved,
            key_groups_kept: live.key_groups_kept,
            read_bytes: live.bytes_read,
            bytes_to_read: live.bytes_to_read,
            handed_over_bytes: live.bytes_handed_over,
            parked_records: live.records_parked,
            longest_pause_in_micros: live.longest_pause_us,
            outcome,
            reason,
        }
    }
}

impl LivePhase {
    fn of(phase: &LivePhaseView) -> Self {
        Self {
            phase: phase.phase.to_owned(),
            enter_timestamp_in_millis: phase.entered_at_ms,
            leave_timestamp_in_millis: phase.left_at_ms,
            duration_in_millis: phase.left_at_ms.map(|left_at_ms| left_at_ms - phase.entered_at_ms),
        }
    }
}

impl SchedulerState {
    fn of(state: &SchedulerStateView) -> Self {
        Self {
            state: state.state.clone(),
            enter_timestamp_in_millis: state.entered_at_ms,
            leave_timestamp_in_millis: state.left_at_ms,
            duration_in_millis: state.left_at_ms.map(|left_at_ms| left_at_ms - state.entered_at_ms),
            stringified_exception: state.error.clone(),
        }
    }
}

/// `GET /jobs/:id/rescales/history`
pub fn rescales_history(rescales: &RescalesView) -> Vec<Rescale> {
    rescales.history.iter().map(Rescale::in_list).collect()
}

/// `GET /jobs/:id/rescales/overview`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RescalesOverview {
    pub rescales_counts: RescaleCounts,
    pub latest: LatestRescales,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LatestRescales {
    #[schema(required)]
    pub completed: Option<Rescale>,
    #[schema(required)]
    pub failed: Option<Rescale>,
    #[schema(required)]
    pub ignored: Option<Rescale>,
}

impl RescalesOverview {
    pub fn of(rescales: &RescalesView) -> Self {
        let latest = |state| {
            let mut ended = rescales.history.iter();
            ended.find(|rescale| rescale.terminal_state() == Some(state)).map(Rescale::in_list)
        };
        Self {
            rescales_counts: rescales.counts,
            latest: LatestRescales {
                completed: latest(TerminalState::Completed),
                failed: latest(TerminalState::Failed),
                ignored: latest(TerminalState::Ignored),
            },
        }
    }
}

/// `GET /jobs/:id/rescales/summary`: statistics over the retained rescales that have ended.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RescalesSummary {
    pub rescales_counts: RescaleCounts,
    pub rescales_duration_stats_in_millis: Statistics,
    pub completed_rescales_duration_stats_in_millis: Statistics,
    pub ignored_rescales_duration_stats_in_millis: Statistics,
    pub failed_rescales_duration_stats_in_millis: Statistics,
}

impl RescalesSummary {
    pub fn of(rescales: &RescalesView) -> Self {
        let durations = |wanted: &dyn Fn(TerminalState) -> bool| {
            let ended = rescales.history.iter().filter(|it| it.terminal_state().is_some_and(wanted));
            Statistics::of(
                ended.filter_map(RescaleView::duration_ms).map(|ms| u64::try_from(ms).unwrap_or(0)),
            )
        };
        Self {
            rescales_counts: rescales.counts,
            rescales_duration_stats_in_millis: durations(&|_| true),
            completed_rescales_duration_stats_in_millis: durations(&|it| it == TerminalState::Completed),
            ignored_rescales_duration_stats_in_millis: durations(&|it| it == TerminalState::Ignored),
            failed_rescales_duration_stats_in_millis: durations(&|it| it == TerminalState::Failed),
        }
    }
}

/// `GET /jobs/:id/rescales/config`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RescalesConfig {
    pub rescale_history_max: u32,
    #[schema(required)]
    pub scheduler_execution_mode: Option<String>,
    pub submission_resource_wait_timeout_in_millis: i64,
    pub submission_resource_stabilization_timeout_in_millis: u64,
    pub slot_idle_timeout_in_millis: u64,
    pub executing_cooldown_timeout_in_millis: u64,
    pub executing_resource_stabilization_timeout_in_millis: u64,
    pub maximum_delay_for_triggering_rescale_in_millis: u64,
    pub rescale_on_failed_checkpoint_count: u32,
}

impl From<RescaleConfigView> for RescalesConfig {
    fn from(config: RescaleConfigView) -> Self {
        let wait_ms = config.submission_wait_ms;
        Self {
            rescale_history_max: config.history_max,
            scheduler_execution_mode: config.reactive.then(|| "REACTIVE".to_owned()),
            submission_resource_wait_timeout_in_millis: wait_ms
                .map_or(UNSET, |ms| i64::try_from(ms).unwrap_or(i64::MAX)),
            submission_resource_stabilization_timeout_in_millis: config.submission_stabilization_ms,
            slot_idle_timeout_in_millis: config.slot_idle_ms,
            executing_cooldown_timeout_in_millis: config.cooldown_ms,
            executing_resource_stabilization_timeout_in_millis: config.stabilization_ms,
            maximum_delay_for_triggering_rescale_in_millis: config.max_trigger_delay_ms,
            rescale_on_failed_checkpoint_count: config.on_failed_checkpoints,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_rescale_tells_its_phases_and_why_it_was_given_up() {
        let phase = |phase, entered_at_ms, left_at_ms| LivePhaseView { phase, entered_at_ms, left_at_ms };
        let live = LiveRescaleView {
            graph_version: 2,
            phases: vec![phase("PLAN", 5, Some(8)), phase("PREPARE", 8, None)],
            key_groups_moved: 3,
            key_groups_kept: 13,
            bytes_read: 300,
            bytes_to_read: 400,
            bytes_handed_over: 100,
            records_parked: 7,
            longest_pause_us: 900,
            outcome: Some(LiveOutcomeView::GivenUp { reason: "no memory".to_owned() }),
        };
        let json = serde_json::to_value(LiveRescale::of(&live)).unwrap();
        let expected = serde_json::json!({
            "graphVersion": 2,
            "phases": [
                {
                    "phase": "PLAN",
                    "enterTimestampInMillis": 5,
                    "leaveTimestampInMillis": 8,
                    "durationInMillis": 3,
                },
                {
                    "phase": "PREPARE",
                    "enterTimestampInMillis": 8,
                    "leaveTimestampInMillis": null,
                    "durationInMillis": null,
                },
            ],
            "keyGroupsMoved": 3,
            "keyGroupsKept": 13,
            "readBytes": 300,
            "bytesToRead": 400,
            "handedOverBytes": 100,
            "parkedRecords": 7,
            "longestPauseInMicros": 900,
            "outcome": "GIVEN_UP",
            "reason": "no memory",
        });
        assert_eq!(json, expected);
    }
}
