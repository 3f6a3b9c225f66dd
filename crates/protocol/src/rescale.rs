//! The messages of a live rescale, by which a running attempt gets other subtasks.
//!
//! ```text
//! JobManager                                   executors of both graphs
//!   PrepareRescale (state of checkpoint m) ──►   build new tasks, open channels, read what moves
//!                              ◄── RescalePrepared
//!   an ordinary checkpoint f; CatchUp (what f adds) ──►
//!                              ◄── RescalePrepared
//!   Trigger checkpoint n with a Cut ──►          at its barrier each subtask takes the new graph
//!                              ◄── Cut           splits that it has released
//!                                                old owner ── HandOver ──► new owner
//!                              ◄── Installed
//!   (in effect; published by the first complete checkpoint from n on)
//!                              ◄── Finished, of removed subtasks
//!   Commit ──►
//! ```
//!
//! Before the cut, the rescale can be abandoned ([`Abandon`](crate::command::RescaleCommand::Abandon)) without
//! effect on the job. After it, the only way back is a restart from the last complete checkpoint.

use crate::ProtocolError;
use crate::deployment::Attempt;
use crate::snapshot::Restore;
use bytes::{BufMut, Bytes, BytesMut};
use reflow_graph::ExecutionGraph;
use reflow_types::{CheckpointId, GraphVersion, SubtaskId, Timestamp};
use serde::{Deserialize, Serialize};

/// The next graph of a running attempt, as the scheduler creates it. Each executor gets it with the state of its
/// own subtasks only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preparation {
    pub attempt: Attempt,
    /// The version of the next graph.
    pub version: GraphVersion,
    /// The current graph, which executors that join the attempt do not know.
    pub former: ExecutionGraph,
    /// The graph after the cut. Subtasks that stay keep their ids.
    pub graph: ExecutionGraph,
    /// The checkpoint from which state is prefetched.
    pub checkpoint: CheckpointId,
    /// For each subtask, the state in `checkpoint` of the key groups that it gains, and the watermark.
    pub restore: Vec<(SubtaskId, Restore)>,
}

/// The part of a checkpoint's trigger that changes the graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// The graph that takes effect.
    pub version: GraphVersion,
    /// The number of splits that each subtask of a source keeps. Other subtasks keep all.
    pub splits: Vec<(SubtaskId, u32)>,
}

/// The figures of a subtask that has installed all of its key groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installation {
    /// Bytes of state that were handed over to it.
    pub bytes: u64,
    /// Records that waited for their key group.
    pub parked: u64,
    /// The longest time in which a key group had no owner, in microseconds.
    pub pause_us: u64,
}

/// A part of the state that an old owner hands over to a new one. Parts of one hand-over arrive in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOver {
    pub attempt: Attempt,
    /// The checkpoint of the cut.
    pub checkpoint: CheckpointId,
    /// The old owner.
    pub from: SubtaskId,
    /// The new owner.
    pub to: SubtaskId,
    pub part: Part,
}

/// The content of a part of a hand-over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Blocks of one table, with the changes since the previous checkpoint.
    Blocks {
        table: u16,
        /// The blocks.
        bytes: Bytes,
    },
    /// The end of the hand-over.
    Done {
        /// When the old owner released the groups, by its clock, in microseconds. Processing time of the groups
        /// never goes back behind it.
        cut_at_us: u64,
        /// The old owner's watermark. Records before it are late.
        watermark: Timestamp,
    },
}

impl Part {
    /// The number of bytes of state in it.
    pub fn state_bytes(&self) -> u64 {
        if let Self::Blocks { bytes, .. } = self { bytes.len() as u64 } else { 0 }
    }
}

/// Distinguishes a part from a data frame, because no edge has this number.
const MARK: u16 = u16::MAX;
const HEADER: usize = 41;
const DONE: usize = 16;

impl HandOver {
    /// The frame: mark u16, epoch u64, attempt u32, checkpoint u64, from u64, to u64, kind u8, table u16, then the blocks, or
    /// time u64 and watermark i64; all little-endian. Blocks carry checksums of their own.
    pub fn encode(&self) -> Bytes {
        let len = if let Part::Blocks { bytes, .. } = &self.part { bytes.len() } else { DONE };
        let mut out = BytesMut::with_capacity(HEADER + len);
        out.put_u16_le(MARK);
        out.put_u64_le(self.attempt.epoch.0);
        out.put_u32_le(self.attempt.number.0);
        out.put_u64_le(self.checkpoint.0);
        out.put_u64_le(self.from.0);
        out.put_u64_le(self.to.0);
        match &self.part {
            Part::Blocks { table, bytes } => {
                out.put_u8(0);
                out.put_u16_le(*table);
                out.put_slice(bytes);
            }
            Part::Done { cut_at_us, watermark } => {
                out.put_u8(1);
                out.put_u16_le(0);
                out.put_u64_le(*cut_at_us);
                out.put_i64_le(*watermark);
            }
        }
        out.freeze()
    }

    /// Whether a frame is a part of a hand-over.
    pub fn is_one(frame: &[u8]) -> bool {
        frame.starts_with(&MARK.to_le_bytes())
    }

    /// Decodes a frame. Its blocks share the frame's memory.
    pub fn decode(frame: Bytes) -> Result<Self, ProtocolError> {
        let len = frame.len();
        let malformed =
            |reason: &str| ProtocolError::Malformed { expected: "HandOver", len, reason: reason.to_owned() };
        let Some((header, rest)) = frame.split_first_chunk::<HEADER>() else {
            return Err(malformed("it is shorter than a header"));
        };
        let long = |at: usize| {
            let bytes: [u8; 8] = header[at..at + 8].try_into().expect("eight bytes of a longer header");
            u64::from_le_bytes(bytes)
        };
        if header[..2] != MARK.to_le_bytes() {
            return Err(malformed("it has no mark"));
        }
        let part = match header[38] {
            0 => Part::Blocks {
                table: u16::from_le_bytes([header[39], header[40]]),
                bytes: frame.slice(HEADER..),
            },
            1 => {
                let done: [u8; DONE] = rest.try_into().map_err(|_| malformed("its end is not whole"))?;
                let [cut_at, watermark] = [0, 8].map(|at| {
                    let bytes: [u8; 8] = done[at..at + 8].try_into().expect("eight bytes of sixteen");
                    u64::from_le_bytes(bytes)
                });
                Part::Done { cut_at_us: cut_at, watermark: watermark as Timestamp }
            }
            kind => return Err(malformed(&format!("its kind {kind} is not known"))),
        };
        let number = u32::from_le_bytes([header[10], header[11], header[12], header[13]]);
        Ok(Self {
            attempt: Attempt { epoch: long(2).into(), number: number.into() },
            checkpoint: long(14).into(),
            from: long(22).into(),
            to: long(30).into(),
            part,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reflow_types::{AttemptNumber, LeaderEpoch};

    #[test]
    fn hand_overs_come_back_as_they_were() {
        let parts = [
            Part::Blocks { table: 513, bytes: Bytes::from_static(b"blocks") },
            Part::Blocks { table: 0, bytes: Bytes::new() },
            Part::Done { cut_at_us: u64::MAX, watermark: -7 },
        ];
        for part in parts {
            let attempt = Attempt { epoch: LeaderEpoch(7), number: AttemptNumber(8) };
            let (checkpoint, from, to) = (CheckpointId(9), SubtaskId(10), SubtaskId(11));
            let hand_over = HandOver { attempt, checkpoint, from, to, part };
            let frame = hand_over.encode();
            assert_eq!(HandOver::decode(frame.clone()), Ok(hand_over));
            assert!(HandOver::decode(frame.slice(..HEADER - 1)).is_err());
        }
        let mut unknown = vec![0; HEADER];
        assert!(HandOver::decode(unknown.clone().into()).is_err());
        unknown[..2].fill(0xff);
        unknown[38] = 2;
        assert!(HandOver::decode(unknown.into()).unwrap_err().to_string().contains("kind 2"));
    }
}
