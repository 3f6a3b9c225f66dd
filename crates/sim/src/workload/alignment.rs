//! Splits that wait for each other: none is read further than so many records ahead of the slowest, as sources do that
//! align their event time.
//!
//! If an operator stops to read one of its inputs, the others soon have nothing for it either: the job stands still,
//! which is seen. Without alignment it would read the others to their end first, and then go on.

use crate::rng::Rng;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// No workload has more splits.
const SPLITS: usize = 8;

/// How far the splits of a workload are, and may be. Clones share it.
#[derive(Clone, Debug)]
pub struct Alignment {
    most_ahead: u64,
    /// Up to where each split was ever read: an attempt that begins from a checkpoint need not wait for it again.
    reached: Arc<[AtomicU64; SPLITS]>,
}

impl Alignment {
    /// With some distance.
    pub(super) fn random(rng: &mut Rng) -> Self {
        Self { most_ahead: rng.skewed(10..=200), reached: Arc::default() }
    }

    /// A split is read up to `position`.
    pub(super) fn reached(&self, split: u32, position: u64) {
        self.reached[split as usize].fetch_max(position, Ordering::Relaxed);
    }

    /// How far any split may be read now.
    pub(super) fn limit(&self, splits: u32) -> u64 {
        let reached = self.reached[..splits as usize].iter().map(|reached| reached.load(Ordering::Relaxed));
        reached.min().unwrap_or_default() + self.most_ahead
    }
}
