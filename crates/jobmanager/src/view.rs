//! The published [`ClusterView`], which is built from the scheduler, the members and the metrics.

mod job;
mod members;
mod rescales;

use crate::leader::Leader;
use crate::schedule::strategy_in_words;
use reflow_config::{Config, options};
use reflow_coordination::scheduler::Takeover;
use reflow_types::{Instant, JobId};
use reflow_view::{ClusterView, ExecutionConfigView, LeaderChange, LeadershipView, TakeoverView};
use std::collections::BTreeMap;

/// The parts that do not change while the process runs.
pub(crate) struct Frame {
    configuration: BTreeMap<String, String>,
    cancel_enabled: bool,
    rescale_enabled: bool,
    default_parallelism: u32,
}

impl Frame {
    pub(crate) fn new(config: &Config) -> Self {
        let shown = config.effective().filter_map(|option| Some((option.key.to_owned(), option.value?)));
        Self {
            configuration: shown.collect(),
            cancel_enabled: options::WEB_CANCEL_ENABLE.get(config),
            rescale_enabled: options::WEB_RESCALE_ENABLE.get(config),
            default_parallelism: options::DEFAULT_PARALLELISM.get(config),
        }
    }

    /// The view before there is a job.
    pub(crate) fn starting(&self, now: Instant) -> ClusterView {
        ClusterView {
            now_ms: now.as_millis(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            configuration: self.configuration.clone(),
            cancel_enabled: self.cancel_enabled,
            rescale_enabled: self.rescale_enabled,
            ..ClusterView::default()
        }
    }

    /// The view of the cluster and its job, with those parts of the former view that do not change any more.
    pub(crate) fn leading(
        &self,
        now: Instant,
        job: JobId,
        leader: &Leader,
        former: &ClusterView,
    ) -> ClusterView {
        let scheduler = leader.scheduler.view();
        let config = ExecutionConfigView {
            restart_strategy: strategy_in_words(&scheduler.settings.restart),
            parallelism: self.default_parallelism,
            user_config: scheduler.job.parameters.iter().map(shown).collect(),
        };
        ClusterView {
            task_managers: members::view(job, leader),
            jobs: vec![job::view(now, job, leader, config, former.job(job))],
            ..self.starting(now)
        }
    }
}

/// The leaderships of the job, and what became of the attempt that ran under the former leader.
pub(crate) fn leadership(history: &[LeaderChange], leader: &Leader) -> LeadershipView {
    let takeover = leader.scheduler.view().takeover.map(|takeover| match takeover {
        Takeover::Adopted(_) => TakeoverView::Adopted,
        Takeover::NewAttempt { reason, .. } => TakeoverView::Restarted { reason: reason.clone() },
    });
    LeadershipView { changes: history.to_vec(), takeover }
}

/// Parts of the names whose values are not shown; those of Flink.
const SECRET: [&str; 11] = [
    "password",
    "secret",
    "fs.azure.account.key",
    "apikey",
    "api-key",
    "auth-params",
    "service-key",
    "token",
    "basic-auth",
    "jaas.config",
    "http-headers",
];

/// A parameter of the job as users see it.
fn shown((name, value): (&str, &str)) -> (String, String) {
    let lower = name.to_lowercase();
    let is_secret = SECRET.iter().any(|part| lower.contains(part));
    (name.to_owned(), if is_secret { "******" } else { value }.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let owned = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(shown(("rate", "3")), owned("rate", "3"));
        assert_eq!(shown(("db-Password", "xyz")), owned("db-Password", "******"));
    }
}
