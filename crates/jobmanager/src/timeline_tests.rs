//! The time line of a job, from views of it at one second after the other.

use super::*;
use reflow_types::{JobId, VertexId};
use reflow_view::{
    AutoscalerView, CheckpointView, CheckpointsView, ExceptionView, ExecutionConfigView, ParallelismBounds,
    ProvisioningView, RescaleView, RescalesView, SharingGroup, TerminatedReason, TriggerCause,
};

fn job() -> JobView {
    JobView {
        autoscaler: None,
        id: JobId(1),
        name: "j".to_owned(),
        status: JobStatus::Running,
        streaming: true,
        started_at_ms: 0,
        ended_at_ms: None,
        entered_at_ms: [(JobStatus::Running, 5)].into(),
        spent_ms: BTreeMap::new(),
        max_parallelism: None,
        vertices: vec![],
        config: ExecutionConfigView::default(),
        exceptions: vec![],
        exceptions_truncated: false,
        checkpoints: Some(CheckpointsView::default()),
        rescales: RescalesView::default(),
        restarts: 0,
        region_restart: None,
        timeline: Arc::default(),
        metrics: BTreeMap::new(),
    }
}

fn follow(timeline: &mut Timeline, now_ms: i64, job: &JobView) -> Arc<TimelineView> {
    let mut view = ClusterView { now_ms, jobs: vec![job.clone()], ..ClusterView::default() };
    timeline.follow(&mut view);
    Arc::clone(&view.jobs[0].timeline)
}

fn kinds(view: &TimelineView) -> Vec<(TimelineEventKind, i64)> {
    view.events.iter().map(|event| (event.kind, event.at_ms)).collect()
}

#[test]
fn two_days_are_a_bounded_number_of_points_and_the_newest_are_the_finest() {
    let mut timeline = Timeline::default();
    let seconds = 2 * 24 * 60 * 60;
    for second in 0..seconds {
        let mut view = ClusterView { now_ms: second * 1_000, jobs: vec![job()], ..ClusterView::default() };
        timeline.follow(&mut view);
    }
    let points = timeline.show().points;
    assert!(points.len() <= 600 + 720 + 1_440, "{}", points.len());
    assert!(points.windows(2).all(|pair| pair[0].at_ms < pair[1].at_ms));
    let newest = &points[points.len() - 600..];
    assert!(newest.windows(2).all(|pair| pair[1].at_ms - pair[0].at_ms == 1_000));
    assert_eq!(newest.last().map(|point| point.at_ms), Some((seconds - 1) * 1_000));
    assert!(points[1].at_ms - points[0].at_ms == 60_000);
    let day_ms = 24 * 60 * 60 * 1_000;
    assert!((seconds * 1_000 - day_ms - points[0].at_ms).abs() <= 60_000, "it reaches back a day");
}

#[test]
fn samples_of_one_interval_become_their_mean() {
    let mut level = Level::default();
    for (at_ms, busy, parallelism) in [(1_000, 0.2, 1), (1_200, 0.4, 2), (1_999, 0.6, 3), (2_000, 1.0, 4)] {
        level.add(TimelinePoint { at_ms, busy, parallelism, ..TimelinePoint::default() }, 1_000, 9);
    }
    let shown: Vec<_> = level.points.iter().map(|point| (point.at_ms, point.parallelism)).collect();
    assert_eq!(shown, [(1_999, 3), (2_000, 4)]);
    assert!((level.points[0].busy - 0.4).abs() < 1e-9);
}

#[test]
fn a_clock_that_steps_back_does_not_disorder_the_points() {
    let mut timeline = Timeline::default();
    follow(&mut timeline, 10_000, &job());
    let shown = follow(&mut timeline, 3_000, &job());
    assert_eq!(shown.points.iter().map(|point| point.at_ms).collect::<Vec<_>>(), [10_000]);
}

#[test]
fn what_happened_is_noted_once_and_survives_the_histories_it_is_taken_from() {
    let mut timeline = Timeline::default();
    let mut job = job();
    let (rescale, failed) = (rescale(), failed_checkpoint());
    follow(&mut timeline, 1_000, &job);
    job.exceptions = vec![ExceptionView { name: "UserError".into(), at_ms: 20, ..Default::default() }];
    job.rescales.history = vec![RescaleView { ended: None, ..rescale.clone() }];
    let checkpoints = job.checkpoints.as_mut().unwrap();
    checkpoints.history = vec![Arc::new(failed.clone())];
    checkpoints.latest_failed = Some(Arc::new(failed));
    job.restarts = 1;
    job.entered_at_ms.insert(JobStatus::Restarting, 21);
    follow(&mut timeline, 2_000, &job);
    job.rescales.history = vec![rescale];
    follow(&mut timeline, 3_000, &job);
    job.rescales.history.clear();
    job.exceptions.clear();
    job.checkpoints = Some(CheckpointsView::default());
    let shown = follow(&mut timeline, 4_000, &job);
    use TimelineEventKind::*;
    let expected =
        [(State, 5), (CheckpointFailed, 15), (Failure, 20), (State, 21), (Restart, 21), (Rescale, 40)];
    assert_eq!(kinds(&shown), expected);
    assert_eq!(shown.events[5].text, "1 \u{2192} 3, by a deployment, 30 ms");
    assert_eq!(shown.events[1].text, "checkpoint 7: disk full");
}

#[test]
fn what_became_of_the_number_of_task_managers_is_noted_once() {
    let mut timeline = Timeline::default();
    let with_events = |texts: &[(i64, &str)]| {
        let events = texts.iter().map(|(at_ms, text)| (*at_ms, (*text).to_owned())).collect();
        let provisioning = ProvisioningView { status: None, events };
        JobView { autoscaler: Some(AutoscalerView { provisioning, ..AutoscalerView::default() }), ..job() }
    };
    follow(&mut timeline, 10, &with_events(&[(7, "away"), (7, "left alone")]));
    let view = follow(&mut timeline, 20, &with_events(&[(7, "away"), (7, "left alone"), (12, "again")]));
    let texts: Vec<&str> = view.events.iter().map(|event| event.text.as_str()).collect();
    assert_eq!(texts, ["RUNNING", "away", "left alone", "again"]);
}

#[test]
fn events_are_bounded() {
    let mut timeline = Timeline::default();
    let mut job = job();
    for restart in 1..=MAX_EVENTS as u64 + 50 {
        job.restarts = restart;
        follow(&mut timeline, restart as i64, &job);
    }
    let shown = follow(&mut timeline, 5_000, &job);
    assert_eq!(shown.events.len(), MAX_EVENTS);
    assert_eq!(shown.events.last().map(|event| event.id.as_str()), Some("1050"));
    assert!(event(1, TimelineEventKind::Failure, String::new(), &"\u{e4}".repeat(9_999)).text.len() <= 600);
}

fn rescale() -> RescaleView {
    let group = reflow_view::SharingGroup::default();
    let vertex = reflow_view::VertexRescaleView {
        id: reflow_types::VertexId(1),
        name: "v".into(),
        sharing_group: group,
        desired: 4,
        sufficient: 1,
        before: Some(1),
        after: Some(3),
    };
    RescaleView {
        id: RescaleId(9),
        requirements: RescaleId(8),
        attempt: 1,
        cause: TriggerCause::NewResourceAvailable,
        started_at_ms: 10,
        ended: Some((40, TerminatedReason::Succeeded)),
        vertices: vec![vertex],
        slots: vec![],
        states: vec![],
        live: None,
        restart_reason: None,
    }
}

fn failed_checkpoint() -> CheckpointView {
    CheckpointView {
        id: CheckpointId(7),
        kind: reflow_view::CheckpointKind::Checkpoint,
        triggered_at_ms: 10,
        outcome: CheckpointOutcome::Failed { at_ms: 15, reason: "disk full".into() },
        vertices: vec![],
    }
}

/// Former changes are known from the record of the leadership.
#[test]
fn changes_of_the_leader_are_told_with_what_became_of_the_tasks() {
    let mut timeline = Timeline::default();
    let change =
        |epoch, at_ms, cause, silent_ms| LeaderChange { epoch: LeaderEpoch(epoch), at_ms, cause, silent_ms };
    let changes = vec![
        change(1, 5, LeaderChangeCause::Started, None),
        change(2, 700, LeaderChangeCause::HandedOver, None),
        change(4, 9_000, LeaderChangeCause::LeaseExpired, Some(3_010)),
    ];
    let mut follow = |status, takeover| {
        let job = JobView { status, ..job() };
        let leadership = LeadershipView { changes: changes.clone(), takeover };
        let mut view = ClusterView { now_ms: 10_000, leadership, jobs: vec![job], ..ClusterView::default() };
        timeline.follow(&mut view);
        let events = view.jobs[0].timeline.events.clone();
        let events = events.into_iter().filter(|event| event.kind == TimelineEventKind::LeaderChange);
        events.map(|event| (event.at_ms, event.text)).collect::<Vec<_>>()
    };
    let former = (700, "leadership 2: the former leader handed the job over".to_owned());
    assert_eq!(follow(JobStatus::Created, None).first(), Some(&former));
    let own = "leadership 4: the former leader was silent for 3010 ms; the tasks run on";
    for _ in 0..2 {
        let shown = follow(JobStatus::Running, Some(TakeoverView::Adopted));
        assert_eq!(shown, [former.clone(), (9_000, own.to_owned())]);
    }
}

#[test]
fn a_restart_of_regions_names_their_vertices() {
    let vertex = |id: u128, name: &str| VertexView {
        id: VertexId(id),
        operators: vec![name.to_owned()],
        sharing_group: SharingGroup::default(),
        parallelism: 1,
        max_parallelism: 128,
        bounds: ParallelismBounds { lower: 1, upper: 1 },
        region: id as u16,
        restarts_alone: false,
        inputs: vec![],
        subtasks: vec![],
    };
    let mut timeline = Timeline::default();
    let before = JobView { vertices: vec![vertex(0, "orders"), vertex(1, "payments")], ..job() };
    follow(&mut timeline, 1_000, &before);
    let restart = RegionRestartView { at_ms: 1_400, vertices: vec![VertexId(1)] };
    let failed = JobView { restarts: 1, region_restart: Some(restart), ..before };
    let view = follow(&mut timeline, 2_000, &failed);
    let last = view.events.last().expect("there is one");
    assert_eq!((last.at_ms, &*last.text), (1_400, "restart 1 of payments"));
    // The next one is of the whole job.
    let mut whole = JobView { restarts: 2, ..failed };
    whole.entered_at_ms.insert(JobStatus::Restarting, 2_500);
    let view = follow(&mut timeline, 3_000, &whole);
    let restart =
        view.events.iter().rfind(|event| event.kind == TimelineEventKind::Restart).expect("there is one");
    assert_eq!((restart.at_ms, &*restart.text), (2_500, "restart 2"));
}
