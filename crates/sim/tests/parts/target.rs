//! Faults that are aimed at a phase.

use reflow_sim::cluster::target::{Strike, Target};
use reflow_sim::faults::RescalePhase;
use reflow_sim::{Rng, Scenario};
use std::collections::BTreeSet;

#[test]
fn what_a_scenario_brings_is_aimed_at_each_phase() {
    let mut rng = Rng::new(1);
    let mut draw = || Target::random(&mut rng, &mut BTreeSet::from([Scenario::Cancel]));
    let targets: Vec<Target> = (0..200).filter_map(|_| draw()).collect();
    assert!((100..200).contains(&targets.len()));
    assert!(targets.iter().all(|target| target.strike == Strike::Cancel));
    assert!(RescalePhase::ALL.iter().all(|phase| targets.iter().any(|target| target.phase == *phase)));
}

#[test]
fn the_store_is_aimed_at_in_some_runs_without_a_scenario() {
    let mut rng = Rng::new(1);
    let targets = (0..200).filter_map(|_| Target::random(&mut rng, &mut BTreeSet::new())).count();
    assert!((10..60).contains(&targets));
}
