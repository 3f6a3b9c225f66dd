//! Random numbers.

use reflow_sim::Rng;

#[test]
fn numbers_stay_within_and_reach_both_ends() {
    let mut rng = Rng::new(7);
    let drawn: Vec<u64> = (0..1000).map(|_| rng.within(3..=5)).collect();
    assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&3), Some(&5)));
    assert!((0..1000).all(|_| (1..=32768).contains(&rng.skewed(1..=32768))));
    assert!(!rng.chance(0.0) && rng.chance(1.0));
}
