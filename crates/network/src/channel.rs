//! A channel's queue and its credit, shared by the sender and the receiver.
//!
//! Pushing or taking a batch locks the queue once. Credit is counted from the opening of the channel, so a credit
//! message may be lost or repeated without harm: the receiver raises a limit on the records and bytes that were
//! ever sent, and the sender stays below it. A batch may exceed the limit by less than its own length; barriers,
//! watermarks and the end need no credit.

use crate::batch::Element;
use reflow_env::Signal;
use reflow_protocol::data::Limit;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The credit of a sender: a limit on what it has sent since the channel was opened.
///
/// The sender sets `starved` and then reads the limit; the receiver raises the limit and then reads `starved`.
/// Both need sequential consistency: with a weaker order, the sender could see the old limit while the receiver
/// sees no waiting sender, and the sender would never be woken.
#[derive(Default)]
pub struct Credit {
    records: AtomicU64,
    bytes: AtomicU64,
    starved: AtomicBool,
}

impl Credit {
    /// The current limit.
    pub fn limit(&self) -> Limit {
        Limit { records: self.records.load(Ordering::SeqCst), bytes: self.bytes.load(Ordering::SeqCst) }
    }

    /// Raises the limit. Returns whether the sender waits for it.
    pub fn raise(&self, limit: Limit) -> bool {
        self.bytes.fetch_max(limit.bytes, Ordering::SeqCst);
        self.records.fetch_max(limit.records, Ordering::SeqCst);
        self.starved.swap(false, Ordering::SeqCst)
    }

    /// The records and bytes that a sender may still send after it has sent `sent`.
    pub fn left(&self, sent: Limit) -> Limit {
        let limit = self.limit();
        Limit {
            records: limit.records.saturating_sub(sent.records),
            bytes: limit.bytes.saturating_sub(sent.bytes),
        }
    }

    /// Registers that the sender waits. Returns whether it still has to: the limit may have been raised
    /// meanwhile.
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
    /// The sum over `elements`, so that taking an element need not count them.
    records: u64,
    /// Whether `elements` has a latency marker.
    has_marker: bool,
}

impl<T> Channel<T> {
    /// An empty channel. `receiver` is raised when it gets its first element.
    pub fn new(receiver: Signal) -> Self {
        Self {
            queue: Mutex::new(Queue { elements: VecDeque::new(), records: 0, has_marker: false }),
            receiver,
        }
    }

    /// Appends an element. A watermark replaces one at the end of the queue, because only the latest counts. The queue has
    /// one latency marker at a time, so that they do not pile up while the channel is not read.
    pub fn push(&self, element: Element<T>) {
        let mut queue = self.lock();
        let is_marker = matches!(element, Element::LatencyMarker(_));
        if is_marker && std::mem::replace(&mut queue.has_marker, true) {
            return;
        }
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

    /// Takes the next element. Also returns the number of records that were queued, with those of the element.
    pub fn pop(&self) -> Option<(Element<T>, u64)> {
        let mut queue = self.lock();
        let element = queue.elements.pop_front()?;
        let queued = queue.records;
        queue.records -= element.records();
        queue.has_marker &= !matches!(element, Element::LatencyMarker(_));
        Some((element, queued))
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.lock().elements.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
