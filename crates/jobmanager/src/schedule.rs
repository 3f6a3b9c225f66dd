//! The scheduler's settings, derived from the options.

use crate::layout::Layout;
use crate::settings::StartMode;
use reflow_config::{Config, ConfigOption, FailoverStrategy, RestartStrategy, Source, options};
use reflow_coordination::checkpoint::fallback::AllowReplay;
use reflow_coordination::requirements::SchedulerMode;
use reflow_coordination::restart::{Failover, LostExecutorRestart};
use reflow_coordination::restore::UnclaimedState;
use reflow_coordination::transition::Waits;
use reflow_coordination::{checkpoint, restart, scheduler};
use reflow_types::{JobId, LeaderEpoch, MaxParallelism};
use std::time::Duration;

/// The scheduler's settings for a job.
pub(crate) fn settings(
    config: &Config,
    layout: &Layout,
    job: JobId,
    epoch: LeaderEpoch,
    start: StartMode,
) -> scheduler::Settings {
    let max_parallelism = MaxParallelism::new(options::MAX_PARALLELISM.get(config));
    let (restart, delay_key) = strategy(config);
    scheduler::Settings {
        mode: if config.is_reactive() { SchedulerMode::Reactive } else { SchedulerMode::Default },
        default_parallelism: options::DEFAULT_PARALLELISM.get(config),
        default_max_parallelism: max_parallelism.expect("the option has the bounds of a max parallelism"),
        resource_wait_timeout: options::RESOURCE_WAIT_TIMEOUT.get(config),
        resource_stabilization_timeout: options::RESOURCE_STABILIZATION_TIMEOUT.get(config),
        restart_waits: Waits {
            cooldown: options::EXECUTING_COOLDOWN_AFTER_RESCALING.get(config),
            stabilization: options::EXECUTING_RESOURCE_STABILIZATION_TIMEOUT.get(config),
        },
        live_waits: Waits {
            cooldown: set_by_user(config, &options::EXECUTING_COOLDOWN_AFTER_RESCALING),
            stabilization: set_by_user(config, &options::EXECUTING_RESOURCE_STABILIZATION_TIMEOUT),
        },
        max_checkpoint_failures: options::RESCALE_TRIGGER_MAX_CHECKPOINT_FAILURES.get(config),
        max_trigger_delay: options::RESCALE_TRIGGER_MAX_DELAY.get(config),
        active_checkpoint: options::RESCALE_TRIGGER_ACTIVE_CHECKPOINT.get(config),
        drain_timeout: options::DRAIN_TIMEOUT.get(config),
        live_rescale: options::LIVE_RESCALE.get(config),
        cancellation_timeout: options::TASK_CANCELLATION_TIMEOUT.get(config),
        failover: match options::FAILOVER_STRATEGY.get(config) {
            FailoverStrategy::Region => Failover::Region,
            FailoverStrategy::Full => Failover::Full,
        },
        restart,
        lost_executor: match delay_key {
            Some(key) if *config.source(key) != Source::Default => LostExecutorRestart::Delayed,
            _ => LostExecutorRestart::Immediate,
        },
        restart_seed: job.0 as u64 ^ epoch.0,
        exception_history_size: options::WEB_EXCEPTION_HISTORY_SIZE.get(config) as usize,
        rescale_history_size: options::WEB_RESCALE_HISTORY_SIZE.get(config) as usize,
        unclaimed_state: unclaimed_state(config),
        allow_replay: allow_replay(config, start),
        checkpoints: checkpoint::Settings {
            interval: options::CHECKPOINT_INTERVAL.get(config),
            timeout: options::CHECKPOINT_TIMEOUT.get(config),
            min_pause: options::CHECKPOINT_MIN_PAUSE.get(config),
            tolerable_failures: options::CHECKPOINT_TOLERABLE_FAILURES.get(config),
            retained: options::CHECKPOINT_NUM_RETAINED.get(config) as usize,
            job_dir: layout.job_dir(job).0,
            keep_on_cancellation: false,
            max_operator_bytes: checkpoint::MAX_OPERATOR_BYTES,
            history: options::WEB_CHECKPOINTS_HISTORY.get(config) as usize,
        },
    }
}

/// A wait that the user has set; none by default.
fn set_by_user(config: &Config, option: &ConfigOption<Duration>) -> Duration {
    match config.source(option.key()) {
        Source::Default => Duration::ZERO,
        _ => option.get(config),
    }
}

/// What becomes of state that the job does not have.
pub(crate) fn unclaimed_state(config: &Config) -> UnclaimedState {
    if options::STATE_RECOVERY_IGNORE_UNCLAIMED.get(config) {
        UnclaimedState::Drop
    } else {
        UnclaimedState::Refuse
    }
}

/// Whether output that sinks have committed may be written again.
pub(crate) fn allow_replay(config: &Config, start: StartMode) -> AllowReplay {
    match (options::STATE_RECOVERY_ALLOW_REPLAY.get(config), start.allow_replay) {
        (true, _) => AllowReplay::Always,
        (false, true) => AllowReplay::AtStart,
        (false, false) => AllowReplay::No,
    }
}

/// The restart strategy, and the key of its delay.
fn strategy(config: &Config) -> (restart::Strategy, Option<&'static str>) {
    match config.restart_strategy() {
        RestartStrategy::None => (restart::Strategy::None, None),
        RestartStrategy::FixedDelay => {
            let attempts = options::FIXED_DELAY_ATTEMPTS.get(config);
            let delay = options::FIXED_DELAY.get(config);
            (restart::Strategy::FixedDelay { attempts, delay }, Some(options::FIXED_DELAY.key()))
        }
        RestartStrategy::ExponentialDelay => {
            let strategy = restart::Strategy::ExponentialDelay {
                initial: options::EXPONENTIAL_DELAY_INITIAL_BACKOFF.get(config),
                max: options::EXPONENTIAL_DELAY_MAX_BACKOFF.get(config),
                multiplier: options::EXPONENTIAL_DELAY_MULTIPLIER.get(config),
                reset_threshold: options::EXPONENTIAL_DELAY_RESET_THRESHOLD.get(config),
                jitter: options::EXPONENTIAL_DELAY_JITTER.get(config),
                attempts: options::EXPONENTIAL_DELAY_ATTEMPTS.get(config),
            };
            (strategy, Some(options::EXPONENTIAL_DELAY_INITIAL_BACKOFF.key()))
        }
        RestartStrategy::FailureRate => {
            let strategy = restart::Strategy::FailureRate {
                max_failures: options::FAILURE_RATE_MAX_FAILURES.get(config),
                interval: options::FAILURE_RATE_INTERVAL.get(config),
                delay: options::FAILURE_RATE_DELAY.get(config),
            };
            (strategy, Some(options::FAILURE_RATE_DELAY.key()))
        }
    }
}

/// The description of the restart strategy, as in Flink's REST API.
pub(crate) fn strategy_in_words(strategy: &restart::Strategy) -> String {
    let ms = |duration: &std::time::Duration| duration.as_millis();
    match strategy {
        restart::Strategy::None => "Restart deactivated.".to_owned(),
        restart::Strategy::FixedDelay { attempts, delay } => {
            format!("Restart with fixed delay ({} ms). #{attempts} restart attempts.", ms(delay))
        }
        restart::Strategy::ExponentialDelay { initial, max, multiplier, .. } => format!(
            "Restart with exponential delay: initial backoff {} ms, at most {} ms, multiplier {multiplier}.",
            ms(initial),
            ms(max)
        ),
        restart::Strategy::FailureRate { max_failures, interval, delay } => format!(
            "Restart with failure rate: at most {max_failures} failures within {} ms, delay {} ms.",
            ms(interval),
            ms(delay)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> scheduler::Settings {
        let config = Config::from_pairs(pairs.iter().copied()).unwrap();
        let layout = Layout::new(&reflow_env::Location("/c".into()), "default", "job");
        settings(&config, &layout, JobId(1), LeaderEpoch(2), StartMode::default())
    }

    #[test]
    fn the_quick_starts_options_arrive() {
        let settings = of(&[
            ("restart-strategy", "fixeddelay"),
            ("restart-strategy.fixed-delay.attempts", "100000"),
            ("jobmanager.scheduler", "adaptive"),
            ("scheduler-mode", "reactive"),
        ]);
        let delay = Duration::from_secs(1);
        assert_eq!(settings.restart, restart::Strategy::FixedDelay { attempts: 100_000, delay });
        assert!(settings.is_reactive());
        assert_eq!(settings.lost_executor, LostExecutorRestart::Immediate);
        assert_eq!(settings.default_max_parallelism.get(), 32_768);
        assert_eq!(settings.checkpoints.interval, Some(Duration::from_secs(1)));
        assert_eq!(settings.checkpoints.job_dir, format!("/c/default/job/{}", JobId(1)));
    }

    #[test]
    fn a_live_rescale_waits_only_as_the_user_says() {
        let seconds = Duration::from_secs;
        let settings = of(&[]);
        assert_eq!(settings.restart_waits, Waits { cooldown: seconds(30), stabilization: seconds(60) });
        assert_eq!(settings.live_waits, Waits::default());
        let set = "jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling";
        assert_eq!(of(&[(set, "7 s")]).live_waits, Waits { cooldown: seconds(7), stabilization: seconds(0) });
    }

    #[test]
    fn a_delay_that_the_user_set_is_known_as_such() {
        let settings =
            of(&[("restart-strategy", "fixeddelay"), ("restart-strategy.fixed-delay.delay", "1 s")]);
        assert_eq!(settings.lost_executor, LostExecutorRestart::Delayed);
    }
}
