//! The driver's settings.

use super::{Clock, Interrupts, Storage};
use crate::{ChildCommand, Process, Signal};
use std::sync::Arc;
use std::time::Duration;

/// The settings of a driver. Clones share the clock, the storage and the runtime, if one is set.
#[derive(Clone)]
pub struct Options {
    /// The clock that the process sees.
    pub clock: Clock,
    /// Object storage.
    pub storage: Storage,
    /// The TLS of all connections. `None`: they are not encrypted, and every program that reaches a port can connect.
    #[cfg(feature = "tls")]
    pub tls: Option<super::Tls>,
    /// How child processes are run.
    pub child: ChildMode,
    /// The runtime for sockets, storage and children. Without one, the driver starts its own.
    pub runtime: Option<tokio::runtime::Handle>,
    /// Threads of the driver's own runtime.
    pub io_threads: usize,
    /// Whether SIGTERM and SIGINT become [`Input::Terminate`](crate::Input::Terminate). Off for processes that
    /// share an OS process with others.
    pub signals: bool,
    /// Signals that are caught outside of the driver, for processes that follow each other. If set, `signals` has no effect.
    pub interrupts: Option<Interrupts>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a closed connection may take to send its queued frames. The exit waits this long for all
    /// connections.
    pub flush_timeout: Duration,
    /// How long the exit then waits for steps of slots to end. The exit of a process that has failed does not wait.
    pub slot_timeout: Duration,
    /// How long a connection may bring nothing, not even a sign of life, before it counts as closed. Signs of life are
    /// sent, and expected, only if this is set and not zero: by all processes of a cluster, or by none.
    pub silence_timeout: Option<Duration>,
    /// Bytes of received frames that a connection may have in the inbox.
    pub read_bytes: u32,
    /// Received frames that a connection may have in the inbox, at least 1.
    pub read_frames: u32,
    /// Bytes that may be queued on one connection. The connection is closed if more are queued while the peer
    /// reads nothing for `stalled_timeout`.
    pub write_bytes: usize,
    /// How long a peer may read nothing while more than `write_bytes` are queued for it.
    pub stalled_timeout: Duration,
    /// Accepted connections at one time, at most half of the descriptors of the OS process. Further peers wait
    /// until a connection closes.
    pub max_accepted: usize,
    /// Accepted connections at one time that have not sent a frame. If there are more, the oldest is closed.
    pub max_newcomers: usize,
    /// The greatest length of the first frame of an accepted connection.
    pub first_frame_bytes: usize,
    /// How long an accepted connection may take to send its first frame.
    pub first_frame_timeout: Duration,
}

impl Options {
    /// The timeout, if there is one.
    pub(super) fn silence_timeout(&self) -> Option<Duration> {
        self.silence_timeout.filter(|timeout| !timeout.is_zero())
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Clock::start(),
            storage: Storage::default(),
            #[cfg(feature = "tls")]
            tls: None,
            child: ChildMode::Process,
            runtime: None,
            io_threads: 1,
            signals: false,
            interrupts: None,
            connect_timeout: Duration::from_secs(10),
            flush_timeout: Duration::from_secs(10),
            slot_timeout: Duration::from_secs(1),
            silence_timeout: None,
            read_bytes: 64 << 20,
            read_frames: 4096,
            write_bytes: 256 << 20,
            stalled_timeout: Duration::from_secs(30),
            max_accepted: 4096,
            max_newcomers: 256,
            first_frame_bytes: 4 << 10,
            first_frame_timeout: Duration::from_secs(10),
        }
    }
}

/// Creates the process that runs in place of an OS process, and the signal that wakes it.
pub type ChildFactory = dyn Fn(ChildCommand) -> (Box<dyn Process>, Signal) + Send + Sync;

/// How [`Output::StartChild`](crate::Output::StartChild) is carried out.
#[derive(Clone)]
pub enum ChildMode {
    /// As an OS process with a process group of its own.
    Process,
    /// As a thread of this OS process, for clusters in one process.
    InProcess(Arc<ChildFactory>),
}
