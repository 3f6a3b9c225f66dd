//! The interface between a process (JobManager, TaskManager, task executor) and the driver that runs it.

use crate::Signal;
use crate::external::{Call, CallResult};
use crate::slot::SlotLoop;
use crate::store::{StoreOp, StoreResult, Ticket};
use bytes::Bytes;
use reflow_types::Instant;

/// A process: JobManager, TaskManager or task executor.
///
/// The driver calls from one thread, one input at a time, and carries out the outputs in order. It calls
/// [`Process::handle`] with [`Input::Wakeup`] when [`Process::next_wakeup`] has come or the process's
/// [`Signal`] was raised.
pub trait Process: Send {
    /// Takes one input and appends what is to be done. Must not block.
    fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>);

    /// When the process next needs [`Input::Wakeup`], if at all. The driver calls it after each input.
    fn next_wakeup(&self) -> Option<Instant>;
}

/// A connection of one process: a stream of frames in both directions, in order, until it closes.
///
/// The process chooses the ids of outgoing connections, below [`ConnId::ACCEPTED`]. The driver chooses those of accepted
/// connections, from there on. No id is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

impl ConnId {
    /// The first id of an accepted connection.
    pub const ACCEPTED: u64 = 1 << 63;
}

/// A listening socket, named by the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(pub u32);

/// A child process, named by its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildId(pub u64);

/// The largest frame, in bytes. The connection of a peer that announces a larger one is closed. Most frames
/// contain at most about a megabyte, but a record and an entry of keyed state are never split: a record of 1 GiB
/// fits, with its metadata.
pub const MAX_FRAME_BYTES: usize = (1 << 30) + (1 << 20);

/// An event outside the process.
#[derive(Debug)]
pub enum Input {
    /// The first input of every process.
    Start,
    /// The time of [`Process::next_wakeup`] has come, or the process's signal was raised.
    Wakeup,
    /// An [`Output::Listen`] succeeded. Peers connect to `address` (`host:port`).
    Listening {
        /// As named in the output.
        listener: ListenerId,
        /// Includes the port that the system has chosen if port 0 was requested.
        address: String,
    },
    /// An [`Output::Listen`] failed: port in use, no permission, unknown host.
    ListenFailed {
        /// As named in the output.
        listener: ListenerId,
        /// The system's error.
        error: String,
    },
    /// A peer connected.
    Accepted {
        /// The new connection.
        conn: ConnId,
        /// The listener that accepted it.
        listener: ListenerId,
    },
    /// An outgoing connection is established.
    Connected {
        /// As named in [`Output::Connect`].
        conn: ConnId,
        /// The local address of the connection, without a port.
        local: String,
    },
    /// A frame has arrived.
    Received {
        /// The connection that it arrived on.
        conn: ConnId,
        /// The frame without its length prefix.
        frame: Bytes,
    },
    /// The peer of a connection has given no sign of life for `real::Options::silence_timeout`, cannot be reached, or has not
    /// answered the attempt to connect other than by refusing it. `Closed` follows, unless the process closes the connection.
    Silent { conn: ConnId },
    /// A connection has closed or could not be established. The last input of a connection.
    Closed {
        conn: ConnId,
        /// The reason, as the system reports it.
        reason: String,
    },
    /// A storage request has been answered.
    Stored {
        /// As named in [`Output::Store`].
        ticket: Ticket,
        result: StoreResult,
    },
    /// A call has been answered, or its time is up. The last input about it.
    Called {
        /// As named in [`Output::Call`].
        ticket: Ticket,
        result: CallResult,
    },
    /// A child process has exited or could not be started.
    ChildExited {
        /// As named in [`Output::StartChild`].
        child: ChildId,
        /// "exit code 3", "killed by signal 9", …
        status: String,
    },
    /// A request to end in an orderly way, such as SIGTERM.
    Terminate,
}

/// An action that a process requests.
pub enum Output {
    /// Accept connections at `address` (`host:port`, port 0 for any).
    Listen {
        /// The process's name for it.
        listener: ListenerId,
        address: String,
    },
    /// Connect to `address`. Answered by `Connected` or `Closed`.
    Connect {
        /// The process's name for it.
        conn: ConnId,
        /// `host:port`.
        address: String,
    },
    /// Send a frame. Frames to a connection that has closed are dropped, and its `Closed` follows.
    Send {
        conn: ConnId,
        /// At most [`MAX_FRAME_BYTES`].
        frame: Bytes,
    },
    /// Close a connection after all queued frames were sent. It gives no further input.
    Close { conn: ConnId },
    /// A storage request. Requests run concurrently, and only the parts of one upload are carried out in order.
    Store {
        /// The process's name for it.
        ticket: Ticket,
        op: StoreOp,
    },
    /// A call to a system outside the cluster. Calls run concurrently.
    Call {
        /// The process's name for it, which no storage request has.
        ticket: Ticket,
        call: Call,
    },
    /// End a call without an answer. The system may carry the request out all the same.
    CancelCall {
        /// As named in [`Output::Call`]. May be unknown.
        ticket: Ticket,
    },
    /// Start a child process.
    StartChild {
        /// The process's name for it.
        child: ChildId,
        command: ChildCommand,
    },
    /// Kill a child process (SIGKILL). Answered by `ChildExited`.
    KillChild { child: ChildId },
    /// Run a slot on a thread of its own until it ends. `signal` wakes it.
    RunSlot {
        slot: Box<dyn SlotLoop>,
        /// Raised when the slot has work.
        signal: Signal,
        /// The thread's name.
        name: String,
    },
    /// End this process. The last output.
    Exit {
        /// The exit code; 0 for success.
        code: i32,
        /// Logged if the code is not 0.
        reason: String,
    },
}

/// The parameters of a child process. Its standard input is a pipe that closes when the parent is gone, and then
/// the child exits. It shares the standard output of the parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildCommand {
    /// The executable.
    pub program: std::path::PathBuf,
    /// Its arguments, which must not contain secrets.
    pub args: Vec<String>,
    /// Data that must not appear in arguments. It is written to the child's standard input, which then stays
    /// open.
    pub stdin: Bytes,
}
