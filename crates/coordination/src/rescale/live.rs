//! The course of a live rescale: its phases, what was migrated, and how long records waited.

use reflow_protocol::rescale::Installation;
use reflow_types::{GraphVersion, Instant};
use std::time::Duration;

/// A phase of a live rescale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LivePhase {
    /// The next graph is planned. The rescale waits for a checkpoint from which it can be prepared.
    Plan,
    /// Executors build added tasks and channels, and prefetch the state of incoming key groups.
    Prepare,
    /// The catch-up checkpoint is taken, and its increments are prefetched.
    CatchUp,
    /// The barrier of the cut flows, and key groups are handed over.
    Cut,
    /// The next graph is in effect. Removed subtasks commit their last transactions.
    Commit,
}

impl LivePhase {
    /// Its name in REST.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "PLAN",
            Self::Prepare => "PREPARE",
            Self::CatchUp => "CATCH_UP",
            Self::Cut => "CUT",
            Self::Commit => "COMMIT",
        }
    }
}

/// A phase, with its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhaseSpan {
    /// Which.
    pub phase: LivePhase,
    /// When it began.
    pub entered: Instant,
    /// When it ended; `None` while it lasts.
    pub left: Option<Instant>,
}

/// How much of the state that executors read before the cut they have read, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transferred {
    pub read: u64,
    /// It grows while the state changes.
    pub all: u64,
}

/// The outcome of a live rescale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveOutcome {
    /// The job runs with the next graph.
    Committed,
    /// It was abandoned before its cut. The job runs with the current graph.
    GivenUp { reason: String },
    /// The attempt ended first, or the cause no longer existed.
    Interrupted,
}

/// A live rescale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// The version of the next graph.
    pub version: GraphVersion,
    /// Its phases so far, in order.
    pub phases: Vec<PhaseSpan>,
    /// The number of key groups that change their owner.
    pub groups_moved: u64,
    /// The number of key groups that keep their owner.
    pub groups_kept: u64,
    /// The state that executors read from checkpoints before the cut.
    pub transferred: Transferred,
    /// Bytes that old owners handed over to new ones.
    pub bytes_handed_over: u64,
    /// The number of buffered records.
    pub records_parked: u64,
    /// The longest time for which a key group had no owner.
    pub longest_pause: Duration,
    /// Its outcome; `None` while it is in progress.
    pub outcome: Option<LiveOutcome>,
}

impl Live {
    /// A live rescale whose next graph is planned.
    pub fn new(now: Instant, version: GraphVersion, groups_moved: u64, groups_kept: u64) -> Self {
        Self {
            version,
            phases: vec![PhaseSpan { phase: LivePhase::Plan, entered: now, left: None }],
            groups_moved,
            groups_kept,
            transferred: Transferred::default(),
            bytes_handed_over: 0,
            records_parked: 0,
            longest_pause: Duration::ZERO,
            outcome: None,
        }
    }

    /// Begins the next phase.
    pub fn enter(&mut self, now: Instant, phase: LivePhase) {
        self.leave(now);
        self.phases.push(PhaseSpan { phase, entered: now, left: None });
    }

    /// A subtask has installed its incoming groups.
    pub fn installed(&mut self, installation: &Installation) {
        self.bytes_handed_over += installation.bytes;
        self.records_parked += installation.parked;
        self.longest_pause = self.longest_pause.max(Duration::from_micros(installation.pause_us));
    }

    /// Whether it has cut, so that it cannot be abandoned any more.
    pub fn has_cut(&self) -> bool {
        self.phases.last().is_some_and(|span| span.phase >= LivePhase::Cut)
    }

    /// Ends it with this outcome, unless it was abandoned before.
    pub(super) fn end(&mut self, now: Instant, outcome: LiveOutcome) {
        self.leave(now);
        self.outcome.get_or_insert(outcome);
    }

    fn leave(&mut self, now: Instant) {
        if let Some(last) = self.phases.last_mut() {
            last.left.get_or_insert(now);
        }
    }
}
