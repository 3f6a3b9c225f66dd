//! The receiving end of a channel.

use crate::batch::{Batch, Element};
use crate::channel::{Channel, Credit, INITIAL_WINDOW};
use crate::codec::{self, CodecError};
use crate::hub::{Hub, LocalEnd, Outgoing};
use reflow_env::Signal;
use reflow_protocol::data::{ChannelId, ToSender};
use reflow_types::{ExecutorId, GraphVersion};
use serde::de::DeserializeOwned;
use std::sync::{Arc, Mutex, PoisonError};

/// The receiving end of a channel.
pub struct Receiver<T> {
    channel: Arc<Channel<T>>,
    consumed: u64,
    granted: u64,
    window: u64,
    bytes: u64,
    way: Way,
}

enum Way {
    Local { credit: Arc<Credit>, sender: Arc<Mutex<Signal>> },
    Remote { id: ChannelId, from: ExecutorId, hub: Hub },
}

impl<T: DeserializeOwned + Send + 'static> Receiver<T> {
    /// From a sender in this process. Grants the first credit.
    pub fn local(hub: &Hub, (id, since): (ChannelId, GraphVersion), receiver: Signal) -> Self {
        let local = hub.local(id, since, LocalEnd { receiver, sender: None });
        Self::open(local.channel, Way::Local { credit: local.credit, sender: local.sender })
    }

    /// From a sender in another process. Opens the channel and grants the first credit.
    pub fn remote(hub: &Hub, id: ChannelId, receiver: Signal, from: ExecutorId) -> Self {
        let channel = hub.inbound(id, receiver);
        hub.send(Outgoing::Credit(from, ToSender::Open { channel: id, limit: INITIAL_WINDOW }));
        Self::open(channel, Way::Remote { id, from, hub: hub.clone() })
    }

    fn open(channel: Arc<Channel<T>>, way: Way) -> Self {
        if let Way::Local { credit, sender } = &way {
            credit.raise(INITIAL_WINDOW);
            sender.lock().unwrap_or_else(PoisonError::into_inner).raise();
        }
        Self { channel, consumed: 0, granted: INITIAL_WINDOW, window: INITIAL_WINDOW, bytes: 0, way }
    }

    /// Takes the next element.
    pub fn pop(&mut self) -> Option<Element<T>> {
        self.channel.pop()
    }

    /// Whether something is queued.
    pub fn has_input(&self) -> bool {
        !self.channel.is_empty()
    }

    /// Decodes a batch from another process.
    pub fn decode(&mut self, count: u32, bytes: &[u8]) -> Result<Batch<T>, CodecError> {
        self.bytes += bytes.len() as u64;
        codec::decode(count, bytes)
    }

    /// Counts records as consumed and grants the sender new credit: up to `window` records ahead. Told to the
    /// sender once half of the window is free.
    pub fn consumed(&mut self, records: u64, window: u64) {
        self.consumed += records;
        self.window = window.max(1);
        let limit = self.consumed + self.window;
        if limit.saturating_sub(self.granted) * 2 < self.window && self.granted > self.consumed {
            return;
        }
        if limit <= self.granted {
            return;
        }
        self.granted = limit;
        match &self.way {
            Way::Local { credit, sender } => {
                if credit.raise(limit) {
                    sender.lock().unwrap_or_else(PoisonError::into_inner).raise();
                }
            }
            Way::Remote { id, from, hub } => {
                hub.send(Outgoing::Credit(*from, ToSender::Credit { channel: *id, limit }));
            }
        }
    }

    /// The channel is not used any more.
    pub fn close(self) {
        if let Way::Remote { id, hub, .. } = &self.way {
            hub.forget_inbound(*id);
        }
    }

    /// How many bytes came from another process.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}
