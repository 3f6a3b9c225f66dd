//! The messages between processes.
//!
//! A connection carries frames, which are encoded with postcard. The first frame in each direction is a [`hello::Hello`]:
//! it identifies another program or another release before anything else is decoded. [`control`] holds the messages
//! between JobManager, TaskManager and task executor; [`report`] what subtasks and executors report, and [`failure`] why a
//! task failed; [`command`] the commands to the subtasks of an attempt; [`data`] the frames between task executors;
//! [`job_managers`] where these are found; [`rescale`] what a live rescale adds, [`regions`] a restart of a part of the job;
//! [`adoption`] what executors report to the next JobManager.
//!
//! Rejected: gRPC for the control plane. It adds a second transport beside the data plane's, generated code, and an
//! HTTP/2 stack to each process and to the simulator. What it would give (framing, deadlines, keep-alive), the drivers and
//! the heartbeats give already.

pub mod adoption;
pub mod command;
pub mod control;
pub mod data;
pub mod deployment;
pub mod failure;
pub mod hello;
pub mod job_managers;
pub mod regions;
pub mod report;
pub mod rescale;
pub mod snapshot;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

/// A frame that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The frame is not a message of the expected type.
    #[error("cannot read a {expected} from a frame of {len} bytes: {reason}")]
    Malformed {
        /// The message's type.
        expected: &'static str,
        /// The frame's length.
        len: usize,
        /// The decoder's error.
        reason: String,
    },
    /// The peer is not a process of Reflow.
    #[error("the peer does not speak Reflow's protocol")]
    NotReflow,
    /// The peer has another protocol version.
    #[error("the peer speaks protocol version {theirs}, this process version {ours}: run the same release")]
    Version {
        /// The peer's.
        theirs: u16,
        /// This build's.
        ours: u16,
    },
}

/// Encodes a message into a frame.
pub fn encode<M: Serialize>(message: &M) -> Bytes {
    let bytes =
        postcard::to_stdvec(message).expect("messages are plain data, which postcard can always encode");
    Bytes::from(bytes)
}

/// Decodes a frame.
pub fn decode<M: DeserializeOwned>(frame: &[u8]) -> Result<M, ProtocolError> {
    postcard::from_bytes(frame).map_err(|error| ProtocolError::Malformed {
        expected: std::any::type_name::<M>().rsplit("::").next().unwrap_or("message"),
        len: frame.len(),
        reason: error.to_string(),
    })
}
