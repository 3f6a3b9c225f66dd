//! The parameters of a job: names and texts that all of its functions can read.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

/// The parameters of a job, as texts by name: its arguments, and what the job function adds. They are the same in every
/// process of the job.
///
/// ```
/// use reflow_types::JobParameters;
///
/// let parameters = JobParameters::from_iter([("rate", "100"), ("dry-run", "true")]);
/// assert_eq!(parameters.get("rate"), Some("100"));
/// assert_eq!(parameters.parse("rate", 1u64).unwrap(), 100);
/// assert_eq!(parameters.parse("cars", 10u32).unwrap(), 10);
/// assert!(parameters.parse("dry-run", false).unwrap());
/// assert_eq!(parameters.iter().collect::<Vec<_>>(), [("dry-run", "true"), ("rate", "100")]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct JobParameters(Arc<BTreeMap<String, String>>);

/// A parameter whose text is no value of the type that a function asks for.
///
/// ```
/// use reflow_types::{BadParameter, JobParameters};
///
/// let parameters = JobParameters::from_iter([("rate", "ten")]);
/// let BadParameter { name, value, .. } = parameters.parse("rate", 1u64).unwrap_err();
/// assert_eq!((name.as_str(), value.as_str()), ("rate", "ten"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid value '{value}' for the job's parameter {name}: {reason}")]
pub struct BadParameter {
    /// The parameter's name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The reason.
    pub reason: String,
}

impl JobParameters {
    /// The text of a parameter, if the job has it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of a parameter, or `default` if the job does not have it.
    pub fn parse<T>(&self, name: &str, default: T) -> Result<T, BadParameter>
    where
        T: FromStr,
        T::Err: Display,
    {
        let Some(text) = self.get(name) else { return Ok(default) };
        text.parse().map_err(|error: T::Err| BadParameter {
            name: name.to_owned(),
            value: text.to_owned(),
            reason: error.to_string(),
        })
    }

    /// All parameters, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<N: Into<String>, V: Into<String>> Extend<(N, V)> for JobParameters {
    /// Adds parameters. One that is there already gets the new value.
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, parameters: I) {
        let added = parameters.into_iter().map(|(name, value)| (name.into(), value.into()));
        Arc::make_mut(&mut self.0).extend(added);
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for JobParameters {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(parameters: I) -> Self {
        let mut all = Self::default();
        all.extend(parameters);
        all
    }
}

impl From<BTreeMap<String, String>> for JobParameters {
    fn from(parameters: BTreeMap<String, String>) -> Self {
        Self(Arc::new(parameters))
    }
}

impl From<JobParameters> for BTreeMap<String, String> {
    fn from(parameters: JobParameters) -> Self {
        Arc::unwrap_or_clone(parameters.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_another_type_is_named() {
        let mut parameters = JobParameters::from_iter([("rate", "ten")]);
        assert_eq!(
            parameters.parse("rate", 1u64).unwrap_err().to_string(),
            "invalid value 'ten' for the job's parameter rate: invalid digit found in string"
        );
        parameters.extend([("rate", "10")]);
        assert_eq!(parameters.parse("rate", 1u64), Ok(10));
        assert_eq!(parameters.iter().collect::<Vec<_>>(), [("rate", "10")]);
    }
}
