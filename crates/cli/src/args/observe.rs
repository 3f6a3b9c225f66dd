//! The arguments of the commands that show what a cluster does.

use super::{Connection, duration};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct Top {
    /// The job: its id, a prefix of its id, or its name. Can be omitted if there is only one.
    pub(crate) job: Option<String>,
    /// The time between two looks.
    #[arg(short, long, value_name = "DURATION", default_value = "1 s", value_parser = duration)]
    pub(crate) interval: Duration,
    /// Look so many times, and then end [default: once if the output is no terminal].
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, clap::Args)]
#[group(id = "which", multiple = false, args = ["stdout", "file", "list"])]
pub(crate) struct Logs {
    /// The TaskManager: its id, a prefix of its id, or its host. Without it, the JobManager's log is printed.
    pub(crate) task_manager: Option<String>,
    /// Print what is added to the log, until the process ends or Ctrl-C.
    #[arg(short, long, conflicts_with = "list")]
    pub(crate) follow: bool,
    /// Print only the last N lines, and what follows them.
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "list")]
    pub(crate) lines: Option<usize>,
    /// Print the standard output of the process instead, such as that of `Print`.
    #[arg(long)]
    pub(crate) stdout: bool,
    /// Print this log file of the process instead, for example an older one.
    #[arg(long, value_name = "NAME")]
    pub(crate) file: Option<String>,
    /// List the log files.
    #[arg(long)]
    pub(crate) list: bool,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Checkpoints {
    /// The job: its id, a prefix of its id, or its name. Can be omitted if there is only one.
    pub(crate) job: Option<String>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Exceptions {
    /// The job: its id, a prefix of its id, or its name. Can be omitted if there is only one.
    pub(crate) job: Option<String>,
    /// Show at most so many failures, the newest.
    #[arg(long, value_name = "N", default_value = "20")]
    pub(crate) max: usize,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TaskManagers {
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, clap::Args)]
#[group(id = "scope", multiple = false, args = ["vertex", "task_manager", "cluster"])]
pub(crate) struct Metrics {
    /// The job: its id, a prefix of its id, or its name. Can be omitted if there is only one.
    #[arg(conflicts_with_all = ["task_manager", "cluster"])]
    pub(crate) job: Option<String>,
    /// The metrics of a vertex, over its subtasks.
    #[arg(long, value_name = "NAME_OR_ID")]
    pub(crate) vertex: Option<String>,
    /// The metrics of a TaskManager.
    #[arg(long, value_name = "TASKMANAGER")]
    pub(crate) task_manager: Option<String>,
    /// The metrics of the JobManager.
    #[arg(long)]
    pub(crate) cluster: bool,
    /// Only metrics whose names contain this text, in upper or lower case. Can be given several times.
    #[arg(long = "name", value_name = "TEXT")]
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Graph {
    /// The job: its id, a prefix of its id, or its name. Can be omitted if there is only one.
    pub(crate) job: Option<String>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {
    /// The directory of config.yaml [default: conf/ of this executable's distribution, if there is one].
    #[arg(long, value_name = "DIR", env = "REFLOW_CONF_DIR")]
    pub(crate) config_dir: Option<PathBuf>,
    /// Set an option. Overrides the file. Can be given several times.
    #[arg(short = 'D', value_name = "KEY=VALUE")]
    pub(crate) definitions: Vec<String>,
    /// Print JSON, for programs.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// The shell.
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Man {
    /// The directory, which is created if it is not there.
    pub(crate) directory: PathBuf,
}
