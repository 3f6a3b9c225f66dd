//! Options of restart strategies.

use std::time::Duration;

use super::section::{Section, section};
use crate::choice::RestartStrategy;
use crate::option::{ConfigOption, option};

section! { "Restart strategy" {
    /// Whether and when a failed job is restarted. Unset: `exponential-delay` with checkpoints, `none`
    /// without.
    RESTART_STRATEGY: Option<RestartStrategy> =
        option("restart-strategy.type").aliases(&["restart-strategy"]);

    /// `fixed-delay`: how often the job is restarted before it fails for good.
    FIXED_DELAY_ATTEMPTS: u32 =
        option("restart-strategy.fixed-delay.attempts").default("1").between(0, i32::MAX as i64);

    /// `fixed-delay`: the time before each restart.
    FIXED_DELAY: Duration = option("restart-strategy.fixed-delay.delay").default("1 s");

    /// `exponential-delay`: the time before the first restart.
    EXPONENTIAL_DELAY_INITIAL_BACKOFF: Duration =
        option("restart-strategy.exponential-delay.initial-backoff").default("1 s");

    /// `exponential-delay`: the longest time before a restart.
    EXPONENTIAL_DELAY_MAX_BACKOFF: Duration =
        option("restart-strategy.exponential-delay.max-backoff").default("1 min");

    /// `exponential-delay`: the factor by which the time is multiplied after each failure.
    EXPONENTIAL_DELAY_MULTIPLIER: f64 =
        option("restart-strategy.exponential-delay.backoff-multiplier")
            .default("1.5")
            .between_floats(1.0, f64::INFINITY);

    /// `exponential-delay`: how long the job must run without a failure before the time is reset to its initial
    /// value.
    EXPONENTIAL_DELAY_RESET_THRESHOLD: Duration =
        option("restart-strategy.exponential-delay.reset-backoff-threshold").default("1 h");

    /// `exponential-delay`: the share of the time by which it is varied randomly, so that jobs that failed together
    /// do not restart together.
    EXPONENTIAL_DELAY_JITTER: f64 =
        option("restart-strategy.exponential-delay.jitter-factor").default("0.1").between_floats(0.0, 1.0);

    /// `exponential-delay`: how often the job is restarted before it fails for good. The count is reset with the
    /// time.
    EXPONENTIAL_DELAY_ATTEMPTS: u32 =
        option("restart-strategy.exponential-delay.attempts-before-reset-backoff")
            .default("2147483647")
            .between(0, i32::MAX as i64);

    /// `failure-rate`: how many failures within the interval are tolerated.
    FAILURE_RATE_MAX_FAILURES: u32 =
        option("restart-strategy.failure-rate.max-failures-per-interval")
            .default("1")
            .between(1, i32::MAX as i64);

    /// `failure-rate`: the interval in which failures are counted.
    FAILURE_RATE_INTERVAL: Duration =
        option("restart-strategy.failure-rate.failure-rate-interval").default("1 min");

    /// `failure-rate`: the time before each restart.
    FAILURE_RATE_DELAY: Duration = option("restart-strategy.failure-rate.delay").default("1 s");
}}
