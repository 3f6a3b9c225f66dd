//! The seam to the outside world.
//!
//! Everything that Reflow runs as a process (JobManager, TaskManager, task executor) is a [`Process`]: a state
//! machine that is fed [`Input`]s and answers with [`Output`]s. It never reads a clock, opens a socket or
//! touches a file itself. Two drivers exist: [`real`] runs a process on threads, TCP sockets, object stores and
//! child processes; the simulator runs a whole cluster of them on one thread, from a seed.
//!
//! Rejected: async code over traits for clock, sockets and storage. It reads well, but its scheduling is hidden
//! in an executor, so that a simulation depends on the executor's order, and each decision is spread over
//! await points. With inputs and outputs as data, a test feeds a process by hand, and a trace of a run is a log
//! of values.
//!
//! Reading order: [`process`], [`store`], [`slot`], [`signal`], [`real`].

pub mod clock;
pub mod process;
#[cfg(feature = "real")]
pub mod real;
pub mod signal;
pub mod slot;
pub mod store;

pub use clock::Clock;
pub use process::{ChildCommand, ChildId, ConnId, Input, ListenerId, MAX_FRAME_BYTES, Output, Process};
pub use signal::Signal;
pub use slot::{SlotLoop, SlotStep};
pub use store::{Location, ObjectMeta, PutMode, StoreError, StoreOp, StoreReply, StoreResult, Ticket};
