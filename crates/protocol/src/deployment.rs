//! The configuration with which an executor is started, and its part of an attempt.

use crate::ProtocolError;
use crate::job_managers::JobManagers;
use crate::snapshot::{AfterBarrier, FirstCheckpoint, Restore};
use bytes::Bytes;
use reflow_graph::{ExecutionGraph, VertexIndex};
pub use reflow_types::Attempt;
use reflow_types::{CheckpointId, ExecutorId, JobId, SubtaskId, TaskManagerId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The addresses (`host:port`) at which the executors of an attempt accept data connections.
pub type Addresses = Vec<(ExecutorId, String)>;

/// An attempt as the scheduler creates it. Each executor gets it with the state of its own subtasks only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    pub attempt: Attempt,
    /// All subtasks of the job. An executor runs those in its slots.
    pub graph: ExecutionGraph,
    /// The state that subtasks restore.
    pub restore: Vec<(SubtaskId, Restore)>,
    /// What the first checkpoint of the attempt contains.
    pub first_checkpoint: FirstCheckpoint,
    /// The checkpoint that is restored, if any.
    pub checkpoint: Option<CheckpointId>,
    /// The vertices whose state that checkpoint has taken over from an earlier one, because they did not take part in it.
    /// Retained tables know the earlier one.
    pub taken_over: BTreeMap<VertexIndex, CheckpointId>,
    /// What sources do: `Continue`, or, if the restored checkpoint is the one with which the job ends, what
    /// follows it, as if it had just been completed in this attempt.
    pub then: AfterBarrier,
}

impl Deployment {
    /// The last checkpoint in which the subtasks of a vertex took part whose state is restored.
    pub fn taken_in(&self, vertex: VertexIndex) -> Option<CheckpointId> {
        self.taken_over.get(&vertex).copied().or(self.checkpoint)
    }
}

/// The job's executable. A TaskManager that does not have it fetches `http://HOST:<http_port>/artifacts/<sha256>`, with TLS if
/// `tls` says so; `HOST` is the host under which it knows the JobManager.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The file's name in `lib/`.
    pub name: String,
    /// Its SHA-256 in lower-case hexadecimal.
    pub sha256: String,
    /// Its length in bytes.
    pub len: u64,
    /// The port at which the JobManager serves it.
    pub http_port: u16,
    /// How that connection is encrypted.
    pub tls: ArtifactTls,
}

/// How the connection is encrypted by which the executable is fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArtifactTls {
    #[default]
    None,
    /// As those of clients of REST: the certificate is for the JobManager's name.
    Rest,
    /// As those between processes, which both show certificates of the cluster.
    Internal,
}

/// The parameters of an executor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartExecutor {
    pub executor: ExecutorId,
    pub job: JobId,
    /// What to run.
    pub artifact: Artifact,
    /// The job's own arguments.
    pub job_args: Vec<String>,
    /// The secret with which it authenticates to the JobManager and to other executors.
    pub token: u128,
    pub slots: u32,
}

/// The message that a TaskManager sends to an executor (`ARTIFACT executor`) through its standard input.
///
/// The pipe stays open while the TaskManager lives, so the message is framed: its length in bytes (u32,
/// little-endian), then the message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExecutorStart {
    /// The parameters from the JobManager.
    pub start: StartExecutor,
    /// Where JobManagers listen. The one that starts it is the current one.
    pub job_managers: JobManagers,
    /// The TaskManager that starts it.
    pub task_manager: TaskManagerId,
    /// The name of this machine for data connections of other executors.
    pub host: String,
    /// The interface that accepts data connections.
    pub bind_host: String,
    /// The port for data connections; 0 for any.
    pub data_port: u16,
    /// The memory limit of the process in bytes: the TaskManager's limit without the TaskManager's own share.
    pub memory_limit: Option<u64>,
    /// The TaskManager's options as lines of `key: value`. They contain secrets and must never be logged.
    pub properties: String,
}

impl ExecutorStart {
    /// Encodes the length and the message.
    pub fn encode(&self) -> Bytes {
        let message = crate::encode(self);
        let len = u32::try_from(message.len()).expect("options are short");
        Bytes::from([&len.to_le_bytes()[..], &message].concat())
    }

    /// The number of bytes of the message, from the first four bytes.
    pub fn message_len(prefix: [u8; 4]) -> usize {
        u32::from_le_bytes(prefix) as usize
    }

    /// Decodes the message, without its length.
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
            artifact: Artifact {
                name: "flights".into(),
                sha256: "ab".into(),
                len: 3,
                http_port: 8081,
                tls: ArtifactTls::Rest,
            },
            job_args: vec!["--rate".into()],
            token: 3,
            slots: 4,
        };
        let start = ExecutorStart {
            start,
            job_managers: JobManagers::new("localhost:6123".into(), []),
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
