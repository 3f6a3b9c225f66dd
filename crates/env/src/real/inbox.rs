//! The queue of inputs for a process. The driver's I/O tasks fill it and the process's thread empties it.
//!
//! It is bounded by its sources: a connection holds a permit for each of its frames in the queue ([`Event::Frame`]), and
//! of all other events there is at most one for each connection, request or child that the process asked for.

use super::outlet::Outlet;
use crate::{ConnId, Input, ListenerId, Signal};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::OwnedSemaphorePermit;

/// An event for the driver.
pub(super) enum Event {
    /// An input, which is passed to the process unchanged.
    Input(Input),
    /// A frame has arrived. The permit is returned when the process has handled it.
    Frame { conn: ConnId, frame: Bytes, permit: OwnedSemaphorePermit },
    /// A peer connected.
    Accepted { conn: ConnId, listener: ListenerId, outlet: Outlet },
    /// A slot's thread has panicked, so the process must end.
    SlotLost { reason: String },
    /// End at once, as SIGKILL would.
    Kill,
}

/// The queue of a process. Clones are the same inbox.
#[derive(Clone)]
pub(super) struct Inbox(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    signal: Signal,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<Event>,
    closed: bool,
}

impl Inbox {
    /// An empty inbox that raises `signal` for each event.
    pub(super) fn new(signal: Signal) -> Self {
        Self(Arc::new(Shared { queue: Mutex::default(), signal }))
    }

    /// Adds an event, or drops it if the driver has ended.
    pub(super) fn push(&self, event: Event) {
        let refused = {
            let mut queue = self.lock();
            if queue.closed {
                Some(event)
            } else {
                queue.events.push_back(event);
                None
            }
        };
        drop(refused);
        self.0.signal.raise();
    }

    /// Adds an input.
    pub(super) fn push_input(&self, input: Input) {
        self.push(Event::Input(input));
    }

    /// Moves all events to `into`, which must be empty.
    pub(super) fn take(&self, into: &mut VecDeque<Event>) {
        debug_assert!(into.is_empty());
        std::mem::swap(&mut self.lock().events, into);
    }

    /// Drops the waiting events and all later ones.
    pub(super) fn close(&self) {
        let waiting = {
            let mut queue = self.lock();
            queue.closed = true;
            std::mem::take(&mut queue.events)
        };
        drop(waiting);
    }

    /// The signal that is raised for each event.
    pub(super) fn signal(&self) -> &Signal {
        &self.0.signal
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
