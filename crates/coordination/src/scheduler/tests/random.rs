//! Thousands of random lives of a job, in a cluster that dies, stalls, leaves and comes back, on storage that fails
//! and forgets to answer. The world checks its invariants after each event; when everything calms down, the job must
//! run on all slots.

use super::fixtures::{
    failure, fixed, job, live, reactive, reported, seconds, three_pipelines, two_pipelines,
};
use super::world::{Faults, World};
use crate::event::{Event, RequestId, StoreOutcome};
use crate::restart::LostExecutorRestart;
use crate::scheduler::{JobStatus, Settings, StateName};
use reflow_graph::JobGraph;
use reflow_protocol::failure::Fault;
use reflow_protocol::report::{ExecutorReport, SubtaskEvent, SubtaskReport};
use reflow_types::{ExecutorId, splitmix64};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        splitmix64::next(&mut self.0)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What struck in all lives together: a run in which something never happens proves nothing of it.
#[derive(Default, Debug)]
struct Struck(BTreeMap<String, u64>);

impl Struck {
    fn count(&mut self, what: &str) {
        *self.0.entry(what.to_owned()).or_default() += 1;
    }

    /// What struck, and the phase of the live rescale that it struck, if there was one.
    fn count_in_phase(&mut self, what: &str, world: &World) {
        self.count(what);
        if let Some(phase) = world.phase() {
            self.count(&format!("{what} in {}", phase.as_str()));
        }
    }

    /// Panics if something hardly struck.
    fn expect(&self, times: u64, what: &[&str]) {
        for what in what {
            let count = self.0.get(*what).copied().unwrap_or_default();
            assert!(count >= times, "{what} struck {count} times, less than {times}: {self:?}");
        }
    }

    /// What the scheduler did.
    fn count_actions(&mut self, world: &mut World) {
        for line in world.take_log().lines() {
            for what in
                ["prepare", "catch up", "abandon", "commit", "move", "cancel regions", "deploy regions"]
            {
                if line.starts_with(what) {
                    self.count(what);
                }
            }
            if line.starts_with("trigger") && line.contains("without") {
                self.count("checkpoint without regions");
            }
            if line.ends_with("and cut") {
                self.count("cut");
            }
        }
    }
}

fn settings(random: &mut Random) -> Settings {
    let mut settings = if random.chance(70) { reactive() } else { fixed(1 + random.below(6) as u32) };
    settings.resource_wait_timeout = None;
    settings.live_rescale = random.chance(80);
    settings.checkpoints.timeout = seconds(5 + random.below(60));
    settings.checkpoints.retained = 1 + random.below(3) as usize;
    settings.checkpoints.interval = random.chance(85).then(|| seconds(1 + random.below(20)));
    settings.active_checkpoint = random.chance(80);
    settings.cancellation_timeout = Some(seconds(1 + random.below(30)));
    if random.chance(30) {
        settings.lost_executor = LostExecutorRestart::Delayed;
    }
    settings
}

/// One of the executors that live.
fn pick(world: &World, random: &mut Random) -> Option<ExecutorId> {
    let count = world.executors.len() as u64;
    let nth = (count > 0).then(|| random.below(count))?;
    world.executors.keys().nth(nth as usize).copied()
}

/// Delivers one of the answers under way: in order for each sender, which is why only few are overtaken; or loses
/// what storage said, which then says that it does not know.
fn deliver(world: &mut World, random: &mut Random, struck: &mut Struck) {
    let Some(event) = world.events.pop_front() else { return };
    let lost = random.chance(3);
    let unknown = || StoreOutcome::Failed("connection reset".into());
    match event {
        Event::ManifestStored { checkpoint, .. } if lost => {
            struck.count("manifest unknown");
            world.send(Event::ManifestStored { checkpoint, outcome: unknown() });
        }
        Event::AbandonedStored { checkpoint, .. } if lost => {
            struck.count("abandonment unknown");
            world.send(Event::AbandonedStored { checkpoint, outcome: unknown() });
        }
        Event::SubtaskReported(SubtaskReport { attempt, subtask, event: SubtaskEvent::Running }) if lost => {
            struck.count("restore failed");
            let fault = if random.chance(90) { Fault::External } else { Fault::Damage };
            world.send(reported(attempt, subtask, SubtaskEvent::Failed(failure(fault))));
        }
        event => world.send(event),
    }
}

/// A request that is like none before.
fn request(world: &World) -> RequestId {
    RequestId(1000 + world.asked.len() as u128)
}

/// Something happens to the cluster, to the job, or to time.
fn strike(world: &mut World, random: &mut Random, struck: &mut Struck) {
    let in_mid_checkpoint = !world.events.is_empty();
    match random.below(100) {
        0..40 => world.pass(Duration::from_millis(random.below(3000))),
        40..58 if world.executors.len() < 6 => {
            struck.count("executor added");
            world.add(1 + random.below(3) as u32);
        }
        58..70 => {
            let Some(executor) = pick(world, random) else { return };
            let what = if in_mid_checkpoint { "killed with answers under way" } else { "killed" };
            struck.count_in_phase(what, world);
            world.kill(executor);
        }
        70..78 => {
            let Some(executor) = pick(world, random) else { return };
            struck.count_in_phase("drained", world);
            world.send(Event::ExecutorDraining { executor });
        }
        78..82 if world.deployed.is_some() => {
            struck.count_in_phase("subtask failed", world);
            let vertices = world.tasks.job().vertices.len() as u64;
            world.fail_subtask_of(random.below(vertices) as usize, Fault::User);
        }
        82..88 => {
            let (lower, upper) = (1 + random.below(3) as u32, 3 + random.below(8) as u32);
            if !world.scheduler.view().settings.is_reactive() {
                struck.count_in_phase("requirements", world);
                world.require(lower, upper);
            }
        }
        88..90 => {
            let (Some(executor), Some(peer)) = (pick(world, random), pick(world, random)) else { return };
            struck.count_in_phase("silent", world);
            let report = ExecutorReport::PeerSilent { peer };
            world.send(Event::ExecutorReported { executor, report });
        }
        90..92 => {
            let (request, directory) = (request(world), "mem:/savepoints".into());
            world.send(match random.below(3) {
                0 => Event::TriggerCheckpoint { request },
                _ => Event::TriggerSavepoint { request, directory, cancel_job: false },
            });
        }
        92..98 => {
            let mut one_in_three = || random.chance(33);
            world.faults = Faults {
                decline: one_in_three(),
                ignore_cancel: one_in_three(),
                never_run: one_in_three(),
                never_acknowledge: one_in_three(),
                never_finish: false,
                refuse: one_in_three(),
                never_prepare: one_in_three(),
                never_cut: one_in_three(),
                disk_full: false,
            };
        }
        _ => world.faults = Faults::default(),
    }
}

fn life(seed: u64, pace: u64, settings: fn(&mut Random) -> Settings, struck: &mut Struck) {
    life_of(job(), seed, pace, settings, struck);
}

fn life_of(job: JobGraph, seed: u64, pace: u64, settings: fn(&mut Random) -> Settings, struck: &mut Struck) {
    let mut random = Random(seed);
    let mut world = World::with_job(settings(&mut random), job, None);
    for _ in 0..60 {
        strike(&mut world, &mut random, struck);
        for _ in 0..random.below(pace) {
            deliver(&mut world, &mut random, struck);
        }
        if world.end.is_some() {
            // Only checkpoints none of which can be read end such a life.
            struck.count("state lost");
            return;
        }
    }
    struck.count_actions(&mut world);
    calm_down(&mut world, seed);
    if random.chance(50) {
        finish(&mut world, &mut random, seed, struck);
    }
}

/// No more faults: after a while the job runs on what there is.
fn calm_down(world: &mut World, seed: u64) {
    world.faults = Faults::default();
    let vertices = &world.tasks.job().vertices;
    let groups: BTreeSet<&str> = vertices.iter().map(|vertex| vertex.slot_sharing_group.as_str()).collect();
    let groups = groups.len() as u32;
    if world.scheduler.view().settings.is_reactive() {
        world.add(groups.max(2));
    } else {
        world.add((4 * groups).max(8));
        world.require(1, 4);
    }
    // Subtasks that were deployed while nothing could run do not run by themselves.
    if let Some((attempt, graph)) = world.deployed.clone() {
        graph.subtasks().for_each(|(_, _, subtask)| {
            world.events.push_back(reported(attempt, subtask.id, SubtaskEvent::Running));
        });
    }
    world.pass(seconds(400));
    if world.end.is_some() {
        return;
    }
    let view = world.scheduler.view();
    assert_eq!(view.state, StateName::Executing, "seed {seed}");
    let slots: u32 = view.executors.values().map(|executor| executor.slots).sum();
    let mut groups: BTreeMap<&str, u32> = BTreeMap::new();
    for (vertex, parallelism) in world.tasks.job().vertices.iter().zip(world.parallelism()) {
        let of_group = *groups.entry(&vertex.slot_sharing_group).or_insert(parallelism);
        assert_eq!(of_group, parallelism, "seed {seed}");
    }
    if view.settings.is_reactive() {
        let most = 16 * groups.len() as u32;
        assert_eq!(groups.values().sum::<u32>(), slots.min(most), "seed {seed}: {groups:?}");
    } else {
        assert!(groups.values().all(|parallelism| *parallelism == 4), "seed {seed}: {groups:?}");
    }
    assert!(view.executors.values().all(|executor| !executor.draining()), "seed {seed}");
    let open = view.rescales.current();
    assert_eq!(open, None, "seed {seed}");
    let known: Vec<_> = view.executors.keys().collect();
    assert_eq!(known, world.executors.keys().collect::<Vec<_>>(), "seed {seed}");
}

/// The job ends as requested.
fn finish(world: &mut World, random: &mut Random, seed: u64, struck: &mut Struck) {
    if world.end.is_some() {
        return;
    }
    let (how, expected) = match random.below(4) {
        0 => (Event::Cancel, JobStatus::Canceled),
        1 => (Event::Suspend, JobStatus::Suspended),
        2 => {
            let (request, directory) = (request(world), "mem:/savepoints".into());
            (Event::StopWithSavepoint { request, directory, drain: true }, JobStatus::Finished)
        }
        _ => {
            world.end_inputs();
            (Event::Tick, JobStatus::Finished)
        }
    };
    world.send(how);
    world.pass(seconds(200));
    world.expect_answers();
    struck.count_actions(world);
    assert_eq!(world.status(), expected, "seed {seed}");
    struck.count("ended");
}

#[test]
fn whatever_happens_the_job_comes_back() {
    let mut struck = Struck::default();
    for seed in 0..1000 {
        life(seed, 20, settings, &mut struck);
    }
    struck.expect(
        5,
        &[
            "executor added",
            "killed",
            "killed with answers under way",
            "drained",
            "subtask failed",
            "silent",
            "requirements",
            "restore failed",
            "manifest unknown",
            "abandonment unknown",
            "ended",
        ],
    );
    let lost = struck.0.get("state lost").copied().unwrap_or_default();
    assert!(lost < 400, "too many lives ended early: {struck:?}");
}

/// Rescales go live, and nothing that an executor is asked takes no time: much strikes in mid-rescale.
fn rescaling(random: &mut Random) -> Settings {
    let mut settings = live();
    settings.checkpoints.timeout = seconds(5 + random.below(30));
    settings.checkpoints.retained = 1 + random.below(3) as usize;
    settings.checkpoints.interval = Some(seconds(1 + random.below(20)));
    settings.resource_wait_timeout = None;
    settings.cancellation_timeout = Some(seconds(1 + random.below(30)));
    settings
}

#[test]
fn whatever_strikes_a_live_rescale_it_ends() {
    let mut struck = Struck::default();
    for seed in 0..1000 {
        life(seed, 50, rescaling, &mut struck);
    }
    struck.expect(1000, &["prepare", "catch up", "abandon", "cut", "move", "commit"]);
    for phase in ["PLAN", "PREPARE", "CATCH_UP", "CUT", "COMMIT"] {
        for what in ["killed with answers under way", "drained", "subtask failed"] {
            struck.expect(3, &[&format!("{what} in {phase}")]);
        }
    }
}

/// Regions restart alone, together, again before they run, and in the midst of rescales.
#[test]
fn whatever_happens_to_two_regions_both_come_back() {
    let mut struck = Struck::default();
    for seed in 0..1000 {
        life_of(two_pipelines(), seed, 20, settings, &mut struck);
        life_of(two_pipelines(), seed, 50, rescaling, &mut struck);
    }
    struck.expect(1000, &["cancel regions", "deploy regions", "commit"]);
    struck.expect(100, &["checkpoint without regions"]);
}

/// One region runs while two others fail one after the other and come back at different times.
#[test]
fn whatever_happens_to_three_regions_all_come_back() {
    let mut struck = Struck::default();
    for seed in 0..500 {
        life_of(three_pipelines(), seed, 20, settings, &mut struck);
        life_of(three_pipelines(), seed, 50, rescaling, &mut struck);
    }
    struck.expect(500, &["cancel regions", "deploy regions"]);
    struck.expect(100, &["checkpoint without regions"]);
}
