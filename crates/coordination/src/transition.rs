//! When a rescale happens: the phases between a change of resources and the rescale that uses it.
//!
//! The phases, their timers and what each event does in them are those of Flink's
//! `DefaultStateTransitionManager`: `Cooldown → (Idling | Stabilizing)`, `Idling → Stabilizing`,
//! `Stabilizing → (Stabilized | Transitioning)`, `Stabilized → (Idling | Transitioning)`. The states that own a
//! manager say what resources there are ([`Resources`]); it says when to go. A timer belongs to its phase: when
//! the phase changes, it is gone.
//!
//! The waits spare the job restarts. A transition that interrupts nothing has waits of its own, which are none by default.
//!
//! ```
//! use reflow_coordination::transition::{Cost, Manager, Output, PhaseName, Resources, Timeouts, Waits};
//! use reflow_types::Instant;
//! use std::time::Duration;
//!
//! let seconds = Duration::from_secs;
//! let at = |second| Instant(0) + seconds(second);
//! let waits = Waits { cooldown: seconds(10), stabilization: seconds(20) };
//! let timeouts = Timeouts { restart: waits, live: Waits::default(), max_trigger_delay: seconds(60) };
//! let mut manager = Manager::new(timeouts, at(0));
//!
//! // A TaskManager comes just after a rescale. The job could use it, although it would like more.
//! let more = Resources { desired: false, sufficient: true, cost: Cost::Restart };
//! assert_eq!(manager.on_change(at(3), more), []);
//! assert_eq!(manager.phase(), PhaseName::Cooldown);
//!
//! // When the cooldown is over, a checkpoint is asked for. It completes too early: still more TaskManagers may come.
//! assert_eq!(manager.on_tick(at(10), more), [Output::RequestCheckpoint]);
//! assert_eq!(manager.on_trigger(at(11), more), []);
//! assert_eq!(manager.phase(), PhaseName::Stabilizing);
//!
//! // 20 s after the change, merely sufficient resources count too, and the rescale follows the next checkpoint.
//! manager.on_tick(at(23), more);
//! assert_eq!(manager.phase(), PhaseName::Stabilized);
//! assert_eq!(manager.on_trigger(at(24), more), [Output::Transition]);
//! ```

use reflow_types::Instant;
use std::time::Duration;

/// How long the phases last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Before a transition that restarts the job.
    pub restart: Waits,
    /// Before one that does not.
    pub live: Waits,
    /// How long a change waits for a trigger (a complete checkpoint) at most.
    pub max_trigger_delay: Duration,
}

/// How long a transition is held back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// After a rescale, changes are only remembered for this long.
    pub cooldown: Duration,
    /// How long merely sufficient resources must be there before they are used.
    pub stabilization: Duration,
}

/// What a transition interrupts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cost {
    /// The job restarts.
    #[default]
    Restart,
    /// The job runs on.
    Live,
}

/// What a transition at this moment would get, and cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Something would change, and the job would get all that it asks for.
    pub desired: bool,
    /// Something would change, and the job would get as much as it needs.
    pub sufficient: bool,
    pub cost: Cost,
}

/// What the owner is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// See to it that a checkpoint comes soon; its completion is a trigger.
    RequestCheckpoint,
    /// Go. The last output of a manager.
    Transition,
}

/// The name of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseName {
    /// Just after a rescale: changes are remembered.
    Cooldown,
    /// Nothing to do.
    Idling,
    /// A change was seen; goes for the desired resources only.
    Stabilizing,
    /// The change is old enough: goes for sufficient resources.
    Stabilized,
    /// Gone.
    Transitioning,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Cooldown { since: Instant, first_change: Option<Instant> },
    Idling,
    Stabilizing { first_change: Instant, evaluate_at: Option<Instant> },
    Stabilized { evaluate_at: Instant },
    Transitioning,
}

/// The phases of one state of the scheduler.
#[derive(Clone, Debug)]
pub struct Manager {
    timeouts: Timeouts,
    phase: Phase,
    /// That of the resources that were seen last.
    cost: Cost,
}

impl Manager {
    /// Begins with the cooldown, which may be none.
    pub fn new(timeouts: Timeouts, now: Instant) -> Self {
        let phase = if timeouts.restart.cooldown.max(timeouts.live.cooldown).is_zero() {
            Phase::Idling
        } else {
            Phase::Cooldown { since: now, first_change: None }
        };
        Self { timeouts, phase, cost: Cost::Restart }
    }

    /// The current phase.
    pub fn phase(&self) -> PhaseName {
        match self.phase {
            Phase::Cooldown { .. } => PhaseName::Cooldown,
            Phase::Idling => PhaseName::Idling,
            Phase::Stabilizing { .. } => PhaseName::Stabilizing,
            Phase::Stabilized { .. } => PhaseName::Stabilized,
            Phase::Transitioning => PhaseName::Transitioning,
        }
    }

    /// Resources or requirements have changed; `resources` is how they are now.
    pub fn on_change(&mut self, now: Instant, resources: Resources) -> Vec<Output> {
        let mut outputs = self.on_tick(now, resources);
        match &mut self.phase {
            Phase::Cooldown { first_change, .. } => {
                if resources.sufficient {
                    first_change.get_or_insert(now);
                }
                // The cooldown of a live rescale may be over.
                outputs.extend(self.on_tick(now, resources));
            }
            Phase::Idling => {
                if resources.sufficient {
                    self.stabilize(now, now, &mut outputs);
                }
            }
            Phase::Stabilizing { evaluate_at, .. } => {
                evaluate_at.get_or_insert(now + self.timeouts.max_trigger_delay);
                outputs.push(Output::RequestCheckpoint);
            }
            Phase::Stabilized { .. } | Phase::Transitioning => {}
        }
        outputs
    }

    /// A good moment: a checkpoint is complete, or there is nothing to wait for.
    pub fn on_trigger(&mut self, now: Instant, resources: Resources) -> Vec<Output> {
        let mut outputs = self.on_tick(now, resources);
        match &mut self.phase {
            Phase::Stabilizing { evaluate_at, .. } => {
                *evaluate_at = None;
                if resources.desired {
                    self.transition(&mut outputs);
                }
            }
            Phase::Stabilized { .. } => self.evaluate_stabilized(resources, &mut outputs),
            Phase::Cooldown { .. } | Phase::Idling | Phase::Transitioning => {}
        }
        outputs
    }

    /// Lets every timer act that is due.
    pub fn on_tick(&mut self, now: Instant, resources: Resources) -> Vec<Output> {
        let mut outputs = Vec::new();
        self.cost = resources.cost;
        while self.next_wakeup().is_some_and(|due| due <= now) {
            self.expire(now, resources, &mut outputs);
        }
        outputs
    }

    /// When the next timer is due.
    pub fn next_wakeup(&self) -> Option<Instant> {
        match self.phase {
            Phase::Cooldown { since, first_change } => {
                // Without a change it is not known what one would cost.
                let waits = if first_change.is_some() { self.waits() } else { self.timeouts.restart };
                Some(since + waits.cooldown)
            }
            Phase::Stabilizing { first_change, evaluate_at } => {
                let stabilized = first_change + self.waits().stabilization;
                Some(evaluate_at.map_or(stabilized, |at| at.min(stabilized)))
            }
            Phase::Stabilized { evaluate_at } => Some(evaluate_at),
            Phase::Idling | Phase::Transitioning => None,
        }
    }

    fn waits(&self) -> Waits {
        match self.cost {
            Cost::Restart => self.timeouts.restart,
            Cost::Live => self.timeouts.live,
        }
    }

    /// One timer of the current phase is due.
    fn expire(&mut self, now: Instant, resources: Resources, outputs: &mut Vec<Output>) {
        match &mut self.phase {
            Phase::Cooldown { first_change: None, .. } => self.phase = Phase::Idling,
            Phase::Cooldown { first_change: Some(first), .. } => {
                let first = *first;
                self.stabilize(first, now, outputs);
            }
            Phase::Stabilizing { evaluate_at, .. } if evaluate_at.is_some_and(|at| at <= now) => {
                *evaluate_at = None;
                if resources.desired {
                    self.transition(outputs);
                }
            }
            Phase::Stabilizing { first_change, .. } => {
                let evaluate_at = *first_change + self.timeouts.max_trigger_delay;
                self.phase = Phase::Stabilized { evaluate_at };
                outputs.push(Output::RequestCheckpoint);
            }
            Phase::Stabilized { .. } => self.evaluate_stabilized(resources, outputs),
            Phase::Idling | Phase::Transitioning => {}
        }
    }

    fn stabilize(&mut self, first_change: Instant, now: Instant, outputs: &mut Vec<Output>) {
        let evaluate_at = Some(now + self.timeouts.max_trigger_delay);
        self.phase = Phase::Stabilizing { first_change, evaluate_at };
        outputs.push(Output::RequestCheckpoint);
    }

    fn evaluate_stabilized(&mut self, resources: Resources, outputs: &mut Vec<Output>) {
        if resources.sufficient {
            self.transition(outputs);
        } else {
            self.phase = Phase::Idling;
        }
    }

    fn transition(&mut self, outputs: &mut Vec<Output>) {
        self.phase = Phase::Transitioning;
        outputs.push(Output::Transition);
    }
}

#[cfg(test)]
#[path = "transition_tests.rs"]
mod tests;
