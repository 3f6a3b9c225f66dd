//! The sending end of a channel: puts elements into the queue of a receiver in this process, or encodes them into
//! frames.

use crate::batch::{Batch, Element};
use crate::channel::Credit;
use crate::codec::{self, SendError};
use crate::hub::{Hub, LocalChannelId, Outgoing};
use bytes::Bytes;
use reflow_env::Signal;
use reflow_protocol::data::{ChannelId, DataFrame, LatencyMarker, Limit, Payload};
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
        /// Payloads that wait until the receiver opens the channel, because its process would drop them before. A
        /// watermark or idleness signal replaces one directly before it.
        held: Vec<Payload>,
    },
}

impl<T: Data> Sender<T> {
    /// The sender of a channel to a receiver in this process. The signals wake the slots of both ends.
    pub fn local(hub: &Hub, id: LocalChannelId, sender: Signal, receiver: Signal) -> Self {
        let local = hub.local_sender(id, sender, &receiver);
        Self { credit: local.credit, sent: Limit::default(), route: Route::Local(local.channel) }
    }

    /// The sender of a channel to a receiver in another process.
    pub fn remote(hub: &Hub, id: ChannelId, sender: Signal, to: ExecutorId) -> Self {
        let credit = hub.outbound(id, sender);
        Self {
            credit,
            sent: Limit::default(),
            route: Route::Remote { channel: id, to, hub: hub.clone(), bytes: 0, held: Vec::new() },
        }
    }

    /// Whether there is credit for a batch. If not, the sender's slot is woken when there is.
    pub fn has_room(&mut self) -> bool {
        let room = self.room().allows_more() || !self.credit.wait_beyond(self.sent);
        if room {
            self.send_held();
        }
        room
    }

    /// The remaining credit.
    pub fn room(&self) -> Limit {
        self.credit.left(self.sent)
    }

    /// Sends records with an estimated length of `bytes`. Does not check the credit; the caller has.
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

    /// Sends whether the sender is idle.
    pub fn idle(&mut self, idle: bool) {
        self.control(|| Element::Idle(idle), Payload::Idle(idle));
    }

    /// Sends a barrier. With `resets`, earlier watermarks and idleness do not hold behind it.
    pub fn barrier(&mut self, checkpoint: CheckpointId, resets: bool) {
        self.control(|| Element::Barrier { checkpoint, resets }, Payload::Barrier { checkpoint, resets });
    }

    /// Sends a latency marker.
    pub fn latency_marker(&mut self, marker: LatencyMarker) {
        self.control(|| Element::LatencyMarker(marker), Payload::LatencyMarker(marker));
    }

    /// Sends the end.
    pub fn end(&mut self) {
        self.control(|| Element::End, Payload::End);
    }

    /// The number of records sent.
    pub fn sent(&self) -> u64 {
        self.sent.records
    }

    /// The number of bytes sent to another process.
    pub fn bytes(&self) -> u64 {
        if let Route::Remote { bytes, .. } = &self.route { *bytes } else { 0 }
    }

    /// Ends the use of the channel.
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

    /// Sends a frame, or keeps it until the receiver has opened the channel. The first credit wakes the sender,
    /// which then sends what was kept.
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

/// Keeps a payload. Of signals of one kind in a row, only the latest counts; of latency markers, only the first.
fn hold(held: &mut Vec<Payload>, payload: Payload) {
    let is_marker = |payload: &Payload| matches!(payload, Payload::LatencyMarker(_));
    if is_marker(&payload) && held.iter().any(is_marker) {
        return;
    }
    match (held.last_mut(), &payload) {
        (Some(last @ Payload::Watermark(_)), Payload::Watermark(_))
        | (Some(last @ Payload::Idle(_)), Payload::Idle(_)) => *last = payload,
        _ => held.push(payload),
    }
}
