//! The receiving end of a channel: takes elements from the queue and grants credit to the sender.

use crate::batch::{Batch, Element};
use crate::channel::{Channel, Credit};
use crate::codec::{self, CodecError};
use crate::hub::{Hub, LocalChannelId, Outgoing};
use reflow_env::Signal;
use reflow_protocol::data::{ChannelId, Limit, ToSender};
use reflow_types::{Data, ExecutorId};
use std::sync::{Arc, Mutex, PoisonError};

/// The receiving end of a channel.
pub struct Receiver<T> {
    channel: Arc<Channel<T>>,
    consumed: Limit,
    granted: Limit,
    /// How much the sender may be ahead of the receiver.
    window: Limit,
    /// How many records ahead the sender has lately used, with a reserve. An unused window does not grow, because
    /// it would admit a burst that takes too long if it meets a slow operator.
    used: u64,
    initial: u64,
    /// The size of the batch that is being processed.
    taken: Limit,
    queued: u64,
    bytes: u64,
    route: Route,
}

enum Route {
    Local { credit: Arc<Credit>, sender: Arc<Mutex<Signal>> },
    Remote { id: ChannelId, from: ExecutorId, hub: Hub },
}

impl<T: Data> Receiver<T> {
    /// The receiver of a channel from a sender in this process. Grants the first credit.
    pub fn local(hub: &Hub, id: LocalChannelId, receiver: Signal) -> Self {
        let local = hub.local_receiver(id, &receiver);
        let route = Route::Local { credit: local.credit, sender: local.sender };
        Self::open(local.channel, first_window(hub), route)
    }

    /// The receiver of a channel from another process. Opens the channel and grants the first credit.
    pub fn remote(hub: &Hub, id: ChannelId, receiver: Signal, from: ExecutorId) -> Self {
        let channel = hub.inbound(id, receiver);
        hub.send(Outgoing::Credit(from, ToSender::Open { channel: id, limit: first_window(hub) }));
        Self::open(channel, first_window(hub), Route::Remote { id, from, hub: hub.clone() })
    }

    fn open(channel: Arc<Channel<T>>, first: Limit, route: Route) -> Self {
        // A sender that has not been built yet finds the credit. Waking its slot for each of its channels would cost
        // more than the channels.
        if let Route::Local { credit, sender } = &route
            && credit.raise(first)
        {
            sender.lock().unwrap_or_else(PoisonError::into_inner).raise();
        }
        Self {
            channel,
            consumed: Limit::default(),
            granted: first,
            window: first,
            used: first.records,
            initial: first.records,
            taken: Limit::default(),
            queued: 0,
            bytes: 0,
            route,
        }
    }

    /// Takes the next element.
    pub fn pop(&mut self) -> Option<Element<T>> {
        let (element, queued) = self.channel.pop()?;
        match &element {
            Element::Batch { rows, bytes } => {
                self.taken = Limit { records: rows.len() as u64, bytes: *bytes };
                self.queued = queued;
            }
            Element::Encoded { count, bytes } => {
                self.taken = Limit { records: u64::from(*count), bytes: bytes.len() as u64 };
                self.queued = queued;
            }
            Element::Watermark(_)
            | Element::Idle(_)
            | Element::Barrier { .. }
            | Element::End
            | Element::LatencyMarker(_) => {}
        }
        Some(element)
    }

    /// Whether the queue has an element.
    pub fn has_input(&self) -> bool {
        !self.channel.is_empty()
    }

    /// Decodes a batch from another process.
    pub fn decode(&mut self, count: u32, bytes: &[u8]) -> Result<Batch<T>, CodecError> {
        self.bytes += bytes.len() as u64;
        codec::decode(count, bytes)
    }

    /// The task has consumed the last batch. Grants credit up to `window` ahead of what is consumed, or up to as
    /// much of it as the sender uses. The grant is sent once it is half a window, so that there is about one
    /// message for each half.
    pub fn consumed(&mut self, window: Limit) {
        let taken = std::mem::take(&mut self.taken);
        self.consumed.records += taken.records;
        self.consumed.bytes += taken.bytes;
        self.used = match self.queued.saturating_mul(4) {
            at_least if at_least >= self.window.records => self.window.records * 2,
            at_least => (self.used - self.used / 64).max(at_least),
        };
        let records = window.records.min(self.used.max(self.initial)).max(1);
        self.window = Limit { records, bytes: window.bytes.max(1) };
        let limit = Limit {
            records: self.granted.records.max(self.consumed.records + self.window.records),
            bytes: self.granted.bytes.max(self.consumed.bytes + self.window.bytes),
        };
        let is_due = |limit: u64, granted: u64, consumed: u64, window: u64| {
            limit > granted && ((limit - granted) * 2 >= window || granted <= consumed)
        };
        let Self { granted, consumed, window, .. } = &*self;
        if !is_due(limit.records, granted.records, consumed.records, window.records)
            && !is_due(limit.bytes, granted.bytes, consumed.bytes, window.bytes)
        {
            return;
        }
        self.granted = limit;
        match &self.route {
            Route::Local { credit, sender } => {
                if credit.raise(limit) {
                    sender.lock().unwrap_or_else(PoisonError::into_inner).raise();
                }
            }
            Route::Remote { id, from, hub } => {
                hub.send(Outgoing::Credit(*from, ToSender::Credit { channel: *id, limit }));
            }
        }
    }

    /// Ends the use of the channel.
    pub fn close(self) {
        if let Route::Remote { id, hub, .. } = &self.route {
            hub.forget_inbound(*id);
        }
    }

    /// The number of bytes received from another process.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// The credit of a channel before its receiver's rate is known.
fn first_window(hub: &Hub) -> Limit {
    let bounds = hub.bounds();
    Limit { records: bounds.first_credit, bytes: bounds.batch_bytes }
}
