//! The queue between a sender and a receiver, and its credit.
//!
//! One lock a batch. Counters are cumulative, so that a message about them may be lost or come twice: neither the
//! records nor the bytes that were sent may pass their limit, which the receiver raises as it consumes. A batch may
//! overshoot the limit by less than its own length; barriers, watermarks and the end need no credit.

use crate::batch::Element;
use reflow_env::Signal;
use reflow_protocol::data::Limit;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A sender's credit: how much it may have sent since the channel was opened.
///
/// Each side writes its own field and then reads the other's. Sequential consistency keeps one of them from missing
/// the other's write: otherwise the receiver could see nobody wait while the sender still sees the old limit, and
/// nobody would wake it.
#[derive(Default)]
pub struct Credit {
    records: AtomicU64,
    bytes: AtomicU64,
    starved: AtomicBool,
}

impl Credit {
    /// The limit as it is now.
    pub fn limit(&self) -> Limit {
        Limit { records: self.records.load(Ordering::SeqCst), bytes: self.bytes.load(Ordering::SeqCst) }
    }

    /// Raises the limit, and says whether the sender waits for it.
    pub fn raise(&self, limit: Limit) -> bool {
        self.bytes.fetch_max(limit.bytes, Ordering::SeqCst);
        self.records.fetch_max(limit.records, Ordering::SeqCst);
        self.starved.swap(false, Ordering::SeqCst)
    }

    /// What may still be sent by a sender that has sent so much.
    pub fn left(&self, sent: Limit) -> Limit {
        let limit = self.limit();
        Limit {
            records: limit.records.saturating_sub(sent.records),
            bytes: limit.bytes.saturating_sub(sent.bytes),
        }
    }

    /// Notes that the sender waits, and says whether it still has to.
    pub fn wait_beyond(&self, sent: Limit) -> bool {
        if self.left(sent).allows_more() {
            return false;
        }
        self.starved.store(true, Ordering::SeqCst);
        !self.left(sent).allows_more()
    }
}

/// A channel's queue in the receiver's process.
pub struct Channel<T> {
    queue: Mutex<Queue<T>>,
    /// Raised when the queue gets its first element.
    receiver: Signal,
}

struct Queue<T> {
    elements: VecDeque<Element<T>>,
    /// How many records are in it.
    records: u64,
}

impl<T> Channel<T> {
    /// A channel whose receiver is woken by `receiver`.
    pub fn new(receiver: Signal) -> Self {
        Self { queue: Mutex::new(Queue { elements: VecDeque::new(), records: 0 }), receiver }
    }

    /// Appends an element. A watermark replaces one that was not looked at yet.
    pub fn push(&self, element: Element<T>) {
        let mut queue = self.lock();
        let was_empty = queue.elements.is_empty();
        queue.records += element.records();
        match (&element, queue.elements.back_mut()) {
            (Element::Watermark(time), Some(Element::Watermark(last))) => *last = *time,
            _ => queue.elements.push_back(element),
        }
        drop(queue);
        if was_empty {
            self.receiver.raise();
        }
    }

    /// Takes the next element, and says how many records were queued with it.
    pub fn pop(&self) -> Option<(Element<T>, u64)> {
        let mut queue = self.lock();
        let element = queue.elements.pop_front()?;
        let queued = queue.records;
        queue.records -= element.records();
        Some((element, queued))
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.lock().elements.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
