//! The queue of frames that wait to be sent on a connection.
//!
//! The process's thread adds frames to the queue, and the connection's task takes them from it.

use super::Options;
use crate::process::MAX_FRAME_BYTES;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The process's side of a connection, to which frames are added. Dropping it closes the connection at once.
pub(super) struct Outlet {
    shared: Arc<Shared>,
    max_bytes: usize,
    stalled_timeout: Duration,
}

/// The state that process and task share.
#[derive(Default)]
pub(super) struct Shared {
    queue: Mutex<Queue>,
    /// Notified of the first frame in an empty queue and of each change of the state.
    pub(super) changed: Notify,
}

#[derive(Default)]
pub(super) struct Queue {
    pub(super) frames: VecDeque<Bytes>,
    /// Bytes of these frames and of those that are being sent.
    pub(super) bytes: usize,
    pub(super) state: State,
    /// All bytes that were ever queued.
    total: u64,
    /// Set while too many bytes are queued: the number of bytes sent at the last progress, and when it was
    /// observed.
    stalled: Option<(u64, Instant)>,
}

/// The state of the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// Queued frames are sent.
    #[default]
    Open,
    /// Queued frames are sent, and then the connection is closed.
    Closing,
    /// The connection is closed at once, and the process is told.
    Broken(String),
    /// The connection is closed at once, without an input for the process.
    Dropped,
}

impl Outlet {
    /// An outlet and the queue behind it.
    pub(super) fn new(options: &Options) -> (Self, Arc<Shared>) {
        let shared = Arc::<Shared>::default();
        let (max_bytes, stalled_timeout) = (options.write_bytes, options.stalled_timeout);
        (Self { shared: shared.clone(), max_bytes, stalled_timeout }, shared)
    }

    /// Queues a frame. The connection is closed if its peer has not read for too long.
    pub(super) fn send(&self, frame: Bytes) {
        let mut queue = self.shared.lock();
        if queue.state != State::Open {
            return;
        }
        if frame.len() > MAX_FRAME_BYTES {
            let reason = format!("a frame of {} bytes is above the limit of {MAX_FRAME_BYTES}", frame.len());
            queue.give_up(State::Broken(reason));
        } else if queue.is_stalled(frame.len(), self) {
            let reason = format!("the peer does not read: {} bytes wait to be sent", queue.bytes);
            queue.give_up(State::Broken(reason));
        } else {
            queue.bytes += frame.len();
            queue.total += frame.len() as u64;
            queue.frames.push_back(frame);
            if queue.frames.len() > 1 {
                return;
            }
        }
        drop(queue);
        self.shared.changed.notify_one();
    }

    /// Closes the connection after the queued frames were sent.
    pub(super) fn close(self) {
        let mut queue = self.shared.lock();
        if queue.state == State::Open {
            queue.state = State::Closing;
        }
        // `self` is dropped after `queue`, and notifies the task.
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        if queue.state == State::Open {
            queue.give_up(State::Dropped);
        }
        drop(queue);
        self.shared.changed.notify_one();
    }
}

impl Queue {
    /// Whether the peer reads nothing and another frame would exceed the bound.
    fn is_stalled(&mut self, next: usize, outlet: &Outlet) -> bool {
        if self.bytes + next <= outlet.max_bytes {
            self.stalled = None;
            return false;
        }
        let sent = self.total - self.bytes as u64;
        match self.stalled {
            Some((before, since)) if before == sent => since.elapsed() >= outlet.stalled_timeout,
            _ => {
                self.stalled = Some((sent, Instant::now()));
                false
            }
        }
    }

    fn give_up(&mut self, state: State) {
        self.frames.clear();
        self.state = state;
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until sending is pointless: the connection is broken or dropped, or has been closing for longer than
    /// `patience`.
    pub(super) async fn given_up(&self, patience: Duration) -> State {
        loop {
            let state = self.lock().state.clone();
            match state {
                State::Open => self.changed.notified().await,
                State::Closing => {
                    tokio::time::sleep(patience).await;
                    return State::Dropped;
                }
                state => return state,
            }
        }
    }
}
