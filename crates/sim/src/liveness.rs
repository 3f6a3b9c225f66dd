//! Whether a job comes forward once it is left alone.
//!
//! Bounds follow the work: what counts is the time since the job last came forward, not the time that all of its
//! work takes. It comes forward when a split is read further than ever before, or more output is committed.

use crate::faults::RescalePhase;
use crate::watch::Watch;
use crate::world::Time;
use std::time::Duration;

/// The longest time in which a job that is left alone may not come forward.
pub const NO_PROGRESS: Duration = Duration::from_secs(600);
/// The longest time for which a checkpoint may be under way: it is given up after 20 s, and the attempt may have to be
/// ended after that.
pub const CHECKPOINT: Duration = Duration::from_secs(60);
/// The longest time for which key groups may be on their way to new owners.
pub const HAND_OVER: Duration = Duration::from_secs(60);

/// Watches for work that stands still.
#[derive(Debug, Default)]
pub struct Liveness {
    best: u64,
    /// When the job came forward last.
    came_forward: Time,
    /// The longest times seen so far, in the order of the bounds.
    pub longest: [Time; 3],
}

impl Liveness {
    /// How far the job has come; a larger number than ever is progress.
    pub fn progress(&mut self, now: Time, reached: u64) {
        if reached > self.best || self.came_forward == 0 {
            (self.best, self.came_forward) = (reached, now);
        }
    }

    /// The moment from which on the job stands still, if it does not come forward until then.
    pub fn deadline(&self, calm_since: Time) -> Time {
        self.came_forward.max(calm_since) + NO_PROGRESS.as_micros() as Time
    }

    /// What has lasted too long, of a cluster that is left alone since `calm_since`.
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
