//! The graph changes at a checkpoint.

use super::*;
use crate::manifest::{Manifest, OwnedRuns};
use reflow_protocol::rescale::Cut;
use reflow_types::{GraphVersion, SubtaskIndex};

const NEWCOMER: SubtaskId = SubtaskId(3);

/// The counter shares its groups with a newcomer, or makes room for it.
fn next(counters: &[SubtaskId]) -> ExecutionGraph {
    let (_, mut graph) = job();
    let table = graph.vertices[1].table.take().unwrap();
    let kept = counters.iter().position(|id| *id == COUNTER).map(|i| SubtaskIndex(i as u32));
    let slot = graph.vertices[0].subtasks[0].slot;
    graph.vertices[1].subtasks = counters.iter().map(|&id| Subtask { id, slot }).collect();
    graph.vertices[1].table = Some(table.rebalanced(counters.len() as u32, &[kept]));
    graph
}

/// The groups of a subtask in a graph.
fn groups(graph: &ExecutionGraph, id: SubtaskId) -> KeyGroupSet {
    match graph.find(id) {
        Some((v, index, _)) => graph.vertex(v).table.as_ref().unwrap().groups_of(index),
        None => KeyGroupSet::default(),
    }
}

impl Fixture {
    /// An attempt whose checkpoint 1 is complete and whose cut, 2, is triggered.
    fn cutting(graph: &ExecutionGraph) -> Self {
        let mut fixture = Self::new(Settings { interval: Some(Duration::from_secs(10)), ..settings() });
        fixture.request(Purpose::LiveRescale, 1);
        fixture.complete(1);
        fixture.coordinator.hold();
        let cut = Cut { version: GraphVersion(1), splits: Vec::new() };
        let effects = fixture.coordinator.request_cut(fixture.now, cut.clone(), graph);
        assert_eq!(triggered(&effects).and_then(|kind| kind.cut.clone()), Some(cut));
        assert_eq!(fixture.show(effects), "trigger 2 into /data");
        assert_eq!(fixture.coordinator.cut(), Some(CheckpointId(2)));
        fixture
    }

    fn in_effect(&mut self, graph: &ExecutionGraph) -> String {
        let effects = self.coordinator.in_effect(self.now, graph);
        self.show(effects)
    }

    /// An increment of all segments, from a counter with these groups.
    fn increment(&mut self, n: u64, subtask: SubtaskId, groups: KeyGroupSet) -> String {
        let object = Some(format!("o{n}-{subtask}"));
        let runs = vec![Run { table: 0, segment: 3, full: false, offset: 0, len: 10 }];
        self.acknowledge_with(n, subtask, Some(KeyedState { groups, object, runs, bytes: 10 }))
    }

    /// Checkpoint `n` of the new graph, from trigger to completion.
    fn complete_in(&mut self, n: u64, graph: &ExecutionGraph) -> String {
        self.acknowledge(n, READER);
        for subtask in &graph.vertices[1].subtasks {
            self.increment(n, subtask.id, groups(graph, subtask.id));
        }
        self.stored(n, Won)
    }

    /// The objects that hold segment 3, by the number of groups that they are read for.
    fn chains(&self) -> Vec<(usize, Vec<String>)> {
        let names = |part: &OwnedRuns| part.runs().map(|run| run.object.replace(DIR, "")).collect();
        let keyed = &self.coordinator.latest().unwrap().manifest.vertices[1].keyed;
        keyed.iter().map(|part| (part.groups.iter().count(), names(part))).collect()
    }

    fn table_version(&self) -> u64 {
        let manifest = &self.coordinator.latest().unwrap().manifest;
        manifest.vertices[1].table.as_ref().unwrap().version()
    }
}

#[test]
fn a_cut_that_is_complete_is_what_new_owners_build_on() {
    let graph = next(&[COUNTER, NEWCOMER]);
    for effect_first in [true, false] {
        let mut fixture = Fixture::cutting(&graph);
        assert_eq!(fixture.acknowledge(2, READER), "");
        assert_eq!(fixture.increment(2, COUNTER, KeyGroupSet::all(max())), "store 2 at /chk-2/_metadata");
        let (complete, begins) = ("tell 2\ncompleted 2", "trigger 3 into /data");
        assert_eq!(fixture.request(Purpose::User, 7), "", "nothing begins in between");
        if effect_first {
            assert_eq!(fixture.in_effect(&graph), "");
            let all = fixture.stored(2, Won);
            assert!(all.starts_with(complete) && all.ends_with(begins), "{all}");
        } else {
            assert!(fixture.stored(2, Won).starts_with(complete));
            assert_eq!(fixture.request(Purpose::LiveRescale, 8), "", "not even what it asks for itself");
            assert_eq!(fixture.in_effect(&graph), begins);
        }
        assert_eq!(fixture.table_version(), 1, "the cut is of the old graph");
        assert_eq!(fixture.coordinator.cut(), None);
        fixture.complete_in(3, &graph);
        assert_eq!(fixture.table_version(), 2);
        let (old, own) = (["/data/o1", "/data/o2-2"], |id| format!("/data/o3-{id}"));
        let chain = |id: u64| [old[0].to_owned(), old[1].to_owned(), own(id)].to_vec();
        let chains = fixture.chains();
        assert_eq!(chains.iter().map(|(groups, _)| *groups).sum::<usize>(), 512);
        for (_, objects) in &chains {
            assert!(objects == &chain(2) || objects == &chain(3) || objects.is_empty(), "{objects:?}");
        }
    }
}

#[test]
fn a_cut_that_failed_counts_for_nothing_and_is_told_when_it_is_in_effect() {
    let graph = next(&[COUNTER, NEWCOMER]);
    let failed = "abandon 2 at /chk-2/_metadata\nfailed 2: count (1/1) could not write its part: no room";
    for effect_first in [true, false] {
        let mut fixture = Fixture::cutting(&graph);
        if effect_first {
            assert_eq!(fixture.in_effect(&graph), "");
            assert_eq!(fixture.decline(2), format!("{failed}\nabort 2"));
        } else {
            assert_eq!(fixture.decline(2), failed);
            assert_eq!(fixture.at(20_000).tick(), "", "nothing begins");
            assert_eq!(fixture.in_effect(&graph), "abort 2\ntrigger 3 into /data");
        }
        if effect_first {
            assert_eq!(fixture.at(20_000).tick(), "trigger 3 into /data");
        }
        fixture.complete_in(3, &graph);
        assert_eq!(fixture.table_version(), 2);
        for (_, objects) in fixture.chains() {
            assert!(objects.iter().all(|object| !object.contains("o2")), "{objects:?}");
        }
    }
}

#[test]
fn who_leaves_takes_part_with_nothing_until_it_has_finished() {
    let graph = next(&[NEWCOMER]);
    let mut fixture = Fixture::cutting(&graph);
    fixture.acknowledge_all(2);
    fixture.stored(2, Won);
    assert_eq!(fixture.in_effect(&graph), "");
    assert_eq!(fixture.request(Purpose::User, 7), "trigger 3 into /data");
    assert_eq!(fixture.acknowledge(3, READER), "");
    assert_eq!(fixture.increment(3, NEWCOMER, KeyGroupSet::all(max())), "", "one is missing");
    let nothing = KeyedState { groups: KeyGroupSet::default(), object: None, runs: Vec::new(), bytes: 0 };
    assert_eq!(fixture.acknowledge_with(3, COUNTER, Some(nothing)), "store 3 at /chk-3/_metadata");
    fixture.stored(3, Won);
    assert_eq!(fixture.chains().len(), 1, "who has nothing is not named");

    fixture.request(Purpose::User, 8);
    fixture.acknowledge(4, READER);
    fixture.increment(4, NEWCOMER, KeyGroupSet::all(max()));
    let effects = fixture.coordinator.subtask_finished(fixture.now, fixture.attempt, COUNTER);
    assert_eq!(fixture.show(effects), "store 4 at /chk-4/_metadata", "it is not waited for");
    fixture.stored(4, Won);
    fixture.request(Purpose::User, 9);
    assert!(fixture.complete_in(5, &graph).starts_with("tell 5"), "it does not take part");
    let entry = fixture.coordinator.stats().latest_completed.as_ref().unwrap();
    assert_eq!(entry.vertices[1].subtasks.len(), 1);
}

#[test]
fn nothing_stands_for_one_that_left_before_the_change_was_done() {
    let graph = next(&[NEWCOMER]);
    let mut fixture = Fixture::cutting(&graph);
    fixture.acknowledge_all(2);
    fixture.stored(2, Won);
    let effects = fixture.coordinator.subtask_finished(fixture.now, fixture.attempt, COUNTER);
    assert_eq!(fixture.show(effects), "");
    fixture.in_effect(&graph);
    assert_eq!(fixture.request(Purpose::User, 7), "trigger 3 into /data");
    assert!(fixture.complete_in(3, &graph).starts_with("tell 3"));
}

#[test]
fn other_groups_than_the_new_tables_are_refused() {
    let graph = next(&[COUNTER, NEWCOMER]);
    let mut fixture = Fixture::cutting(&graph);
    fixture.acknowledge_all(2);
    fixture.stored(2, Won);
    fixture.in_effect(&graph);
    fixture.request(Purpose::User, 7);
    let refusal = fixture.increment(3, COUNTER, KeyGroupSet::all(max()));
    assert!(refusal.contains("other key groups than it owns"), "{refusal}");
}

#[test]
fn held_checkpoints_wait_for_what_a_rescale_asks() {
    let mut fixture = Fixture::new(Settings { interval: Some(Duration::from_secs(10)), ..settings() });
    fixture.coordinator.hold();
    assert_eq!(fixture.at(10_000).tick(), "");
    assert_eq!(fixture.coordinator.next_wakeup(), None);
    assert_eq!(fixture.request(Purpose::Savepoint, 1), "");
    let effects = fixture.coordinator.request(fixture.now, Request::of(Purpose::LiveRescale));
    assert_eq!(fixture.show(effects), "trigger 1 into /data");
    fixture.complete(1);
    let effects = fixture.coordinator.release(fixture.now);
    assert!(fixture.show(effects).starts_with("trigger 2 into S"), "the savepoint goes first");
}

#[test]
fn what_is_given_up_is_asked_for_no_more() {
    let mut fixture = Fixture::new(settings());
    fixture.request(Purpose::User, 1);
    let effects = fixture.coordinator.request(fixture.now, Request::of(Purpose::LiveRescale));
    assert_eq!(fixture.show(effects), "", "another is under way");
    assert_eq!(fixture.coordinator.release(fixture.now), []);
    let done = fixture.complete(1);
    assert!(!done.contains("trigger"), "{done}");
}

#[test]
fn objects_that_are_being_read_stay() {
    let mut fixture = Fixture::new(settings());
    fixture.request(Purpose::User, 1);
    fixture.complete(1);
    fixture.coordinator.pin_latest();
    fixture.request(Purpose::User, 2);
    assert!(fixture.complete(2).ends_with("delete /chk-1/_metadata"), "its manifest may go");
    assert_eq!(fixture.coordinator.release(fixture.now), []);
    fixture.request(Purpose::User, 3);
    assert!(fixture.complete(3).ends_with("delete /data/o1 /data/o2"));
}

#[test]
fn an_attempt_that_ends_in_mid_change_leaves_nothing_of_it() {
    let graph = next(&[COUNTER, NEWCOMER]);
    let mut fixture = Fixture::cutting(&graph);
    fixture.end_attempt();
    fixture.begin();
    assert_eq!(fixture.coordinator.cut(), None);
    assert_eq!(fixture.coordinator.next_subtask(), NEWCOMER.next(), "its id is not used again");
    assert_eq!(fixture.request(Purpose::User, 7), "trigger 3 into /data");
}

/// A complete checkpoint of the new graph, with the part of a subtask that leaves; with `finishes` it has nothing more
/// to do before the others have acknowledged.
fn publish_with_leaver(finishes: bool) -> Manifest {
    let graph = next(&[NEWCOMER]);
    let mut fixture = Fixture::cutting(&graph);
    fixture.acknowledge_all(2);
    fixture.stored(2, Won);
    fixture.in_effect(&graph);
    fixture.request(Purpose::User, 7);
    let keyed = |groups| KeyedState { groups, object: None, runs: Vec::new(), bytes: 0 };
    let state =
        |groups, watermark| SubtaskState { keyed: Some(keyed(groups)), operator: Vec::new(), watermark };
    let (leaves, stays) = (state(KeyGroupSet::default(), 7), state(KeyGroupSet::all(max()), 5_000));
    fixture.acknowledge_state(3, COUNTER, leaves);
    if finishes {
        let effects = fixture.coordinator.subtask_finished(fixture.now, fixture.attempt, COUNTER);
        fixture.show(effects);
    }
    fixture.acknowledge(3, READER);
    fixture.acknowledge_state(3, NEWCOMER, stays);
    fixture.stored(3, Won);
    let latest = &fixture.coordinator.latest().unwrap().manifest;
    assert_eq!(latest.checkpoint, CheckpointId(3));
    latest.clone()
}

#[test]
fn a_subtask_that_leaves_does_not_hold_the_watermark_back() {
    // Windows up to 5000 have fired; with the watermark of 7, which the leaver had at the cut, they would fire again.
    assert_eq!(publish_with_leaver(false).vertices[1].watermark, 5_000);
    assert_eq!(
        publish_with_leaver(true).vertices[1].watermark,
        5_000,
        "it leaves while the checkpoint is under way"
    );
}
