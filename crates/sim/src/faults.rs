//! The probabilities of faults, the counts of those that have struck, and the probe that tells what they met.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The probabilities of faults that may strike at any time. The chaos of a run changes them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// A storage request fails without effect.
    pub store_error: f64,
    /// A storage request is carried out but answered with an error.
    pub store_error_although_done: f64,
    /// A storage request takes seconds.
    pub store_slow: f64,
    /// A read of a damageable object returns a flipped bit, once or until the object is repaired.
    pub store_bit_flip: f64,
    /// Whether writes fail.
    pub disk_full: bool,
    /// A frame, and those behind it on its connection, take up to a second.
    pub frame_slow: f64,
    /// A call to a system outside the cluster fails without effect.
    pub call_lost: f64,
    /// A call takes effect, and its answer is lost.
    pub call_answer_lost: f64,
    /// A call takes effect twice.
    pub call_twice: f64,
    /// A call takes up to a minute.
    pub call_slow: f64,
    /// Whether systems outside the cluster refuse connections.
    pub systems_down: bool,
}

/// A kind of fault, for the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    LeaseMeddledWith,
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
    CallLost,
    CallAnswerLost,
    CallTwice,
    CallSlow,
    SystemDown,
}

impl FaultKind {
    /// Whether it concerns only jobs that call a system outside the cluster.
    pub fn is_of_calls(self) -> bool {
        matches!(
            self,
            Self::CallLost | Self::CallAnswerLost | Self::CallTwice | Self::CallSlow | Self::SystemDown
        )
    }

    /// Whether a user or administrator causes it on purpose, so that no attempt may fail from it. Stopping a
    /// TaskManager does not count, because the second SIGTERM does not wait.
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

/// The phase of a live rescale, by the messages to executors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RescalePhase {
    /// There is no live rescale.
    #[default]
    None,
    /// An executor was added or is to be removed, and no graph is prepared yet.
    Plan,
    /// The next graph is being prepared.
    Prepare,
    /// The increments of the catch-up checkpoint are being prefetched.
    CatchUp,
    /// The checkpoint with the cut is triggered.
    CutTriggered,
    /// State is being handed over to new owners.
    HandingOver,
    /// The next graph is in effect but not published.
    InEffect,
    /// A complete checkpoint contains the next graph.
    Published,
    /// As `Published`, and removed subtasks still have to end.
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

/// A task of the JobManager that takes several steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// None of them.
    #[default]
    None,
    /// The JobManager becomes the leader and deploys its first attempt.
    Start,
    /// The JobManager suspends the job or stops it with a savepoint.
    Stop,
    /// The JobManager takes a savepoint.
    Savepoint,
    /// The job is ending.
    End,
}

impl Step {
    /// All steps, in order.
    pub const ALL: [Self; 4] = [Self::Start, Self::Stop, Self::Savepoint, Self::End];
}

/// The progress of the job, which the workload records and faults read. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    emitted: Arc<AtomicU64>,
    /// The furthest position of each split; several splits share an element.
    reached: Arc<[AtomicU64; 8]>,
    /// Whether splits hold back their last record.
    held: Arc<AtomicBool>,
    /// The number of calls of user code until it fails; 0 if it does not fail.
    until_failure: Arc<AtomicU64>,
    user_failures: Arc<AtomicU64>,
}

impl Probe {
    /// The source has emitted a record and read the split up to `position`.
    pub fn emitted(&self, split: u32, position: u64) {
        self.emitted.fetch_add(1, Ordering::Relaxed);
        self.reached[split as usize % self.reached.len()].fetch_max(position, Ordering::Relaxed);
    }

    /// From now on, splits hold back their last record.
    pub fn hold_end(&self) {
        self.held.store(true, Ordering::Relaxed);
    }

    /// From now on, splits reach their end.
    pub fn let_end(&self) {
        self.held.store(false, Ordering::Relaxed);
    }

    /// Whether splits hold back their last record.
    pub fn holds_end(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    /// Makes user code fail at its `calls`th call from now on.
    pub fn fail_after(&self, calls: u64) {
        self.until_failure.store(calls, Ordering::Relaxed);
    }

    /// Counts a call of user code. Returns whether it has to fail.
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

    /// Whether the source has emitted records since output was last committed.
    pub fn in_flight(&self) -> bool {
        self.emitted.load(Ordering::Relaxed) > 0
    }

    /// The sum of the furthest positions, which grows only when a record is read for the first time.
    pub fn reached(&self) -> u64 {
        self.reached.iter().map(|reached| reached.load(Ordering::Relaxed)).sum()
    }
}

/// The counts of faults in a run.
#[derive(Clone, Debug, Default)]
pub struct Strikes {
    probe: Probe,
    /// The phase of the live rescale.
    pub phase: RescalePhase,
    /// The step of the JobManager.
    pub step: Step,
    counts: BTreeMap<FaultKind, Count>,
    in_phases: BTreeMap<(FaultKind, RescalePhase), u64>,
    at_steps: BTreeMap<(FaultKind, Step), u64>,
    disruptions: u64,
}

/// How often a kind of fault has struck.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// In total.
    pub total: u64,
    /// While records were in flight.
    pub in_flight: u64,
}

impl Strikes {
    /// Counts without faults.
    pub fn new(probe: Probe) -> Self {
        Self { probe, ..Self::default() }
    }

    /// Counts a fault.
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

    /// How often each kind has struck in each phase of a live rescale.
    pub fn in_phases(&self) -> &BTreeMap<(FaultKind, RescalePhase), u64> {
        &self.in_phases
    }

    /// How often each kind has struck at each step of a JobManager.
    pub fn at_steps(&self) -> &BTreeMap<(FaultKind, Step), u64> {
        &self.at_steps
    }

    /// The number of faults from which an attempt may fail.
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
