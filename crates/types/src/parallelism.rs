//! Max parallelism: the number of key groups of a vertex.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The number of key groups of a vertex and so its largest parallelism, 1 to 32768.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct MaxParallelism(u32);

/// A max parallelism outside 1 … 32768.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("max parallelism {0} is out of range: it must be from 1 to 32768")]
pub struct MaxParallelismError(pub u32);

impl MaxParallelism {
    /// 2^15, as in Flink. The default in reactive mode.
    pub const UPPER_BOUND: MaxParallelism = MaxParallelism(1 << 15);
    /// The default outside reactive mode.
    pub const DEFAULT: MaxParallelism = MaxParallelism(4096);

    /// Checks the bounds.
    pub fn new(groups: u32) -> Result<Self, MaxParallelismError> {
        if (1..=Self::UPPER_BOUND.0).contains(&groups) {
            Ok(Self(groups))
        } else {
            Err(MaxParallelismError(groups))
        }
    }

    /// The number of key groups.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for MaxParallelism {
    type Error = MaxParallelismError;
    fn try_from(groups: u32) -> Result<Self, MaxParallelismError> {
        Self::new(groups)
    }
}

impl From<MaxParallelism> for u32 {
    fn from(max: MaxParallelism) -> u32 {
        max.0
    }
}

impl fmt::Display for MaxParallelism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_flinks() {
        assert!(MaxParallelism::new(0).is_err());
        assert!(MaxParallelism::new(1).is_ok());
        assert!(MaxParallelism::new(32768).is_ok());
        let error = MaxParallelism::new(32769).unwrap_err();
        assert_eq!(error.to_string(), "max parallelism 32769 is out of range: it must be from 1 to 32768");
    }
}
