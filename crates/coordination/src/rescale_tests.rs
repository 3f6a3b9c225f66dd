//! The timeline: merging, ending, bounded history, ids.

use super::TerminatedReason::*;
use super::TriggerCause::*;
use super::*;

/// Begins and ends rescales, one a second, and shows the history, oldest first.
fn check(
    steps: &[Result<TriggerCause, TerminatedReason>],
    expected: &[(TriggerCause, Option<TerminatedReason>)],
) {
    let mut timeline = Timeline::new(8, 1);
    for (second, step) in steps.iter().enumerate() {
        let now = Instant::from_millis(second as u64 * 1000);
        match step {
            Ok(cause) => timeline.begin(now, *cause, Start::default()),
            Err(reason) => timeline.end(now, *reason),
        }
    }
    let mut shown: Vec<_> = timeline.history().map(|r| (r.cause, r.ended.map(|(_, why)| why))).collect();
    shown.reverse();
    assert_eq!(shown, expected);
}

#[test]
fn one_at_a_time() {
    check(
        &[Ok(InitialSchedule), Err(Succeeded), Ok(NewResourceAvailable)],
        &[(InitialSchedule, Some(Succeeded)), (NewResourceAvailable, None)],
    );
    check(&[Err(Succeeded)], &[]);
}

#[test]
fn more_slots_merge_into_whatever_is_under_way() {
    check(&[Ok(InitialSchedule), Ok(NewResourceAvailable)], &[(InitialSchedule, None)]);
    check(&[Ok(RecoverableFailover), Ok(NewResourceAvailable)], &[(RecoverableFailover, None)]);
}

#[test]
fn requirements_replace() {
    check(
        &[Ok(NewResourceAvailable), Ok(UpdateRequirement), Ok(UpdateRequirement), Err(JobFinished)],
        &[
            (NewResourceAvailable, Some(ResourceRequirementsUpdated)),
            (UpdateRequirement, Some(ResourceRequirementsUpdated)),
            (UpdateRequirement, Some(JobFinished)),
        ],
    );
}

#[test]
fn a_failover_replaces_and_merges_with_another() {
    check(
        &[Ok(UpdateRequirement), Ok(RecoverableFailover), Ok(RecoverableFailover), Err(Succeeded)],
        &[(UpdateRequirement, Some(JobFailoverRestarting)), (RecoverableFailover, Some(Succeeded))],
    );
}

#[test]
fn every_reason_belongs_to_a_terminal_state() {
    let expected = |reason| match reason {
        Succeeded => TerminalState::Completed,
        ExceptionOccurred => TerminalState::Failed,
        _ => TerminalState::Ignored,
    };
    for reason in [
        Succeeded,
        ExceptionOccurred,
        ResourceRequirementsUpdated,
        NoResourcesOrParallelismsChange,
        JobFinished,
        JobFailed,
        JobCanceled,
        JobFailoverRestarting,
    ] {
        assert_eq!(reason.terminal_state(), expected(reason));
    }
}

#[test]
fn the_history_is_bounded_and_all_are_counted() {
    let mut timeline = Timeline::new(2, 1);
    let reasons = [Succeeded, JobFailed, ExceptionOccurred, Succeeded];
    for (second, reason) in reasons.into_iter().enumerate() {
        let now = Instant::from_millis(second as u64);
        timeline.begin(now, NewResourceAvailable, Start::default());
        timeline.end(now, reason);
    }
    timeline.begin(Instant(9), NewResourceAvailable, Start::default());
    let counts = RescaleCounts { ignored: 1, in_progress: 1, completed: 2, failed: 1 };
    assert_eq!(timeline.counts(), counts);
    let ended: Vec<_> = timeline.history().filter_map(|rescale| rescale.ended).map(|(_, why)| why).collect();
    assert_eq!(ended, [Succeeded, ExceptionOccurred]);

    let mut off = Timeline::new(0, 1);
    off.begin(Instant(0), InitialSchedule, Start::default());
    assert_eq!(off.history().count(), 0);
}

#[test]
fn ids_differ_and_attempts_count_under_the_same_requirements() {
    let mut timeline = Timeline::new(9, 1);
    for cause in [InitialSchedule, NewResourceAvailable, UpdateRequirement, NewResourceAvailable] {
        timeline.begin(Instant(0), cause, Start::default());
        timeline.end(Instant(0), Succeeded);
    }
    let all: Vec<_> = timeline.history().cloned().collect();
    let attempts: Vec<_> = all.iter().rev().map(|rescale| rescale.attempt).collect();
    assert_eq!(attempts, [1, 2, 1, 2]);
    let ids: std::collections::BTreeSet<_> =
        all.iter().flat_map(|rescale| [rescale.id, rescale.requirements]).collect();
    assert_eq!(ids.len(), 4 + 2);
    let other = Timeline::new(9, 2);
    assert_ne!(other.requirements(), Timeline::new(9, 1).requirements(), "jobs do not share ids");
}

#[test]
fn states_are_spans() {
    let mut timeline = Timeline::new(1, 1);
    timeline.enter_state(Instant(1), "Executing", None);
    timeline.begin(Instant(5), RecoverableFailover, Start::default());
    timeline.enter_state(Instant(6), "Restarting", Some("it broke".into()));
    timeline.end(Instant(8), Succeeded);
    timeline.enter_state(Instant(9), "Executing", None);
    let states = &timeline.history().next().unwrap().states;
    let shown: Vec<_> =
        states.iter().map(|span| (span.state, span.entered.0, span.left.map(|i| i.0))).collect();
    assert_eq!(shown, [("Executing", 1, Some(6)), ("Restarting", 6, Some(8))]);
    assert_eq!(states[1].error.as_deref(), Some("it broke"));
}

#[test]
fn what_is_decided_is_recorded() {
    let vertex = VertexChange {
        vertex: VertexId(1),
        name: "v".into(),
        slot_sharing_group: "default".into(),
        desired: 4,
        sufficient: 1,
        before: Some(1),
        after: None,
    };
    let slots = SlotChange {
        slot_sharing_group: "default".into(),
        desired: 4,
        sufficient: 1,
        before: Some(1),
        after: None,
    };
    let mut timeline = Timeline::new(1, 1);
    timeline.decide(&[9], &[9]);
    timeline.begin(Instant(0), InitialSchedule, Start { vertices: vec![vertex], slots: vec![slots] });
    timeline.decide(&[3], &[3]);
    let current = timeline.current().unwrap();
    assert_eq!((current.vertices[0].after, current.slots[0].after), (Some(3), Some(3)));
}
