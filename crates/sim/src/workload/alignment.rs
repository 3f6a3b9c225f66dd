//! Aligned splits, of which none is read further than a limit ahead of the slowest, as in sources that align
//! event time.
//!
//! If an operator stops reading one of its inputs, aligned splits soon have no records for the others either, so
//! the job stalls, which is detected. Without alignment, it would read the others to their end first and then
//! continue.

use crate::rng::Rng;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The largest number of splits of a workload.
const SPLITS: usize = 8;

/// The positions of a workload's splits, and their limit. Clones share it.
#[derive(Clone, Debug)]
pub struct Alignment {
    most_ahead: u64,
    /// The furthest position of each split, so that an attempt that begins from a checkpoint need not wait for it
    /// again.
    reached: Arc<[AtomicU64; SPLITS]>,
}

impl Alignment {
    /// An alignment with a random distance.
    pub(super) fn random(rng: &mut Rng) -> Self {
        Self { most_ahead: rng.skewed(10..=200), reached: Arc::default() }
    }

    /// A split was read up to `position`.
    pub(super) fn reached(&self, split: u32, position: u64) {
        self.reached[split as usize].fetch_max(position, Ordering::Relaxed);
    }

    /// The position up to which any split may be read now.
    pub(super) fn limit(&self, splits: u32) -> u64 {
        let reached = self.reached[..splits as usize].iter().map(|reached| reached.load(Ordering::Relaxed));
        reached.min().unwrap_or_default() + self.most_ahead
    }
}
