//! The source of a value, for error texts and for the effective configuration.

use std::fmt;
use std::path::PathBuf;

/// The environment variable whose lines of `key: value` override the file, as `FLINK_PROPERTIES` does in
/// Flink's images.
pub const PROPERTIES_VARIABLE: &str = "REFLOW_PROPERTIES";

/// Where a value was set. Ordered by precedence: a greater one overrides a smaller one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Not set.
    Default,
    /// A configuration file.
    File {
        /// The file's path, as it was given.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
    },
    /// The environment variable [`PROPERTIES_VARIABLE`].
    Environment {
        /// The line of the variable, from 1.
        line: u64,
    },
    /// `-Dkey=value` on the command line.
    Argument,
    /// The program itself, by [`Config::from_pairs`](crate::Config::from_pairs).
    Program,
}

impl Source {
    /// Whether both are the same source, apart from the line.
    pub(crate) fn is_beside(&self, other: &Source) -> bool {
        match (self, other) {
            (Source::File { path: one, .. }, Source::File { path: two, .. }) => one == two,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File { path, line } => write!(f, "{}:{line}", path.display()),
            Source::Environment { line } => {
                write!(f, "environment variable {PROPERTIES_VARIABLE}, line {line}")
            }
            Source::Argument => f.write_str("-D"),
            Source::Program => f.write_str("set by the program"),
        }
    }
}
