//! Rescaling: the graph changes while the job runs.

use super::world::{World, live, seconds};

use crate::scheduler::StateName;

#[test]
fn the_job_spreads_onto_new_slots_and_goes_on() {
    let (mut world, _) = World::running(live(), 1);
    world.pass(seconds(1));
    world.take_log();
    world.add(1);
    world.run();
    world.expect(&[
        "prepare 1 at [2, 2, 2] from checkpoint 1",
        "trigger 2",
        "catch up 1 to checkpoint 2",
        "trigger 3 and cut",
        "move 3 splits to 2 readers",
        "commit 1",
    ]);
    assert_eq!(world.state(), StateName::Executing);
    assert_eq!(world.parallelism(), [2, 2, 2]);
}
