//! How often outside things go wrong, and how often they did.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The chances of faults that may strike at any moment. Chaos turns them up and down.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// A storage request fails, and nothing was done.
    pub store_error: f64,
    /// A storage request is done, but answered with an error.
    pub store_error_although_done: f64,
    /// A storage request takes seconds.
    pub store_slow: f64,
    /// What is read from a damageable object has a bit flipped.
    pub store_bit_flip: f64,
    /// Nothing can be written.
    pub disk_full: bool,
    /// A frame takes up to a second, and what follows it on its connection as well.
    pub frame_slow: f64,
}

/// A kind of fault, as counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are what they are")]
pub enum FaultKind {
    TaskManagerStarted,
    TaskManagerStopped,
    TaskManagerDrained,
    RequirementsChanged,
    TaskManagerKilled,
    ExecutorKilled,
    JobManagerKilled,
    JobManagerStopped,
    Partition,
    Freeze,
    StoreError,
    StoreErrorAlthoughDone,
    StoreSlow,
    StoreBitFlip,
    DiskFull,
    FrameSlow,
    FramesLost,
    RequestLost,
}

/// Where a live rescale is, as the executors hear of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RescalePhase {
    /// There is none.
    #[default]
    None,
    /// Another graph is prepared.
    Prepare,
    /// What the last checkpoint adds is read.
    CatchUp,
    /// From the trigger of the cut to the commit.
    Cut,
}

/// What the job has under way: written by the workload, read when a fault strikes. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Probe(Arc<AtomicU64>);

impl Probe {
    /// Records have left the source.
    pub fn emitted(&self, records: u64) {
        self.0.fetch_add(records, Ordering::Relaxed);
    }

    /// Output was committed.
    pub fn committed(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Whether records have left the source since output was last committed.
    pub fn in_flight(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// Counts the faults of a run.
#[derive(Clone, Debug, Default)]
pub struct Strikes {
    probe: Probe,
    /// Where a live rescale is.
    pub phase: RescalePhase,
    counts: BTreeMap<FaultKind, Count>,
    in_phases: BTreeMap<(FaultKind, RescalePhase), u64>,
}

/// How often a kind of fault struck.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// At all.
    pub total: u64,
    /// While records were in flight.
    pub in_flight: u64,
}

impl Strikes {
    /// No fault so far.
    pub fn new(probe: Probe) -> Self {
        Self { probe, ..Self::default() }
    }

    /// A fault strikes.
    pub fn strike(&mut self, kind: FaultKind) {
        let count = self.counts.entry(kind).or_default();
        count.total += 1;
        count.in_flight += u64::from(self.probe.in_flight());
        if self.phase != RescalePhase::None {
            *self.in_phases.entry((kind, self.phase)).or_default() += 1;
        }
    }

    /// How often each kind struck in each phase of a live rescale.
    pub fn in_phases(&self) -> &BTreeMap<(FaultKind, RescalePhase), u64> {
        &self.in_phases
    }

    /// Whether any fault has struck with records in flight.
    pub fn any_in_flight(&self) -> bool {
        self.counts.values().any(|count| count.in_flight > 0)
    }

    /// All counts.
    pub fn counts(&self) -> &BTreeMap<FaultKind, Count> {
        &self.counts
    }
}
