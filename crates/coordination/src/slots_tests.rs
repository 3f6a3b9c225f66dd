//! Slots: how many each group and vertex get, and which.

use super::*;
use proptest::prelude::*;
use reflow_graph::{Edge, Vertex};
use reflow_types::{ExecutorId, VertexId};

/// A vertex by group, bounds and whether it is keyed.
type Sketch = (&'static str, u32, u32, bool);

fn sketch(vertices: &[Sketch]) -> (JobGraph, Vec<ParallelismBounds>) {
    let vertex = |(i, &(group, _, _, keyed)): (usize, &Sketch)| Vertex {
        id: VertexId(i as u128),
        name: format!("v{i}"),
        operators: Vec::new(),
        parallelism: None,
        max_parallelism: None,
        slot_sharing_group: group.into(),
        source: i == 0,
        keyed,
    };
    let bounds = vertices.iter().map(|&(_, lower, upper, _)| ParallelismBounds { lower, upper }).collect();
    let vertices = vertices.iter().enumerate().map(vertex).collect();
    (JobGraph { name: "job".into(), vertices, ..JobGraph::default() }, bounds)
}

/// Slots named by TaskManager and index.
fn offers(slots: &[(u128, u32)]) -> Vec<Offer> {
    let offer = |&(task_manager, index): &(u128, u32)| Offer {
        slot: SlotId { executor: ExecutorId(task_manager), index },
        task_manager: TaskManagerId(task_manager),
    };
    slots.iter().map(offer).collect()
}

/// Expects the parallelism of each vertex for a number of slots; nothing means too few.
fn check(vertices: &[Sketch], slots: u32, expected: &[u32]) {
    let (job, bounds) = sketch(vertices);
    let got = parallelism(&job, &bounds, slots).map(|parallelism| parallelism.vertices);
    assert_eq!(got.unwrap_or_default(), expected, "{slots} slots for {vertices:?}");
}

#[test]
fn one_group_shares_all_slots() {
    check(&[("a", 1, 8, false), ("a", 1, 8, true)], 3, &[3, 3]);
    check(&[("a", 1, 2, false), ("a", 1, 8, true)], 3, &[2, 3]);
    check(&[("a", 1, 8, false)], 9, &[8]);
    check(&[("a", 1, 8, false)], 0, &[]);
    check(&[], 4, &[]);
}

#[test]
fn lower_bounds_are_needed() {
    check(&[("a", 3, 8, false)], 2, &[]);
    check(&[("a", 3, 8, false)], 3, &[3]);
    check(&[("a", 2, 8, false), ("b", 2, 8, false)], 3, &[]);
    check(&[("a", 1, 8, false), ("a", 2, 2, false), ("b", 1, 1, false)], 3, &[2, 2, 1]);
}

#[test]
fn groups_share_what_is_left_fairly() {
    check(&[("a", 1, 8, false), ("b", 1, 8, false)], 6, &[3, 3]);
    check(&[("a", 1, 8, false), ("b", 1, 8, false)], 7, &[3, 4]);
    check(&[("a", 1, 8, false), ("b", 1, 2, false)], 6, &[4, 2]);
    check(&[("a", 4, 8, false), ("b", 1, 4, false)], 6, &[5, 1]);
    check(&[("a", 1, 1, false), ("b", 1, 1, false), ("c", 1, 9, false)], 9, &[1, 1, 7]);
}

/// Places vertices on slots, after a former placement, and shows the slots of each vertex.
fn place(
    job: &JobGraph,
    bounds: &[ParallelismBounds],
    on: &[(u128, u32)],
    former: Option<&Placement>,
) -> Placement {
    let offers = offers(on);
    let parallelism = parallelism(job, bounds, offers.len() as u32).expect("enough slots");
    let placement = assign(job, bounds, &parallelism, &offers, former);
    let lengths: Vec<u32> = placement.iter().map(|slots| slots.len() as u32).collect();
    assert_eq!(lengths, parallelism.vertices);
    placement
}

fn names(slots: &[SlotId]) -> Vec<(u128, u32)> {
    slots.iter().map(|slot| (slot.executor.0, slot.index)).collect()
}

#[test]
fn survivors_stay_and_keep_their_order() {
    let (job, bounds) = sketch(&[("a", 1, 8, false), ("a", 1, 8, true)]);
    let before = place(&job, &bounds, &[(1, 0), (2, 0), (3, 0)], None);
    let after = place(&job, &bounds, &[(3, 0), (0, 0), (1, 0), (4, 0)], Some(&before));
    assert_eq!(names(&before[1]), [(1, 0), (2, 0), (3, 0)]);
    assert_eq!(names(&after[1]), [(1, 0), (3, 0), (0, 0), (4, 0)]);
}

#[test]
fn shrinking_drops_the_emptiest_slots() {
    let (job, mut bounds) = sketch(&[("a", 1, 2, true), ("a", 1, 8, true)]);
    let before = place(&job, &bounds, &[(1, 0), (1, 1), (2, 0)], None);
    bounds[1].upper = 2;
    let after = place(&job, &bounds, &[(1, 0), (1, 1), (2, 0)], Some(&before));
    assert_eq!(after[1], before[0], "the slots with subtasks of both vertices stay");
}

#[test]
fn vertices_with_fewer_subtasks_go_to_the_least_loaded_slots() {
    let (job, bounds) =
        sketch(&[("a", 1, 1, false), ("a", 1, 4, true), ("a", 1, 1, false), ("a", 1, 2, false)]);
    let placement = place(&job, &bounds, &[(1, 0), (1, 1), (2, 0), (2, 1)], None);
    assert_eq!(names(&placement[3]), [(1, 0), (1, 1)]);
    assert_eq!(names(&placement[0]), [(2, 0)]);
    assert_eq!(names(&placement[2]), [(2, 1)]);
}

#[test]
fn a_small_keyed_vertex_keeps_its_slots() {
    let (job, bounds) = sketch(&[("a", 1, 8, false), ("a", 1, 1, true), ("a", 1, 1, false)]);
    let before = place(&job, &bounds, &[(1, 0)], None);
    let after = place(&job, &bounds, &[(0, 0), (1, 0)], Some(&before));
    assert_eq!(names(&after[1]), [(1, 0)]);
    assert_eq!(names(&after[2]), [(0, 0)], "the other goes where there is less to do");
}

#[test]
fn forward_partners_share_slots() {
    let (mut job, bounds) = sketch(&[("a", 1, 4, false), ("a", 1, 2, false), ("a", 1, 2, false)]);
    let (from, to) = (VertexIndex(1), VertexIndex(2));
    job.edges.push(Edge { from, to, shipping: Shipping::Forward, side_output: None });
    let placement = place(&job, &bounds, &[(1, 0), (1, 1), (1, 2), (1, 3)], None);
    assert_eq!(placement[1], placement[2]);
}

#[test]
fn few_task_managers_are_used() {
    let (job, bounds) = sketch(&[("a", 1, 2, false)]);
    let placement = place(&job, &bounds, &[(1, 0), (2, 0), (2, 1), (3, 0)], None);
    assert_eq!(names(&placement[0]), [(2, 0), (2, 1)]);
}

#[test]
fn groups_do_not_share_slots() {
    let (job, bounds) = sketch(&[("a", 1, 8, false), ("b", 1, 8, true)]);
    let before = place(&job, &bounds, &[(1, 0), (2, 0)], None);
    let after = place(&job, &bounds, &[(1, 0), (2, 0), (3, 0), (4, 0)], Some(&before));
    assert_ne!(before[0], before[1]);
    for (old, new) in before.iter().zip(&after) {
        assert!(new.contains(&old[0]), "{old:?} stays in {new:?}");
    }
}

proptest! {
    /// Whatever comes and goes: every slot runs one group and at most one subtask of a vertex, and a vertex that
    /// uses all slots of its group stays wherever the slot stays.
    #[test]
    fn walks_keep_the_invariants(
        vertices in proptest::collection::vec((0usize..3, 1u32..9, any::<bool>()), 1..6),
        clusters in proptest::collection::vec(proptest::collection::btree_set((0u128..5, 0u32..3), 3..15), 1..5),
    ) {
        let sketches: Vec<Sketch> =
            vertices.iter().map(|&(group, upper, keyed)| (["a", "b", "c"][group], 1, upper, keyed)).collect();
        let (job, bounds) = sketch(&sketches);
        let mut former: Option<Placement> = None;
        for cluster in clusters {
            let slots: Vec<_> = cluster.into_iter().collect();
            let placement = place(&job, &bounds, &slots, former.as_ref());
            let mut of_group: BTreeMap<SlotId, &str> = BTreeMap::new();
            for (vertex, slots) in job.vertices.iter().zip(&placement) {
                let distinct: BTreeSet<_> = slots.iter().collect();
                prop_assert_eq!(distinct.len(), slots.len());
                for slot in slots {
                    let group = of_group.entry(*slot).or_insert(&vertex.slot_sharing_group);
                    prop_assert_eq!(*group, vertex.slot_sharing_group.as_str());
                }
            }
            former = Some(placement);
        }
    }
}
