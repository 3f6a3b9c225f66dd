//! Messages between JobManager, TaskManager and task executor.
//!
//! Facts are named in the past tense, requests in the imperative. Messages of one connection arrive in order, so
//! splits that are assigned before a trigger belong to that checkpoint.

use crate::adoption::AttemptReport;
use crate::command::AttemptCommand;
use crate::deployment::{Addresses, Attempt, Deployment, StartExecutor};
use crate::regions::RegionRestart;
use crate::report::{ExecutorReport, SubtaskReport};
use crate::rescale::Preparation;
use bytes::Bytes;
use reflow_graph::VertexIndex;
use reflow_types::inspection::{Inquiry, Inspection};
use reflow_types::metric::{Distribution, UserMetric};
use reflow_types::{ExecutorId, JobId, LeaderEpoch, SubtaskId, TaskManagerId, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The hardware of a TaskManager's machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hardware {
    /// Processors that the process may use.
    pub cpu_cores: u32,
    /// Physical memory in bytes.
    pub physical_memory: u64,
    /// `taskmanager.memory.process.size` in bytes.
    pub process_memory: u64,
}

/// Messages from a TaskManager to the JobManager.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromTaskManager {
    /// Its first message after the hello.
    Register {
        /// New with each start of the process.
        id: TaskManagerId,
        /// The name of its host, which users see and data connections use.
        host: String,
        /// How many slots it offers.
        slots: u32,
        /// Reflow's release, e.g. `0.1.0`.
        release: String,
        /// The platform whose executables it can run, e.g. `x86_64-unknown-linux-gnu`.
        target: String,
        /// The process id, which is shown to users.
        pid: u32,
        /// The machine.
        hardware: Hardware,
        /// The executors that run, as former JobManagers of the job have started them.
        executors: Vec<StartExecutor>,
    },
    /// Sent each heartbeat interval.
    Heartbeat {
        /// Resident memory of the TaskManager and its executors, in bytes.
        memory_bytes: u64,
    },
    /// An executor is gone.
    ExecutorExited {
        executor: ExecutorId,
        /// "exit code 101", "killed by signal 9", "cannot be started: …".
        reason: String,
    },
    /// It cannot use the job's checkpoint storage, and exits.
    StorageUnseen {
        /// The reason, and what to do.
        reason: String,
    },
    /// It leaves the cluster, after SIGTERM or [`ToTaskManager::Drain`]. Answered by [`ToTaskManager::Release`].
    Draining,
    /// Answers [`ToTaskManager::Inspect`].
    Inspected {
        /// The number of the inquiry.
        number: u64,
        inspection: Inspection,
    },
}

/// The objects with which a TaskManager checks that it can use the job's checkpoint storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageProof {
    /// An object that this leadership has written.
    pub written: String,
    /// The content of that object.
    pub content: Bytes,
    /// The name of an object that the TaskManager creates and then deletes.
    pub creates: String,
}

/// Messages from the JobManager to a TaskManager.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToTaskManager {
    /// The TaskManager is registered.
    Registered {
        /// How often it sends a heartbeat.
        heartbeat_interval: Duration,
        /// The time without a message after which either side closes the connection.
        heartbeat_timeout: Duration,
        /// The check of storage that precedes its first executor.
        storage: StorageProof,
        job: JobId,
        /// The leadership of this JobManager. A TaskManager that has followed a later one ignores it.
        epoch: LeaderEpoch,
    },
    /// The registration is refused. The process logs the reason and exits.
    Refused {
        /// The reason, and what to do.
        reason: String,
    },
    /// Answers a heartbeat.
    Heartbeat,
    /// Start an executor of a job.
    StartExecutor(StartExecutor),
    /// Kill an executor.
    StopExecutor { executor: ExecutorId },
    /// Leave the cluster as on SIGTERM, because a user requested it.
    Drain,
    /// It may exit, because no job uses it any more.
    Release,
    /// Tell about logs or threads. Answered by [`FromTaskManager::Inspected`].
    Inspect {
        /// The number of the inquiry, which its answer has.
        number: u64,
        inquiry: Inquiry,
    },
}

/// Messages from a task executor to the JobManager.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromExecutor {
    /// Its first message after the hello.
    Register {
        id: ExecutorId,
        /// The address at which it accepts data connections.
        data_address: String,
        /// The fingerprint of the job graph that the job function has built in this process.
        fingerprint: u64,
        /// The process id, which is shown to users.
        pid: u32,
        /// The leadership with which it was registered before.
        followed: Option<LeaderEpoch>,
        /// The attempt that it runs, if a former leadership has deployed one.
        attempt: Option<Box<AttemptReport>>,
    },
    /// Sent each heartbeat interval, with metrics.
    Heartbeat {
        /// Resident memory in bytes.
        memory_bytes: u64,
        /// The metrics of running subtasks.
        subtasks: Vec<SubtaskMetrics>,
    },
    /// A report of one subtask.
    SubtaskReport(SubtaskReport),
    /// A report of the executor, or of all of its subtasks together.
    Report(ExecutorReport),
}

/// Messages from the JobManager to a task executor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToExecutor {
    /// The executor is registered.
    Registered {
        /// How often it sends a heartbeat.
        heartbeat_interval: Duration,
        /// The time without a message of the JobManager after which it looks for another one.
        heartbeat_timeout: Duration,
        /// The leadership of this JobManager. An executor that has followed a later one ignores it.
        epoch: LeaderEpoch,
        /// The secret by which the executors of this leadership authenticate to each other.
        token: u128,
    },
    /// The registration is refused. The process logs the reason and exits.
    Refused {
        /// The reason, and what to do.
        reason: String,
    },
    /// Answers a heartbeat.
    Heartbeat,
    /// Run these subtasks. Ends subtasks of earlier attempts.
    Deploy {
        deployment: Box<Deployment>,
        /// The addresses of its executors.
        addresses: Addresses,
    },
    /// End the attempt's subtasks. Answered by [`ExecutorReport::AttemptCanceled`].
    CancelAttempt { attempt: Attempt },
    /// End all tasks of this attempt, which the job does not use. Not answered: the next message may be of another attempt.
    DropAttempt { attempt: Attempt },
    /// Prepare another graph for a live rescale. Answered by [`ExecutorReport::RescalePrepared`] or
    /// [`ExecutorReport::RescaleRefused`].
    PrepareRescale {
        preparation: Box<Preparation>,
        /// The addresses of the executors of both graphs.
        addresses: Addresses,
    },
    /// The running attempt, which a former leader has deployed, goes on under this one.
    AdoptAttempt { attempt: Attempt },
    /// A command to the running attempt.
    Command(AttemptCommand),
    /// End the subtasks of these regions. Answered by [`ExecutorReport::RegionsCanceled`].
    CancelRegions(RegionRestart),
    /// Run the next subtasks of these regions, beside the others of the attempt.
    DeployRegions {
        restart: RegionRestart,
        /// The graph of all regions, and the state of the next subtasks.
        deployment: Box<Deployment>,
        /// The addresses of the executors of the graph.
        addresses: Addresses,
    },
}

/// A subtask's metrics since its deployment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SubtaskMetrics {
    pub subtask: SubtaskId,
    /// Records taken from its inputs, or read by its source.
    pub records_in: u64,
    /// Records emitted to its outputs, or written by its sinks.
    pub records_out: u64,
    /// Bytes received over the network.
    pub bytes_in: u64,
    /// Bytes sent over the network.
    pub bytes_out: u64,
    /// Time spent working.
    pub busy: Duration,
    /// Time in which it had input but no room in its outputs.
    pub backpressured: Duration,
    /// Time in which it had no input.
    pub idle: Duration,
    /// Its current watermark.
    pub watermark: Timestamp,
    /// The number of records in its splits that are not read yet; `None` if unknown.
    pub pending_records: Option<u64>,
    /// By how much its watermark is ahead of the lowest one in its alignment group, in milliseconds; `None` if it is not
    /// aligned or holds nobody back.
    pub alignment_drift_ms: Option<i64>,
    /// Bytes of keyed state in memory.
    pub state_bytes: u64,
    /// Records dropped because they were late.
    pub late_records: u64,
    /// Records skipped because they could not be read, or because of an error of a function that skips.
    pub skipped_records: u64,
    /// The longest step of its task since the last report, including the one in progress.
    pub longest_step: Duration,
    /// The latency from each source whose markers it has read.
    pub latencies: Vec<SourceLatency>,
    /// What its functions count and measure.
    pub user: Vec<UserMetric>,
}

/// The time that records of a source take to a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceLatency {
    /// The source's vertex.
    pub source: VertexIndex,
    /// The distribution of the latest latencies, in milliseconds.
    pub ms: Distribution,
}
