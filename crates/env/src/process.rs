//! The interface between a process (JobManager, TaskManager, task executor) and the driver that runs it.

use crate::Signal;
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

    /// When the process next wants [`Input::Wakeup`], if at all. Asked after each input.
    fn next_wakeup(&self) -> Option<Instant>;
}

/// A connection of one process: a stream of frames in both directions, in order, until it closes.
///
/// Ids of outgoing connections are chosen by the process, below [`ConnId::ACCEPTED`]; those of accepted ones
/// by the driver, from there on. No id is used twice.
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

/// The largest frame, in bytes; a peer that announces a larger one is cut off. Frames hold about a megabyte at most,
/// but one record or one entry of keyed state is never parted: a record of 1 GiB fits, with what is said about it.
pub const MAX_FRAME_BYTES: usize = (1 << 30) + (1 << 20);

/// Something that happened outside the process.
#[derive(Debug)]
pub enum Input {
    /// The first input of every process.
    Start,
    /// The time that the process asked for has come, or its signal was raised.
    Wakeup,
    /// A [`Output::Listen`] succeeded; `address` is what peers connect to (`host:port`).
    Listening {
        /// As named in the output.
        listener: ListenerId,
        /// With the port that the system chose, if 0 was asked for.
        address: String,
    },
    /// A [`Output::Listen`] failed: port taken, no permission, unknown host.
    ListenFailed {
        /// As named in the output.
        listener: ListenerId,
        /// The system's words.
        error: String,
    },
    /// A peer connected.
    Accepted {
        /// The new connection.
        conn: ConnId,
        /// Where it came in.
        listener: ListenerId,
    },
    /// An outgoing connection stands.
    Connected {
        /// As named in [`Output::Connect`].
        conn: ConnId,
        /// The address of this machine that it comes from, without a port.
        local: String,
    },
    /// A frame came in.
    Received {
        /// From whom.
        conn: ConnId,
        /// Without its length prefix.
        frame: Bytes,
    },
    /// A connection is gone, or could not be made. The last input of a connection.
    Closed {
        conn: ConnId,
        /// Why, in the system's words.
        reason: String,
    },
    /// A storage request ended.
    Stored {
        /// As named in [`Output::Store`].
        ticket: Ticket,
        /// What it brought.
        result: StoreResult,
    },
    /// A child process ended, or could not be started.
    ChildExited {
        /// As named in [`Output::StartChild`].
        child: ChildId,
        /// "exit code 3", "killed by signal 9", …
        status: String,
    },
    /// SIGTERM or its like: end in an orderly way.
    Terminate,
}

/// Something that a process wants done.
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
    /// Send a frame. Frames to a connection that is gone are dropped: its `Closed` is on the way.
    Send {
        /// To whom.
        conn: ConnId,
        /// At most [`MAX_FRAME_BYTES`].
        frame: Bytes,
    },
    /// Close a connection after what was sent on it. No further input of it comes.
    Close { conn: ConnId },
    /// A storage request. Requests run side by side; order holds only for the parts of one upload.
    Store {
        /// The process's name for it.
        ticket: Ticket,
        /// What to do.
        op: StoreOp,
    },
    /// Start a child process.
    StartChild {
        /// The process's name for it.
        child: ChildId,
        /// What to run.
        command: ChildCommand,
    },
    /// End a child process at once (SIGKILL). Answered by `ChildExited`.
    KillChild { child: ChildId },
    /// Run a slot on a thread of its own until it ends. `signal` wakes it.
    RunSlot {
        slot: Box<dyn SlotLoop>,
        /// Raised when there is something to do for it.
        signal: Signal,
        /// The thread's name.
        name: String,
    },
    /// End this process. The last output.
    Exit {
        /// The exit code: 0 if all is well.
        code: i32,
        /// For the log, if the code is not 0.
        reason: String,
    },
}

/// How to start a child process. Its standard input is a pipe that closes when the parent is gone: the child
/// ends then. Its output goes to the parent's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildCommand {
    /// The executable.
    pub program: std::path::PathBuf,
    /// Its arguments. Never secrets.
    pub args: Vec<String>,
    /// Written to the child's standard input before it is left open: what must not stand in arguments.
    pub stdin: Bytes,
}
