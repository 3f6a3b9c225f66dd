//! A leader that hands its job over: the next one adopts the attempt, unless a rescale has gone too far.

use super::fixtures::{live, reactive, seconds};
use super::world::World;
use crate::event::Event;
use crate::rescale::LivePhase;
use crate::scheduler::{Settings, StateName};

/// A job on one slot, to which another one comes.
fn growing(settings: Settings) -> World {
    let (mut world, _) = World::running(settings, 1);
    world.pass(seconds(1));
    world.take_log();
    world.add(1);
    world
}

#[test]
fn no_cut_begins_until_it_is_known_that_this_leader_leads_on() {
    let mut world = growing(live());
    world.run_to(LivePhase::CatchUp);
    world.scheduler.set_hands_over(true);
    world.pass(seconds(20));
    let log = world.take_log();
    assert!(log.contains("catch up") && !log.contains("cut"), "{log}");
    assert!(!world.scheduler.view().is_cutting());
    world.scheduler.set_hands_over(false);
    world.send(Event::Tick);
    world.pass(seconds(2));
    assert_eq!((world.parallelism(), world.scheduler.view().restarts), (vec![2, 2, 2], 0));
}

#[test]
fn no_rescale_begins_either() {
    for settings in [live(), reactive()] {
        let (mut world, _) = World::running(settings, 1);
        world.pass(seconds(1));
        world.take_log();
        world.scheduler.set_hands_over(true);
        world.add(1);
        world.pass(seconds(20));
        let log = world.take_log();
        assert!(!log.contains("prepare") && !log.contains("pause") && !log.contains("cancel"), "{log}");
        assert_eq!(world.state(), StateName::Executing);
        world.scheduler.set_hands_over(false);
        world.send(Event::Tick);
        world.pass(seconds(10));
        assert_eq!(world.parallelism(), [2, 2, 2]);
    }
}
