//! How often outside things go wrong, and how often they did.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The chances of faults that may strike at any moment. Chaos turns them up and down.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// A storage request fails, and nothing was done.
    pub store_error: f64,
    /// A storage request is done, but answered with an error.
    pub store_error_although_done: f64,
    /// A storage request takes seconds.
    pub store_slow: f64,
    /// What is read from a damageable object has a bit flipped: once, or from then on until somebody puts it back.
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
    JobManagerReplaced,
    SavepointTaken,
    JobStopped,
    JobCanceled,
    ObjectsDeleted,
    UserCodeFailed,
    Partition,
    Freeze,
    StoreError,
    StoreErrorAlthoughDone,
    StoreSlow,
    StoreBitFlip,
    StoreDamage,
    DiskFull,
    FrameSlow,
    FramesLost,
    RequestLost,
}

impl FaultKind {
    /// Those that a user or an administrator does on purpose: no attempt may fail from them. Stopping a TaskManager is
    /// none, as the second SIGTERM does not wait.
    pub fn is_planned(self) -> bool {
        matches!(
            self,
            Self::TaskManagerStarted
                | Self::TaskManagerDrained
                | Self::RequirementsChanged
                | Self::SavepointTaken
                | Self::JobStopped
                | Self::JobCanceled
        )
    }
}

/// Where a live rescale is, as the executors hear of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RescalePhase {
    /// There is none.
    #[default]
    None,
    /// An executor has come, or one is to go, and no graph is prepared yet.
    Plan,
    /// Another graph is prepared.
    Prepare,
    /// What the last checkpoint adds is read.
    CatchUp,
    /// The checkpoint with the cut is triggered.
    CutTriggered,
    /// State is on its way to new owners.
    HandingOver,
    /// The new graph is in effect, and no complete checkpoint holds it yet.
    InEffect,
    /// A complete checkpoint holds the new graph.
    Published,
    /// As `Published`, and subtasks of the former graph have to leave.
    Leaving,
}

impl RescalePhase {
    /// All phases of a live rescale, in order.
    pub const ALL: [Self; 8] = [
        Self::Plan,
        Self::Prepare,
        Self::CatchUp,
        Self::CutTriggered,
        Self::HandingOver,
        Self::InEffect,
        Self::Published,
        Self::Leaving,
    ];
}

/// What a JobManager is doing that takes several steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Nothing of the kind.
    #[default]
    None,
    /// It becomes the leader and deploys its first attempt.
    Start,
    /// It suspends the job, or stops it with a savepoint.
    Stop,
    /// It takes a savepoint.
    Savepoint,
    /// The job has reached its end.
    End,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Start, Self::Stop, Self::Savepoint, Self::End];
}

/// What the job has under way: written by the workload, read when a fault strikes. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    emitted: Arc<AtomicU64>,
    /// Up to where each split was ever read, several splits in one place.
    reached: Arc<[AtomicU64; 8]>,
    /// Splits keep their last record.
    held: Arc<AtomicBool>,
    /// Calls of user code until it fails next, and how often it has failed; 0 calls: it does not.
    until_failure: Arc<AtomicU64>,
    user_failures: Arc<AtomicU64>,
}

impl Probe {
    /// A record has left the source: the split is read up to `position`.
    pub fn emitted(&self, split: u32, position: u64) {
        self.emitted.fetch_add(1, Ordering::Relaxed);
        self.reached[split as usize % self.reached.len()].fetch_max(position, Ordering::Relaxed);
    }

    /// From here on splits do not come to their end.
    pub fn hold_end(&self) {
        self.held.store(true, Ordering::Relaxed);
    }

    /// Splits come to their end.
    pub fn let_end(&self) {
        self.held.store(false, Ordering::Relaxed);
    }

    /// Whether a split keeps its last record.
    pub fn holds_end(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    /// User code fails at its `calls`th call from here.
    pub fn fail_after(&self, calls: u64) {
        self.until_failure.store(calls, Ordering::Relaxed);
    }

    /// User code is called; says whether it has to fail.
    pub fn called(&self) -> bool {
        let before = self.until_failure.load(Ordering::Relaxed);
        self.until_failure.store(before.saturating_sub(1), Ordering::Relaxed);
        self.user_failures.fetch_add(u64::from(before == 1), Ordering::Relaxed);
        before == 1
    }

    /// How often user code has failed.
    pub fn user_failures(&self) -> u64 {
        self.user_failures.load(Ordering::Relaxed)
    }

    /// Output was committed.
    pub fn committed(&self) {
        self.emitted.store(0, Ordering::Relaxed);
    }

    /// Whether records have left the source since output was last committed.
    pub fn in_flight(&self) -> bool {
        self.emitted.load(Ordering::Relaxed) > 0
    }

    /// How far the splits were ever read: grows only when a record is read for the first time.
    pub fn reached(&self) -> u64 {
        self.reached.iter().map(|reached| reached.load(Ordering::Relaxed)).sum()
    }
}

/// Counts the faults of a run.
#[derive(Clone, Debug, Default)]
pub struct Strikes {
    probe: Probe,
    /// Where a live rescale is.
    pub phase: RescalePhase,
    /// What the JobManager is at.
    pub step: Step,
    counts: BTreeMap<FaultKind, Count>,
    in_phases: BTreeMap<(FaultKind, RescalePhase), u64>,
    at_steps: BTreeMap<(FaultKind, Step), u64>,
    disruptions: u64,
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
        self.disruptions += u64::from(!kind.is_planned());
        if self.step != Step::None {
            *self.at_steps.entry((kind, self.step)).or_default() += 1;
        }
        if self.phase != RescalePhase::None {
            *self.in_phases.entry((kind, self.phase)).or_default() += 1;
        }
    }

    /// How often each kind struck in each phase of a live rescale.
    pub fn in_phases(&self) -> &BTreeMap<(FaultKind, RescalePhase), u64> {
        &self.in_phases
    }

    /// How often each kind struck at each step of a JobManager.
    pub fn at_steps(&self) -> &BTreeMap<(FaultKind, Step), u64> {
        &self.at_steps
    }

    /// How many faults have struck from which an attempt may fail.
    pub fn disruptions(&self) -> u64 {
        self.disruptions
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
