//! Where a live rescale is, as far as frames tell.

use crate::faults::RescalePhase;
use crate::world::Time;
use reflow_protocol::rescale::Preparation;

/// How long a rescale may be planned before the next phase; afterwards none is expected.
const PLAN: Time = 5_000_000;

/// Follows a job's live rescales through their phases.
#[derive(Clone, Copy, Debug, Default)]
pub struct Phases {
    phase: RescalePhase,
    since: Time,
    /// Whether subtasks leave with the rescale at hand.
    leavers: bool,
}

impl Phases {
    /// The phase, and since when.
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

    /// Something has happened after which the job may be rescaled.
    pub fn plan(&mut self, now: Time) {
        if self.now(now).0 == RescalePhase::None {
            (self.phase, self.since) = (RescalePhase::Plan, now);
        }
    }

    /// A graph is to be prepared.
    pub fn prepare(&mut self, now: Time, preparation: &Preparation) {
        let Preparation { former, graph, .. } = preparation;
        self.leavers = former.subtasks().any(|(_, _, subtask)| graph.find(subtask.id).is_none());
        self.enter(now, RescalePhase::Prepare);
    }

    /// What a later checkpoint adds is to be read.
    pub fn catch_up(&mut self, now: Time) {
        self.enter(now, RescalePhase::CatchUp);
    }

    /// The checkpoint of the cut is triggered.
    pub fn cut(&mut self, now: Time) {
        if self.phase != RescalePhase::HandingOver {
            self.enter(now, RescalePhase::CutTriggered);
        }
    }

    /// State goes to its new owner.
    pub fn hand_over(&mut self, now: Time) {
        if self.phase == RescalePhase::CutTriggered {
            self.enter(now, RescalePhase::HandingOver);
        }
    }

    /// All groups are at their new owners.
    pub fn commit(&mut self, now: Time) {
        self.enter(now, RescalePhase::InEffect);
    }

    /// A checkpoint is complete.
    pub fn complete(&mut self, now: Time) {
        match self.phase {
            RescalePhase::InEffect if self.leavers => self.enter(now, RescalePhase::Leaving),
            RescalePhase::InEffect => self.enter(now, RescalePhase::Published),
            // Every executor is told of it, all within a moment.
            RescalePhase::Leaving | RescalePhase::Published if now > self.since + 500_000 => self.end(now),
            _ => {}
        }
    }

    /// The rescale is given up, or the attempt ends.
    pub fn end(&mut self, now: Time) {
        self.enter(now, RescalePhase::None);
    }
}
