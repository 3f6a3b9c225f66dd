//! A checked configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::choice::{RestartStrategy, SchedulerMode};
use crate::option::{self, ConfigOption};
use crate::options::{
    self, CHECKPOINT_INTERVAL, RESCALE_TRIGGER_MAX_CHECKPOINT_FAILURES, RESCALE_TRIGGER_MAX_DELAY,
    RESTART_STRATEGY, SCHEDULER_MODE,
};
use crate::source::Source;
use crate::value::{OptionType, Value};

/// The text that is shown instead of a secret.
pub(crate) const HIDDEN: &str = "******";

/// All options with their values. Read a value by the option's entry in the table:
/// `options::REST_PORT.get(&config)`.
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

/// An option with its effective value, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
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

    fn value(&self, key: &'static str) -> &Value {
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

    /// All options with their effective values, in the order of the reference page.
    pub fn effective(&self) -> impl Iterator<Item = Effective> + '_ {
        options::all().map(|spec| {
            let Entry { value, text, source } = self.entry(spec.key);
            let shown = if spec.secret { HIDDEN } else { text.as_str() };
            let value = (*value != Value::None || !text.is_empty()).then(|| shown.to_owned());
            Effective { key: spec.key, value, source: source.clone() }
        })
    }

    /// The options that were set, secrets included, and those that depend on where this process runs, as the text
    /// of [`PROPERTIES_VARIABLE`](crate::PROPERTIES_VARIABLE). It passes a configuration to a child process without
    /// secrets in its arguments.
    pub fn to_properties(&self) -> String {
        let handed_on = options::all().map(|spec| (spec, self.entry(spec.key))).filter(|(spec, entry)| {
            let is_local =
                matches!(spec.default, option::Default::InHome(_) | option::Default::TemporaryDirectory);
            entry.source != Source::Default || is_local
        });
        handed_on.map(|(spec, entry)| format!("{}: {}\n", spec.key, entry.text)).collect()
    }

    /// Whether the job runs in reactive mode.
    pub fn is_reactive(&self) -> bool {
        SCHEDULER_MODE.get(self) == Some(SchedulerMode::Reactive)
    }

    /// The effective restart strategy. If none is set, it is `exponential-delay` with checkpoints and `none`
    /// without.
    pub fn restart_strategy(&self) -> RestartStrategy {
        RESTART_STRATEGY.get(self).unwrap_or(match CHECKPOINT_INTERVAL.get(self) {
            Some(_) => RestartStrategy::ExponentialDelay,
            None => RestartStrategy::None,
        })
    }

    /// The effective longest time that a rescale waits for a checkpoint: see [`RESCALE_TRIGGER_MAX_DELAY`].
    pub fn rescale_trigger_max_delay(&self) -> Duration {
        RESCALE_TRIGGER_MAX_DELAY.get(self).unwrap_or_else(|| match CHECKPOINT_INTERVAL.get(self) {
            Some(interval) => {
                interval.saturating_mul(RESCALE_TRIGGER_MAX_CHECKPOINT_FAILURES.get(self).saturating_add(1))
            }
            None => Duration::ZERO,
        })
    }
}

impl<T: OptionType> ConfigOption<T> {
    /// The option's value in `config`.
    pub fn get(&self, config: &Config) -> T {
        T::from_value(config.value(self.key())).expect("a Config holds a value of each option's type")
    }
}

impl fmt::Debug for Config {
    /// The options that were set, without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = self.effective().filter(|option| option.source != Source::Default);
        f.debug_map().entries(set.map(|option| (option.key, option.value))).finish()
    }
}
