//! The rescale timeline: the record of every change of parallelism, with its cause, its states and its outcome.
//!
//! The structure and the two enums are Flink's (`scheduler/adaptive/timeline`). At most one rescale is in progress. A trigger
//! that arrives meanwhile is merged into it, with two exceptions: new requirements end it and begin another, and so does a
//! failure, unless the rescale is itself the restart after a failure. New requirements that arrive after the cut of a live
//! rescale wait, because the cut cannot be undone.
//!
//! [`Live`] adds what Flink does not have: the course of a live rescale.

pub mod live;

pub use live::{Live, LiveOutcome, LivePhase, PhaseSpan, Transferred};
pub use reflow_view::{RescaleCounts, TerminalState, TerminatedReason, TriggerCause};

use reflow_types::{Instant, VertexId};
use std::collections::VecDeque;

/// A vertex in a rescale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VertexChange {
    pub vertex: VertexId,
    pub name: String,
    pub slot_sharing_group: String,
    /// The upper bound.
    pub desired: u32,
    /// The lower bound.
    pub sufficient: u32,
    /// Parallelism before; `None` for the first deployment.
    pub before: Option<u32>,
    /// Parallelism after; `None` until it is decided.
    pub after: Option<u32>,
}

/// The slots of a slot sharing group in a rescale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotChange {
    /// The group's name.
    pub slot_sharing_group: String,
    /// Slots for the upper bounds.
    pub desired: u32,
    /// Slots for the lower bounds.
    pub sufficient: u32,
    /// Slots before; `None` for the first deployment.
    pub before: Option<u32>,
    /// Slots after; `None` until it is decided.
    pub after: Option<u32>,
}

/// A state that the scheduler was in during a rescale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateSpan {
    /// The state's name, as Flink has it.
    pub state: &'static str,
    /// When it was entered.
    pub entered: Instant,
    /// When it was left; `None` if it is the current one.
    pub left: Option<Instant>,
    /// The error that led to it.
    pub error: Option<String>,
}

/// One rescale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rescale {
    pub id: u128,
    /// The id of the requirements that it served.
    pub requirements: u128,
    /// The number of the rescale under those requirements, from 1.
    pub attempt: u64,
    /// Its trigger cause.
    pub cause: TriggerCause,
    /// When it began.
    pub started: Instant,
    /// When and how it ended; `None` while it is in progress.
    pub ended: Option<(Instant, TerminatedReason)>,
    /// The vertices, in the job graph's order.
    pub vertices: Vec<VertexChange>,
    /// The slots, by group.
    pub slots: Vec<SlotChange>,
    /// The scheduler's states, in order.
    pub states: Vec<StateSpan>,
    /// Its course as a live rescale, if it is one.
    pub live: Option<Live>,
    /// Why it restarts the running job instead, if it does.
    pub restart_reason: Option<String>,
}

/// The start of a rescale: the current vertices and slots, with nothing decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// As in [`Rescale::vertices`].
    pub vertices: Vec<VertexChange>,
    /// As in [`Rescale::slots`].
    pub slots: Vec<SlotChange>,
}

/// A job's rescales.
#[derive(Clone, Debug)]
pub struct Timeline {
    capacity: usize,
    id_base: u128,
    begun: u64,
    requirements: u128,
    requirement_changes: u64,
    attempts: u64,
    current: Option<Rescale>,
    ended: VecDeque<Rescale>,
    counts: RescaleCounts,
    state: Option<StateSpan>,
    /// New requirements that wait for a live rescale to end.
    waiting: Option<Start>,
}

impl Timeline {
    /// A timeline that keeps `capacity` ended rescales. Ids are computed from `id_base`: the job's id and the
    /// leader's epoch.
    pub fn new(capacity: usize, id_base: u128) -> Self {
        let mut timeline = Self {
            capacity,
            id_base,
            begun: 0,
            requirements: 0,
            requirement_changes: 0,
            attempts: 0,
            current: None,
            ended: VecDeque::new(),
            counts: RescaleCounts::default(),
            state: None,
            waiting: None,
        };
        timeline.requirements = timeline.make_id(b'q', 0);
        timeline
    }

    /// Begins a rescale, or merges the cause into the one in progress by the module's rules.
    pub fn begin(&mut self, now: Instant, cause: TriggerCause, start: Start) {
        if let Some(current) = &self.current {
            match cause {
                TriggerCause::InitialSchedule | TriggerCause::NewResourceAvailable => return,
                TriggerCause::RecoverableFailover if current.cause == cause => return,
                TriggerCause::RecoverableFailover => {
                    self.waiting = None;
                    self.end(now, TerminatedReason::JobFailoverRestarting);
                }
                TriggerCause::UpdateRequirement if current.live.as_ref().is_some_and(Live::has_cut) => {
                    self.waiting = Some(start);
                    return;
                }
                TriggerCause::UpdateRequirement => {
                    self.end(now, TerminatedReason::ResourceRequirementsUpdated);
                }
            }
        }
        if cause == TriggerCause::UpdateRequirement {
            self.requirement_changes += 1;
            self.requirements = self.make_id(b'q', self.requirement_changes);
            self.attempts = 0;
        }
        self.begun += 1;
        self.attempts += 1;
        self.counts.in_progress = 1;
        let Start { vertices, slots } = start;
        let (id, requirements, attempt) = (self.make_id(b'r', self.begun), self.requirements, self.attempts);
        let states = self.state.iter().cloned().collect();
        let started = now;
        let (ended, live, restart_reason) = (None, None, None);
        self.current = Some(Rescale {
            id,
            requirements,
            attempt,
            cause,
            started,
            ended,
            vertices,
            slots,
            states,
            live,
            restart_reason,
        });
    }

    /// Makes the rescale in progress a live one.
    pub fn go_live(&mut self, live: Live) {
        if let Some(current) = &mut self.current {
            current.live = Some(live);
            current.restart_reason = None;
        }
    }

    /// Records why the rescale in progress restarts the job.
    pub fn restarts_because(&mut self, reason: String) {
        if let Some(current) = &mut self.current {
            current.restart_reason = Some(reason);
        }
    }

    /// The live rescale in progress, if there is one, to record its course.
    pub fn live(&mut self) -> Option<&mut Live> {
        self.current.as_mut()?.live.as_mut()
    }

    /// Ends the record because the live rescale was abandoned.
    pub fn give_up(&mut self, now: Instant, reason: String) {
        if let Some(live) = self.live() {
            live.outcome = Some(LiveOutcome::GivenUp { reason });
        }
        self.end(now, TerminatedReason::ExceptionOccurred);
    }

    /// Records that the scheduler has entered a state. If it has the same name as the last one, that one
    /// continues.
    pub fn enter_state(&mut self, now: Instant, state: &'static str, error: Option<String>) {
        if error.is_none() && self.state.as_ref().is_some_and(|last| last.state == state) {
            return;
        }
        let span = StateSpan { state, entered: now, left: None, error };
        self.state = Some(span.clone());
        if let Some(current) = &mut self.current {
            if let Some(last) = current.states.last_mut() {
                last.left = Some(now);
            }
            current.states.push(span);
        }
    }

    /// Sets the decided parallelism of each vertex and the slots of each group, in the order of the record.
    pub fn decide(&mut self, parallelism: &[u32], slots: &[u32]) {
        let Some(current) = &mut self.current else { return };
        for (vertex, after) in current.vertices.iter_mut().zip(parallelism) {
            vertex.after = Some(*after);
        }
        for (group, after) in current.slots.iter_mut().zip(slots) {
            group.after = Some(*after);
        }
    }

    /// Ends the rescale in progress, if any.
    pub fn end(&mut self, now: Instant, reason: TerminatedReason) {
        let Some(mut rescale) = self.current.take() else { return };
        rescale.ended = Some((now, reason));
        if let Some(last) = rescale.states.last_mut() {
            last.left.get_or_insert(now);
        }
        if let Some(live) = &mut rescale.live {
            let succeeded = reason == TerminatedReason::Succeeded;
            live.end(now, if succeeded { LiveOutcome::Committed } else { LiveOutcome::Interrupted });
        }
        self.counts.in_progress = 0;
        match reason.terminal_state() {
            TerminalState::Completed => self.counts.completed += 1,
            TerminalState::Failed => self.counts.failed += 1,
            TerminalState::Ignored => self.counts.ignored += 1,
        }
        self.ended.push_front(rescale);
        self.ended.truncate(self.capacity);
        if let Some(start) = self.waiting.take_if(|_| reason == TerminatedReason::Succeeded) {
            self.begin(now, TriggerCause::UpdateRequirement, start);
        }
        self.waiting = None;
    }

    /// The rescale in progress.
    pub fn current(&self) -> Option<&Rescale> {
        self.current.as_ref()
    }

    /// The rescale in progress and the ended ones that are kept, newest first; empty if none are kept.
    pub fn history(&self) -> impl Iterator<Item = &Rescale> {
        self.current.iter().filter(|_| self.capacity > 0).chain(&self.ended)
    }

    /// The numbers of all rescales.
    pub fn counts(&self) -> RescaleCounts {
        self.counts
    }

    /// The id of the current requirements.
    pub fn requirements(&self) -> u128 {
        self.requirements
    }

    /// An id that differs from all others of this and other jobs: FNV-1a over what identifies it.
    fn make_id(&self, kind: u8, number: u64) -> u128 {
        const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
        let bytes = self.id_base.to_le_bytes().into_iter().chain([kind]).chain(number.to_le_bytes());
        bytes.fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
    }
}

#[cfg(test)]
#[path = "rescale_tests.rs"]
mod tests;
