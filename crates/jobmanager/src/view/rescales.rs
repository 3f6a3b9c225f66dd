//! The history of rescales, in the terms of the REST API.

use reflow_coordination::rescale::{self, Live, LiveOutcome, PhaseSpan, Rescale, Timeline};
use reflow_coordination::scheduler::Settings;
use reflow_view::RescaleId;
use reflow_view::{
    LiveOutcomeView, LivePhaseView, LiveRescaleView, RescaleConfigView, RescaleView, RescalesView,
    SchedulerStateView, SharingGroup, SlotRescaleView, VertexRescaleView,
};
use std::time::Duration;

pub(super) fn view(timeline: &Timeline, settings: &Settings) -> RescalesView {
    RescalesView {
        counts: timeline.counts(),
        history: timeline.history().map(one).collect(),
        config: config(settings),
    }
}

/// A slot sharing group, whose id is derived from its name.
pub(super) fn sharing_group(name: &str) -> SharingGroup {
    use sha2::{Digest, Sha256};
    let hash = Sha256::digest(name);
    let id = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    SharingGroup { id, name: name.to_owned() }
}

fn one(rescale: &Rescale) -> RescaleView {
    let vertex = |change: &rescale::VertexChange| VertexRescaleView {
        id: change.vertex,
        name: change.name.clone(),
        sharing_group: sharing_group(&change.slot_sharing_group),
        desired: change.desired,
        sufficient: change.sufficient,
        before: change.before,
        after: change.after,
    };
    let slot = |change: &rescale::SlotChange| SlotRescaleView {
        sharing_group: sharing_group(&change.slot_sharing_group),
        desired: change.desired,
        sufficient: change.sufficient,
        before: change.before,
        after: change.after,
        requested: None,
        acquired: None,
    };
    let state = |span: &rescale::StateSpan| SchedulerStateView {
        state: span.state.to_owned(),
        entered_at_ms: span.entered.as_millis(),
        left_at_ms: span.left.map(|at| at.as_millis()),
        error: span.error.clone(),
    };
    RescaleView {
        id: RescaleId(rescale.id),
        requirements: RescaleId(rescale.requirements),
        attempt: rescale.attempt,
        cause: rescale.cause,
        started_at_ms: rescale.started.as_millis(),
        ended: rescale.ended.map(|(at, reason)| (at.as_millis(), reason)),
        vertices: rescale.vertices.iter().map(vertex).collect(),
        slots: rescale.slots.iter().map(slot).collect(),
        states: rescale.states.iter().map(state).collect(),
        live: rescale.live.as_ref().map(live),
        restart_reason: rescale.restart_reason.clone(),
    }
}

fn live(live: &Live) -> LiveRescaleView {
    let phase = |span: &PhaseSpan| LivePhaseView {
        phase: span.phase.as_str(),
        entered_at_ms: span.entered.as_millis(),
        left_at_ms: span.left.map(|at| at.as_millis()),
    };
    let outcome = |outcome: &LiveOutcome| match outcome {
        LiveOutcome::Committed => LiveOutcomeView::Committed,
        LiveOutcome::GivenUp { reason } => LiveOutcomeView::GivenUp { reason: reason.clone() },
        LiveOutcome::Interrupted => LiveOutcomeView::Interrupted,
    };
    LiveRescaleView {
        graph_version: live.version.0,
        phases: live.phases.iter().map(phase).collect(),
        key_groups_moved: live.groups_moved,
        key_groups_kept: live.groups_kept,
        bytes_read: live.transferred.read,
        bytes_to_read: live.transferred.all,
        bytes_handed_over: live.bytes_handed_over,
        records_parked: live.records_parked,
        longest_pause_us: u64::try_from(live.longest_pause.as_micros()).unwrap_or(u64::MAX),
        outcome: live.outcome.as_ref().map(outcome),
    }
}

fn config(settings: &Settings) -> RescaleConfigView {
    RescaleConfigView {
        history_max: u32::try_from(settings.rescale_history_size).unwrap_or(u32::MAX),
        reactive: settings.is_reactive(),
        submission_wait_ms: settings.resource_wait_timeout.map(millis),
        submission_stabilization_ms: millis(settings.resource_stabilization_timeout),
        slot_idle_ms: 0,
        cooldown_ms: millis(settings.restart_waits.cooldown),
        stabilization_ms: millis(settings.restart_waits.stabilization),
        max_trigger_delay_ms: millis(settings.trigger_delay()),
        on_failed_checkpoints: settings.max_checkpoint_failures,
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
