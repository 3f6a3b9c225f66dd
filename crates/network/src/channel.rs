//! The queue between a sender and a receiver, and its credit.
//!
//! One lock a batch. Counters are cumulative, so that a message about them may be lost or come twice: `sent`
//! records may not pass `limit`, which the receiver raises as it consumes. A batch may overshoot the limit by
//! less than its own length; barriers, watermarks and the end need no credit.

use crate::batch::Element;
use reflow_env::Signal;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a channel grants before its receiver has shown how fast it is.
pub const INITIAL_WINDOW: u64 = 64;

/// A sender's credit: how many records it may have sent since the channel was opened.
///
/// Each side writes its own field and then reads the other's. Sequential consistency keeps one of them from missing
/// the other's write: otherwise the receiver could see nobody wait while the sender still sees the old limit, and
/// nobody would wake it.
#[derive(Default)]
pub struct Credit {
    limit: AtomicU64,
    starved: AtomicBool,
}

impl Credit {
    /// The limit as it is now.
    pub fn limit(&self) -> u64 {
        self.limit.load(Ordering::SeqCst)
    }

    /// Raises the limit, and says whether the sender waits for it.
    pub fn raise(&self, limit: u64) -> bool {
        self.limit.fetch_max(limit, Ordering::SeqCst);
        self.starved.swap(false, Ordering::SeqCst)
    }

    /// Notes that the sender waits, and says whether it still has to.
    pub fn wait_beyond(&self, sent: u64) -> bool {
        if sent < self.limit() {
            return false;
        }
        self.starved.store(true, Ordering::SeqCst);
        sent >= self.limit()
    }
}

/// A channel's queue in the receiver's process.
pub struct Channel<T> {
    queue: Mutex<VecDeque<Element<T>>>,
    /// Raised when the queue gets its first element.
    receiver: Signal,
}

impl<T> Channel<T> {
    /// A channel whose receiver is woken by `receiver`.
    pub fn new(receiver: Signal) -> Self {
        Self { queue: Mutex::new(VecDeque::new()), receiver }
    }

    /// Appends an element. A watermark replaces one that was not looked at yet.
    pub fn push(&self, element: Element<T>) {
        let mut queue = self.lock();
        let was_empty = queue.is_empty();
        match (&element, queue.back_mut()) {
            (Element::Watermark(time), Some(Element::Watermark(last))) => *last = *time,
            _ => queue.push_back(element),
        }
        drop(queue);
        if was_empty {
            self.receiver.raise();
        }
    }

    /// Takes the next element.
    pub fn pop(&self) -> Option<Element<T>> {
        self.lock().pop_front()
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Element<T>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
