//! The three workloads, as functions from an event's index to the event.
//!
//! Being functions of the index, they can be cut into splits at will (a range, or every n-th index), resumed
//! from an offset and generated again for checking. Every contender, a plain loop as well as a job on a
//! cluster, reports its results as an [`Outcome`]; [`Workload::expected`] computes the same by other means.

pub mod keyed_count;
pub mod top_speed;
pub mod tumbling_sum;

use std::{fmt, str::FromStr};

/// The workloads by the names under which their figures are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// `w1`, see [`keyed_count`].
    KeyedCount,
    /// `w2`, see [`tumbling_sum`].
    TumblingSum,
    /// `w3`, see [`top_speed`].
    TopSpeed,
}

impl Workload {
    /// All of them, in the order of publication.
    pub const ALL: [Self; 3] = [Self::KeyedCount, Self::TumblingSum, Self::TopSpeed];

    /// The name in metrics and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::KeyedCount => "w1",
            Self::TumblingSum => "w2",
            Self::TopSpeed => "w3",
        }
    }

    /// What a correct run over the events `0..events` reports.
    ///
    /// Computed key by key or window by window over dense arrays, so that it shares nothing with the
    /// contenders but the generator.
    pub fn expected(self, events: u64) -> Outcome {
        match self {
            Self::KeyedCount => keyed_count::expected(events),
            Self::TumblingSum => tumbling_sum::expected(events),
            Self::TopSpeed => top_speed::expected(events),
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no workload's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown workload `{0}`: use w1, w2 or w3")]
pub struct UnknownWorkload(String);

impl FromStr for Workload {
    type Err = UnknownWorkload;

    fn from_str(name: &str) -> Result<Self, UnknownWorkload> {
        Self::ALL.into_iter().find(|w| w.name() == name).ok_or_else(|| UnknownWorkload(name.to_owned()))
    }
}

/// What a run emitted, folded to two numbers.
///
/// Folding is commutative, so sinks of several subtasks fold on their own and are [merged](Outcome::merge).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How many results were emitted.
    pub results: u64,
    /// The sum of weight times value over all results, modulo 2^64.
    pub checksum: u64,
}

impl Outcome {
    /// Folds in one result. The weight says whose result it is (key, window), so that a right value under
    /// the wrong key is noticed.
    #[inline]
    pub fn add(&mut self, weight: u64, value: u64) {
        self.results += 1;
        self.checksum = self.checksum.wrapping_add(weight.wrapping_mul(value));
    }

    /// Folds in what another sink has seen.
    pub fn merge(&mut self, other: Self) {
        self.results += other.results;
        self.checksum = self.checksum.wrapping_add(other.checksum);
    }
}

/// Output `index`, from 0, of the SplitMix64 generator that starts at 0.
#[inline]
pub const fn splitmix64(index: u64) -> u64 {
    reflow_types::splitmix64::nth(0, index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for workload in Workload::ALL {
            assert_eq!(workload.name().parse(), Ok(workload));
        }
        assert_eq!(
            "w9".parse::<Workload>().unwrap_err().to_string(),
            "unknown workload `w9`: use w1, w2 or w3"
        );
    }

    #[test]
    fn outcomes_merge_as_if_folded_by_one_sink() {
        let (mut whole, mut left, mut right) = (Outcome::default(), Outcome::default(), Outcome::default());
        for (weight, value) in [(1, 5), (2, 7), (u64::MAX, 9)] {
            whole.add(weight, value);
            if weight == 2 { left.add(weight, value) } else { right.add(weight, value) }
        }
        left.merge(right);
        assert_eq!(left, whole);
    }
}
