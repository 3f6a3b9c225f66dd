//! The process's side of a connection: the frames that wait to be sent.
//!
//! The process's thread adds to the queue, the connection's task takes from it.

use super::Options;
use crate::process::MAX_FRAME_BYTES;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The process's side of a connection: where frames are left to be sent. Dropped, it cuts the connection off.
pub(super) struct Outlet {
    shared: Arc<Shared>,
    max_bytes: usize,
    stalled_timeout: Duration,
}

/// What process and task share.
#[derive(Default)]
pub(super) struct Shared {
    queue: Mutex<Queue>,
    /// Told of the first frame in an empty queue and of each change of its state.
    pub(super) changed: Notify,
}

/// Frames to be sent.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) frames: VecDeque<Bytes>,
    /// Bytes of these frames and of those that are being sent.
    pub(super) bytes: usize,
    pub(super) state: State,
    /// All that was ever queued.
    total: u64,
    /// Since too much has been queued: how much had been sent when something last was, and when that was seen.
    stalled: Option<(u64, Instant)>,
}

/// What is to become of the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// Send what is queued, and go on.
    #[default]
    Open,
    /// Send what is queued, then close.
    Closing,
    /// Close at once, and say so to the process.
    Broken(String),
    /// Close at once: nobody is there to be told.
    Dropped,
}

impl Outlet {
    /// An outlet and the queue behind it.
    pub(super) fn new(options: &Options) -> (Self, Arc<Shared>) {
        let shared = Arc::<Shared>::default();
        let (max_bytes, stalled_timeout) = (options.write_bytes, options.stalled_timeout);
        (Self { shared: shared.clone(), max_bytes, stalled_timeout }, shared)
    }

    /// Queues a frame. A peer that does not read for long loses its connection.
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

    /// Sends what is queued, then closes.
    pub(super) fn close(self) {
        let mut queue = self.shared.lock();
        if queue.state == State::Open {
            queue.state = State::Closing;
        }
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
    /// Whether another frame would be too much for a peer that takes nothing.
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

    /// Comes back when there is no use in sending on: broken, dropped, or closing for longer than `patience`.
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
