//! The search for a smaller run that fails.

use reflow_sim::simulation::plan::Plan;
use reflow_sim::simulation::shrink::shrink;

#[test]
fn only_what_fails_remains() {
    let plan = Plan::calm(&[100, 10]);
    let fails = |plan: &Plan| plan.kept[0].contains(&17) && plan.kept[0].contains(&80);
    let (smallest, tried) = shrink(plan.clone(), 1_000, fails);
    assert_eq!(smallest.kept, [vec![17, 80], vec![]]);
    assert!(tried < 150, "{tried} runs");
    let (_, tried) = shrink(plan, 5, fails);
    assert_eq!(tried, 5);
}
