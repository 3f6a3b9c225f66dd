//! Runs of many seeds.

use reflow_sim::cluster::Selection;
use reflow_sim::runs::Seeds;

#[test]
fn threads_change_nothing_in_a_run() {
    let seeds = Seeds { from: 7, count: 4, at_most: None, fail_fast: false, progress: false, threads: 1 };
    let alone = seeds.run(&Selection::default());
    let together = Seeds { threads: 4, ..seeds }.run(&Selection::default());
    assert_eq!(alone.runs, 4);
    assert_ne!(alone.hash, 0);
    assert_eq!(alone.hash, together.hash);
}
