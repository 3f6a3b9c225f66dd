//! Tests of whole clusters: a seed always gives the same run, and runs have no violations.

use reflow_sim::cluster::Selection;
use reflow_sim::report::{Report, run_seed};
use reflow_sim::workload::Shape;

#[test]
fn one_seed_twice_gives_one_trace() {
    for seed in [1, 2, 3] {
        let any = Selection::default();
        let (first, second) = (run_seed(seed, &any, None), run_seed(seed, &any, None));
        assert_eq!(first.hash, second.hash, "SIM_SEED={seed}: {}", first.about);
        assert_eq!(first.events, second.events);
    }
    let any = Selection::default();
    assert_ne!(run_seed(1, &any, None).hash, run_seed(2, &any, None).hash);
}

#[test]
fn clusters_in_trouble_commit_what_the_model_expects() {
    let mut report = Report::default();
    (1..=20).for_each(|seed| report.add(run_seed(seed, &Selection::default(), None)));
    assert!(report.passes(), "{report}");
    assert!(report.rescales > 0 && report.checkpoints > 0, "{report}");
}

/// A source that has ended, such as a table of rules, is no reason for a restart.
#[test]
fn a_job_of_which_an_input_has_ended_is_rescaled_live() {
    let selection = Selection { shape: Some(Shape::SlidingUnion), scenarios: Vec::new() };
    let (mut seeds, mut report) = (1..=100, Report::default());
    while report.live_rescales.past_an_end < 5 {
        let seed = seeds.next().unwrap_or_else(|| panic!("such a job is seldom rescaled live: {report}"));
        report.add(run_seed(seed, &selection, None));
    }
    assert!(report.violations.is_empty(), "{report}");
}

/// Each operator of the suite goes through the whole protocol of a live rescale, with faults.
#[test]
fn every_kind_of_job_is_rescaled_live() {
    for shape in Shape::all() {
        let (mut seeds, mut report) = (1..=100, Report::default());
        while report.runs < 5 || report.live_rescales.committed < 2 {
            let seed = seeds.next().unwrap_or_else(|| panic!("{shape} is seldom rescaled: {report}"));
            report.add(run_seed(seed, &Selection { shape: Some(shape), scenarios: Vec::new() }, None));
        }
        assert!(report.violations.is_empty(), "--job {shape}: {report}");
    }
}
