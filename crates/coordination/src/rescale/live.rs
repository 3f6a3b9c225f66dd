//! The course of a live rescale: its phases, what was migrated, and how long records waited.

use reflow_protocol::rescale::Installation;
use reflow_types::{GraphVersion, Instant};
use std::time::Duration;

/// A phase of a live rescale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LivePhase {
    /// The graph is made; a checkpoint is awaited from which it can be prepared.
    Plan,
    /// Executors build what is new, and read the state that moves.
    Prepare,
    /// A fresh checkpoint is taken, and they read what it adds.
    CatchUp,
    /// The barrier with the new graph flows, and key groups are handed over.
    Cut,
    /// The new graph is in effect; who leaves commits what it has.
    Commit,
}

impl LivePhase {
    /// Its name, as REST has it.
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

/// When a phase was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhaseSpan {
    /// Which.
    pub phase: LivePhase,
    /// When it began.
    pub entered: Instant,
    /// When it was over; `None` while it lasts.
    pub left: Option<Instant>,
}

/// How a live rescale ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveOutcome {
    /// The job runs on the new graph.
    Committed,
    /// Before its cut; the job runs on as it did.
    GivenUp { reason: String },
    /// The attempt ended first, or what set it off was gone.
    Interrupted,
}

/// A live rescale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// The graph that it leads to.
    pub version: GraphVersion,
    /// Its phases so far, in order.
    pub phases: Vec<PhaseSpan>,
    /// Key groups that change their owner.
    pub groups_moved: u64,
    /// Key groups that stay where they are.
    pub groups_kept: u64,
    /// Bytes that old owners handed over to new ones.
    pub bytes_handed_over: u64,
    /// Records that waited for their key group.
    pub records_parked: u64,
    /// The longest time for which a key group was nobody's.
    pub longest_pause: Duration,
    /// How it ended; `None` while under way.
    pub outcome: Option<LiveOutcome>,
}

impl Live {
    /// One whose graph is made.
    pub fn new(now: Instant, version: GraphVersion, groups_moved: u64, groups_kept: u64) -> Self {
        Self {
            version,
            phases: vec![PhaseSpan { phase: LivePhase::Plan, entered: now, left: None }],
            groups_moved,
            groups_kept,
            bytes_handed_over: 0,
            records_parked: 0,
            longest_pause: Duration::ZERO,
            outcome: None,
        }
    }

    /// The next phase begins.
    pub fn enter(&mut self, now: Instant, phase: LivePhase) {
        self.leave(now);
        self.phases.push(PhaseSpan { phase, entered: now, left: None });
    }

    /// A subtask has all of its groups.
    pub fn installed(&mut self, installation: &Installation) {
        self.bytes_handed_over += installation.bytes;
        self.records_parked += installation.parked;
        self.longest_pause = self.longest_pause.max(Duration::from_micros(installation.pause_us));
    }

    /// Whether there is no way back.
    pub fn has_cut(&self) -> bool {
        self.phases.last().is_some_and(|span| span.phase >= LivePhase::Cut)
    }

    /// It ends with this outcome, unless it has been abandoned before.
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
