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
    /// The first failure is the last.
    None,
    /// So many times, each after the same time.
    FixedDelay {
        /// How many restarts.
        attempts: u32,
        /// The time before each.
        delay: Duration,
    },
    /// After a time that grows with each failure, and is forgotten after a long run without one.
    ExponentialDelay {
        /// The first time.
        initial: Duration,
        /// The longest.
        max: Duration,
        /// From one to the next.
        multiplier: f64,
        /// A run this long without failure starts all over.
        reset_threshold: Duration,
        /// The share by which a time is varied, 0 … 1.
        jitter: f64,
        /// How many restarts until the reset.
        attempts: u32,
    },
    /// As long as failures are rare enough.
    FailureRate {
        /// How many failures the interval may hold.
        max_failures: u32,
        interval: Duration,
        /// The time before each restart.
        delay: Duration,
    },
}

/// What failed, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A process is gone from a job that ran: another may do as well, and at once.
    LostExecutor,
    /// Anything else.
    Failure,
}

/// When a job restarts after the loss of an executor, for which another may do as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostExecutorRestart {
    /// At once.
    Immediate,
    /// After the strategy's delay, because the user set that.
    Delayed,
}

/// What a failure leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Start again.
    Restart {
        /// After this time.
        after: Duration,
    },
    /// The job fails.
    GiveUp {
        /// By which rule.
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
    /// No failure so far.
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

    /// A number from 0 to 1 that follows from the seed and the count of former failures.
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
