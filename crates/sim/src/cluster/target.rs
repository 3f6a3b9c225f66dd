//! Targets: faults that are aimed at a given phase of a live rescale.
//!
//! Faults at random moments, and faults that a run has once or twice, would meet a phase that lasts milliseconds
//! only in one of thousands of runs.

use super::{Cluster, Todo};
use crate::chaos::{Objects, Trouble};
use crate::faults::{Faults, RescalePhase};
use crate::rng::Rng;
use crate::scenario::Scenario;
use std::collections::BTreeSet;
use std::time::Duration;

/// The probability that the fault of a scenario is aimed.
const OF_SCENARIO: f64 = 0.8;
/// The probability that a run without such a scenario has aimed faults of the store.
const OF_STORE: f64 = 0.15;
/// How long the probabilities of store faults stay raised. Some reads occur only once in 5 s.
const DISTURBANCE: Duration = Duration::from_secs(6);

/// A phase, and the fault that strikes when a rescale enters it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The phase.
    pub phase: RescalePhase,
    /// What strikes.
    pub strike: Strike,
}

/// What strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// A savepoint is taken.
    Savepoint,
    /// The job is stopped.
    Stop,
    /// The job is canceled.
    Cancel,
    /// A user's function fails.
    FailUserCode,
    /// Objects are deleted from outside.
    DeleteObjects,
    /// A stored object is damaged, whether or not it is read soon.
    Damage,
    /// Reads return flipped bits.
    Misread,
}

impl Strike {
    fn of(scenario: Scenario) -> Option<Self> {
        match scenario {
            Scenario::Savepoints => Some(Self::Savepoint),
            Scenario::Stops => Some(Self::Stop),
            Scenario::Cancel => Some(Self::Cancel),
            Scenario::UserFailures => Some(Self::FailUserCode),
            Scenario::OutsideDeletions => Some(Self::DeleteObjects),
            _ => None,
        }
    }
}

impl Target {
    /// A random target, if the scenarios have one. For a phase that needs removed subtasks, directed rescales may
    /// be added.
    pub fn random(rng: &mut Rng, scenarios: &mut BTreeSet<Scenario>) -> Option<Self> {
        let of_scenarios: Vec<Strike> =
            scenarios.iter().filter_map(|scenario| Strike::of(*scenario)).collect();
        let aimed = rng.chance(if of_scenarios.is_empty() { OF_STORE } else { OF_SCENARIO });
        let of_store = [Strike::Damage, Strike::Misread];
        let strike = *rng.pick(if of_scenarios.is_empty() { &of_store } else { &of_scenarios })?;
        let phase = match rng.chance(0.3) {
            true => RescalePhase::Leaving,
            false => *rng.pick(&RescalePhase::ALL)?,
        };
        if aimed && phase == RescalePhase::Leaving && rng.chance(0.5) {
            scenarios.insert(Scenario::DirectedRescales);
        }
        aimed.then_some(Self { phase, strike })
    }
}

impl Cluster {
    /// A rescale has entered a phase.
    pub(super) fn aim_target(&mut self, phase: RescalePhase) {
        let Some(target) = self.target.filter(|target| target.phase == phase && self.calm.is_none()) else {
            return;
        };
        let trouble = match target.strike {
            Strike::Savepoint => Trouble::Savepoint,
            Strike::Stop => Trouble::Stop { cancel: self.rng.chance(0.3) },
            Strike::Cancel => Trouble::Cancel,
            Strike::FailUserCode => return self.fail_user_code(5),
            Strike::DeleteObjects => Trouble::DeleteObjects(Objects::random(&mut self.rng)),
            Strike::Damage if self.may_damage() => Trouble::Damage,
            Strike::Damage => return,
            Strike::Misread => {
                let faults = Faults { store_bit_flip: 0.3, ..Faults::default() };
                Trouble::Disturb { faults, lasts: DISTURBANCE }
            }
        };
        let soon = Duration::from_micros(self.rng.skewed(1..=100_000));
        self.at(soon, Todo::Trouble(trouble));
    }
}
