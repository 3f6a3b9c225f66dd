//! Validation of resource requirements, and the defaults.

use super::*;
use reflow_graph::Vertex;

fn vertex(id: u128, parallelism: Option<u32>) -> Vertex {
    Vertex {
        id: VertexId(id),
        name: format!("v{id}"),
        operators: Vec::new(),
        parallelism,
        max_parallelism: None,
        slot_sharing_group: "default".into(),
        source: false,
        keyed: false,
    }
}

fn job() -> (JobGraph, Vec<MaxParallelism>) {
    let vertices = vec![vertex(1, None), vertex(2, Some(3))];
    let max = [8, 4].map(|max| MaxParallelism::new(max).unwrap());
    (JobGraph { name: "job".into(), vertices, ..JobGraph::default() }, max.to_vec())
}

/// Requests `(vertex, lower, upper)`; expects accepted bounds or a part of the message.
fn check(requested: &[(u128, i64, i64)], expected: Result<&[(u32, u32)], &str>) {
    check_in_mode(SchedulerMode::Default, requested, expected);
}

fn check_in_mode(mode: SchedulerMode, requested: &[(u128, i64, i64)], expected: Result<&[(u32, u32)], &str>) {
    let (job, max) = job();
    let requested = requested
        .iter()
        .map(|&(id, lower, upper)| (VertexId(id), RequestedBounds { lower, upper }))
        .collect();
    match (validate(&job, &max, mode, &requested), expected) {
        (Ok(bounds), Ok(expected)) => {
            let bounds: Vec<_> = bounds.values().map(|bounds| (bounds.lower, bounds.upper)).collect();
            assert_eq!(bounds, expected);
        }
        (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
        (got, expected) => panic!("{got:?}, expected {expected:?}"),
    }
}

#[test]
fn flinks_rules() {
    check(&[(1, 1, 8), (2, 2, 4)], Ok(&[(1, 8), (2, 4)]));
    check(&[(1, -1, -1), (2, -1, 2)], Ok(&[(1, 8), (1, 2)]));
    check(
        &[(1, 1, 8)],
        Err("The request is incomplete, missing job vertex [00000000000000000000000000000002]"),
    );
    check(&[(1, 1, 8), (2, 1, 1), (3, 1, 1)], Err("0003] was not found in the JobGraph"));
    check(&[(1, 0, 8), (2, 1, 1)], Err("Lower bound (0) must be, at least, 1"));
    check(&[(1, 1, 0), (2, 1, 1)], Err("Upper bound (0) must be, at least, 1"));
    check(&[(1, 5, 4), (2, 1, 1)], Err("Upper bound (4) must be larger or equal to the lower bound (5)"));
    check(&[(1, 1, 9), (2, 1, 1)], Err("The requested parallelism (9) is higher than max parallelism (8)"));
    check(&[(1, 1, i64::MAX), (2, 1, 1)], Err("higher than max parallelism"));
    check(&[(1, -2, 4), (2, 1, 1)], Err("Lower bound (-2)"));
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    check(&[(1, 0, 9), (7, 1, 1)], Err("\n"));
}

#[test]
fn reactive_mode_takes_caps_only() {
    check_in_mode(SchedulerMode::Reactive, &[(1, 1, 5), (2, -1, -1)], Ok(&[(1, 5), (1, 4)]));
    check_in_mode(
        SchedulerMode::Reactive,
        &[(1, 2, 5), (2, 1, 4)],
        Err("Lower bound (2) must be 1 in reactive mode"),
    );
    check_in_mode(SchedulerMode::Reactive, &[(1, 1, 9), (2, 1, 4)], Err("higher than max parallelism (8)"));
    check_in_mode(SchedulerMode::Reactive, &[(1, 1, 8)], Err("The request is incomplete"));
}

#[test]
fn defaults_follow_the_mode() {
    let (job, max) = job();
    let show = |mode, default| -> Vec<_> {
        defaults(&job, &max, mode, default).iter().map(|bounds| (bounds.lower, bounds.upper)).collect()
    };
    assert_eq!(show(SchedulerMode::Default, 2), [(1, 2), (1, 3)]);
    assert_eq!(show(SchedulerMode::Default, 100), [(1, 8), (1, 3)]);
    assert_eq!(show(SchedulerMode::Reactive, 2), [(1, 8), (1, 4)]);
}
