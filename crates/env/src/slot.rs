//! The interface between a slot and the driver, which runs it on a thread of its own.

use reflow_types::Instant;

/// The loop of one slot. The driver calls [`SlotLoop::step`] repeatedly on one thread, and the simulator calls it
/// in an order that its seed determines.
pub trait SlotLoop: Send {
    /// Performs a bounded amount of work, about a millisecond.
    fn step(&mut self, now: Instant) -> SlotStep;
}

/// The state of a slot after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotStep {
    /// There is more work.
    Ready,
    /// There is no work until the slot's signal is raised or the given time has come.
    Wait(Option<Instant>),
    /// The slot has ended, and so may the thread.
    Ended,
}
