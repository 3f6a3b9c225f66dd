//! The runtime of subtasks: slots, tasks and operators.
//!
//! A *slot* is one thread. It runs *tasks*, one per subtask, in turn and in bounded steps. A task consists of a
//! head (a source's reader, or a gate over channels) and a chain of [`Stage`]s, which are composed by type: a
//! record passes from one to the next by a call that the compiler can inline.
//!
//! Reading order: [`stage`] (the interface of stages), [`stages`] (those without keyed state), [`keyed`]
//! (operators with keyed state), [`async_calls`] (the operator that calls other systems), [`declared`] (what
//! operators keep in checkpoints), [`lifecycle`] and [`error_handler`] (of user functions), [`task`] (steps, barriers,
//! snapshots, live rescale), [`slot`] (the thread), [`step`] (how it is observed), [`build`] and [`wiring`] (what a
//! task is built from), [`rescale`] (the preparation of a live rescale).

extern crate reflow_types as reflow; // the name in derived code

pub mod async_calls;
pub mod build;
pub mod declared;
pub mod error_handler;
pub mod failure;
pub mod keyed;
pub mod lifecycle;
pub mod rescale;
pub mod slot;
pub mod stage;
pub mod stages;
pub mod step;
pub mod task;
pub mod wiring;

pub use build::{BuildContext, Restored};
pub use failure::{OperatorName, catch, fail};
pub use rescale::{Incoming, Outgoing, Preparation};
pub use slot::{DeployedTask, Slot, SlotCommand, SlotEvent, SlotPort};
pub use stage::{AdoptedState, Control, EndOfChain, OpenContext, Refused, SnapshotContext, Stage};
pub use task::{RetainedState, Task, TaskEvent, TaskStep};
pub use wiring::{Place, Wiring};
