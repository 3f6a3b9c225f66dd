//! Restart strategies.

use super::*;

fn at(seconds: u64) -> Instant {
    Instant(0) + Duration::from_secs(seconds)
}

/// Returns the delays in seconds after a series of failures, or `x` if the strategy gives up.
fn check(strategy: Strategy, failures: &[(u64, Cause)], expected: &str) {
    let mut restarts = Restarts::new(strategy, LostExecutorRestart::Immediate, 7);
    let shown: Vec<String> = failures
        .iter()
        .map(|(second, cause)| match restarts.on_failure(at(*second), *cause) {
            Verdict::Restart { after } => format!("{}", after.as_secs_f64()),
            Verdict::GiveUp { .. } => "x".into(),
        })
        .collect();
    assert_eq!(shown.join(" "), expected, "{strategy}");
}

const FAILURE: Cause = Cause::Failure;
const SECOND: Duration = Duration::from_secs(1);

fn exponential(jitter: f64) -> Strategy {
    Strategy::ExponentialDelay {
        initial: SECOND,
        max: 5 * SECOND,
        multiplier: 2.0,
        reset_threshold: 100 * SECOND,
        jitter,
        attempts: 5,
    }
}

#[test]
fn none_gives_up() {
    check(Strategy::None, &[(0, FAILURE)], "x");
    check(Strategy::None, &[(0, Cause::LostExecutor)], "x");
}

#[test]
fn fixed_delay_counts() {
    let strategy = Strategy::FixedDelay { attempts: 2, delay: 3 * SECOND };
    check(strategy, &[(0, FAILURE), (900, FAILURE), (9000, FAILURE)], "3 3 x");
}

#[test]
fn exponential_delay_grows_up_to_its_bound_and_counts() {
    let five: Vec<_> = (0..6).map(|i| (i, FAILURE)).collect();
    check(exponential(0.0), &five, "1 2 4 5 5 x");
}

#[test]
fn exponential_delay_starts_anew_after_a_quiet_time() {
    check(exponential(0.0), &[(0, FAILURE), (10, FAILURE), (111, FAILURE), (300, FAILURE)], "1 2 4 1");
}

#[test]
fn jitter_varies_the_delay_within_its_share_and_repeatably() {
    let delays = |seed| {
        let mut restarts = Restarts::new(exponential(0.5), LostExecutorRestart::Immediate, seed);
        (0..3).map(|i| restarts.on_failure(at(i), FAILURE)).collect::<Vec<_>>()
    };
    assert_eq!(delays(1), delays(1));
    assert_ne!(delays(1), delays(2));
    for (verdict, base) in delays(3).iter().zip([1.0, 2.0, 4.0]) {
        let Verdict::Restart { after } = verdict else { panic!("gave up") };
        assert!((base * 0.5..=base * 1.5).contains(&after.as_secs_f64()), "{after:?} around {base}");
    }
}

#[test]
fn failure_rate_looks_at_an_interval() {
    let strategy = Strategy::FailureRate { max_failures: 2, interval: 10 * SECOND, delay: SECOND };
    check(strategy, &[(0, FAILURE), (5, FAILURE), (11, FAILURE), (12, FAILURE)], "1 1 1 x");
}

#[test]
fn a_lost_executor_is_replaced_at_once_unless_the_user_set_a_delay() {
    let strategy = Strategy::FixedDelay { attempts: 2, delay: 3 * SECOND };
    check(strategy, &[(0, Cause::LostExecutor), (1, FAILURE), (2, Cause::LostExecutor)], "0 3 x");
    let mut configured = Restarts::new(strategy, LostExecutorRestart::Delayed, 7);
    let verdict = configured.on_failure(at(0), Cause::LostExecutor);
    assert_eq!(verdict, Verdict::Restart { after: 3 * SECOND });
}
