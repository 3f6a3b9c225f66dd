//! The channels of a process: sender and receiver of a channel find each other here, frames from other processes
//! find their channel, and frames to other processes wait until the executor takes them.

use crate::batch::Element;
use crate::channel::{Channel, Credit};
use bytes::Bytes;
use reflow_env::Signal;
use reflow_protocol::data::{ChannelId, DataFrame, Limit, Payload, ToSender};
use reflow_types::{Bounds, ExecutorId, GraphVersion, SubtaskId};
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

/// The name of a channel within a process, the same at both of its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalChannelId {
    pub channel: ChannelId,
    /// The version of the first graph that has the channel. An abandoned graph may have left one end behind,
    /// which the next graph must not find.
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

/// A queue that frames from another process are delivered to, whatever the type of its records.
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
            Payload::LatencyMarker(marker) => Element::LatencyMarker(marker),
        });
    }
}

/// The parts of a local channel that both ends share.
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
    /// A hub with the default bounds. `executor` is raised when a frame waits to be taken.
    pub fn new(executor: Signal) -> Self {
        Self::with_bounds(executor, Bounds::default())
    }

    /// A hub whose channels have these bounds. `executor` is raised when a frame waits to be taken.
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

    /// The sender's end of a channel within this process. `sender` and `receiver` wake the slots of the two ends.
    pub(crate) fn local_sender<T: Send + 'static>(
        &self,
        id: LocalChannelId,
        sender: Signal,
        receiver: &Signal,
    ) -> LocalChannel<T> {
        let local = self.local(id, receiver);
        *local.sender.lock().unwrap_or_else(PoisonError::into_inner) = sender;
        local
    }

    /// The receiver's end of a channel within this process. `receiver` wakes its slot.
    pub(crate) fn local_receiver<T: Send + 'static>(
        &self,
        id: LocalChannelId,
        receiver: &Signal,
    ) -> LocalChannel<T> {
        self.local(id, receiver)
    }

    /// The channel is created for the end that asks first, and passed to the other.
    fn local<T: Send + 'static>(&self, id: LocalChannelId, receiver: &Signal) -> LocalChannel<T> {
        let mut inner = self.lock();
        if let Some(other) = inner.local.remove(&id) {
            return *other.downcast().expect("both ends of an edge have one type");
        }
        let created = LocalChannel {
            channel: Arc::new(Channel::new(receiver.clone())),
            credit: Arc::default(),
            sender: Arc::default(),
        };
        inner.local.insert(id, Box::new(created.clone()));
        created
    }

    /// A queue for a channel whose sender is in another process.
    pub(crate) fn inbound<T: Send + 'static>(&self, id: ChannelId, receiver: Signal) -> Arc<Channel<T>> {
        let channel = Arc::new(Channel::new(receiver));
        self.lock().inbound.insert(id, channel.clone());
        channel
    }

    /// The credit of a channel whose receiver is in another process, with what that receiver has granted already.
    pub(crate) fn outbound(&self, id: ChannelId, sender: Signal) -> Arc<Credit> {
        let mut inner = self.lock();
        let credit = Arc::new(Credit::default());
        if let Some(limit) = inner.opened.remove(&id) {
            credit.raise(limit);
        }
        inner.outbound.insert(id, (credit.clone(), sender));
        credit
    }

    /// Removes the receiver of a channel. Frames that still arrive for it are dropped.
    pub(crate) fn forget_inbound(&self, id: ChannelId) {
        self.lock().inbound.remove(&id);
    }

    /// Removes the sender of a channel. `unused` is its credit if it has sent nothing; the channel's next sender
    /// gets it, because the receiver will not grant it again.
    pub(crate) fn forget_outbound(&self, id: ChannelId, unused: Option<Limit>) {
        let mut inner = self.lock();
        inner.outbound.remove(&id);
        if let Some(limit) = unused.filter(|limit| limit.records > 0) {
            inner.opened.insert(id, limit);
        }
    }

    /// Queues a frame for another executor. The queue is bounded by credit.
    pub(crate) fn send(&self, outgoing: Outgoing) {
        self.lock().outgoing.push(outgoing);
        self.executor.raise();
    }

    /// Takes the frames that wait to be sent. Called by the executor.
    pub fn take_outgoing(&self) -> Vec<Outgoing> {
        std::mem::take(&mut self.lock().outgoing)
    }

    /// Delivers a frame to its channel. A frame without a channel is one of an ended attempt and is dropped.
    /// Called by the executor.
    pub fn deliver(&self, frame: DataFrame) {
        let inbound = self.lock().inbound.get(&frame.channel).cloned();
        if let Some(inbound) = inbound {
            inbound.deliver(frame.payload);
        }
    }

    /// Handles a message of a receiver that opened a channel or raised its credit. Called by the executor.
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
                // The sender is not deployed yet, or has ended. Each channel has at most one entry, and the next
                // `clear` removes those of the ended attempt.
                inner.opened.insert(channel, limit);
            }
        }
    }

    /// Removes the channels of subtasks that have ended while others of the attempt run on. `stays` is true for these, and
    /// for those that will be deployed. Called by the executor.
    pub fn retain(&self, stays: impl Fn(SubtaskId) -> bool) {
        let mut inner = self.lock();
        inner.local.retain(|id, _| stays(id.channel.from) && stays(id.channel.to));
        inner.inbound.retain(|channel, _| stays(channel.to));
        inner.outbound.retain(|channel, _| stays(channel.from));
        inner.opened.retain(|channel, _| stays(channel.from));
    }

    /// Removes all channels, because their attempt has ended. Credit that receivers of the next attempt have
    /// already granted is kept: that of channels whose sender's id is at least `next_subtask`. Called by the
    /// executor.
    pub fn clear(&self, next_subtask: SubtaskId) {
        let mut inner = self.lock();
        inner.local.clear();
        inner.inbound.clear();
        inner.outbound.clear();
        inner.outgoing.clear();
        inner.opened.retain(|channel, _| channel.from >= next_subtask);
    }
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
