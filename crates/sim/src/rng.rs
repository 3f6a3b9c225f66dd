//! Random numbers from a seed, which are the same on every machine and in every release.

use reflow_types::splitmix64;
use std::ops::RangeInclusive;

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A separate stream for one purpose, so that drawing more numbers for it changes nothing elsewhere.
    pub fn fork(&self, purpose: &str) -> Self {
        Self(self.0 ^ xxhash_rust::xxh3::xxh3_64(purpose.as_bytes()))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        splitmix64::next(&mut self.0)
    }

    /// A number of the range, uniformly distributed.
    pub fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (low, high) = range.into_inner();
        debug_assert!(low <= high, "an empty range has no number");
        match (high - low).checked_add(1) {
            Some(count) => low + ((u128::from(self.bits()) * u128::from(count)) >> 64) as u64,
            None => self.bits(),
        }
    }

    /// A number of the range whose order of magnitude is uniform: mostly small, sometimes large.
    pub fn skewed(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (low, high) = (range.start().max(&1), *range.end());
        let magnitude = self.within(u64::from(low.ilog2())..=u64::from(high.ilog2()));
        self.within(1 << magnitude..=(2 << magnitude) - 1).clamp(*range.start(), high)
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        ((self.bits() >> 11) as f64) < probability * (1u64 << 53) as f64
    }

    /// A random element.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let last = from.len().checked_sub(1)?;
        from.get(self.within(0..=last as u64) as usize)
    }
}
