//! Errors in a configuration. A user has to fix them, so every text names the key, the place, and what to write
//! instead.

use std::path::PathBuf;

use crate::source::Source;

/// An error in a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No option has this key.
    #[error("unknown option `{key}` ({origin}){}", did_you_mean(.suggestion.as_deref()))]
    UnknownKey {
        /// The key as it was written.
        key: String,
        /// The most similar known key, if there is one.
        suggestion: Option<String>,
        /// Where it was set.
        origin: Source,
    },
    /// The value is not valid for the option.
    #[error("invalid value `{value}` for `{key}` ({origin}); expected {expected}")]
    BadValue {
        /// The key as it was written.
        key: String,
        /// The value, or asterisks if it is secret.
        value: String,
        /// A description of valid values.
        expected: String,
        /// Where it was set.
        origin: Source,
    },
    /// A secret was given as an argument, where every user of the machine can read it.
    #[error(
        "`{key}` is a secret, and arguments are visible to every user of the machine: set it in config.yaml, or as a \
         line `{key}: …` of the environment variable REFLOW_PROPERTIES"
    )]
    SecretInArguments {
        /// The key as it was written.
        key: String,
    },
    /// An option was set twice in one source.
    #[error("`{first}` ({first_origin}) and `{second}` ({second_origin}) set the same option; keep one")]
    SetTwice {
        /// The key of the first, as it was written.
        first: String,
        /// Where the first was set.
        first_origin: Source,
        /// The key of the second, as it was written.
        second: String,
        /// Where the second was set.
        second_origin: Source,
    },
    /// Flink has this option and Reflow does not, and the job would behave differently without it.
    #[error("`{key}: {value}` ({origin}) is an option of Flink that Reflow does not have: {reason}")]
    Unsupported {
        key: String,
        value: String,
        /// The reason, and what to do.
        reason: &'static str,
        /// Where it was set.
        origin: Source,
    },
    /// Two options contradict each other.
    #[error("`{key}` is {value}, but `{other_key}` is {other_value}: {rule}")]
    Contradiction {
        /// The first option.
        key: &'static str,
        value: String,
        /// The second option.
        other_key: &'static str,
        other_value: String,
        /// What must hold between them.
        rule: &'static str,
    },
    /// A text that does not have the form of an option.
    #[error("`{text}` ({origin}) is not an option; write `{form}`")]
    NotAnOption {
        text: String,
        /// The expected form.
        form: &'static str,
        /// Where it was set.
        origin: Source,
    },
    /// The file is not YAML, or not of keys and values.
    #[error("{}:{line}: {message}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1; 0 if unknown.
        line: u64,
        /// The error.
        message: String,
    },
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {error}; check --config-dir", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        error: std::io::Error,
    },
    /// Several errors.
    #[error("{} problems in the configuration:{}", .0.len(), listed(.0))]
    Several(
        /// The problems, in the order in which they were found; at least two.
        Vec<ConfigError>,
    ),
}

impl ConfigError {
    /// One error for all `problems`; `Ok` if there are none.
    pub(crate) fn check(mut problems: Vec<ConfigError>) -> Result<(), ConfigError> {
        match problems.len() {
            0 => Ok(()),
            1 => Err(problems.remove(0)),
            _ => Err(ConfigError::Several(problems)),
        }
    }
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|key| format!("; did you mean `{key}`?")).unwrap_or_default()
}

fn listed(problems: &[ConfigError]) -> String {
    problems.iter().map(|problem| format!("\n  - {problem}")).collect()
}
