//! The JobManager's parameters: its job, how to start it, and its options.

use crate::layout::is_absolute;
use crate::process::{HANDS_OVER, STANDS_BY};
use reflow_api::Enumerator;
use reflow_config::{Config, HighAvailability, Termination, options};
use reflow_env::Location;
use reflow_graph::JobGraph;
use reflow_protocol::deployment::Artifact;
use reflow_types::inspection::Inspect;
use std::sync::Arc;
use std::time::Duration;

/// How often a lease in storage is read within its duration.
const READINGS_OF_A_LEASE: u32 = 12;

/// The job, which comes from its executable.
pub struct JobSpec {
    /// The job graph.
    pub graph: Arc<JobGraph>,
    /// The fingerprint of the graph. Executors must build a graph with the same one.
    pub fingerprint: u64,
    /// The job's own arguments, with which executors call the job function as well.
    pub args: Vec<String>,
    /// The sources' enumerators, by their operator's uid.
    pub enumerators: Vec<(String, Box<dyn Enumerator>)>,
    /// The executable, as TaskManagers get it. The job's own name is its graph's: one executable may run several jobs,
    /// and each has its own directory in the checkpoint storage.
    pub artifact: Artifact,
    /// The platform that the executable runs on, e.g. `x86_64-unknown-linux-gnu`.
    pub target: String,
    /// The name of this machine's clock. Processes with the same name read the same clock.
    pub clock: String,
    /// Answers inquiries about the logs and threads of this process.
    pub inspect: Inspect,
    /// How the job starts.
    pub start: StartMode,
    /// What this JobManager is started as.
    pub role: Role,
}

/// What a JobManager is started as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// What a user or a supervisor has started: it leads the job, or stands by.
    #[default]
    First,
    /// A former leader of this process: it stands by. The job that it has led is its own, also if it has ended since.
    Standby,
    /// A former leader that was told to end: it stands by until another one leads. If that is lost before, it takes the job over,
    /// and ends as any leader does that is told to.
    EndingStandby,
}

impl Role {
    /// What a process is started again as whose JobManager has exited with this code. `None` if it ends.
    #[must_use]
    pub fn after(exit_code: i32) -> Option<Self> {
        match exit_code {
            STANDS_BY => Some(Self::Standby),
            HANDS_OVER => Some(Self::EndingStandby),
            _ => None,
        }
    }
}

/// How a job starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartMode {
    /// Whether a new job starts, whatever an earlier JobManager left (`--fresh`).
    pub fresh: bool,
    /// Whether checkpoints of another build are restored that do not tell the types of their state, because an earlier
    /// release wrote them (`--allow-other-build`). The user must know that the types are the same.
    pub allow_other_build: bool,
    /// Whether the job resumes from an older checkpoint if the newest is damaged, although sinks write some
    /// output again (`--allow-replay`).
    pub allow_replay: bool,
}

/// Options of the JobManager itself; the scheduler has its own.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The address at which it listens for TaskManagers and executors.
    pub(crate) listen: String,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) heartbeat_timeout: Duration,
    /// How long an executor may take from its start to its registration.
    pub(crate) executor_start_timeout: Duration,
    /// The directory of the cluster's checkpoints and leaderships.
    pub(crate) checkpoint_dir: Location,
    pub(crate) cluster_id: String,
    pub(crate) savepoint_dir: Option<String>,
    /// `-s`: the savepoint from which a new job starts.
    pub(crate) start_from: Option<String>,
    pub(crate) after_job: AfterJob,
    /// What SIGTERM means.
    pub(crate) termination: Termination,
    /// How long a lease may not be renewed. `None` if the JobManager that starts last leads.
    pub(crate) lease_duration: Option<Duration>,
    /// How often a standby reads the lease.
    pub(crate) lease_reading_interval: Duration,
}

/// What the JobManager does when its job has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterJob {
    /// It ends.
    End,
    /// It shows the job until it is terminated.
    Stay,
}

impl Settings {
    /// A directory that is relative, and the option that names it.
    pub(crate) fn relative_directory(&self) -> Option<(&'static str, &str)> {
        let directories = [
            (options::CHECKPOINT_DIRECTORY.key(), Some(self.checkpoint_dir.0.as_str())),
            (options::SAVEPOINT_DIRECTORY.key(), self.savepoint_dir.as_deref()),
            (options::STATE_RECOVERY_PATH.key(), self.start_from.as_deref()),
        ];
        let set = directories.into_iter().filter_map(|(key, directory)| Some((key, directory?)));
        set.into_iter().find(|(_, directory)| !is_absolute(directory))
    }

    pub(crate) fn new(config: &Config) -> Self {
        let host = options::JOB_MANAGER_BIND_HOST.get(config);
        let port = options::JOB_MANAGER_PORT.get(config);
        let in_storage = options::LEASE_DURATION.get(config);
        let (lease_duration, lease_reading_interval) = match options::HIGH_AVAILABILITY.get(config) {
            HighAvailability::None => (None, in_storage / READINGS_OF_A_LEASE),
            HighAvailability::Storage => (Some(in_storage), in_storage / READINGS_OF_A_LEASE),
            HighAvailability::Kubernetes => (
                Some(options::KUBERNETES_LEASE_DURATION.get(config)),
                options::KUBERNETES_RETRY_PERIOD.get(config),
            ),
        };
        Self {
            listen: if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") },
            heartbeat_interval: options::HEARTBEAT_INTERVAL.get(config),
            heartbeat_timeout: options::HEARTBEAT_TIMEOUT.get(config),
            executor_start_timeout: options::REGISTRATION_TIMEOUT.get(config),
            checkpoint_dir: Location(options::CHECKPOINT_DIRECTORY.get(config)),
            cluster_id: options::CLUSTER_ID.get(config),
            savepoint_dir: options::SAVEPOINT_DIRECTORY.get(config),
            start_from: options::STATE_RECOVERY_PATH.get(config),
            after_job: match options::SHUTDOWN_ON_APPLICATION_FINISH.get(config) {
                true => AfterJob::End,
                false => AfterJob::Stay,
            },
            termination: options::JOB_MANAGER_TERMINATION.get(config),
            lease_duration,
            lease_reading_interval,
        }
    }
}
