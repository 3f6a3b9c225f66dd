//! A new JobManager resumes the job of the previous one.

use super::fixtures::{job, reactive, seconds};
use super::world::World;
use crate::action::EndState;
use crate::checkpoint::fallback::AllowReplay;
use crate::checkpoint::{Recovered, recover};
use crate::event::Event;
use crate::manifest::{Decision, Manifest};
use crate::restore::UnclaimedState;
use crate::scheduler::Settings;
use reflow_graph::JobGraph;
use reflow_types::{CheckpointId, MaxParallelism};

/// The job with a sink that commits with checkpoints.
pub(super) fn committing_job() -> JobGraph {
    let mut job = job();
    job.vertices[2].operators[0].commits = true;
    job
}

/// The last manifest of a job that ran on `slots` slots and was suspended.
fn suspended(slots: u32) -> Manifest {
    let (mut world, _) = World::running(reactive(), slots);
    world.send(Event::Suspend);
    world.run();
    world.scheduler.view().latest.unwrap().manifest.clone()
}

fn recovered(decisions: Vec<(u64, Result<Decision, String>)>) -> Option<Recovered> {
    Some(recover("mem:/job", decisions.into_iter().map(|(id, decision)| (CheckpointId(id), decision))))
}

fn complete(manifest: &Manifest) -> Result<Decision, String> {
    Ok(Decision::Complete(Box::new(manifest.clone())))
}

/// Starts the job from a suspended one's checkpoint, changed as told, and shows what happens on two slots.
fn check(settings: Settings, change: impl Fn(&mut JobGraph, &mut Manifest), expected: &str) {
    let (mut job, mut manifest) = (job(), suspended(1));
    change(&mut job, &mut manifest);
    let mut world = World::with_job(settings, job, recovered(vec![(1, complete(&manifest))]));
    world.run();
    world.add(2);
    let log = world.take_log();
    assert!(log.contains(expected), "{log}");
}

#[test]
fn the_job_goes_on_at_another_parallelism() {
    check(reactive(), |_, _| {}, "deploy 1 at [2, 2, 2] from checkpoint 1");
}

#[test]
fn subtask_ids_go_on_and_tables_keep_what_they_can() {
    let manifest = suspended(3);
    let mut world = World::with_job(reactive(), job(), recovered(vec![(1, complete(&manifest))]));
    world.add(4);
    let (_, graph) = world.deployed.clone().unwrap();
    assert!(graph.subtasks().all(|(_, _, subtask)| subtask.id >= manifest.next_subtask));
    let count = manifest.vertices.iter().find(|vertex| vertex.table.is_some()).unwrap();
    let (old, new) = (count.table.as_ref().unwrap(), graph.vertices[1].table.as_ref().unwrap());
    let moved = (0..16).map(reflow_types::KeyGroup).filter(|group| old.owner(*group) != new.owner(*group));
    assert_eq!(moved.count(), 4, "16 groups from 3 to 4 subtasks");
}

#[test]
fn checkpoint_ids_go_on() {
    let manifest = suspended(1);
    let mut world = World::with_job(reactive(), job(), recovered(vec![(1, complete(&manifest))]));
    world.add(1);
    world.pass(seconds(1));
    world.expect(&["deploy 1 at [1, 1, 1] from checkpoint 1", "trigger 2"]);
}

#[test]
fn max_parallelism_is_the_states() {
    let mut settings = reactive();
    settings.default_max_parallelism = MaxParallelism::new(64).unwrap();
    check(settings, |_, _| {}, "deploy 1 at [2, 2, 2] from checkpoint 1");
    check(
        reactive(),
        |job, _| job.vertices[1].max_parallelism = MaxParallelism::new(8).ok(),
        "operator 'count' has max parallelism 8, but its state was written with 16",
    );
}

#[test]
fn state_without_an_operator_is_refused_unless_it_is_to_be_dropped() {
    let stray = |_: &mut reflow_graph::JobGraph, manifest: &mut Manifest| {
        manifest.enumerators.push(("gone".into(), bytes::Bytes::from_static(b"splits")));
    };
    check(reactive(), stray, "end Failed");
    let mut settings = reactive();
    settings.unclaimed_state = UnclaimedState::Drop;
    check(settings, stray, "deploy 1");
}

#[test]
fn a_job_whose_state_cannot_be_read_does_not_begin_anew() {
    let mut world = World::with_job(reactive(), job(), recovered(vec![(4, Err("truncated".into()))]));
    world.run();
    let log = world.take_log();
    assert!(log.contains("end Failed") && log.contains("checkpoint 4 cannot be read: truncated"), "{log}");

    let manifest = suspended(1);
    let decisions = || recovered(vec![(1, complete(&manifest)), (4, Err("it is truncated".into()))]);
    let mut world = World::with_job(reactive(), job(), decisions());
    world.add(1);
    world.expect(&["deploy 1 at [1, 1, 1] from checkpoint 1"]);
    assert!(world.scheduler.view().warnings[0].contains("checkpoint 4 cannot be read: it is truncated"));

    // What a sink has committed with checkpoint 4 would be written again.
    let mut world = World::with_job(reactive(), committing_job(), decisions());
    world.add(1);
    assert_eq!(world.end, Some(EndState::Failed));
    let view = world.scheduler.view();
    assert!(view.end.expect("it has failed").1.expect("a question").contains("--allow-replay"));
    assert_eq!(view.exceptions.entries().count(), 1);

    let mut settings = reactive();
    settings.allow_replay = AllowReplay::AtStart;
    let mut world = World::with_job(settings, committing_job(), decisions());
    world.add(1);
    world.expect(&["deploy 1 at [1, 1, 1] from checkpoint 1"]);
}
