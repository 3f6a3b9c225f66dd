//! The phases of a live rescale, as frames show them.

use crate::faults::RescalePhase;
use crate::world::Time;
use reflow_protocol::rescale::Preparation;

/// The longest time from the cause of a rescale to its preparation. After that, no rescale is expected.
const PLAN: Time = 5_000_000;

/// Tracks the live rescales of a job through their phases.
#[derive(Clone, Copy, Debug, Default)]
pub struct Phases {
    phase: RescalePhase,
    since: Time,
    /// Whether the current rescale removes subtasks.
    leavers: bool,
}

impl Phases {
    /// The phase, and the time of its beginning.
    pub fn now(&self, now: Time) -> (RescalePhase, Time) {
        match self.phase {
            RescalePhase::Plan if now > self.since + PLAN => (RescalePhase::None, self.since + PLAN),
            phase => (phase, self.since),
        }
    }

    fn enter(&mut self, now: Time, phase: RescalePhase) {
        if self.phase != phase {
            (self.phase, self.since) = (phase, now);
        }
    }

    /// Something has happened that may cause a rescale.
    pub fn plan(&mut self, now: Time) {
        if self.now(now).0 == RescalePhase::None {
            (self.phase, self.since) = (RescalePhase::Plan, now);
        }
    }

    /// A preparation was sent.
    pub fn prepare(&mut self, now: Time, preparation: &Preparation) {
        let Preparation { former, graph, .. } = preparation;
        self.leavers = former.subtasks().any(|(_, _, subtask)| graph.find(subtask.id).is_none());
        self.enter(now, RescalePhase::Prepare);
    }

    /// A prefetch of the catch-up checkpoint was sent.
    pub fn catch_up(&mut self, now: Time) {
        self.enter(now, RescalePhase::CatchUp);
    }

    /// The checkpoint of the cut was triggered.
    pub fn cut(&mut self, now: Time) {
        if self.phase != RescalePhase::HandingOver {
            self.enter(now, RescalePhase::CutTriggered);
        }
    }

    /// State was sent to its new owner.
    pub fn hand_over(&mut self, now: Time) {
        if self.phase == RescalePhase::CutTriggered {
            self.enter(now, RescalePhase::HandingOver);
        }
    }

    /// All groups are installed.
    pub fn commit(&mut self, now: Time) {
        self.enter(now, RescalePhase::InEffect);
    }

    /// A checkpoint is complete.
    pub fn complete(&mut self, now: Time) {
        match self.phase {
            RescalePhase::InEffect if self.leavers => self.enter(now, RescalePhase::Leaving),
            RescalePhase::InEffect => self.enter(now, RescalePhase::Published),
            // Every executor gets the message, all within a short time, so only a later one belongs to the next
            // checkpoint.
            RescalePhase::Leaving | RescalePhase::Published if now > self.since + 500_000 => self.end(now),
            _ => {}
        }
    }

    /// The rescale was abandoned, or the attempt ended.
    pub fn end(&mut self, now: Time) {
        self.enter(now, RescalePhase::None);
    }
}
