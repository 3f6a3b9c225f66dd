//! A new JobManager finds an attempt of the former one.

use super::fixtures::{job, live, reactive, seconds};
use super::world::World;
use crate::checkpoint::recover;
use crate::event::Event;
use crate::manifest::{Decision, Manifest};
use crate::scheduler::{JobStatus, StateName, Takeover};
use reflow_graph::ExecutionGraph;
use reflow_protocol::adoption::{AttemptReport, ReportedStatus, RescaleProgress, TakenCheckpoint};
use reflow_protocol::deployment::Attempt;
use reflow_protocol::snapshot::AfterBarrier;
use reflow_types::{AttemptNumber, CheckpointId, ExecutorId, GraphVersion, LeaderEpoch, TaskManagerId};

const ATTEMPT: Attempt = Attempt { epoch: LeaderEpoch(0), number: AttemptNumber(5) };

/// An attempt on two executors of two slots, and its last checkpoint, 1.
struct Former {
    graph: ExecutionGraph,
    manifest: Manifest,
    executors: [ExecutorId; 2],
}

fn former() -> Former {
    let (mut world, first) = World::running(reactive(), 2);
    let second = world.add(2);
    world.run();
    world.pass(seconds(2));
    let graph = world.deployed.clone().expect("it runs").1;
    assert_eq!(graph.vertices[0].subtasks.len(), 4);
    let manifest = world.scheduler.view().latest.expect("a checkpoint is complete").manifest.clone();
    Former { graph, manifest, executors: [first, second] }
}

impl Former {
    /// The next JobManager, before any executor has registered.
    fn lost(&self, settings: crate::scheduler::Settings) -> World {
        let decision = Decision::Complete(Box::new(self.manifest.clone()));
        let recovered = recover("mem:/job", [(self.manifest.checkpoint, Ok(decision))]);
        let mut world = World::with_job(settings, job(), Some(recovered));
        world.run();
        world
    }

    fn report(&self, executor: ExecutorId) -> AttemptReport {
        let here = self.graph.subtasks().filter(|(_, _, subtask)| subtask.slot.executor == executor);
        let (epoch, checkpoint) = (self.manifest.lineage.epoch, self.manifest.checkpoint);
        let then = AfterBarrier::Continue;
        AttemptReport {
            attempt: ATTEMPT,
            graph: self.graph.clone(),
            version: GraphVersion(3),
            rescale: RescaleProgress::None,
            restored: None,
            completed: None,
            undecided: Some(TakenCheckpoint { epoch, checkpoint, then }),
            highest: Some(CheckpointId(checkpoint.0 + 7)),
            subtasks: here.map(|(_, _, subtask)| (subtask.id, ReportedStatus::Running)).collect(),
            readers: Vec::new(),
        }
    }

    fn register(&self, world: &mut World, executor: ExecutorId, report: AttemptReport) {
        world.executors.insert(executor, 2);
        world.send(Event::AttemptReported { executor, report: Box::new(report) });
        let task_manager = TaskManagerId(executor.0 + 1000);
        world.send(Event::ExecutorAdded { executor, task_manager, slots: 2 });
    }
}

#[test]
fn an_attempt_goes_on_once_all_of_its_executors_have_registered() {
    let former = former();
    let mut world = former.lost(live());
    let [first, second] = former.executors;
    former.register(&mut world, first, former.report(first));
    assert_eq!((world.state(), world.status()), (StateName::Reconciling, JobStatus::Reconciling));
    world.expect(&[]);
    former.register(&mut world, second, former.report(second));
    assert_eq!((world.state(), world.status()), (StateName::Executing, JobStatus::Running));
    world.expect(&["adopt 5"]);
    world.pass(seconds(1));
    // Ids that its tasks may know are not used again.
    let next = former.manifest.checkpoint.0 + 8;
    world.expect(&[&format!("trigger {next}")]);
    assert_eq!(world.scheduler.view().latest.expect("it is complete").checkpoint.0, next);
    assert_eq!(world.scheduler.view().takeover, Some(&Takeover::Adopted(ATTEMPT)));
    assert_eq!(world.scheduler.view().attempt.expect("it runs").attempt(), ATTEMPT);
    // And another executor joins it as if nothing had happened.
    let added = ExecutorId(77);
    world.executors.insert(added, 2);
    world.send(Event::ExecutorAdded { executor: added, task_manager: TaskManagerId(77), slots: 2 });
    world.pass(seconds(4));
    let log = world.take_log();
    assert!(log.contains("prepare 4 at [6, 6, 6]") && log.contains("commit 4"), "{log}");
    assert_eq!(world.attempt(), ATTEMPT);
}

#[test]
fn an_attempt_whose_executors_do_not_all_come_ends() {
    let former = former();
    let mut world = former.lost(reactive());
    let first = former.executors[0];
    former.register(&mut world, first, former.report(first));
    world.pass(seconds(9));
    world.expect(&[]);
    world.pass(seconds(1));
    let checkpoint = former.manifest.checkpoint;
    world.expect(&[
        &format!("cancel 5 on e{}", first.0),
        &format!("deploy 1 at [2, 2, 2] from checkpoint {checkpoint}"),
    ]);
    // The other one comes too late.
    let second = former.executors[1];
    former.register(&mut world, second, former.report(second));
    let log = world.take_log();
    assert!(log.starts_with(&format!("drop 5 on e{}", second.0)), "{log}");
}

#[test]
fn an_attempt_that_cannot_go_on_ends_at_once() {
    let former = former();
    let [first, second] = former.executors;
    let mut world = former.lost(reactive());
    former.register(&mut world, first, former.report(first));
    let failed = former.report(second).subtasks.into_iter().map(|(id, _)| (id, ReportedStatus::Failed));
    let report = AttemptReport { subtasks: failed.collect(), ..former.report(second) };
    former.register(&mut world, second, report);
    world.run();
    let log = world.take_log();
    assert!(log.contains("cancel 5 on") && log.contains("deploy 1 at"), "{log}");
    assert!(matches!(world.scheduler.view().takeover, Some(Takeover::NewAttempt { .. })));

    // The JobManager cannot continue the enumerators.
    let mut world = former.lost(reactive());
    former.register(&mut world, first, former.report(first));
    former.register(&mut world, second, former.report(second));
    world.expect(&["adopt 5"]);
    world.send(Event::AdoptionRefused { attempt: ATTEMPT, reason: "splits are lost".into() });
    world.run();
    let log = world.take_log();
    assert!(log.starts_with("cancel 5 on") && log.contains("deploy 1 at [4, 4, 4]"), "{log}");
}

#[test]
fn an_attempt_goes_on_under_a_leader_whose_clock_is_apart() {
    // The former leader's clock showed some seconds when it took its checkpoint.
    for ahead in [seconds(0), seconds(60)] {
        let former = former();
        let mut world = former.lost(reactive());
        world.pass(ahead);
        for executor in former.executors {
            former.register(&mut world, executor, former.report(executor));
        }
        world.run();
        assert_eq!(world.scheduler.view().takeover, Some(&Takeover::Adopted(ATTEMPT)), "{ahead:?}");
        world.pass(seconds(3));
        let latest = world.scheduler.view().latest.expect("one is complete").checkpoint;
        assert!(latest > CheckpointId(8), "{ahead:?}: the next checkpoints complete, {latest}");
        assert_eq!((world.attempt(), world.scheduler.view().restarts), (ATTEMPT, 0));
    }
}

/// Its ids would otherwise be those that the leader counts on from.
#[test]
fn an_executor_that_reports_nonsense_drops_its_attempt_and_is_used_again() {
    let former = former();
    let [first, second] = former.executors;
    let highest = CheckpointId(u64::MAX);
    let then = AfterBarrier::Continue;
    let taken = TakenCheckpoint { epoch: LeaderEpoch(0), checkpoint: highest, then };
    let good = || former.report(second);
    let mut twice = former.graph.clone();
    twice.vertices[1].subtasks[0].id = twice.vertices[0].subtasks[0].id;
    let nonsense = [
        AttemptReport { highest: Some(highest), ..good() },
        AttemptReport { restored: Some(highest), ..good() },
        AttemptReport { completed: Some(taken), ..good() },
        AttemptReport { undecided: Some(taken), ..good() },
        AttemptReport { version: GraphVersion(u64::MAX), ..good() },
        AttemptReport { rescale: RescaleProgress::Preparing(GraphVersion(u64::MAX)), ..good() },
        AttemptReport { graph: twice, ..good() },
        AttemptReport { graph: ExecutionGraph::default(), ..good() },
    ];
    for report in nonsense {
        let mut world = former.lost(reactive());
        former.register(&mut world, first, former.report(first));
        former.register(&mut world, second, report.clone());
        world.run();
        let log = world.take_log();
        assert!(log.contains("drop 5 on"), "{report:?}: {log}");
        let last = former.manifest.checkpoint;
        let deployed = format!("deploy 1 at [4, 4, 4] from checkpoint {last}");
        assert!(log.contains(&deployed), "{report:?}: {log}");
        world.pass(seconds(3));
        let latest = world.scheduler.view().latest.expect("it goes on").checkpoint;
        assert!(latest > last && latest.0 < 100, "{report:?}: {latest}");
    }
}

/// A lost executor, and executors that run nothing, are not waited for.
#[test]
fn a_lost_executor_ends_the_wait() {
    let former = former();
    let [first, second] = former.executors;
    let mut world = former.lost(reactive());
    former.register(&mut world, first, former.report(first));
    world.kill(first);
    assert_eq!(world.state(), StateName::WaitingForResources);
    world.expect(&[]);
    former.register(&mut world, second, former.report(second));
    world.executors.insert(first, 2);
    world.send(Event::ExecutorAdded { executor: first, task_manager: TaskManagerId(1), slots: 2 });
    world.run();
    let log = world.take_log();
    assert!(log.starts_with("cancel 5 on") && log.contains("deploy 1 at [4, 4, 4]"), "{log}");
}

/// It was being drained when the former leader was lost, and its TaskManager tells the next one.
#[test]
fn an_executor_that_leaves_stays_until_the_attempt_is_adopted_and_moved_off_it() {
    let former = former();
    let mut world = former.lost(live());
    let [first, second] = former.executors;
    former.register(&mut world, first, former.report(first));
    world.send(Event::ExecutorDraining { executor: first });
    world.expect(&[]);
    former.register(&mut world, second, former.report(second));
    assert!(world.take_log().starts_with("adopt 5\nprepare 4 at [2, 2, 2]"));
    world.pass(seconds(20));
    assert_eq!(world.attempt(), ATTEMPT, "it was moved without a restart");
    assert_eq!(world.parallelism(), [2, 2, 2]);
    assert!(!world.scheduler.view().executors.contains_key(&first), "it was released");
}
