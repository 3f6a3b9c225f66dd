//! The liveness check: whether a job makes progress once it is left alone.
//!
//! The bounds depend on progress, not on the amount of work: the time since the job last made progress counts,
//! not its total time. Progress is that a split is read further than ever before, or that more output is
//! committed.

use crate::faults::RescalePhase;
use crate::watch::Watch;
use crate::world::Time;
use std::time::Duration;

/// The longest time that a job that is left alone may make no progress.
pub const NO_PROGRESS: Duration = Duration::from_secs(600);
/// The longest time that a checkpoint may be under way. It is aborted after 20 s, and the attempt may have to end
/// after that.
pub const CHECKPOINT: Duration = Duration::from_secs(60);
/// The longest time that key groups may be handed over.
pub const HAND_OVER: Duration = Duration::from_secs(60);

/// Checks for work without progress.
#[derive(Debug, Default)]
pub struct Liveness {
    best: u64,
    /// The time of the last progress.
    came_forward: Time,
    /// The longest times seen so far, in the order of the bounds.
    pub longest: [Time; 3],
}

impl Liveness {
    /// Reports the job's progress as a number. A larger number than before is progress.
    pub fn progress(&mut self, now: Time, reached: u64) {
        if reached > self.best || self.came_forward == 0 {
            (self.best, self.came_forward) = (reached, now);
        }
    }

    /// The time at which the job counts as stalled, unless it makes progress before.
    pub fn deadline(&self, calm_since: Time) -> Time {
        self.came_forward.max(calm_since) + NO_PROGRESS.as_micros() as Time
    }

    /// The violation if something has lasted too long in a cluster that is left alone since `calm_since`.
    pub fn look(&mut self, now: Time, calm_since: Time, watch: &Watch) -> Option<String> {
        let lasted = |since: Time| now - since.max(calm_since).min(now);
        self.longest[0] = self.longest[0].max(lasted(self.came_forward));
        if let Some((checkpoint, since)) = watch.under_way() {
            self.longest[1] = self.longest[1].max(lasted(since));
            if lasted(since) > CHECKPOINT.as_micros() as Time {
                return Some(format!("checkpoint {checkpoint} has been under way for {CHECKPOINT:?}"));
            }
        }
        if let (phase @ (RescalePhase::CutTriggered | RescalePhase::HandingOver), since) = watch.phase(now) {
            self.longest[2] = self.longest[2].max(lasted(since));
            if lasted(since) > HAND_OVER.as_micros() as Time {
                return Some(format!("a live rescale has been in phase {phase:?} for {HAND_OVER:?}"));
            }
        }
        None
    }
}
