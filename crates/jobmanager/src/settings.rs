//! The JobManager's parameters: its job, how to start it, and its options.

use crate::layout::is_absolute;
use reflow_api::Enumerator;
use reflow_config::{Config, options};
use reflow_env::Location;
use reflow_graph::JobGraph;
use std::sync::Arc;
use std::time::Duration;

/// The job, as its executable brings it along.
pub struct JobSpec {
    /// What runs.
    pub graph: Arc<JobGraph>,
    /// The fingerprint of the graph: executors must build the same one.
    pub fingerprint: u64,
    /// The executable's name, by which TaskManagers find it in their `lib/`. The job's own name is its graph's: one
    /// executable may run several jobs, and each has its own directory in the checkpoint storage.
    pub executable: String,
    /// The job's own arguments: executors call the job function with the same.
    pub args: Vec<String>,
    /// The sources' enumerators, by their operator's uid.
    pub enumerators: Vec<(String, Box<dyn Enumerator>)>,
    /// The executable.
    pub artifact: Artifact,
    /// The platform that the executable runs on, e.g. `x86_64-unknown-linux-gnu`.
    pub target: String,
    /// Names the clock of this machine: processes with the same name read the same one.
    pub clock: String,
    /// How the job is to start.
    pub start: StartMode,
}

/// The job's executable: TaskManagers fetch it from the JobManager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Its SHA-256 in lower-case hexadecimal.
    pub sha256: String,
    /// Where it lies: the file that this process runs.
    pub at: Location,
    /// Its length in bytes.
    pub len: u64,
}

/// How a job is to start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartMode {
    /// Begin anew, whatever an earlier JobManager left (`--fresh`).
    pub fresh: bool,
    /// Restore checkpoints of another build of the job (`--allow-other-build`): they are in a codec that is private
    /// to a build, so it is for the user to know that the types of the state are the same.
    pub allow_other_build: bool,
    /// If the newest checkpoint is damaged, go on from an older one although sinks write some output again
    /// (`--allow-replay`).
    pub allow_replay: bool,
}

/// Options of the JobManager itself; the scheduler has its own.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Where it listens for TaskManagers and executors.
    pub(crate) listen: String,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) heartbeat_timeout: Duration,
    /// How long an executor may take from its start to its registration.
    pub(crate) executor_start_timeout: Duration,
    /// Below which the cluster keeps checkpoints and leaderships.
    pub(crate) checkpoint_dir: Location,
    pub(crate) cluster_id: String,
    pub(crate) savepoint_dir: Option<String>,
    /// `-s`: the savepoint that a new job starts from.
    pub(crate) start_from: Option<String>,
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
        Self {
            listen: if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") },
            heartbeat_interval: options::HEARTBEAT_INTERVAL.get(config),
            heartbeat_timeout: options::HEARTBEAT_TIMEOUT.get(config),
            executor_start_timeout: options::REGISTRATION_TIMEOUT.get(config),
            checkpoint_dir: Location(options::CHECKPOINT_DIRECTORY.get(config)),
            cluster_id: options::CLUSTER_ID.get(config),
            savepoint_dir: options::SAVEPOINT_DIRECTORY.get(config),
            start_from: options::STATE_RECOVERY_PATH.get(config),
        }
    }
}
