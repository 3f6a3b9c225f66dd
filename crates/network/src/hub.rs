//! Where the channels of a process meet: senders and receivers of one channel find each other here, frames from
//! other processes find their channel, and frames to them wait to be taken out.

use crate::batch::Element;
use crate::channel::{Channel, Credit};
use bytes::Bytes;
use reflow_env::Signal;
use reflow_protocol::data::{ChannelId, DataFrame, Limit, Payload, ToSender};
use reflow_types::{Bounds, ExecutorId, GraphVersion};
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A frame for another executor.
#[derive(Debug, PartialEq)]
pub enum Outgoing {
    /// To a receiver, over the connection that it opened.
    Data(ExecutorId, Bytes),
    /// To a sender, over the connection to it.
    Credit(ExecutorId, ToSender),
}

/// A channel within a process, as both of its ends name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalChannelId {
    /// The channel.
    pub channel: ChannelId,
    /// The first graph that has the channel. A graph that was given up may have left an end behind, which the next
    /// graph must not find.
    pub since: GraphVersion,
}

/// The channels of one executor.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Mutex<Inner>>,
    /// Raised when a frame waits to be taken out.
    executor: Signal,
    bounds: Arc<Bounds>,
}

#[derive(Default)]
struct Inner {
    /// Queues of local channels whose other end has not come yet.
    local: BTreeMap<LocalChannelId, Box<dyn Any + Send>>,
    /// Queues that frames from other processes go to.
    inbound: BTreeMap<ChannelId, Arc<dyn Inbound>>,
    /// Credits of channels to other processes, with the sender's signal.
    outbound: BTreeMap<ChannelId, (Arc<Credit>, Signal)>,
    /// Channels that a receiver opened before their sender was deployed.
    opened: BTreeMap<ChannelId, Limit>,
    outgoing: Vec<Outgoing>,
}

/// Takes what comes from another process.
trait Inbound: Send + Sync {
    fn deliver(&self, payload: Payload);
}

impl<T: Send> Inbound for Channel<T> {
    fn deliver(&self, payload: Payload) {
        self.push(match payload {
            Payload::Records { count, bytes } => Element::Encoded { count, bytes },
            Payload::Watermark(time) => Element::Watermark(time),
            Payload::Idle(idle) => Element::Idle(idle),
            Payload::Barrier { checkpoint, resets } => Element::Barrier { checkpoint, resets },
            Payload::End => Element::End,
        });
    }
}

/// Both ends' share of a local channel.
pub(crate) struct LocalChannel<T> {
    pub(crate) channel: Arc<Channel<T>>,
    pub(crate) credit: Arc<Credit>,
    /// The sender's slot.
    pub(crate) sender: Arc<Mutex<Signal>>,
}

impl<T> Clone for LocalChannel<T> {
    fn clone(&self) -> Self {
        Self { channel: self.channel.clone(), credit: self.credit.clone(), sender: self.sender.clone() }
    }
}

impl Hub {
    /// A hub whose outgoing frames are taken by the process that `executor` wakes.
    pub fn new(executor: Signal) -> Self {
        Self::with_bounds(executor, Bounds::default())
    }

    /// A hub whose channels have these bounds.
    pub fn with_bounds(executor: Signal, bounds: Bounds) -> Self {
        Self { inner: Arc::default(), executor, bounds: Arc::new(bounds) }
    }

    /// The bounds of its channels.
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The channel between two subtasks of this process: made by the end that comes first, taken by the other.
    /// `receiver` is the receiver's signal if the receiver calls, and the sender's otherwise.
    pub(crate) fn local<T: Send + 'static>(&self, id: LocalChannelId, end: LocalEnd) -> LocalChannel<T> {
        let mut inner = self.lock();
        let local = match inner.local.remove(&id) {
            Some(other) => *other.downcast::<LocalChannel<T>>().expect("both ends of an edge have one type"),
            None => {
                let fresh = LocalChannel {
                    channel: Arc::new(Channel::new(end.receiver.clone())),
                    credit: Arc::default(),
                    sender: Arc::default(),
                };
                inner.local.insert(id, Box::new(fresh.clone()));
                fresh
            }
        };
        if let Some(sender) = end.sender {
            *local.sender.lock().unwrap_or_else(PoisonError::into_inner) = sender;
        }
        local
    }

    /// A queue that is filled by another process.
    pub(crate) fn inbound<T: Send + 'static>(&self, id: ChannelId, receiver: Signal) -> Arc<Channel<T>> {
        let channel = Arc::new(Channel::new(receiver));
        self.lock().inbound.insert(id, channel.clone());
        channel
    }

    /// The credit of a channel to another process.
    pub(crate) fn outbound(&self, id: ChannelId, sender: Signal) -> Arc<Credit> {
        let mut inner = self.lock();
        let credit = Arc::new(Credit::default());
        if let Some(limit) = inner.opened.remove(&id) {
            credit.raise(limit);
        }
        inner.outbound.insert(id, (credit.clone(), sender));
        credit
    }

    /// The receiver of a channel is gone: what still comes is dropped.
    pub(crate) fn forget_inbound(&self, id: ChannelId) {
        self.lock().inbound.remove(&id);
    }

    /// The sender of a channel is gone. If it has sent nothing, the credit waits for the channel's next sender.
    pub(crate) fn forget_outbound(&self, id: ChannelId, unused: Option<Limit>) {
        let mut inner = self.lock();
        inner.outbound.remove(&id);
        if let Some(limit) = unused.filter(|limit| limit.records > 0) {
            inner.opened.insert(id, limit);
        }
    }

    /// Queues a frame for another executor. Bounded by credit.
    pub(crate) fn send(&self, outgoing: Outgoing) {
        self.lock().outgoing.push(outgoing);
        self.executor.raise();
    }

    /// For the executor: takes the frames that wait.
    pub fn take_outgoing(&self) -> Vec<Outgoing> {
        std::mem::take(&mut self.lock().outgoing)
    }

    /// For the executor: a frame came in. What belongs to no channel is of an ended attempt, and is dropped.
    pub fn deliver(&self, frame: DataFrame) {
        let inbound = self.lock().inbound.get(&frame.channel).cloned();
        if let Some(inbound) = inbound {
            inbound.deliver(frame.payload);
        }
    }

    /// For the executor: a receiver opened a channel or raised its credit.
    pub fn credit(&self, message: ToSender) {
        let (ToSender::Open { channel, limit } | ToSender::Credit { channel, limit }) = message;
        let mut inner = self.lock();
        match inner.outbound.get(&channel) {
            Some((credit, sender)) => {
                if credit.raise(limit) {
                    sender.raise();
                }
            }
            None => {
                // Its sender is not deployed yet, or has ended. One entry a channel of the next attempt; all
                // go with the next `clear`.
                inner.opened.insert(channel, limit);
            }
        }
    }

    /// For the executor: forgets every channel; their attempt has ended. Opened channels of an attempt to come
    /// are kept: those whose sender's id is at least `next_subtask`.
    pub fn clear(&self, next_subtask: reflow_types::SubtaskId) {
        let mut inner = self.lock();
        inner.local.clear();
        inner.inbound.clear();
        inner.outbound.clear();
        inner.outgoing.clear();
        inner.opened.retain(|channel, _| channel.from >= next_subtask);
    }
}

/// Which end of a local channel asks for it.
pub(crate) struct LocalEnd {
    /// The receiver's signal: known to both, as it belongs to the receiver's slot.
    pub(crate) receiver: Signal,
    /// The sender's signal, if the sender asks.
    pub(crate) sender: Option<Signal>,
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
