//! Checkpoints without regions: the reader and the counter of the fixture exchange no data, so each is a region.

use super::*;
use bytes::Bytes;
use reflow_graph::{RegionIndex, VertexIndex};
use std::collections::BTreeSet;

const COUNTERS: RegionIndex = RegionIndex(1);
const NEXT_COUNTER: SubtaskId = SubtaskId(3);

fn periodic() -> Fixture {
    Fixture::new(Settings { interval: Some(Duration::from_millis(100)), tolerable_failures: 1, ..settings() })
}

impl Fixture {
    fn fail_counters(&mut self) -> String {
        let effects = self.coordinator.begin_region_restart(self.now, &BTreeSet::from([COUNTERS]));
        self.show(effects)
    }

    /// The counters are deployed again, by another subtask.
    fn deploy_counters(&mut self) {
        let (job, mut graph) = job();
        graph.vertices[1].subtasks[0].id = NEXT_COUNTER;
        let restarts = |vertex: VertexIndex| vertex.0 == 1;
        self.coordinator.restart_regions(self.now, &job, &graph, (&BTreeSet::from([COUNTERS]), restarts));
    }

    fn counters_run(&mut self) -> String {
        let effects = self.coordinator.regions_run(self.now, &BTreeSet::from([COUNTERS]));
        self.show(effects)
    }

    fn manifest(&self) -> &Manifest {
        &self.coordinator.latest().expect("one is complete").manifest
    }

    fn taken_in(&self) -> Vec<u64> {
        self.manifest().vertices.iter().map(|vertex| vertex.taken_in.0).collect()
    }
}

/// The story: the counters fail, the reader goes on and commits, and the counters' objects stay until they take part again.
#[test]
fn a_checkpoint_without_a_region_keeps_its_state() {
    let mut f = periodic();
    assert_eq!(f.at(100).tick(), "trigger 1 into /data");
    f.complete(1);
    f.coordinator.set_enumerators(CheckpointId(1), Vec::new());
    assert_eq!(f.at(150).fail_counters(), "");
    assert_eq!(f.at(200).tick(), "trigger 2 into /data");
    assert_eq!(f.acknowledge(2, READER), "store 2 at /chk-2/_metadata");
    assert_eq!(f.stored(2, Won), "tell 2\ncompleted 2\ndelete /chk-1/_metadata");
    assert_eq!(f.taken_in(), [2, 1]);
    assert_eq!(f.manifest().objects(), BTreeSet::from(["mem://c/job/data/o1"]));

    // It is deployed while the next checkpoint is under way, and takes part in the one after that.
    assert_eq!(f.at(300).tick(), "trigger 3 into /data");
    f.deploy_counters();
    assert_eq!(f.counters_run(), "");
    assert_eq!(f.acknowledge(3, READER), "store 3 at /chk-3/_metadata");
    assert_eq!(f.stored(3, Won), "tell 3\ncompleted 3\ndelete /chk-2/_metadata");
    assert_eq!(f.taken_in(), [3, 1]);
    assert_eq!(f.at(400).tick(), "trigger 4 into /data");
    assert_eq!(f.acknowledge(4, READER), "");
    let increment = KeyedState {
        groups: KeyGroupSet::all(max()),
        object: Some("o4".into()),
        runs: vec![Run { table: 0, segment: 3, full: false, offset: 0, len: 1 }],
        bytes: 1,
    };
    assert_eq!(f.acknowledge_with(4, NEXT_COUNTER, Some(increment)), "store 4 at /chk-4/_metadata");
    f.stored(4, Won);
    assert_eq!(f.taken_in(), [4, 4]);
    let objects = BTreeSet::from(["mem://c/job/data/o1", "mem://c/job/data/o4"]);
    assert_eq!(f.manifest().objects(), objects, "what it has changed since checkpoint 1");
}

#[test]
fn the_checkpoint_of_a_failed_region_is_aborted_and_does_not_count() {
    let mut f = periodic();
    assert_eq!(f.at(100).tick(), "trigger 1 into /data");
    f.complete(1);
    for n in 2..6 {
        assert_eq!(f.at(n * 100).tick(), format!("trigger {n} into /data"));
        let why = "a region of the job restarts";
        let aborted = format!("abandon {n} at /chk-{n}/_metadata\nabort {n}\nfailed {n}: {why}");
        assert_eq!(f.fail_counters(), aborted);
        assert_eq!(f.abandoned(n, Won), "");
        f.deploy_counters();
        assert_eq!(f.counters_run(), "");
    }
    // A decline of a region that takes part counts.
    f.fail_counters();
    for (n, counted) in [(6, false), (7, true)] {
        f.at(n * 100).tick();
        let (attempt, reason) = (f.attempt, "no room".to_owned());
        let effects = f.coordinator.on_declined(f.now, attempt, CheckpointId(n), READER, reason);
        let shown = f.show(effects);
        assert_eq!(shown.contains("too many"), counted, "{shown}");
    }
}

/// If its manifest is on its way to storage, the region is deployed from it or from the one before.
#[test]
fn a_region_waits_for_the_outcome_of_its_own_checkpoint_only() {
    let counters = BTreeSet::from([COUNTERS]);
    let mut f = periodic();
    f.at(100).tick();
    f.complete(1);
    f.at(200).tick();
    f.acknowledge_all(2);
    assert_eq!(f.fail_counters(), "abandon 2 at /chk-2/_metadata");
    assert!(!f.coordinator.is_settled_for(&counters));
    assert_eq!(f.at(300).tick(), "", "no other checkpoint begins");
    assert_eq!(
        f.stored(2, Won),
        "tell 2\ncompleted 2\ndelete /chk-1/_metadata\ndelete /data/o1\ntrigger 3 into /data"
    );
    assert!(f.coordinator.is_settled_for(&counters) && !f.coordinator.is_settled());
    assert!(!f.coordinator.is_settled_for(&BTreeSet::from([RegionIndex(0)])));
    f.acknowledge(3, READER);
    f.stored(3, Won);
    assert_eq!(f.taken_in(), [3, 2]);
}

#[test]
fn without_a_checkpoint_of_this_job_that_has_its_state_all_wait_for_a_region() {
    let mut f = periodic();
    f.fail_counters();
    assert_eq!((f.at(500).tick(), f.coordinator.next_wakeup()), (String::new(), None));
    f.deploy_counters();
    assert_eq!(f.counters_run(), "trigger 1 into /data");

    // A checkpoint in full is one of the whole job, because objects that the region needs may be lost.
    let mut f = periodic();
    f.at(100).tick();
    f.complete(1);
    f.at(200).tick();
    f.acknowledge_all(2);
    f.stored(2, StoreOutcome::ObjectGone("o1 is gone".into()));
    f.abandoned(2, Won);
    f.fail_counters();
    assert_eq!(f.at(500).tick(), "");
}

/// The enumerators of an absent region have assigned splits since its state was taken.
#[test]
fn the_enumerators_of_a_region_are_those_of_its_state() {
    let readers = BTreeSet::from([RegionIndex(0)]);
    let state = |text: &'static str| vec![("read".to_owned(), Bytes::from_static(text.as_bytes()))];
    let trigger = |f: &mut Fixture, at: u64, n: u64, text: &'static str| {
        f.now = Instant::from_millis(at);
        let effects = f.coordinator.on_tick(f.now);
        assert!(triggered(&effects).is_some());
        f.coordinator.set_enumerators(CheckpointId(n), state(text));
    };
    let mut f = periodic();
    trigger(&mut f, 100, 1, "before");
    f.complete(1);
    let effects = f.coordinator.begin_region_restart(f.now, &readers);
    assert_eq!(f.show(effects), "");
    trigger(&mut f, 200, 2, "after");
    f.acknowledge(2, COUNTER);
    f.stored(2, Won);
    assert_eq!(f.manifest().enumerators, state("before"));
    assert_eq!(f.taken_in(), [1, 2]);
}

#[test]
fn an_attempt_that_begins_from_parts_of_two_checkpoints_builds_on_both() {
    let mut f = periodic();
    f.at(100).tick();
    f.complete(1);
    f.fail_counters();
    f.at(200).tick();
    f.acknowledge(2, READER);
    f.stored(2, Won);
    f.end_attempt();
    f.begin();
    assert_eq!(f.manifest().taken_over(&job().0), [(VertexIndex(1), CheckpointId(1))].into());
    f.at(300).tick();
    f.acknowledge(3, READER);
    f.acknowledge_with(3, COUNTER, None);
    f.stored(3, Won);
    assert_eq!((f.taken_in(), f.manifest().objects().len()), (vec![3, 3], 1));
}
