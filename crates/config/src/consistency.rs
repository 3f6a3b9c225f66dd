//! The consistency check: rules that involve several options.

use crate::choice::{HighAvailability, TaskManagerProvider, Termination};
use crate::config::Config;
use crate::error::ConfigError;
use crate::option::ConfigOption;
use crate::options::{
    ADOPTION_TIMEOUT, AUTOSCALER_ENABLED, AUTOSCALER_MAX_TASK_MANAGERS, AUTOSCALER_MAX_UTILIZATION,
    AUTOSCALER_MIN_TASK_MANAGERS, AUTOSCALER_PROVIDER, AUTOSCALER_SCALE_TARGET, AUTOSCALER_TARGET,
    DEFAULT_PARALLELISM, EXPONENTIAL_DELAY_INITIAL_BACKOFF, EXPONENTIAL_DELAY_MAX_BACKOFF,
    HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT, HIGH_AVAILABILITY, JOB_MANAGER_TERMINATION, KUBERNETES_CLUSTER_ID,
    KUBERNETES_LEASE_DURATION, KUBERNETES_RETRY_PERIOD, LEASE_DURATION, MAX_PARALLELISM, S3_ACCESS_KEY,
    S3_SECRET_KEY, SECURITY_SSL_REST_AUTHENTICATION_ENABLED, SECURITY_SSL_REST_ENABLED,
};
use crate::value::OptionType;
use std::time::Duration;

/// The shortest lease of a JobManager.
const SHORTEST_LEASE: Duration = Duration::from_millis(300);

/// All contradictions in `config`.
pub(crate) fn check(config: &Config) -> Vec<ConfigError> {
    let mut problems = Vec::new();
    let mut require = |holds: bool, problem: ConfigError| {
        if !holds {
            problems.push(problem);
        }
    };
    require(
        HEARTBEAT_TIMEOUT.get(config) > HEARTBEAT_INTERVAL.get(config),
        contradiction(
            config,
            &HEARTBEAT_TIMEOUT,
            &HEARTBEAT_INTERVAL,
            "the timeout must be longer than the interval",
        ),
    );
    require(
        EXPONENTIAL_DELAY_MAX_BACKOFF.get(config) >= EXPONENTIAL_DELAY_INITIAL_BACKOFF.get(config),
        contradiction(
            config,
            &EXPONENTIAL_DELAY_MAX_BACKOFF,
            &EXPONENTIAL_DELAY_INITIAL_BACKOFF,
            "the longest time must not be shorter than the first",
        ),
    );
    require(
        DEFAULT_PARALLELISM.get(config) <= MAX_PARALLELISM.get(config),
        contradiction(
            config,
            &DEFAULT_PARALLELISM,
            &MAX_PARALLELISM,
            "it must not exceed the max parallelism",
        ),
    );
    require(
        S3_ACCESS_KEY.get(config).is_some() == S3_SECRET_KEY.get(config).is_some(),
        contradiction(config, &S3_ACCESS_KEY, &S3_SECRET_KEY, "set both or neither"),
    );
    require(
        JOB_MANAGER_TERMINATION.get(config) != Termination::HandOver
            || !ADOPTION_TIMEOUT.get(config).is_zero(),
        contradiction(
            config,
            &JOB_MANAGER_TERMINATION,
            &ADOPTION_TIMEOUT,
            "tasks must process on without a JobManager, or there is nothing to hand over",
        ),
    );
    require(
        AUTOSCALER_TARGET.get(config) <= AUTOSCALER_MAX_UTILIZATION.get(config),
        contradiction(
            config,
            &AUTOSCALER_TARGET,
            &AUTOSCALER_MAX_UTILIZATION,
            "the target must not be above what is too busy",
        ),
    );
    require(
        AUTOSCALER_MIN_TASK_MANAGERS.get(config) <= AUTOSCALER_MAX_TASK_MANAGERS.get(config),
        contradiction(
            config,
            &AUTOSCALER_MIN_TASK_MANAGERS,
            &AUTOSCALER_MAX_TASK_MANAGERS,
            "the least number must not be above the largest",
        ),
    );
    let scales_workload =
        AUTOSCALER_ENABLED.get(config) && AUTOSCALER_PROVIDER.get(config) == TaskManagerProvider::Kubernetes;
    require(
        !scales_workload || AUTOSCALER_SCALE_TARGET.get(config).is_some_and(|target| is_workload(&target)),
        contradiction(
            config,
            &AUTOSCALER_SCALE_TARGET,
            &AUTOSCALER_PROVIDER,
            "name the TaskManagers' workload, `deployment/NAME` or `statefulset/NAME`",
        ),
    );
    let leases = HIGH_AVAILABILITY.get(config) == HighAvailability::Storage;
    require(
        !leases || LEASE_DURATION.get(config) >= SHORTEST_LEASE,
        contradiction(
            config,
            &LEASE_DURATION,
            &HIGH_AVAILABILITY,
            "a lease in storage must last for 300 ms at least, or it cannot be renewed in time",
        ),
    );
    let in_kubernetes = HIGH_AVAILABILITY.get(config) == HighAvailability::Kubernetes;
    let lease = KUBERNETES_LEASE_DURATION.get(config);
    require(
        !in_kubernetes || (!lease.is_zero() && lease.subsec_nanos() == 0),
        contradiction(
            config,
            &KUBERNETES_LEASE_DURATION,
            &HIGH_AVAILABILITY,
            "a Lease of Kubernetes lasts for whole seconds",
        ),
    );
    require(
        !in_kubernetes
            || (KUBERNETES_RETRY_PERIOD.get(config) * 2 <= lease
                && !KUBERNETES_RETRY_PERIOD.get(config).is_zero()),
        contradiction(
            config,
            &KUBERNETES_RETRY_PERIOD,
            &KUBERNETES_LEASE_DURATION,
            "the Lease must be read twice at least while it lasts",
        ),
    );
    require(
        !in_kubernetes || KUBERNETES_CLUSTER_ID.get(config).is_some_and(|id| is_label(&id)),
        contradiction(
            config,
            &KUBERNETES_CLUSTER_ID,
            &HIGH_AVAILABILITY,
            "the Lease needs a name: at most 45 lower-case letters, digits and `-`, which begin with a letter and do not end \
             with `-`",
        ),
    );
    require(
        !SECURITY_SSL_REST_AUTHENTICATION_ENABLED.get(config) || SECURITY_SSL_REST_ENABLED.get(config),
        contradiction(
            config,
            &SECURITY_SSL_REST_AUTHENTICATION_ENABLED,
            &SECURITY_SSL_REST_ENABLED,
            "clients show certificates only with TLS",
        ),
    );
    problems
}

/// Whether a workload is named as `kubectl scale` takes it. Its name may have dots.
fn is_workload(target: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    target
        .strip_prefix("deployment/")
        .or_else(|| target.strip_prefix("statefulset/"))
        .is_some_and(|name| !name.is_empty() && name.bytes().all(allowed))
}

/// Whether objects of Kubernetes may have names that begin so. The limit is Flink's.
fn is_label(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.len() <= 45
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(allowed)
}

fn contradiction<A: OptionType, B: OptionType>(
    config: &Config,
    one: &'static ConfigOption<A>,
    other: &'static ConfigOption<B>,
    rule: &'static str,
) -> ConfigError {
    ConfigError::Contradiction {
        key: one.key(),
        value: shown(config, one),
        other_key: other.key(),
        other_value: shown(config, other),
        rule,
    }
}

fn shown<T: OptionType>(config: &Config, option: &'static ConfigOption<T>) -> String {
    match config.text(option.key()) {
        "" => "not set".to_owned(),
        _ if option.spec().secret => "set".to_owned(),
        text => text.to_owned(),
    }
}
