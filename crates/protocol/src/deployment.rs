//! What an executor is sent: its configuration when it starts, and its part of an attempt.

use crate::ProtocolError;
use crate::snapshot::{AfterBarrier, Codec, Restore};
use bytes::Bytes;
use reflow_graph::ExecutionGraph;
use reflow_types::{AttemptNumber, CheckpointId, ExecutorId, JobId, LeaderEpoch, SubtaskId, TaskManagerId};
use serde::{Deserialize, Serialize};

/// Names one deployment of a job over all leaderships. Whatever arrives with another one is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// The leadership that deployed it.
    pub epoch: LeaderEpoch,
    /// Counts deployments within the leadership.
    pub number: AttemptNumber,
}

impl std::fmt::Display for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.epoch, self.number)
    }
}

/// Where each executor of an attempt listens for data connections (`host:port`).
pub type Addresses = Vec<(ExecutorId, String)>;

/// An attempt, as the scheduler makes it; each executor gets it with the state of its own subtasks only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its name.
    pub attempt: Attempt,
    /// All subtasks of the job; the executor runs those in its slots.
    pub graph: ExecutionGraph,
    /// The state of each subtask that gets some.
    pub restore: Vec<(SubtaskId, Restore)>,
    /// The codec in which that state is written.
    pub restore_codec: Codec,
    /// The checkpoint that is restored, if any.
    pub checkpoint: Option<CheckpointId>,
    /// What sources do: `Continue`, or what follows the checkpoint with which the job ends, as if it had just been
    /// completed here.
    pub then: AfterBarrier,
}

/// How to start an executor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartExecutor {
    pub executor: ExecutorId,
    pub job: JobId,
    /// The executable's name in `lib/` and in the cache.
    pub executable: String,
    /// The SHA-256 of the job's executable in hexadecimal.
    pub sha256: String,
    /// The job's own arguments.
    pub job_args: Vec<String>,
    /// Opens the JobManager and the other executors to it.
    pub token: u128,
    /// How many slots it runs.
    pub slots: u32,
}

/// What a TaskManager tells the executor that it starts (`ARTIFACT executor`), through its standard input.
///
/// The pipe stays open while the TaskManager lives, so the message is framed: its length in bytes (u32,
/// little-endian), then the message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExecutorStart {
    /// As the JobManager said.
    pub start: StartExecutor,
    /// Where the JobManager listens (`host:port`).
    pub job_manager: String,
    /// The parent.
    pub task_manager: TaskManagerId,
    /// The name of this machine for data connections of other executors.
    pub host: String,
    /// The interface that data connections come in at.
    pub bind_host: String,
    /// The port for data connections; 0 for any.
    pub data_port: u16,
    /// What the process may use, in bytes: the TaskManager's limit less the TaskManager's own share.
    pub memory_limit: Option<u64>,
    /// The TaskManager's options, as lines of `key: value`, secrets in clear: never to be logged.
    pub properties: String,
}

impl ExecutorStart {
    /// The length, then the message.
    pub fn encode(&self) -> Bytes {
        let message = crate::encode(self);
        let len = u32::try_from(message.len()).expect("options are short");
        Bytes::from([&len.to_le_bytes()[..], &message].concat())
    }

    /// The number of bytes of the message, from the first four bytes.
    pub fn message_len(prefix: [u8; 4]) -> usize {
        u32::from_le_bytes(prefix) as usize
    }

    /// Reads the message, without its length.
    pub fn decode(message: &[u8]) -> Result<Self, ProtocolError> {
        crate::decode(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_message_says_how_long_it_is() {
        let start = StartExecutor {
            executor: ExecutorId(1),
            job: JobId(2),
            executable: "flights".into(),
            sha256: "ab".into(),
            job_args: vec!["--rate".into()],
            token: 3,
            slots: 4,
        };
        let start = ExecutorStart {
            start,
            job_manager: "localhost:6123".into(),
            task_manager: TaskManagerId(5),
            host: "localhost".into(),
            bind_host: "localhost".into(),
            data_port: 0,
            memory_limit: None,
            properties: "heartbeat.interval: 1 s\n".into(),
        };
        let bytes = start.encode();
        let (prefix, message) = bytes.split_first_chunk::<4>().unwrap();
        assert_eq!(ExecutorStart::message_len(*prefix), message.len());
        assert_eq!(ExecutorStart::decode(message), Ok(start));
        assert!(ExecutorStart::decode(&message[..3]).is_err());
    }
}
