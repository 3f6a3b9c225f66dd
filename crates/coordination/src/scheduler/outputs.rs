//! The outputs of an event: actions for the JobManager, and outcomes of checkpoints for the states.

use crate::action::Action;
use crate::checkpoint::{Effect, FailureCause, Purpose};
use crate::event::Event;
use std::collections::VecDeque;

/// The outcome of a checkpoint, for the states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Completed(Purpose),
    Failed { purpose: Purpose, cause: FailureCause, reason: String },
    TooManyFailures { reason: String },
}

#[derive(Default)]
pub(super) struct Outputs {
    actions: Vec<Action>,
    outcomes: VecDeque<Outcome>,
}

impl Outputs {
    pub(super) fn push(&mut self, action: Action) {
        self.actions.push(action);
    }

    pub(super) fn extend(&mut self, actions: impl IntoIterator<Item = Action>) {
        self.actions.extend(actions);
    }

    /// Passes actions on and keeps outcomes for the state.
    pub(super) fn apply(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Act(action) => self.actions.push(action),
                Effect::Completed { purpose, .. } => self.outcomes.push_back(Outcome::Completed(purpose)),
                Effect::Failed { purpose, cause, reason, .. } => {
                    self.outcomes.push_back(Outcome::Failed { purpose, cause, reason });
                }
                Effect::TooManyFailures { reason } => {
                    self.outcomes.push_back(Outcome::TooManyFailures { reason });
                }
            }
        }
    }

    /// Answers a request that cannot be served.
    pub(super) fn refuse(&mut self, event: &Event, why: &str) {
        let request = match event {
            Event::TriggerSavepoint { request, .. }
            | Event::TriggerCheckpoint { request }
            | Event::StopWithSavepoint { request, .. } => *request,
            _ => return,
        };
        self.push(Action::Answer { request, result: Err(why.to_owned()) });
    }

    /// Takes the actions, in order.
    pub(super) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// Takes the oldest outcome that no state has handled.
    pub(super) fn next_outcome(&mut self) -> Option<Outcome> {
        self.outcomes.pop_front()
    }

    pub(super) fn has_outcomes(&self) -> bool {
        !self.outcomes.is_empty()
    }
}
