//! Messages between JobManager, TaskManager and task executor.
//!
//! Facts are named in the past tense, requests in the imperative. On one connection they arrive in order:
//! splits that are assigned before a trigger belong to that checkpoint.

use crate::command::AttemptCommand;
use crate::deployment::{Addresses, Attempt, Deployment, StartExecutor};
use crate::report::{ExecutorReport, SubtaskReport};
use crate::rescale::Preparation;
use bytes::Bytes;
use reflow_types::{ExecutorId, JobId, LeaderEpoch, SubtaskId, TaskManagerId, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The machine under a TaskManager.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hardware {
    /// Processors that the process may use.
    pub cpu_cores: u32,
    /// Physical memory in bytes.
    pub physical_memory: u64,
    /// `taskmanager.memory.process.size` in bytes.
    pub process_memory: u64,
}

/// From a TaskManager to the JobManager.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromTaskManager {
    /// Its first message after the hello.
    Register {
        /// Its id, new with each start.
        id: TaskManagerId,
        /// The name of its host, for people and for data connections.
        host: String,
        /// How many slots it offers.
        slots: u32,
        /// Reflow's release, e.g. `0.1.0`.
        release: String,
        /// The platform that it can run, e.g. `x86_64-unknown-linux-gnu`.
        target: String,
        /// Its process id, for people.
        pid: u32,
        /// The machine.
        hardware: Hardware,
    },
    /// Sent each heartbeat interval.
    Heartbeat {
        /// Resident memory of the TaskManager and its executors, in bytes.
        memory_bytes: u64,
    },
    /// Asks for a part of the job's executable.
    FetchArtifact {
        /// Its SHA-256 in hexadecimal.
        sha256: String,
        /// From this byte on.
        offset: u64,
    },
    /// An executor is gone.
    ExecutorExited {
        executor: ExecutorId,
        /// "exit code 101", "killed by signal 9", "cannot be started: …".
        reason: String,
    },
    /// It does not see the storage of the job's checkpoints, and ends.
    StorageUnseen {
        /// Why, and what to do.
        reason: String,
    },
    /// It got SIGTERM or [`ToTaskManager::Drain`] and leaves; answered by [`ToTaskManager::Release`].
    Draining,
}

/// By what a TaskManager knows that it sees the storage of the job's checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageProof {
    /// An object that this leadership has written.
    pub written: String,
    /// What stands in it.
    pub content: Bytes,
    /// An object that the TaskManager creates, and then deletes.
    pub creates: String,
}

/// From the JobManager to a TaskManager.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToTaskManager {
    /// It belongs to the cluster now.
    Registered {
        /// How often it sends a heartbeat.
        heartbeat_interval: Duration,
        /// After how long a silence either side gives up the other.
        heartbeat_timeout: Duration,
        /// What it does before it starts an executor.
        storage: StorageProof,
        job: JobId,
        /// The leadership of this JobManager: a TaskManager that has followed a later one does not go back.
        epoch: LeaderEpoch,
    },
    /// It may not take part; it says so and ends.
    Refused {
        /// Why, and what to do.
        reason: String,
    },
    /// Answers a heartbeat.
    Heartbeat,
    /// Start an executor of a job.
    StartExecutor(StartExecutor),
    /// End an executor at once.
    StopExecutor { executor: ExecutorId },
    /// A part of an artifact.
    ArtifactChunk {
        /// Which artifact.
        sha256: String,
        /// Where the part begins.
        offset: u64,
        /// The artifact's length.
        total: u64,
        /// The part: 1 MiB, less at the end.
        bytes: Bytes,
    },
    /// A user wants it to leave: it does as on SIGTERM.
    Drain,
    /// Nothing of a job is on it any more: it may end.
    Release,
}

/// From a task executor to the JobManager.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromExecutor {
    /// Its first message after the hello.
    Register {
        id: ExecutorId,
        /// Where it listens for data connections.
        data_address: String,
        /// The job graph's fingerprint, as the job function built it here.
        fingerprint: u64,
        /// Its process id, for people.
        pid: u32,
    },
    /// Sent each heartbeat interval, with what was counted.
    Heartbeat {
        /// Resident memory in bytes.
        memory_bytes: u64,
        /// Of the subtasks that run.
        subtasks: Vec<SubtaskMetrics>,
    },
    /// About a subtask.
    SubtaskReport(SubtaskReport),
    /// About the executor, or about all of its subtasks together.
    Report(ExecutorReport),
}

/// From the JobManager to a task executor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToExecutor {
    /// It belongs to the job now.
    Registered {
        /// How often it sends a heartbeat.
        heartbeat_interval: Duration,
        /// After how long a silence it gives up the JobManager and ends.
        heartbeat_timeout: Duration,
    },
    /// It may not take part; it says so and ends.
    Refused {
        /// Why, and what to do.
        reason: String,
    },
    /// Answers a heartbeat.
    Heartbeat,
    /// Run these subtasks. Ends whatever of an earlier attempt is left.
    Deploy {
        /// The attempt.
        deployment: Box<Deployment>,
        /// Of its executors.
        addresses: Addresses,
    },
    /// End the attempt's subtasks. Answered by [`ExecutorReport::AttemptCanceled`].
    CancelAttempt { attempt: Attempt },
    /// Prepare another graph. Answered by [`ExecutorReport::RescalePrepared`] or [`ExecutorReport::RescaleRefused`].
    PrepareRescale {
        /// The other graph.
        preparation: Box<Preparation>,
        /// Of the executors of both graphs.
        addresses: Addresses,
    },
    /// To the attempt that runs.
    Command(AttemptCommand),
}

/// What a subtask has counted since it was deployed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SubtaskMetrics {
    pub subtask: SubtaskId,
    /// Records taken from its inputs, or read by its source.
    pub records_in: u64,
    /// Records handed to its outputs, or written by its sinks.
    pub records_out: u64,
    /// Bytes that came over the network.
    pub bytes_in: u64,
    /// Bytes that left over the network.
    pub bytes_out: u64,
    /// Time spent working.
    pub busy: Duration,
    /// Time in which it had input but no room in its outputs.
    pub backpressured: Duration,
    /// Time in which it had no input.
    pub idle: Duration,
    /// Its current watermark.
    pub watermark: Timestamp,
    /// Records that its splits are known to hold and that are not read yet; `None` if unknown.
    pub pending_records: Option<u64>,
    /// Bytes of keyed state in memory.
    pub state_bytes: u64,
    /// Records dropped because they came too late.
    pub late_records: u64,
    /// Records left out because they could not be read.
    pub skipped_records: u64,
    /// The longest step of its task since the last report, with the one that is under way.
    pub longest_step: Duration,
}
