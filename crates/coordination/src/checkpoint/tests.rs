//! What the coordinator does, step by step. Effects are written as short lines.

use super::*;
use crate::action::EndState;
use crate::event::StoreOutcome::{self, Failed, Lost, Won};
use crate::manifest::{Decision, Lineage, Manifest, Takeover};
use reflow_graph::{DeclaredList, ExecutionGraph, ExecutionVertex, JobGraph, Operator, Subtask, Vertex};
use reflow_protocol::command::{AttemptCommand, CheckpointCommand, Command, SnapshotKind};
use reflow_protocol::deployment::Attempt;
use reflow_protocol::snapshot::{KeyedState, Run, StateFormat, SubtaskState};
use reflow_types::{
    AttemptNumber, ExecutorId, Instant, KeyGroupSet, MaxParallelism, OwnershipTable, SlotId, VertexId,
};

mod absence;
mod cut;
mod fixture;
mod objects;
mod stopping;

use fixture::{COUNTER, DIR, Fixture, READER, job, max, settings, triggered};

fn unknown() -> StoreOutcome {
    Failed("reset".into())
}

/// The story: a checkpoint is triggered, all subtasks write their part, and it is complete once storage has its manifest;
/// only then anybody hears of it. The next one replaces it, manifest first.
#[test]
fn a_checkpoint_is_complete_when_storage_has_its_manifest() {
    let mut f = Fixture::new(Settings { retained: 1, ..settings() });
    assert_eq!(f.request(Purpose::User, 1), "trigger 1 into /data");
    assert_eq!(f.acknowledge_all(1), "store 1 at /chk-1/_metadata");
    assert_eq!(f.stored(1, Won), "tell 1\nanswer 1: /chk-1\ncompleted 1");

    assert_eq!(f.request(Purpose::User, 2), "trigger 2 into /data");
    assert_eq!(f.acknowledge_all(2), "store 2 at /chk-2/_metadata");
    let deleted = "delete /chk-1/_metadata\ndelete /data/o1";
    assert_eq!(f.stored(2, Won), format!("tell 2\nanswer 2: /chk-2\ncompleted 2\n{deleted}"));
}

#[test]
fn periodic_ones_keep_interval_and_pause() {
    // (min pause, first complete at, second begins at)
    for (min_pause, ended, second) in
        [(0, 150, 200), (0, 230, 230), (30, 150, 200), (80, 150, 230), (80, 230, 310)]
    {
        let interval = Some(Duration::from_millis(100));
        let min_pause = Duration::from_millis(min_pause);
        let mut f = Fixture::new(Settings { interval, min_pause, ..settings() });
        assert_eq!(f.at(99).tick(), "");
        assert_eq!(f.coordinator.next_wakeup(), Some(Instant::from_millis(100)));
        assert_eq!(f.at(100).tick(), "trigger 1 into /data");
        assert_eq!(f.coordinator.next_wakeup(), Some(Instant::from_millis(60_100)));
        assert_eq!(f.at(ended).acknowledge_all(1), "store 1 at /chk-1/_metadata");
        let done = f.stored(1, Won);
        if second == ended {
            assert_eq!(done, "tell 1\ncompleted 1\ntrigger 2 into /data");
        } else {
            assert_eq!(done, "tell 1\ncompleted 1");
            assert_eq!(f.coordinator.next_wakeup(), Some(Instant::from_millis(second)));
            assert_eq!(f.at(second - 1).tick(), "");
            assert_eq!(f.at(second).tick(), "trigger 2 into /data");
        }
    }
}

#[test]
fn requests_wait_for_the_one_under_way_and_the_most_pressing_goes_first() {
    let mut f = Fixture::new(settings());
    assert_eq!(f.request(Purpose::User, 1), "trigger 1 into /data");
    assert_eq!(f.request(Purpose::User, 2), "");
    assert_eq!(f.request(Purpose::Savepoint, 3), "");
    assert_eq!(f.request(Purpose::Suspend, 4), "");
    assert_eq!(f.request(Purpose::User, 5), "");
    assert_eq!(f.complete(1), "tell 1\nanswer 1: /chk-1\ncompleted 1\ntrigger 2 into /data");
    let savepoint = "S/savepoint-abc000-d765881e724b";
    let (done, rest) = ("tell 2\nanswer 4: /chk-2\ncompleted 2\ndelete /chk-1/_metadata", "delete /data/o1");
    assert_eq!(f.complete(2), format!("{done}\n{rest}\ntrigger 3 into {savepoint}"));
    assert_eq!(f.acknowledge_all(3), format!("store 3 at {savepoint}/_metadata"));
    assert_eq!(f.stored(3, Won), format!("tell 3\nanswer 3: {savepoint}\ncompleted 3\ntrigger 4 into /data"));
    let done = "tell 4\nanswer 2: /chk-4\nanswer 5: /chk-4\ncompleted 4";
    assert_eq!(f.complete(4), format!("{done}\ndelete /chk-2/_metadata\ndelete /data/o2"));
}

#[test]
fn a_checkpoint_that_is_declined_or_late_fails_and_the_next_is_tried() {
    let mut f = Fixture::new(settings());
    f.request(Purpose::User, 1);
    let reason = "count (1/1) could not write its part: no room";
    let failed = |n, reason: &str| {
        format!("abandon {n} at /chk-{n}/_metadata\nabort {n}\nanswer {n}: {reason}\nfailed {n}: {reason}")
    };
    assert_eq!(f.decline(1), failed(1, reason));
    assert_eq!(f.decline(1), "");
    assert_eq!(f.request(Purpose::User, 2), "trigger 2 into /data");
    assert_eq!(f.acknowledge(2, READER), "");
    assert_eq!(f.at(59_999).tick(), "");
    assert_eq!(f.at(60_000).tick(), failed(2, "it was not complete after 60s"));
    assert_eq!(f.acknowledge(2, COUNTER), "");
    assert_eq!(f.abandoned(2, Won), "");
    // Objects of the failed ones go, as no chain names them.
    f.request(Purpose::User, 3);
    let done = "tell 3\nanswer 3: /chk-3\ncompleted 3\ndelete /chk-2/_metadata\ndelete /data/o2";
    assert_eq!(f.complete(3), done);
}

#[test]
fn a_manifest_whose_fate_is_unknown_fails_only_once_its_name_is_taken() {
    let reason = "its manifest could not be stored: reset";
    for (outcome, expect) in [
        (Won, format!("abort 1\nanswer 9: {reason}\nfailed 1: {reason}")),
        (Lost, "tell 1\nanswer 9: /chk-1\ncompleted 1".to_owned()),
    ] {
        let mut f = Fixture::new(settings());
        f.request(Purpose::User, 9);
        f.acknowledge_all(1);
        assert_eq!(f.stored(1, unknown()), "abandon 1 at /chk-1/_metadata");
        let mut delay = 200;
        for _ in 1..=6 {
            assert_eq!(f.abandoned(1, unknown()), "", "the attempt goes on");
            let due = f.now + Duration::from_millis(delay);
            assert_eq!(f.coordinator.next_wakeup(), Some(due));
            f.now = due;
            assert_eq!(f.tick(), "abandon 1 at /chk-1/_metadata");
            delay *= 2;
        }
        assert_eq!(f.abandoned(1, outcome), expect);
        assert_eq!(f.abandoned(1, Won), "");
        assert_eq!(f.stored(1, Won), "");
    }
}

#[test]
fn a_manifest_that_comes_through_while_it_is_given_up_completes() {
    let mut f = Fixture::new(settings());
    f.request(Purpose::User, 9);
    f.acknowledge_all(1);
    assert_eq!(f.at(60_000).tick(), "abandon 1 at /chk-1/_metadata");
    assert_eq!(f.stored(1, Won), "tell 1\nanswer 9: /chk-1\ncompleted 1");
    assert_eq!(f.abandoned(1, Lost), "");
}

#[test]
fn a_checkpoint_whose_name_is_taken_fails() {
    let mut f = Fixture::new(settings());
    f.request(Purpose::User, 9);
    f.acknowledge_all(1);
    let reason = "a former JobManager of the job has taken its name";
    assert_eq!(f.stored(1, Lost), format!("abort 1\nanswer 9: {reason}\nfailed 1: {reason}"));
}

#[test]
fn an_attempt_that_ends_leaves_nothing_undecided() {
    let mut f = Fixture::new(settings());
    f.request(Purpose::User, 9);
    f.request(Purpose::Savepoint, 8);
    let waited = "answer 8: the attempt has ended before it could begin";
    let failed = "answer 9: the attempt has ended\nfailed 1: the attempt has ended";
    assert_eq!(f.end_attempt(), format!("{waited}\nabandon 1 at /chk-1/_metadata\n{failed}"));
    assert!(f.coordinator.is_settled());
    assert_eq!(f.request(Purpose::User, 7), "answer 7: the job does not run");

    f.begin();
    f.request(Purpose::User, 9);
    f.acknowledge_all(2);
    assert_eq!(f.end_attempt(), "abandon 2 at /chk-2/_metadata");
    assert!(!f.coordinator.is_settled());
    assert_eq!(f.abandoned(2, Lost), "answer 9: /chk-2\ncompleted 2");
    assert_eq!(f.coordinator.latest().unwrap().checkpoint, CheckpointId(2));
    f.begin();
    assert_eq!(f.coordinator.stats().restored.as_ref().unwrap().checkpoint, CheckpointId(2));
}

#[test]
fn only_periodic_failures_in_a_row_are_too_many() {
    let interval = Some(Duration::from_millis(100));
    let mut f = Fixture::new(Settings { interval, tolerable_failures: 1, ..settings() });
    let failed = |f: &mut Fixture, n: u64| {
        let text = f.decline(n);
        let message = text.split_once("too many: ").map(|(_, message)| message.to_owned());
        assert!(text.contains(&format!("failed {n}")), "{text}");
        message
    };
    f.at(100).tick();
    assert_eq!(failed(&mut f, 1), None);
    f.request(Purpose::Savepoint, 1);
    assert_eq!(failed(&mut f, 2), None);
    f.at(200).tick();
    let reason = "count (1/1) could not write its part: no room";
    let message = format!("2 checkpoints in a row have failed, 1 are tolerated; the last one, 3: {reason}");
    assert_eq!(failed(&mut f, 3), Some(message));
    f.at(300).tick();
    f.complete(4);
    f.at(400).tick();
    assert_eq!(failed(&mut f, 5), None);
}

#[test]
fn what_does_not_belong_changes_nothing() {
    let mut f = Fixture::new(settings());
    f.request(Purpose::User, 1);
    assert_eq!(f.acknowledge(1, SubtaskId(99)), "");
    assert_eq!(f.acknowledge(2, READER), "");
    f.attempt.number = AttemptNumber(0);
    assert_eq!(f.acknowledge_all(1), "");
    assert_eq!(f.decline(1), "");
    f.attempt.number = AttemptNumber(1);
    assert_eq!(f.stored(1, Won), "");
    assert_eq!(f.abandoned(1, Lost), "");
    assert_eq!(f.acknowledge(1, READER), "");
    assert_eq!(f.acknowledge(1, READER), "");
    assert_eq!(f.acknowledge(1, COUNTER), "store 1 at /chk-1/_metadata");
    assert_eq!(f.acknowledge(1, COUNTER), "");
}

#[test]
fn an_acknowledgement_that_cannot_be_is_refused() {
    let run = |offset, len| Run { table: 0, segment: 3, full: true, offset, len };
    let keyed =
        |runs| KeyedState { groups: KeyGroupSet::all(max()), object: Some("o".into()), runs, bytes: 10 };
    for (subtask, keyed, fault) in [
        (COUNTER, keyed(vec![run(1, 10)]), "a run ends at 1 + 10 of 10 bytes"),
        (COUNTER, keyed(vec![run(u64::MAX, 10)]), "a run ends at 18446744073709551615 + 10 of 10 bytes"),
        (COUNTER, KeyedState { object: None, ..keyed(vec![run(0, 10)]) }, "it wrote runs without an object"),
        (
            COUNTER,
            KeyedState { groups: KeyGroupSet::default(), ..keyed(vec![]) },
            "it wrote the state of other key groups than it owns",
        ),
        (READER, keyed(vec![]), "it wrote keyed state, but its vertex is not keyed"),
    ] {
        let mut f = Fixture::new(settings());
        f.request(Purpose::User, 1);
        let text = f.acknowledge_with(1, subtask, Some(keyed));
        let name = if subtask == COUNTER { "count (1/1)" } else { "read (1/1)" };
        assert!(text.ends_with(&format!("failed 1: {name}: {fault}")), "{text}");
    }
}

#[test]
fn as_many_as_configured_are_kept_and_manifests_go_before_objects() {
    let mut f = Fixture::new(Settings { retained: 2, ..settings() });
    for n in 1..=2 {
        f.request(Purpose::User, n);
        assert!(!f.complete(n as u64).contains("delete"));
    }
    f.request(Purpose::User, 3);
    assert!(f.complete(3).ends_with("completed 3\ndelete /chk-1/_metadata\ndelete /data/o1"));
    assert_eq!(f.coordinator.reject_latest("flipped").unwrap().checkpoint, CheckpointId(3));
    assert_eq!(f.coordinator.latest().unwrap().checkpoint, CheckpointId(2));
    f.end_attempt();
    f.begin();
    f.request(Purpose::User, 4);
    assert!(f.complete(4).ends_with("completed 4\ndelete /chk-3/_metadata\ndelete /data/o3"));
    let stats = f.coordinator.stats();
    let discarded =
        |entry: &stats::Entry| matches!(entry.status, stats::Status::Completed { discarded: true, .. });
    assert_eq!(stats.history.iter().map(discarded).collect::<Vec<_>>(), [false, true, false, true]);
}

#[test]
fn a_job_that_ends_lets_its_checkpoints_go_unless_they_are_needed() {
    let all = "delete /chk-1/_metadata\ndelete /data/o1";
    for (state, keep_on_cancellation, expect) in [
        (EndState::Finished, false, all),
        (EndState::Finished, true, all),
        (EndState::Canceled, false, all),
        (EndState::Canceled, true, ""),
        (EndState::Failed, false, ""),
        (EndState::Suspended, false, ""),
    ] {
        let mut f = Fixture::new(Settings { keep_on_cancellation, ..settings() });
        f.request(Purpose::User, 1);
        f.complete(1);
        f.end_attempt();
        let effects = f.coordinator.end_job(f.now, state);
        assert_eq!(f.show(effects), expect, "{state:?}");
    }
}

#[test]
fn a_savepoint_is_restored_from_and_left_alone() {
    let mut f = Fixture::new(settings());
    f.request(Purpose::Stop { drain: false }, 1);
    f.acknowledge_all(1);
    f.stored(1, Won);
    f.stored(1, Won);
    let savepoint = f.coordinator.latest().unwrap().clone();
    assert!(!savepoint.owned);
    let mut moved = savepoint.manifest.clone();
    for run in moved.vertices.iter_mut().flat_map(|v| &mut v.keyed).flat_map(|k| &mut k.segments) {
        assert_eq!(run.runs[0].object, format!("{}/o1", savepoint.at));
        run.runs[0].object = "o1".into();
    }
    let recovered = Recovered::from_savepoint("mem://moved/", moved);
    assert_eq!(
        recovered.latest().unwrap().manifest.objects().into_iter().collect::<Vec<_>>(),
        ["mem://moved/o1"]
    );
    let mut f = Fixture::from(settings(), Some(recovered));
    f.request(Purpose::User, 1);
    let text = f.complete(2);
    assert_eq!(text, "tell 2\nanswer 1: /chk-2\ncompleted 2");
    let objects = |f: &Fixture| f.coordinator.latest().unwrap().manifest.objects().len();
    assert_eq!((f.coordinator.latest().unwrap().checkpoint, objects(&f)), (CheckpointId(2), 1));
}

/// Decisions as they stand in storage: each with who made it.
fn decided(n: u64, epoch: u64, takeovers: &[(u64, u64)]) -> Decision {
    let mut f = Fixture::new(settings());
    f.request(Purpose::User, 1);
    f.complete(1);
    let latest = f.coordinator.latest().unwrap().manifest.clone();
    let takeover =
        |&(epoch, base): &(u64, u64)| Takeover { epoch: LeaderEpoch(epoch), base: CheckpointId(base) };
    let takeovers = takeovers.iter().map(takeover).collect();
    let lineage = Lineage { epoch: LeaderEpoch(epoch), takeovers };
    Decision::Complete(Box::new(Manifest { checkpoint: CheckpointId(n), lineage, ..latest }))
}

fn found(decisions: impl IntoIterator<Item = (u64, Decision)>) -> Recovered {
    recover(DIR, decisions.into_iter().map(|(n, decision)| (CheckpointId(n), Ok(decision))))
}

#[test]
fn what_a_deposed_leader_decides_above_where_its_successor_went_on_is_void() {
    let by_first = |n| (n, decided(n, 1, &[]));
    let takeover = |base| Decision::Abandoned(Lineage::new(LeaderEpoch(1)).taken_over(LeaderEpoch(2), base));
    let latest = |recovered: &Recovered| recovered.latest().map(|latest| latest.checkpoint.0);
    // The second leader has seen 1 to 3, and has completed nothing.
    let recovered = found([by_first(2), by_first(3), (4, takeover(CheckpointId(3))), by_first(5)]);
    assert_eq!(latest(&recovered), Some(3));
    assert_eq!((recovered.highest, recovered.lineage.epoch), (CheckpointId(5), LeaderEpoch(2)));
    // It has completed 6, and the record of its takeover is deleted.
    let recovered = found([by_first(3), by_first(5), (6, decided(6, 2, &[(2, 3)])), by_first(7)]);
    assert_eq!(latest(&recovered), Some(6));
    assert_eq!(
        recovered.abandoned,
        [CheckpointId(5), CheckpointId(7)],
        "they go with the next that is collected"
    );
    // The third one continues from there.
    let lineage = recovered.taken_over(LeaderEpoch(3));
    assert!(lineage.voids(CheckpointId(5), LeaderEpoch(1)) && lineage.voids(CheckpointId(7), LeaderEpoch(2)));
    assert!(
        !lineage.voids(CheckpointId(6), LeaderEpoch(2)) && !lineage.voids(CheckpointId(3), LeaderEpoch(1))
    );
}

#[test]
fn a_name_that_a_deposed_leader_has_taken_costs_an_id_and_is_no_failure() {
    let mut f = Fixture::new(Settings { interval: Some(Duration::from_millis(100)), ..settings() });
    assert_eq!(f.at(100).tick(), "trigger 1 into /data");
    f.acknowledge_all(1);
    let failed = "abort 1\nfailed 1: a former JobManager of the job has taken its name";
    assert_eq!(f.stored(1, Lost), failed, "no failure is tolerated, and the attempt goes on");
    assert_eq!(f.at(200).tick(), "trigger 2 into /data");
}

#[test]
fn a_successor_goes_on_above_all_ids_and_passes_over_damage() {
    let damage = || Err("its checksum is wrong".to_owned());
    let abandoned = Decision::Abandoned(Lineage::new(LeaderEpoch(1)));
    let manifest = |n| Ok(decided(n, 1, &[]));
    let decisions = [(6, damage()), (5, manifest(5)), (4, manifest(4)), (9, Ok(abandoned))];
    let recovered = recover(DIR, decisions.map(|(n, decision)| (CheckpointId(n), decision)));
    assert_eq!(recovered.latest().unwrap().checkpoint, CheckpointId(5));
    assert_eq!(recovered.damaged, [(CheckpointId(6), "its checksum is wrong".to_owned())]);
    assert_eq!((recovered.highest, recovered.next_subtask), (CheckpointId(9), SubtaskId(3)));
    assert!(!recovered.is_lost());
    let mut f = Fixture::from(settings(), Some(recovered));
    assert_eq!(f.request(Purpose::User, 1), "trigger 10 into /data");
    assert!(recover(DIR, [(CheckpointId(1), damage())]).is_lost());
    assert!(!recover(DIR, []).is_lost());
}

#[test]
fn what_a_finished_subtask_acknowledged_last_stands_for_it() {
    let mut f = Fixture::new(settings());
    f.request(Purpose::User, 1);
    f.complete(1);
    f.request(Purpose::User, 2);
    let effects = f.coordinator.subtask_finished(f.now, f.attempt, COUNTER);
    assert_eq!(f.show(effects), "");
    assert_eq!(f.acknowledge(2, READER), "store 2 at /chk-2/_metadata");
    f.stored(2, Won);
    let latest = f.coordinator.latest().unwrap();
    let object = latest.manifest.objects().into_iter().next().map(str::to_owned);
    assert_eq!((latest.manifest.vertices[1].watermark, object), (7, Some(format!("{DIR}/data/o1"))));
    assert_eq!(latest.manifest.format, StateFormat::Checkpoint);
}

#[test]
fn people_see_what_each_subtask_did() {
    let mut f = Fixture::new(settings());
    f.at(1_000).request(Purpose::User, 1);
    f.at(1_005).acknowledge(1, READER);
    let stats = f.coordinator.stats();
    assert_eq!(stats.history[0].acknowledgements().count(), 1);
    assert_eq!((stats.counts.total, stats.counts.in_progress), (1, 1));
    f.at(1_009).acknowledge(1, COUNTER);
    f.at(1_010).stored(1, Won);
    let stats = f.coordinator.stats();
    let entry = stats.latest_completed.as_ref().unwrap();
    assert_eq!(stats.history.front(), Some(entry));
    assert_eq!(entry.latest_acknowledgement(), Some(Instant::from_millis(1_009)));
    let bytes = entry.acknowledgements().map(|ack| (ack.checkpointed_bytes, ack.state_bytes));
    assert_eq!(bytes.collect::<Vec<_>>(), [(0, 0), (10, 10)]);
    let path = format!("{DIR}/chk-1");
    assert_eq!(
        entry.status,
        stats::Status::Completed { at: Instant::from_millis(1_010), path, discarded: false }
    );
    f.request(Purpose::User, 2);
    f.decline(2);
    let stats = f.coordinator.stats();
    assert_eq!((stats.counts.completed, stats.counts.failed, stats.counts.in_progress), (1, 1, 0));
    assert!(matches!(stats.latest_failed.as_ref().unwrap().status, stats::Status::Failed { .. }));
}
