//! The sending end of a channel.

use crate::batch::{Batch, Element};
use crate::channel::Credit;
use crate::codec;
use crate::hub::{Hub, LocalEnd, Outgoing};
use bytes::Bytes;
use reflow_env::Signal;
use reflow_protocol::data::{ChannelId, DataFrame, Payload};
use reflow_types::{CheckpointId, ExecutorId, Timestamp};
use serde::Serialize;
use std::sync::Arc;

/// The sending end of a channel.
pub struct Sender<T> {
    credit: Arc<Credit>,
    sent: u64,
    way: Way<T>,
}

enum Way<T> {
    Local(Arc<crate::Channel<T>>),
    Remote { channel: ChannelId, to: ExecutorId, hub: Hub, bytes: u64 },
}

impl<T: Serialize + Send + 'static> Sender<T> {
    /// To a receiver in this process, whose slot is woken by `receiver`.
    pub fn local(hub: &Hub, id: ChannelId, sender: Signal, receiver: Signal) -> Self {
        let local = hub.local(id, LocalEnd { receiver, sender: Some(sender) });
        Self { credit: local.credit, sent: 0, way: Way::Local(local.channel) }
    }

    /// To a receiver in another process.
    pub fn remote(hub: &Hub, id: ChannelId, sender: Signal, to: ExecutorId) -> Self {
        let credit = hub.outbound(id, sender);
        Self { credit, sent: 0, way: Way::Remote { channel: id, to, hub: hub.clone(), bytes: 0 } }
    }

    /// Whether a batch may be sent now. If not, the sender's slot is woken when it may.
    pub fn has_room(&self) -> bool {
        self.sent < self.credit.limit() || !self.credit.wait_beyond(self.sent)
    }

    /// How many records may still be sent.
    pub fn room(&self) -> u64 {
        self.credit.limit().saturating_sub(self.sent)
    }

    /// Sends records, beyond the credit too: the caller has looked before.
    pub fn send(&mut self, batch: Batch<T>) {
        if batch.is_empty() {
            return;
        }
        self.sent += batch.len() as u64;
        match &mut self.way {
            Way::Local(channel) => channel.push(Element::Batch(batch)),
            Way::Remote { channel, to, hub, bytes } => {
                let encoded = Bytes::from(codec::encode(&batch));
                let payload = Payload::Records { count: batch.len() as u32, bytes: encoded };
                let frame = DataFrame { channel: *channel, payload }.encode();
                *bytes += frame.len() as u64;
                hub.send(Outgoing::Data(*to, frame));
            }
        }
    }

    /// Sends a watermark.
    pub fn watermark(&mut self, time: Timestamp) {
        self.control(|| Element::Watermark(time), Payload::Watermark(time));
    }

    /// Says whether the sender is idle.
    pub fn idle(&mut self, idle: bool) {
        self.control(|| Element::Idle(idle), Payload::Idle(idle));
    }

    /// Sends a barrier.
    pub fn barrier(&mut self, checkpoint: CheckpointId) {
        self.control(|| Element::Barrier(checkpoint), Payload::Barrier(checkpoint));
    }

    /// Says that nothing follows.
    pub fn end(&mut self) {
        self.control(|| Element::End, Payload::End);
    }

    /// How many records were sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// How many bytes were sent to another process.
    pub fn bytes(&self) -> u64 {
        if let Way::Remote { bytes, .. } = &self.way { *bytes } else { 0 }
    }

    fn control(&mut self, local: impl FnOnce() -> Element<T>, payload: Payload) {
        match &self.way {
            Way::Local(channel) => channel.push(local()),
            Way::Remote { channel, to, hub, .. } => {
                let frame = DataFrame { channel: *channel, payload }.encode();
                hub.send(Outgoing::Data(*to, frame));
            }
        }
    }
}
