//! What can be wrong with a configuration. All of it is the user's to mend, so every text names the key,
//! the place, and what to write instead.

use std::path::PathBuf;

use crate::source::Source;

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No option has this key.
    #[error("unknown option `{key}` ({origin}){}", did_you_mean(.suggestion.as_deref()))]
    UnknownKey {
        /// The key as it was written.
        key: String,
        /// The nearest known key, if any is near.
        suggestion: Option<String>,
        /// Where it stands.
        origin: Source,
    },
    /// The value does not fit the option.
    #[error("`{value}` is no value for `{key}` ({origin}); expected {expected}")]
    BadValue {
        /// The key as it was written.
        key: String,
        /// The value, or asterisks if it is secret.
        value: String,
        /// What the option takes.
        expected: String,
        /// Where it stands.
        origin: Source,
    },
    /// A secret was given where every user of the machine can read it.
    #[error(
        "`{key}` is a secret, and arguments are visible to every user of the machine: set it in config.yaml, or as a \
         line `{key}: …` of the environment variable REFLOW_PROPERTIES"
    )]
    SecretInArguments {
        /// The key as it was written.
        key: String,
    },
    /// One option was set twice in one place.
    #[error("`{first}` ({first_origin}) and `{second}` ({second_origin}) set the same option; keep one")]
    SetTwice {
        /// The key of the first, as it was written.
        first: String,
        /// Where the first stands.
        first_origin: Source,
        /// The key of the second, as it was written.
        second: String,
        /// Where the second stands.
        second_origin: Source,
    },
    /// Flink has this option, Reflow does not, and ignoring it would change what happens.
    #[error("`{key}: {value}` ({origin}) is an option of Flink that Reflow does not have: {reason}")]
    Unsupported {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// Why, and what to do.
        reason: &'static str,
        /// Where it stands.
        origin: Source,
    },
    /// Two options contradict each other.
    #[error("`{key}` is {value}, but `{other_key}` is {other_value}: {rule}")]
    Contradiction {
        /// The first option.
        key: &'static str,
        /// Its value.
        value: String,
        /// The second option.
        other_key: &'static str,
        /// Its value.
        other_value: String,
        /// What must hold between them.
        rule: &'static str,
    },
    /// Not of the form that the place asks for.
    #[error("`{text}` ({origin}) is not an option; write `{form}`")]
    NotAnOption {
        /// What stands there.
        text: String,
        /// What should.
        form: &'static str,
        /// Where it stands.
        origin: Source,
    },
    /// The file is not YAML, or not of keys and values.
    #[error("{}:{line}: {message}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1; 0 if unknown.
        line: u64,
        /// What the reader found.
        message: String,
    },
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {error}; check --config-dir", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// More than one thing is wrong.
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
