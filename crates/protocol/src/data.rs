//! Frames between task executors.
//!
//! The executor that receives records opens the data connection, opens channels with [`ToSender::Open`] and grants credit.
//! The sender answers with [`DataFrame`]s, in order within a channel. Frames of an unknown channel are dropped, because its
//! attempt has ended.

use crate::ProtocolError;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use reflow_graph::{EdgeId, VertexIndex};
use reflow_types::{CheckpointId, Instant, SubtaskId, Timestamp};
use serde::{Deserialize, Serialize};

/// A channel: one sender and one receiver on one edge. Subtask ids are never reused, so neither are channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChannelId {
    pub edge: EdgeId,
    /// The sender.
    pub from: SubtaskId,
    /// The receiver.
    pub to: SubtaskId,
}

/// Messages from the receiving executor to the sending one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToSender {
    /// The receiver exists, so the sender may begin.
    Open {
        channel: ChannelId,
        /// As in `Credit`.
        limit: Limit,
    },
    /// Raises the limit up to which the sender may send.
    Credit {
        channel: ChannelId,
        /// The new limit, which is never lower than an earlier one.
        limit: Limit,
    },
}

/// Numbers of records and bytes, counted since a channel was opened. A sender may begin another batch while it is
/// below both limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    pub records: u64,
    /// The number of bytes of the encoded records.
    pub bytes: u64,
}

impl Limit {
    /// Whether a batch may be sent, if this is the remainder of a credit.
    pub fn allows_more(self) -> bool {
        self.records > 0 && self.bytes > 0
    }
}

/// A marker that travels with the records from a source to all sinks, so that each task on its way measures the latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatencyMarker {
    /// The vertex whose source has sent it.
    pub source: VertexIndex,
    /// When it was sent, by the clock of the source's machine.
    pub sent: Instant,
}

/// The content of a data frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Encoded records.
    Records {
        count: u32,
        /// Encoded by the edge's codec.
        bytes: Bytes,
    },
    /// No record with a lower timestamp follows, except late ones.
    Watermark(Timestamp),
    /// Whether the sender is idle. The watermark of an idle sender is ignored.
    Idle(bool),
    /// The following records belong to the next checkpoint.
    Barrier {
        checkpoint: CheckpointId,
        /// Whether the sender's watermark and idleness are reset. The sender sends them again after the barrier.
        resets: bool,
    },
    /// The end of the channel.
    End,
    /// Is as late as the records around it.
    LatencyMarker(LatencyMarker),
}

/// A data frame: a channel and a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFrame {
    pub channel: ChannelId,
    pub payload: Payload,
}

impl DataFrame {
    /// The frame: edge u16, from u64, to u64, kind u8, then the payload; all little-endian.
    pub fn encode(&self) -> Bytes {
        let records = if let Payload::Records { bytes, .. } = &self.payload { bytes.len() } else { 0 };
        let mut out = BytesMut::with_capacity(32 + records);
        out.put_u16_le(self.channel.edge.0);
        out.put_u64_le(self.channel.from.0);
        out.put_u64_le(self.channel.to.0);
        match &self.payload {
            Payload::Records { count, bytes } => {
                out.put_u8(0);
                out.put_u32_le(*count);
                out.put_slice(bytes);
            }
            Payload::Watermark(time) => {
                out.put_u8(1);
                out.put_i64_le(*time);
            }
            Payload::Idle(idle) => out.put_u8(if *idle { 3 } else { 2 }),
            Payload::Barrier { checkpoint, resets } => {
                out.put_u8(if *resets { 6 } else { 4 });
                out.put_u64_le(checkpoint.0);
            }
            Payload::End => out.put_u8(5),
            Payload::LatencyMarker(marker) => {
                out.put_u8(7);
                out.put_u16_le(marker.source.0);
                out.put_u64_le(marker.sent.0);
            }
        }
        out.freeze()
    }

    /// Decodes a frame. Its records share the frame's memory.
    pub fn decode(mut frame: Bytes) -> Result<Self, ProtocolError> {
        let len = frame.len();
        let malformed =
            |reason: &str| ProtocolError::Malformed { expected: "DataFrame", len, reason: reason.to_owned() };
        if len < 19 {
            return Err(malformed("it is shorter than a header"));
        }
        let channel = ChannelId {
            edge: EdgeId(frame.get_u16_le()),
            from: SubtaskId(frame.get_u64_le()),
            to: SubtaskId(frame.get_u64_le()),
        };
        let kind = frame.get_u8();
        let needed = [4, 8, 0, 0, 8, 0, 8, 10]
            .get(usize::from(kind))
            .ok_or_else(|| malformed("its kind is unknown"))?;
        if frame.remaining() < *needed {
            return Err(malformed("it ends too early"));
        }
        let payload = match kind {
            0 => Payload::Records { count: frame.get_u32_le(), bytes: frame.split_off(0) },
            1 => Payload::Watermark(frame.get_i64_le()),
            2 | 3 => Payload::Idle(kind == 3),
            4 | 6 => Payload::Barrier { checkpoint: CheckpointId(frame.get_u64_le()), resets: kind == 6 },
            5 => Payload::End,
            _ => Payload::LatencyMarker(LatencyMarker {
                source: VertexIndex(frame.get_u16_le()),
                sent: Instant(frame.get_u64_le()),
            }),
        };
        if frame.has_remaining() {
            return Err(malformed("bytes follow its end"));
        }
        Ok(Self { channel, payload })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_the_wire_and_garbage_is_named() {
        let channel = ChannelId { edge: EdgeId(3), from: SubtaskId(1), to: SubtaskId(u64::MAX) };
        for payload in [
            Payload::Records { count: 2, bytes: Bytes::from_static(b"abc") },
            Payload::Watermark(-5),
            Payload::Idle(true),
            Payload::Idle(false),
            Payload::Barrier { checkpoint: CheckpointId(9), resets: false },
            Payload::Barrier { checkpoint: CheckpointId(9), resets: true },
            Payload::End,
            Payload::LatencyMarker(LatencyMarker { source: VertexIndex(7), sent: Instant(u64::MAX) }),
        ] {
            let frame = DataFrame { channel, payload };
            let bytes = frame.encode();
            assert_eq!(DataFrame::decode(bytes.clone()), Ok(frame.clone()));
            for cut in 0..bytes.len() {
                let decoded = DataFrame::decode(bytes.slice(..cut));
                let still_records = matches!(frame.payload, Payload::Records { .. }) && cut >= 23;
                assert!(decoded.is_err() || still_records, "cut to {cut}: {decoded:?}");
            }
        }
        assert!(DataFrame::decode(Bytes::from_static(&[9; 40])).is_err());
    }
}
