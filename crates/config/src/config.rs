//! A configuration that has been checked.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::choice::{RestartStrategy, SchedulerMode};
use crate::option;
use crate::options::{
    self, CHECKPOINT_INTERVAL, RESCALE_TRIGGER_MAX_CHECKPOINT_FAILURES, RESCALE_TRIGGER_MAX_DELAY,
    RESTART_STRATEGY, SCHEDULER_MODE,
};
use crate::source::Source;
use crate::value::Value;

/// What is shown in place of a secret.
pub(crate) const HIDDEN: &str = "******";

/// Every option with its value. Read one by its entry of the table: `options::REST_PORT.get(&config)`.
///
/// # Invariants
/// Each option of the table has exactly one entry, with a value of its kind; [`Value::None`] only where the
/// option may be without one. Options do not contradict each other.
#[derive(Clone)]
pub struct Config {
    entries: BTreeMap<&'static str, Entry>,
}

#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) value: Value,
    pub(crate) text: String,
    pub(crate) source: Source,
}

/// One option as it is in effect, fit to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The key.
    pub key: &'static str,
    /// The value as it was written; a secret is replaced by asterisks. `None` if there is none.
    pub value: Option<String>,
    /// Where it was set.
    pub source: Source,
}

impl Config {
    pub(crate) fn new(entries: BTreeMap<&'static str, Entry>) -> Self {
        Self { entries }
    }

    pub(crate) fn value(&self, key: &'static str) -> &Value {
        &self.entry(key).value
    }

    /// The value of `key` as it was written.
    pub(crate) fn text(&self, key: &'static str) -> &str {
        &self.entry(key).text
    }

    fn entry(&self, key: &'static str) -> &Entry {
        self.entries.get(key).expect("each option of the table has an entry")
    }

    /// Where the option with this key was set.
    pub fn source(&self, key: &'static str) -> &Source {
        &self.entry(key).source
    }

    /// Every option as it is in effect, in the order of the reference page.
    pub fn effective(&self) -> impl Iterator<Item = Effective> + '_ {
        options::all().map(|spec| {
            let Entry { value, text, source } = self.entry(spec.key);
            let shown = if spec.secret { HIDDEN } else { text.as_str() };
            let value = (*value != Value::None || !text.is_empty()).then(|| shown.to_owned());
            Effective { key: spec.key, value, source: source.clone() }
        })
    }

    /// What somebody set, secrets included, and what depends on where this process runs, as the text of
    /// [`PROPERTIES_VARIABLE`](crate::PROPERTIES_VARIABLE): the way to hand a configuration to a child
    /// process without showing secrets in its arguments.
    pub fn to_properties(&self) -> String {
        let handed_on = options::all().map(|spec| (spec, self.entry(spec.key))).filter(|(spec, entry)| {
            let is_local =
                matches!(spec.default, option::Default::InHome(_) | option::Default::TemporaryDirectory);
            entry.source != Source::Default || is_local
        });
        handed_on.map(|(spec, entry)| format!("{}: {}\n", spec.key, entry.text)).collect()
    }

    /// Whether the job always uses all slots.
    pub fn is_reactive(&self) -> bool {
        SCHEDULER_MODE.get(self) == Some(SchedulerMode::Reactive)
    }

    /// The restart strategy in effect: without one, `exponential-delay` with checkpoints and `none` without.
    pub fn restart_strategy(&self) -> RestartStrategy {
        RESTART_STRATEGY.get(self).unwrap_or(match CHECKPOINT_INTERVAL.get(self) {
            Some(_) => RestartStrategy::ExponentialDelay,
            None => RestartStrategy::None,
        })
    }

    /// The longest time that a rescale waits for a checkpoint, in effect: see [`RESCALE_TRIGGER_MAX_DELAY`].
    pub fn rescale_trigger_max_delay(&self) -> Duration {
        RESCALE_TRIGGER_MAX_DELAY.get(self).unwrap_or_else(|| match CHECKPOINT_INTERVAL.get(self) {
            Some(interval) => {
                interval.saturating_mul(RESCALE_TRIGGER_MAX_CHECKPOINT_FAILURES.get(self).saturating_add(1))
            }
            None => Duration::ZERO,
        })
    }
}

impl Default for Config {
    /// Every option at its default.
    fn default() -> Self {
        Self::from_pairs([]).expect("the defaults are valid and do not contradict each other")
    }
}

impl fmt::Debug for Config {
    /// What somebody set, without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = self.effective().filter(|option| option.source != Source::Default);
        f.debug_map().entries(set.map(|option| (option.key, option.value))).finish()
    }
}
