//! Processes as state machines, and the interface to the drivers that run them.
//!
//! JobManager, TaskManager and task executor are [`Process`]es: a driver passes each [`Input`] to the process and carries
//! out the [`Output`]s that it returns. A process never reads a clock, opens a socket or touches a file. There are two
//! drivers: [`real`] runs one process on threads, TCP sockets, object stores and child processes; the simulator runs a
//! whole cluster on one thread, from a seed.
//!
//! Rejected: async code over traits for clock, sockets and storage. It reads well, but the executor decides the order of
//! tasks, so a simulation depends on it, and each decision is spread over await points. With inputs and outputs as data, a
//! test can feed a process by hand, and the trace of a run is a log of values.
//!
//! Reading order: [`process`], [`pauses`], [`store`], [`external`], [`request`], [`inspection`], [`slot`], [`signal`],
//! [`real`].

extern crate reflow_types as reflow; // the name in derived code

pub mod clock;
pub mod external;
pub mod inspection;
pub mod pauses;
pub mod process;
#[cfg(feature = "real")]
pub mod real;
pub mod request;
pub mod signal;
pub mod slot;
pub mod store;

pub use clock::Clock;
pub use external::{AnyAnswer, Call, CallError, CallResult, Client};
pub use pauses::Pauses;
pub use process::{ChildCommand, ChildId, ConnId, Input, ListenerId, MAX_FRAME_BYTES, Output, Process};
pub use request::{Answer, Request, RequestError};
pub use signal::Signal;
pub use slot::{SlotLoop, SlotStep};
pub use store::{Location, ObjectMeta, PutMode, StoreError, StoreOp, StoreReply, StoreResult, Ticket};
