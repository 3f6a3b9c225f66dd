//! The first frame of every connection.

use crate::ProtocolError;
use bytes::Bytes;
use reflow_types::{ExecutorId, JobId, TaskManagerId};
use serde::{Deserialize, Serialize};

/// The version of the protocol, which is raised with each change of any message.
pub const PROTOCOL_VERSION: u16 = 8;
const MAGIC: &[u8; 6] = b"REFLOW";

/// The identity of the process that opens a connection, and the purpose of the connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hello {
    /// A TaskManager, to the JobManager.
    TaskManager { id: TaskManagerId },
    /// A task executor, to the JobManager.
    Executor {
        id: ExecutorId,
        job: JobId,
        /// The secret that the JobManager has given to the executor. A process without it is refused.
        token: u128,
    },
    /// A task executor that will receive records, to the one that will send them.
    Receiver {
        /// The receiving executor.
        id: ExecutorId,
        job: JobId,
        /// As in `Executor`.
        token: u128,
        /// The number of the connection among those that the executor has opened. Hellos of two connections may
        /// arrive in either order, and the one with the higher number is used.
        number: u64,
    },
    /// A task executor that receives key groups, to the one that owns them until the cut.
    NewOwner {
        /// The executor of the new owners.
        id: ExecutorId,
        job: JobId,
        /// As in `Executor`.
        token: u128,
        /// As in `Receiver`.
        number: u64,
    },
}

impl Hello {
    /// The frame: magic, protocol version, then the message.
    pub fn encode(&self) -> Bytes {
        let mut frame = MAGIC.to_vec();
        frame.extend_from_slice(&PROTOCOL_VERSION.to_le_bytes());
        frame.extend_from_slice(&crate::encode(self));
        Bytes::from(frame)
    }

    /// Decodes the first frame of a connection.
    pub fn decode(frame: &[u8]) -> Result<Self, ProtocolError> {
        let rest = frame.strip_prefix(MAGIC).ok_or(ProtocolError::NotReflow)?;
        let (version, message) = rest.split_first_chunk::<2>().ok_or(ProtocolError::NotReflow)?;
        let theirs = u16::from_le_bytes(*version);
        if theirs != PROTOCOL_VERSION {
            return Err(ProtocolError::Version { theirs, ours: PROTOCOL_VERSION });
        }
        crate::decode(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_and_other_versions_are_told_apart() {
        let hello = Hello::TaskManager { id: TaskManagerId(7) };
        let frame = hello.encode();
        assert_eq!(Hello::decode(&frame), Ok(hello));
        assert_eq!(Hello::decode(b"GET / HTTP/1.1"), Err(ProtocolError::NotReflow));
        assert_eq!(Hello::decode(b""), Err(ProtocolError::NotReflow));
        let mut other = frame.to_vec();
        other[6] = 99;
        assert_eq!(Hello::decode(&other), Err(ProtocolError::Version { theirs: 99, ours: PROTOCOL_VERSION }));
        assert!(matches!(Hello::decode(&frame[..8]), Err(ProtocolError::Malformed { .. })));
    }
}
