//! The arguments of a job as names and values, for a job function that decides at run time which ones it has.

use crate::JobParameters;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

/// The arguments of a job. The same in every process of the job.
///
/// ```
/// use reflow::Args;
/// let args = Args::new(["--rate", "100", "--dry-run"]).unwrap();
/// assert_eq!(args.parse("rate", 1u64).unwrap(), 100);
/// assert_eq!(args.parse("cars", 10u32).unwrap(), 10);
/// assert!(args.flag("dry-run"));
/// ```
#[derive(Debug, Default)]
pub struct Args {
    given: BTreeMap<String, Option<String>>,
    /// The arguments that the job function has read.
    asked: RefCell<BTreeSet<String>>,
}

/// Invalid arguments of a job.
///
/// ```
/// use reflow::Args;
/// use reflow::args::ArgsError;
///
/// let args = Args::new(["--rate", "ten"])?;
/// let error = args.parse("rate", 1u64).unwrap_err();
/// assert!(matches!(error, ArgsError::BadValue { .. }));
/// assert_eq!(error.to_string(), "invalid value 'ten' for --rate: invalid digit found in string");
/// # Ok::<(), ArgsError>(())
/// ```
#[derive(Debug, thiserror::Error)]
pub enum ArgsError {
    /// An argument is neither `--name` nor `--name value`.
    #[error("'{0}' is not an argument of a job: arguments are --name value")]
    Malformed(String),
    /// An argument was given twice.
    #[error("--{0} is given twice")]
    Twice(String),
    /// An argument has no value.
    #[error("--{0} needs a value")]
    NoValue(String),
    /// A value cannot be parsed.
    #[error("invalid value '{value}' for --{name}: {reason}")]
    BadValue {
        /// The argument's name.
        name: String,
        /// The value as it was given.
        value: String,
        /// The reason.
        reason: String,
    },
    /// The job function has not read an argument.
    #[error("the job has no argument --{name}{}", hint(.nearest))]
    Unknown {
        /// The argument's name.
        name: String,
        /// The most similar argument that the job has.
        nearest: Option<String>,
    },
    /// The arguments do not match the type of the job function's parameter.
    #[error(transparent)]
    Mismatch(#[from] clap::Error),
}

fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or(String::new(), |nearest| format!("; did you mean --{nearest}?"))
}

impl Args {
    /// Reads `--name value`, `--name=value` and `--name`.
    pub fn new<S: Into<String>>(arguments: impl IntoIterator<Item = S>) -> Result<Self, ArgsError> {
        let mut given = BTreeMap::new();
        let mut arguments = arguments.into_iter().map(Into::into).peekable();
        while let Some(argument) = arguments.next() {
            let Some(name) = argument.strip_prefix("--").filter(|name| !name.is_empty()) else {
                return Err(ArgsError::Malformed(argument));
            };
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (name.to_owned(), arguments.next_if(|next| !next.starts_with("--"))),
            };
            if given.insert(name.clone(), value).is_some() {
                return Err(ArgsError::Twice(name));
            }
        }
        Ok(Self { given, asked: RefCell::default() })
    }

    /// The text given for `name`, if any.
    ///
    /// ```
    /// let args = reflow::Args::new(["--input", "/data"])?;
    /// assert_eq!(args.get("input")?, Some("/data"));
    /// assert_eq!(args.get("output")?, None);
    /// # Ok::<(), reflow::args::ArgsError>(())
    /// ```
    pub fn get(&self, name: &str) -> Result<Option<&str>, ArgsError> {
        self.asked.borrow_mut().insert(name.to_owned());
        match self.given.get(name) {
            None => Ok(None),
            Some(Some(value)) => Ok(Some(value)),
            Some(None) => Err(ArgsError::NoValue(name.to_owned())),
        }
    }

    /// The value given for `name`, or `default`.
    pub fn parse<T>(&self, name: &str, default: T) -> Result<T, ArgsError>
    where
        T: FromStr,
        T::Err: Display,
    {
        match self.get(name)? {
            None => Ok(default),
            Some(text) => text.parse().map_err(|error: T::Err| ArgsError::BadValue {
                name: name.to_owned(),
                value: text.to_owned(),
                reason: error.to_string(),
            }),
        }
    }

    /// Whether `--name` is given.
    pub fn flag(&self, name: &str) -> bool {
        self.asked.borrow_mut().insert(name.to_owned());
        self.given.contains_key(name)
    }

    /// The arguments as parameters of the job. One without a value is `true`.
    pub(crate) fn parameters(&self) -> JobParameters {
        let given = self.given.iter();
        given.map(|(name, value)| (name.as_str(), value.as_deref().unwrap_or("true"))).collect()
    }

    /// Called after the job function: an argument that it has not read is an error.
    pub(crate) fn check_all_asked(&self) -> Result<(), ArgsError> {
        let asked = self.asked.borrow();
        let Some(name) = self.given.keys().find(|name| !asked.contains(*name)) else { return Ok(()) };
        let near = |known: &&String| strsim::damerau_levenshtein(known, name);
        let nearest = asked.iter().min_by_key(near).filter(|known| near(known) <= 2 + name.len() / 4);
        Err(ArgsError::Unknown { name: name.clone(), nearest: nearest.cloned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            Args::new(["rate"]).unwrap_err().to_string(),
            "'rate' is not an argument of a job: arguments are --name value"
        );
        assert_eq!(Args::new(["--a", "1", "--a=2"]).unwrap_err().to_string(), "--a is given twice");
        let args = Args::new(["--rate", "ten", "--cras", "3", "--empty"]).unwrap();
        assert_eq!(
            args.parse("rate", 1u64).unwrap_err().to_string(),
            "invalid value 'ten' for --rate: invalid digit found in string"
        );
        assert_eq!(args.get("empty").unwrap_err().to_string(), "--empty needs a value");
        assert_eq!(args.parse("cars", 5u8).unwrap(), 5);
        let unknown = args.check_all_asked().unwrap_err();
        assert_eq!(unknown.to_string(), "the job has no argument --cras; did you mean --cars?");
    }
}
