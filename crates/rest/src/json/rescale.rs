//! Rescales: `/jobs/:id/rescales/overview`, `history`, `details/:rescale`, `summary` and `config`.
//!
//! The fields are Flink's; `liveRescale` of the details is Reflow's own.

use std::collections::BTreeMap;

use reflow_types::VertexId;
use serde::Serialize;

use super::UNSET;
use super::statistics::Statistics;
use super::task_manager::ResourceProfile;
use reflow_view::RescaleId;
use reflow_view::{
    LiveOutcomeView, LivePhaseView, LiveRescaleView, RescaleConfigView, RescaleCounts, RescaleView,
    RescalesView, SchedulerStateView, SlotRescaleView, TerminalState, TerminatedReason, TriggerCause,
    VertexRescaleView,
};

/// One rescale; in lists its vertices, slots and states are left out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rescale<'a> {
    rescale_uuid: RescaleId,
    resource_requirements_uuid: RescaleId,
    rescale_attempt_id: u64,
    vertices: BTreeMap<VertexId, Vertex<'a>>,
    slots: BTreeMap<&'a str, Slots<'a>>,
    scheduler_states: Vec<SchedulerState<'a>>,
    start_timestamp_in_millis: i64,
    end_timestamp_in_millis: Option<i64>,
    terminal_state: Option<TerminalState>,
    trigger_cause: TriggerCause,
    terminated_reason: Option<TerminatedReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    live_rescale: Option<LiveRescale<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LiveRescale<'a> {
    graph_version: u64,
    phases: Vec<LivePhase>,
    key_groups_moved: u64,
    key_groups_kept: u64,
    handed_over_bytes: u64,
    parked_records: u64,
    longest_pause_in_micros: u64,
    outcome: Option<&'static str>,
    reason: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LivePhase {
    phase: &'static str,
    enter_timestamp_in_millis: i64,
    leave_timestamp_in_millis: Option<i64>,
    duration_in_millis: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Vertex<'a> {
    job_vertex_id: VertexId,
    job_vertex_name: &'a str,
    slot_sharing_group_id: &'a str,
    slot_sharing_group_name: &'a str,
    desired_parallelism: u32,
    sufficient_parallelism: u32,
    pre_rescale_parallelism: Option<u32>,
    post_rescale_parallelism: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Slots<'a> {
    slot_sharing_group_id: &'a str,
    slot_sharing_group_name: &'a str,
    request_resource_profile: ResourceProfile,
    desired_slots: u32,
    minimal_required_slots: u32,
    pre_rescale_slots: Option<u32>,
    post_rescale_slots: Option<u32>,
    acquired_resource_profile: Option<ResourceProfile>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SchedulerState<'a> {
    state: &'a str,
    enter_timestamp_in_millis: i64,
    leave_timestamp_in_millis: Option<i64>,
    duration_in_millis: Option<i64>,
    stringified_exception: Option<&'a str>,
}

impl<'a> Rescale<'a> {
    fn in_list(rescale: &'a RescaleView) -> Self {
        Self {
            rescale_uuid: rescale.id,
            resource_requirements_uuid: rescale.requirements,
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
        }
    }

    /// `GET /jobs/:id/rescales/details/:rescale`
    pub(crate) fn in_detail(rescale: &'a RescaleView) -> Self {
        Self {
            vertices: rescale.vertices.iter().map(|vertex| (vertex.id, Vertex::of(vertex))).collect(),
            slots: rescale.slots.iter().map(|slots| (&*slots.sharing_group.id, Slots::of(slots))).collect(),
            scheduler_states: rescale.states.iter().map(SchedulerState::of).collect(),
            live_rescale: rescale.live.as_ref().map(LiveRescale::of),
            ..Self::in_list(rescale)
        }
    }
}

impl<'a> Vertex<'a> {
    fn of(vertex: &'a VertexRescaleView) -> Self {
        Self {
            job_vertex_id: vertex.id,
            job_vertex_name: &vertex.name,
            slot_sharing_group_id: &vertex.sharing_group.id,
            slot_sharing_group_name: &vertex.sharing_group.name,
            desired_parallelism: vertex.desired,
            sufficient_parallelism: vertex.sufficient,
            pre_rescale_parallelism: vertex.before,
            post_rescale_parallelism: vertex.after,
        }
    }
}

impl<'a> Slots<'a> {
    fn of(slots: &'a SlotRescaleView) -> Self {
        Self {
            slot_sharing_group_id: &slots.sharing_group.id,
            slot_sharing_group_name: &slots.sharing_group.name,
            request_resource_profile: slots.requested.map_or(ResourceProfile::UNKNOWN, ResourceProfile::from),
            desired_slots: slots.desired,
            minimal_required_slots: slots.sufficient,
            pre_rescale_slots: slots.before,
            post_rescale_slots: slots.after,
            acquired_resource_profile: slots.acquired.map(ResourceProfile::from),
        }
    }
}

impl<'a> LiveRescale<'a> {
    fn of(live: &'a LiveRescaleView) -> Self {
        let (outcome, reason) = match &live.outcome {
            None => (None, None),
            Some(LiveOutcomeView::Committed) => (Some("COMMITTED"), None),
            Some(LiveOutcomeView::GivenUp { reason }) => (Some("GIVEN_UP"), Some(reason.as_str())),
            Some(LiveOutcomeView::Interrupted) => (Some("INTERRUPTED"), None),
        };
        Self {
            graph_version: live.graph_version,
            phases: live.phases.iter().map(LivePhase::of).collect(),
            key_groups_moved: live.key_groups_moved,
            key_groups_kept: live.key_groups_kept,
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
            phase: phase.phase,
            enter_timestamp_in_millis: phase.entered_at_ms,
            leave_timestamp_in_millis: phase.left_at_ms,
            duration_in_millis: phase.left_at_ms.map(|left_at_ms| left_at_ms - phase.entered_at_ms),
        }
    }
}

impl<'a> SchedulerState<'a> {
    fn of(state: &'a SchedulerStateView) -> Self {
        Self {
            state: &state.state,
            enter_timestamp_in_millis: state.entered_at_ms,
            leave_timestamp_in_millis: state.left_at_ms,
            duration_in_millis: state.left_at_ms.map(|left_at_ms| left_at_ms - state.entered_at_ms),
            stringified_exception: state.error.as_deref(),
        }
    }
}

/// `GET /jobs/:id/rescales/history`
pub(crate) fn history(rescales: &RescalesView) -> Vec<Rescale<'_>> {
    rescales.history.iter().map(Rescale::in_list).collect()
}

/// `GET /jobs/:id/rescales/overview`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Overview<'a> {
    rescales_counts: RescaleCounts,
    latest: Latest<'a>,
}

#[derive(Serialize)]
struct Latest<'a> {
    completed: Option<Rescale<'a>>,
    failed: Option<Rescale<'a>>,
    ignored: Option<Rescale<'a>>,
}

impl<'a> Overview<'a> {
    pub(crate) fn of(rescales: &'a RescalesView) -> Self {
        let latest = |state| {
            let mut ended = rescales.history.iter();
            ended.find(|rescale| rescale.terminal_state() == Some(state)).map(Rescale::in_list)
        };
        Self {
            rescales_counts: rescales.counts,
            latest: Latest {
                completed: latest(TerminalState::Completed),
                failed: latest(TerminalState::Failed),
                ignored: latest(TerminalState::Ignored),
            },
        }
    }
}

/// `GET /jobs/:id/rescales/summary`: figures over the retained rescales that have ended.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    rescales_counts: RescaleCounts,
    rescales_duration_stats_in_millis: Statistics,
    completed_rescales_duration_stats_in_millis: Statistics,
    ignored_rescales_duration_stats_in_millis: Statistics,
    failed_rescales_duration_stats_in_millis: Statistics,
}

impl Summary {
    pub(crate) fn of(rescales: &RescalesView) -> Self {
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
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Config {
    rescale_history_max: u32,
    scheduler_execution_mode: Option<&'static str>,
    submission_resource_wait_timeout_in_millis: i64,
    submission_resource_stabilization_timeout_in_millis: u64,
    slot_idle_timeout_in_millis: u64,
    executing_cooldown_timeout_in_millis: u64,
    executing_resource_stabilization_timeout_in_millis: u64,
    maximum_delay_for_triggering_rescale_in_millis: u64,
    rescale_on_failed_checkpoint_count: u32,
}

impl From<RescaleConfigView> for Config {
    fn from(config: RescaleConfigView) -> Self {
        let wait_ms = config.submission_wait_ms;
        Self {
            rescale_history_max: config.history_max,
            scheduler_execution_mode: config.reactive.then_some("REACTIVE"),
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
            "handedOverBytes": 100,
            "parkedRecords": 7,
            "longestPauseInMicros": 900,
            "outcome": "GIVEN_UP",
            "reason": "no memory",
        });
        assert_eq!(json, expected);
    }
}
