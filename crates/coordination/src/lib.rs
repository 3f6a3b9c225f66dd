//! Everything that decides, as state machines without I/O, clocks, threads or unordered maps.
//!
//! [`Scheduler`](scheduler::Scheduler) is the whole of it for one job: [`Event`](event::Event)s in,
//! [`Action`](action::Action)s out, time as a parameter. The JobManager carries the actions out; the simulator
//! runs the same code.
//!
//! Reading order: [`event`] and [`action`] (the border), [`scheduler`] (the states of a job), [`transition`]
//! (when a rescale happens), [`slots`] (who gets which slot), [`checkpoint`] (when a checkpoint begins, is
//! complete, is given up, is deleted), [`manifest`] and [`restore`] (what a checkpoint holds and how it is
//! shared out over another parallelism), [`restart`] (whether and when a failed job starts again),
//! [`requirements`] (bounds on parallelism), [`rescale`] (the record of every rescale), [`exceptions`] (of every
//! failure).

pub mod action;
pub mod checkpoint;
mod end_state;
pub mod event;
pub mod exceptions;
pub mod manifest;
pub mod requirements;
pub mod rescale;
pub mod restart;
pub mod restore;
pub mod scheduler;
pub mod slots;
pub mod transition;
