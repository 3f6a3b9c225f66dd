//! Whole clusters: one seed is one run, and runs find nothing.

use reflow_sim::report::{Report, run_seed};

#[test]
fn one_seed_twice_gives_one_trace() {
    for seed in [1, 2, 3] {
        let (first, second) = (run_seed(seed, None), run_seed(seed, None));
        assert_eq!(first.hash, second.hash, "SIM_SEED={seed}: {}", first.about);
        assert_eq!(first.events, second.events);
    }
    assert_ne!(run_seed(1, None).hash, run_seed(2, None).hash);
}

#[test]
fn clusters_in_trouble_commit_what_the_model_expects() {
    let mut report = Report::default();
    (1..=20).for_each(|seed| report.add(run_seed(seed, None)));
    assert!(report.passes(), "{report}");
    assert!(report.rescales > 0 && report.checkpoints > 0, "{report}");
}
