//! The sending end of a channel: puts elements into the queue of a receiver in this process, or encodes them into
//! frames.

use crate::batch::{Batch, Element};
use crate::channel::Credit;
use crate::codec::{self, SendError};
use crate::hub::{Hub, LocalChannelId, LocalEnd, Outgoing};
use bytes::Bytes;
use reflow_env::Signal;
use reflow_protocol::data::{ChannelId, DataFrame, Limit, Payload};
use reflow_types::{Bounds, CheckpointId, Data, ExecutorId, Timestamp};
use std::sync::Arc;

/// The sending end of a channel.
pub struct Sender<T> {
    credit: Arc<Credit>,
    sent: Limit,
    route: Route<T>,
}

enum Route<T> {
    Local(Arc<crate::Channel<T>>),
    Remote {
        channel: ChannelId,
        to: ExecutorId,
        hub: Hub,
        bytes: u64,
        /// What was to be said before the receiver was there: it would be dropped. A watermark or a state of
        /// idleness replaces the one before.
        held: Vec<Payload>,
    },
}

impl<T: Data> Sender<T> {
    /// To a receiver in this process, whose slot is woken by `receiver`.
    pub fn local(hub: &Hub, id: LocalChannelId, sender: Signal, receiver: Signal) -> Self {
        let local = hub.local(id, LocalEnd { receiver, sender: Some(sender) });
        Self { credit: local.credit, sent: Limit::default(), route: Route::Local(local.channel) }
    }

    /// To a receiver in another process.
    pub fn remote(hub: &Hub, id: ChannelId, sender: Signal, to: ExecutorId) -> Self {
        let credit = hub.outbound(id, sender);
        Self {
            credit,
            sent: Limit::default(),
            route: Route::Remote { channel: id, to, hub: hub.clone(), bytes: 0, held: Vec::new() },
        }
    }

    /// Whether a batch may be sent now. If not, the sender's slot is woken when it may.
    pub fn has_room(&mut self) -> bool {
        let room = self.room().allows_more() || !self.credit.wait_beyond(self.sent);
        if room {
            self.send_held();
        }
        room
    }

    /// What may still be sent.
    pub fn room(&self) -> Limit {
        self.credit.left(self.sent)
    }

    /// Sends records that take about so many `bytes`, beyond the credit too: the caller has looked before.
    pub fn send(&mut self, batch: Batch<T>, bytes: u64) -> Result<(), SendError> {
        if batch.is_empty() {
            return Ok(());
        }
        self.sent.records += batch.len() as u64;
        let Bounds { batch_bytes, record_bytes, .. } = match &self.route {
            Route::Local(channel) => {
                self.sent.bytes += bytes;
                channel.push(Element::Batch { rows: batch, bytes });
                return Ok(());
            }
            Route::Remote { hub, .. } => *hub.bounds(),
        };
        for piece in codec::encode(&batch, bytes, batch_bytes, record_bytes)? {
            self.sent.bytes += piece.bytes.len() as u64;
            self.send_or_hold(Payload::Records { count: piece.count, bytes: Bytes::from(piece.bytes) });
        }
        Ok(())
    }

    /// Sends a watermark.
    pub fn watermark(&mut self, time: Timestamp) {
        self.control(|| Element::Watermark(time), Payload::Watermark(time));
    }

    /// Says whether the sender is idle.
    pub fn idle(&mut self, idle: bool) {
        self.control(|| Element::Idle(idle), Payload::Idle(idle));
    }

    /// Sends a barrier; `resets` if what was said of time and idleness does not hold behind it.
    pub fn barrier(&mut self, checkpoint: CheckpointId, resets: bool) {
        self.control(|| Element::Barrier { checkpoint, resets }, Payload::Barrier { checkpoint, resets });
    }

    /// Says that nothing follows.
    pub fn end(&mut self) {
        self.control(|| Element::End, Payload::End);
    }

    /// How many records were sent.
    pub fn sent(&self) -> u64 {
        self.sent.records
    }

    /// How many bytes were sent to another process.
    pub fn bytes(&self) -> u64 {
        if let Route::Remote { bytes, .. } = &self.route { *bytes } else { 0 }
    }

    /// The channel is not used any more.
    pub fn close(self) {
        if let Route::Remote { channel, hub, .. } = &self.route {
            hub.forget_outbound(*channel, (self.sent.records == 0).then(|| self.credit.limit()));
        }
    }

    fn control(&mut self, local: impl FnOnce() -> Element<T>, payload: Payload) {
        match &self.route {
            Route::Local(channel) => channel.push(local()),
            Route::Remote { .. } => self.send_or_hold(payload),
        }
    }

    /// Sends a frame, or keeps it until the receiver is there: whoever waits is woken by the first credit.
    fn send_or_hold(&mut self, payload: Payload) {
        if self.credit.limit().records == 0 && self.credit.wait_beyond(Limit::default()) {
            if let Route::Remote { held, .. } = &mut self.route {
                hold(held, payload);
            }
            return;
        }
        self.send_held();
        if let Route::Remote { channel, to, hub, bytes, .. } = &mut self.route {
            let records = matches!(payload, Payload::Records { .. });
            let frame = DataFrame { channel: *channel, payload }.encode();
            *bytes += if records { frame.len() as u64 } else { 0 };
            hub.send(Outgoing::Data(*to, frame));
        }
    }

    fn send_held(&mut self) {
        if let Route::Remote { channel, to, hub, held, .. } = &mut self.route {
            for payload in held.drain(..) {
                let frame = DataFrame { channel: *channel, payload }.encode();
                hub.send(Outgoing::Data(*to, frame));
            }
        }
    }
}

fn hold(held: &mut Vec<Payload>, payload: Payload) {
    if let Some(last) = held.last_mut()
        && std::mem::discriminant(last) == std::mem::discriminant(&payload)
        && matches!(payload, Payload::Watermark(_) | Payload::Idle(_))
    {
        *last = payload;
    } else {
        held.push(payload);
    }
}
