//! Restart strategies: whether a failed job restarts, and after which delay.
//!
//! The strategies and their arithmetic are Flink's. The jitter of the exponential delay is computed from a seed, so that a
//! run of the simulator can be repeated.

use reflow_types::{Instant, splitmix64};
use std::collections::VecDeque;
use std::time::Duration;

/// `restart-strategy.type` with its options.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Strategy {
    /// The first failure fails the job.
    None,
    /// A number of restarts, each after the same delay.
    FixedDelay {
        /// How many restarts.
        attempts: u32,
        /// The delay.
        delay: Duration,
    },
    /// The delay grows with each failure and is reset after a long time without one.
    ExponentialDelay {
        /// The first delay.
        initial: Duration,
        /// The longest delay.
        max: Duration,
        /// The factor from one delay to the next.
        multiplier: f64,
        /// The time without a failure after which the delay is reset.
        reset_threshold: Duration,
        /// The share by which a delay is varied, 0 to 1.
        jitter: f64,
        /// The number of restarts until the reset.
        attempts: u32,
    },
    /// Restarts unless failures are too frequent.
    FailureRate {
        /// The most failures in the interval.
        max_failures: u32,
        interval: Duration,
        /// The time before each restart.
        delay: Duration,
    },
}

/// What has failed, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A process of a running job is lost. Another one can replace it at once.
    LostExecutor,
    /// Anything else.
    Failure,
}

/// What restarts after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failover {
    /// The regions that it concerns, if they can restart alone.
    Region,
    /// The job.
    Full,
}

/// When a job restarts after the loss of an executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostExecutorRestart {
    /// At once.
    Immediate,
    /// After the strategy's delay, because the user set that.
    Delayed,
}

/// The decision about a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The job restarts.
    Restart {
        /// After this time.
        after: Duration,
    },
    /// The job fails.
    GiveUp {
        /// The rule that decided it.
        rule: String,
    },
}

/// The restarts of one job.
#[derive(Clone, Debug)]
pub struct Restarts {
    strategy: Strategy,
    lost_executor: LostExecutorRestart,
    seed: u64,
    failures: u32,
    backoff: Duration,
    recent: VecDeque<Instant>,
}

impl Restarts {
    /// The restarts of a job without failures so far.
    pub fn new(strategy: Strategy, lost_executor: LostExecutorRestart, seed: u64) -> Self {
        Self { strategy, lost_executor, seed, failures: 0, backoff: Duration::ZERO, recent: VecDeque::new() }
    }

    /// The strategy.
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// Counts a failure and decides.
    pub fn on_failure(&mut self, now: Instant, cause: Cause) -> Verdict {
        let verdict = match self.strategy {
            Strategy::None => Verdict::GiveUp { rule: "restart-strategy.type is none".into() },
            Strategy::FixedDelay { attempts, delay } => self.fixed(attempts, delay),
            Strategy::ExponentialDelay { .. } => self.exponential(now),
            Strategy::FailureRate { max_failures, interval, delay } => {
                self.rate(now, max_failures, interval, delay)
            }
        };
        match verdict {
            Verdict::Restart { .. }
                if cause == Cause::LostExecutor && self.lost_executor == LostExecutorRestart::Immediate =>
            {
                Verdict::Restart { after: Duration::ZERO }
            }
            verdict => verdict,
        }
    }

    fn fixed(&mut self, attempts: u32, delay: Duration) -> Verdict {
        if self.failures >= attempts {
            let rule = format!("restart-strategy.fixed-delay.attempts ({attempts}) are used up");
            return Verdict::GiveUp { rule };
        }
        self.failures += 1;
        Verdict::Restart { after: delay }
    }

    fn exponential(&mut self, now: Instant) -> Verdict {
        let Strategy::ExponentialDelay { initial, max, multiplier, reset_threshold, jitter, attempts } =
            self.strategy
        else {
            unreachable!("only called for the exponential delay")
        };
        let quiet = self.recent.back().is_none_or(|last| now.since(*last) >= reset_threshold + self.backoff);
        if quiet {
            self.failures = 0;
        }
        self.recent.clear();
        self.recent.push_back(now);
        if self.failures >= attempts {
            let rule = format!(
                "restart-strategy.exponential-delay.attempts-before-reset-backoff ({attempts}) are used up"
            );
            return Verdict::GiveUp { rule };
        }
        self.backoff = if self.failures == 0 { initial } else { self.backoff.mul_f64(multiplier) }.min(max);
        let swing = jitter * (2.0 * self.uniform() - 1.0);
        self.failures += 1;
        Verdict::Restart { after: self.backoff.mul_f64(1.0 + swing).min(max) }
    }

    fn rate(&mut self, now: Instant, most: u32, interval: Duration, delay: Duration) -> Verdict {
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|first| now.since(*first) > interval) {
            self.recent.pop_front();
        }
        if self.recent.len() > most as usize {
            let rule = format!(
                "restart-strategy.failure-rate.max-failures-per-interval ({most} in {interval:?}) is exceeded"
            );
            return Verdict::GiveUp { rule };
        }
        Verdict::Restart { after: delay }
    }

    /// A number from 0 to 1 that is computed from the seed and the number of earlier failures.
    fn uniform(&self) -> f64 {
        let drawn = splitmix64::nth(self.seed, u64::from(self.failures));
        (drawn >> 11) as f64 / (1u64 << 53) as f64
    }
}

impl std::fmt::Display for Strategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Strategy::None => f.write_str("none"),
            Strategy::FixedDelay { attempts, delay } => {
                write!(f, "fixed delay: {attempts} restarts, {delay:?} before each")
            }
            Strategy::ExponentialDelay { initial, max, multiplier, .. } => {
                write!(f, "exponential delay: from {initial:?} to {max:?}, times {multiplier}")
            }
            Strategy::FailureRate { max_failures, interval, delay } => {
                write!(
                    f,
                    "failure rate: {max_failures} failures in {interval:?}, {delay:?} before each restart"
                )
            }
        }
    }
}

#[cfg(test)]
#[path = "restart_tests.rs"]
mod tests;
