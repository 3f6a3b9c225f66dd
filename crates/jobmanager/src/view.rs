//! The published [`ClusterView`], which is built from the scheduler, the members and the metrics.

mod job;
mod members;
mod rescales;

use crate::leader::Leader;
use crate::schedule::strategy_in_words;
use reflow_config::{Config, options};
use reflow_types::{Instant, JobId};
use reflow_view::{ClusterView, ExecutionConfigView};
use std::collections::BTreeMap;

/// The parts that do not change while the process runs.
pub(crate) struct Frame {
    configuration: BTreeMap<String, String>,
    cancel_enabled: bool,
    rescale_enabled: bool,
    default_parallelism: u32,
    args: Vec<String>,
}

impl Frame {
    pub(crate) fn new(config: &Config, args: &[String]) -> Self {
        let shown = config.effective().filter_map(|option| Some((option.key.to_owned(), option.value?)));
        Self {
            configuration: shown.collect(),
            cancel_enabled: options::WEB_CANCEL_ENABLE.get(config),
            rescale_enabled: options::WEB_RESCALE_ENABLE.get(config),
            default_parallelism: options::DEFAULT_PARALLELISM.get(config),
            args: args.to_vec(),
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

    /// The view of the cluster and its job.
    pub(crate) fn leading(&self, now: Instant, job: JobId, leader: &Leader) -> ClusterView {
        let scheduler = leader.scheduler.view();
        let config = ExecutionConfigView {
            restart_strategy: strategy_in_words(&scheduler.settings.restart),
            parallelism: self.default_parallelism,
            user_config: self.user_config(),
        };
        ClusterView {
            task_managers: members::view(job, leader),
            jobs: vec![job::view(now, job, leader, config)],
            ..self.starting(now)
        }
    }

    /// The job's arguments in the form in which Flink shows parameters: `--key value`.
    fn user_config(&self) -> BTreeMap<String, String> {
        let keys = self.args.iter().enumerate().filter(|(_, arg)| arg.starts_with("--"));
        let value = |index: usize| self.args.get(index + 1).filter(|arg| !arg.starts_with("--"));
        keys.map(|(index, key)| match key[2..].split_once('=') {
            Some((key, value)) => (key.to_owned(), value.to_owned()),
            None => (key[2..].to_owned(), value(index).cloned().unwrap_or_default()),
        })
        .collect()
    }
}
