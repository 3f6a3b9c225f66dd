//! All decisions about a job, as state machines without I/O, clocks, threads or unordered maps.
//!
//! [`Scheduler`](scheduler::Scheduler) is the state machine of one job. It turns [`Event`](event::Event)s into
//! [`Action`](action::Action)s and takes the time as a parameter. The JobManager carries the actions out; the simulator
//! runs the same code.
//!
//! Reading order: [`event`] and [`action`] (its inputs and outputs), [`scheduler`] (the states of a job), [`transition`]
//! (when a rescale happens), [`slots`] (slot assignment), [`checkpoint`] (when a checkpoint is triggered, completed, aborted
//! and deleted), [`manifest`] (the contents of a checkpoint), [`restore`] (how they are redistributed at another
//! parallelism), [`adoption`] (whether a running attempt goes on under a new leader), [`standby`] (when a standby becomes that
//! leader), [`leader_election`] (its lease in Kubernetes), [`restart`] (whether and when a failed job restarts), [`isolation`] (which executors are cut off from others),
//! [`requirements`] (bounds on parallelism), [`autoscaler`] (how many slots it should have), [`rescale`]
//! (the history of rescales), [`exceptions`] (the history of failures).

pub mod action;
pub mod adoption;
pub mod alignment;
pub mod autoscaler;
pub mod checkpoint;
mod end_state;
pub mod event;
pub mod exceptions;
pub mod isolation;
pub mod leader_election;
pub mod manifest;
pub mod requirements;
pub mod rescale;
pub mod restart;
pub mod restore;
pub mod scheduler;
pub mod slots;
pub mod standby;
pub mod transition;
