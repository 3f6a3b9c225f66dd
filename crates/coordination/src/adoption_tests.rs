//! Tests of the decision whether a running attempt goes on under a new leader.

use super::*;
use crate::action::EndState;
use crate::manifest::{Ending, Lineage, Manifest, VertexState, wire};
use bytes::Bytes;
use reflow_graph::{ExecutionVertex, Subtask, Vertex};
use reflow_protocol::adoption::SplitNotice;
use reflow_protocol::snapshot::StateFormat;
use reflow_types::{AttemptNumber, JobId, LeaderEpoch, OwnershipTable, SlotId, VertexId};

const FORMER: LeaderEpoch = LeaderEpoch(3);
const ATTEMPT: Attempt = Attempt { epoch: FORMER, number: AttemptNumber(2) };
const FIRST: ExecutorId = ExecutorId(1);
const SECOND: ExecutorId = ExecutorId(2);

fn max() -> MaxParallelism {
    MaxParallelism::new(16).unwrap()
}

fn vertex(id: u128, source: bool) -> Vertex {
    Vertex {
        id: VertexId(id),
        name: "v".into(),
        operators: Vec::new(),
        parallelism: None,
        max_parallelism: None,
        slot_sharing_group: "default".into(),
        source,
        keyed: !source,
    }
}

/// A source and a keyed vertex with a subtask each on two executors.
fn graph() -> ExecutionGraph {
    let subtask = |id, executor| Subtask { id: SubtaskId(id), slot: SlotId { executor, index: 0 } };
    let placed = |first: u64, table| ExecutionVertex {
        subtasks: vec![subtask(first, FIRST), subtask(first + 1, SECOND)],
        table,
        attempt: Attempt::default(),
    };
    ExecutionGraph { vertices: vec![placed(1, None), placed(3, Some(OwnershipTable::initial(max(), 2)))] }
}

fn taken(epoch: LeaderEpoch, checkpoint: u64) -> TakenCheckpoint {
    TakenCheckpoint { epoch, checkpoint: CheckpointId(checkpoint), then: AfterBarrier::Continue }
}

fn report(executor: ExecutorId) -> AttemptReport {
    let graph = graph();
    let here = graph.subtasks().filter(|(_, _, subtask)| subtask.slot.executor == executor);
    let subtasks = here.map(|(_, _, subtask)| (subtask.id, ReportedStatus::Running)).collect();
    AttemptReport {
        attempt: ATTEMPT,
        graph,
        version: GraphVersion(1),
        rescale: RescaleProgress::None,
        restored: Some(CheckpointId(4)),
        completed: Some(taken(FORMER, 7)),
        undecided: None,
        highest: Some(CheckpointId(7)),
        subtasks,
        readers: vec![ReaderReport {
            subtask: SubtaskId(if executor == FIRST { 1 } else { 2 }),
            splits: 3,
            assigned: Some(vec![(None, Bytes::new())]),
            notified: SplitNotice::MayFollow,
            requests: 0,
            exhausted: false,
            has_sent_events: false,
        }],
    }
}

fn complete(checkpoint: u64, epoch: LeaderEpoch) -> Completed {
    let manifest = Manifest {
        checkpoint: CheckpointId(checkpoint),
        job: JobId(1),
        job_name: "job".into(),
        format: StateFormat::Checkpoint,
        key_encoding: 1,
        build: "b".into(),
        triggered_at: 0,
        next_subtask: SubtaskId(5),
        vertices: Vec::new(),
        enumerators: Vec::new(),
        lineage: Lineage::new(epoch),
        ending: None,
        version: wire::FORMAT,
    };
    Completed { checkpoint: CheckpointId(checkpoint), at: String::new(), owned: true, manifest }
}

fn decide(reports: &Reports, registered: &[ExecutorId], latest: Option<&Completed>) -> Decision {
    let job = JobGraph {
        name: "job".into(),
        vertices: vec![vertex(1, true), vertex(2, false)],
        edges: vec![],
        parameters: Default::default(),
    };
    let registered = registered.iter().copied().collect();
    let known = Known { job: &job, max_parallelism: &[max(), max()], latest, registered: &registered };
    reports.decide(&known).expect("an attempt is reported")
}

/// The decision if both executors report what `change` makes of it, the second executor's report.
fn decide_with(latest: Option<&Completed>, change: impl Fn(ExecutorId, &mut AttemptReport)) -> Decision {
    let mut reports = Reports::default();
    for executor in [FIRST, SECOND] {
        let mut report = report(executor);
        change(executor, &mut report);
        reports.add(executor, report);
    }
    decide(&reports, &[FIRST, SECOND], latest)
}

#[track_caller]
fn adopted(decision: Decision) -> Adopted {
    match decision {
        Decision::Adopt(adopted) => *adopted,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn check_ends(decision: Decision, why: &str) {
    assert!(
        matches!(&decision, Decision::NewAttempt(reason) if reason.contains(why)),
        "{decision:?}, not {why}"
    );
}

#[test]
fn the_attempt_goes_on_once_all_of_its_executors_are_there() {
    let latest = complete(7, FORMER);
    let mut reports = Reports::default();
    reports.add(FIRST, report(FIRST));
    assert_eq!(decide(&reports, &[FIRST], Some(&latest)), Decision::Wait);
    reports.add(SECOND, report(SECOND));
    let all = adopted(decide(&reports, &[FIRST, SECOND], Some(&latest)));
    assert_eq!((all.attempt, all.version, all.highest), (ATTEMPT, GraphVersion(1), CheckpointId(7)));
    assert_eq!((all.readers.len(), all.latest_is_unknown, all.aborted.len()), (2, false, 0));
    reports.remove(SECOND);
    assert_eq!(decide(&reports, &[FIRST], Some(&latest)), Decision::Wait);
    check_ends(
        decide(&reports, &[FIRST, SECOND], Some(&latest)),
        "executor 00000000000000000000000000000002 does not run it",
    );
}

/// The notifications of the former leader may have reached only some executors.
#[test]
fn executors_hear_of_the_outcome_of_checkpoints_that_were_under_way() {
    let half = |executor, report: &mut AttemptReport| {
        report.highest = Some(CheckpointId(8));
        match executor {
            FIRST => report.completed = Some(taken(FORMER, 8)),
            _ => report.undecided = Some(taken(FORMER, 8)),
        }
    };
    let all = adopted(decide_with(Some(&complete(8, FORMER)), half));
    assert!(all.latest_is_unknown && all.aborted.is_empty());
    let pending = |executor, report: &mut AttemptReport| {
        if executor == FIRST {
            (report.highest, report.undecided) = (Some(CheckpointId(9)), Some(taken(FORMER, 9)));
        }
    };
    let all = adopted(decide_with(Some(&complete(7, FORMER)), pending));
    assert_eq!((all.aborted, all.highest), (BTreeSet::from([CheckpointId(9)]), CheckpointId(9)));
}

#[test]
fn an_attempt_that_has_not_taken_part_in_the_last_checkpoint_ends() {
    let no_change = |_, _: &mut AttemptReport| {};
    check_ends(decide_with(Some(&complete(8, FORMER)), no_change), "last complete checkpoint (8)");
    check_ends(decide_with(None, no_change), "last complete checkpoint (none)");
    // The same id, of another leadership: an attempt in between has completed it.
    check_ends(decide_with(Some(&complete(7, LeaderEpoch(4))), no_change), "checkpoint (7)");
    let never = |_, report: &mut AttemptReport| report.completed = None;
    adopted(decide_with(Some(&complete(4, LeaderEpoch(1))), never));
    let from_nothing = |_, report: &mut AttemptReport| (report.completed, report.restored) = (None, None);
    adopted(decide_with(None, from_nothing));
    check_ends(decide_with(Some(&complete(4, FORMER)), from_nothing), "checkpoint (4)");
}

/// The executor was added for the region after the trigger, and its leader was lost before it heard of the outcome.
#[test]
fn an_executor_of_a_region_that_the_last_checkpoint_is_without_has_its_state() {
    let mut latest = complete(8, FORMER);
    let state = |vertex: u128, taken_in: u64| VertexState {
        vertex: VertexId(vertex),
        name: "v".into(),
        operators: Vec::new(),
        max_parallelism: max(),
        table: None,
        taken_in: CheckpointId(taken_in),
        watermark: 0,
        keyed: Vec::new(),
        operator: Vec::new(),
    };
    // The first executor has the source, the second one the keyed vertex.
    let deployed = |restored: u64| {
        move |executor: ExecutorId, report: &mut AttemptReport| {
            let placed = [FIRST, SECOND].map(|executor| SlotId { executor, index: 0 });
            for (vertex, slot) in report.graph.vertices.iter_mut().zip(placed) {
                vertex.subtasks.iter_mut().for_each(|subtask| subtask.slot = slot);
            }
            let here = report.graph.subtasks().filter(|(_, _, subtask)| subtask.slot.executor == executor);
            report.subtasks = here.map(|(_, _, subtask)| (subtask.id, ReportedStatus::Running)).collect();
            report.completed = Some(taken(FORMER, 8));
            if executor == SECOND {
                (report.completed, report.restored) = (None, Some(CheckpointId(restored)));
            }
        }
    };
    latest.manifest.vertices = vec![state(1, 8), state(2, 5)];
    for restored in 5..=8 {
        adopted(decide_with(Some(&latest), deployed(restored)));
    }
    for restored in [4, 9] {
        check_ends(decide_with(Some(&latest), deployed(restored)), "checkpoint (8)");
    }
    // It has taken part.
    latest.manifest.vertices = vec![state(1, 8), state(2, 8)];
    check_ends(decide_with(Some(&latest), deployed(7)), "checkpoint (8)");
}

/// Another build, or another configuration, has another graph or other numbers of key groups.
#[test]
fn an_attempt_whose_form_is_not_that_of_the_job_ends() {
    let latest = complete(7, FORMER);
    let fewer = |_, report: &mut AttemptReport| drop(report.graph.vertices.pop());
    check_ends(decide_with(Some(&latest), fewer), "another job graph");
    let max = MaxParallelism::new(32).unwrap();
    let other_groups = move |_, report: &mut AttemptReport| {
        report.graph.vertices[1].table = Some(OwnershipTable::initial(max, 2));
    };
    check_ends(decide_with(Some(&latest), other_groups), "another number of key groups");
    let not_keyed = |_, report: &mut AttemptReport| report.graph.vertices[1].table = None;
    check_ends(decide_with(Some(&latest), not_keyed), "another number of key groups");
}

#[test]
fn an_attempt_that_is_not_whole_or_was_changing_ends() {
    let latest = complete(7, FORMER);
    type Change = fn(&mut AttemptReport);
    let cases: [(&str, Change); 8] = [
        ("runs attempt 3.1", |report| report.attempt.number = AttemptNumber(1)),
        ("another graph", |report| report.graph.vertices[0].subtasks[0].id = SubtaskId(99)),
        ("v (2/2) does not run on executor", |report| report.subtasks.truncate(1)),
        ("runs a subtask that is not in its graph", |report| {
            report.subtasks.push((SubtaskId(99), ReportedStatus::Running))
        }),
        ("was being deployed", |report| report.subtasks[0].1 = ReportedStatus::Deploying),
        ("has finished", |report| report.subtasks[0].1 = ReportedStatus::Finished),
        ("failed", |report| report.subtasks[0].1 = ReportedStatus::Failed),
        ("graph version 2", |report| report.rescale = RescaleProgress::Cut(GraphVersion(2))),
    ];
    for (why, change) in cases {
        let second = |executor, report: &mut AttemptReport| {
            if executor == SECOND {
                change(report);
            }
        };
        check_ends(decide_with(Some(&latest), second), why);
    }
    let preparing =
        |_, report: &mut AttemptReport| report.rescale = RescaleProgress::Preparing(GraphVersion(2));
    assert_eq!(adopted(decide_with(Some(&latest), preparing)).abandoned, BTreeSet::from([GraphVersion(2)]));
}

#[test]
fn an_attempt_whose_sources_have_paused_for_a_complete_checkpoint_ends() {
    let paused = |_, report: &mut AttemptReport| {
        report.completed = Some(TakenCheckpoint { then: AfterBarrier::Pause, ..taken(FORMER, 7) });
    };
    check_ends(decide_with(Some(&complete(7, FORMER)), paused), "paused");
    let mut last = complete(7, FORMER);
    last.manifest.ending = Some(Ending { then: AfterBarrier::Finish, state: EndState::Finished });
    check_ends(decide_with(Some(&last), |_, _| {}), "the job ends with checkpoint 7");
}
