//! The interface between a slot and the driver, which runs it on a thread of its own.

use reflow_types::Instant;

/// The loop of one slot. The driver calls [`SlotLoop::step`] on one thread, again and again; in the simulator,
/// whenever the seed says so.
pub trait SlotLoop: Send {
    /// Does a bounded piece of work: about a millisecond.
    fn step(&mut self, now: Instant) -> SlotStep;
}

/// What a slot wants after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotStep {
    /// There is more to do.
    Ready,
    /// Nothing can move until the slot's signal is raised, or the given moment has come.
    Wait(Option<Instant>),
    /// The slot has ended; the thread may go.
    Ended,
}
