//! The arguments of the command line.

mod certs;
mod observe;
mod savepoint;

pub(crate) use certs::Certs;
use clap::{Parser, Subcommand};
pub(crate) use observe::{
    Checkpoints, Completions, Doctor, Exceptions, Graph, Logs, Man, Metrics, TaskManagers, Top,
};
pub(crate) use savepoint::{
    Edit, Export, ExportFormat, Inspect, Savepoint, SavepointCommand, StorageArgs, TimeUnit,
};
use std::path::PathBuf;
use std::time::Duration;

/// Monitor and control Reflow jobs, and run TaskManagers.
#[derive(Debug, Parser)]
#[command(name = "reflow", version = VERSION, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The release, and the commit if it was built from a repository (`build.rs`).
const VERSION: &str = env!("REFLOW_VERSION");

const EXAMPLES: &str = "\
Examples:
  reflow list                                   what runs here
  reflow info                                   the only job, vertex by vertex
  reflow top                                    the same with rates, lag and load, as it changes
  reflow logs 1488 -f                           the log of the TaskManager whose id begins with 1488, as it grows
  reflow savepoint 9cb9 s3://bucket/savepoints  a savepoint of the job whose id begins with 9cb9
  reflow savepoint inspect s3://bucket/savepoints/savepoint-9cb9b5-0123456789ab
                                                what it contains, by operator and state
  reflow stop orders --savepoint-path /data/sp  end the job named orders; nothing is lost
  reflow rescale orders --parallelism 4         run it with up to 4 subtasks of each operator, from now on
  reflow drain 1488                             empty the TaskManager whose id begins with 1488; it then ends
  reflow list --jobmanager host:8081            ask another JobManager

To run a job, start its own executable: `lib/NAME run`, or `reflow run NAME`. To offer slots to a cluster,
`reflow taskmanager --config-dir conf`; bin/taskmanager.sh does that in the background.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List jobs: id, name, state, running tasks.
    List(List),
    /// Show a job: its state, and each vertex with its parallelism and the records that it has read and written.
    Info(Info),
    /// Watch a job: rates, busy and backpressured time, lag and watermarks of its vertices, and rescales as they happen.
    ///
    /// On a terminal the view is renewed until `q` is pressed; elsewhere it is printed once.
    Top(Top),
    /// Draw the job graph as text.
    Graph(Graph),
    /// Print the log of the JobManager or of a TaskManager, which also has the logs of its executors.
    ///
    /// A process that was started in the foreground writes its log to standard error and has no file.
    Logs(Logs),
    /// List the checkpoints of a job with kind, outcome, duration and sizes.
    Checkpoints(Checkpoints),
    /// Show the failures of a job, newest first.
    Exceptions(Exceptions),
    /// Print metrics of a job, a vertex, a TaskManager or the JobManager.
    Metrics(Metrics),
    /// List the TaskManagers: id, host, slots, memory, last heartbeat.
    Taskmanagers(TaskManagers),
    /// Cancel a job at once, without a savepoint.
    ///
    /// Output since its last checkpoint does not appear. To end a job and keep its state, use `stop`.
    Cancel(Cancel),
    /// End a job with a savepoint: its sources stop, the records under way are processed, and its state is kept.
    ///
    /// Prints the location of the savepoint when it is complete. Start the job from it with `-s LOCATION`, at any
    /// parallelism.
    Stop(Stop),
    /// Take a savepoint of a job, which continues; or inspect, export or edit one.
    ///
    /// Prints the location of the savepoint when it is complete. Start the job from it with `-s LOCATION`, at any
    /// parallelism. Reflow never deletes a savepoint.
    Savepoint(Savepoint),
    /// Change the parallelism of a running job.
    ///
    /// Sets the upper bound of each vertex's parallelism (its resource requirements), and waits until the job has
    /// rescaled. The job uses the available slots up to this bound, in reactive mode too. The bound applies until
    /// it is changed again, also after restarts of the JobManager.
    Rescale(Rescale),
    /// List the rescales of a job with cause, outcome, duration and phases.
    Rescales(Rescales),
    /// Move the job off a TaskManager, which then ends.
    ///
    /// Its key groups and splits move to other slots while the job runs; then the TaskManager exits. SIGTERM does
    /// the same on the TaskManager's machine. A TaskManager that the job cannot run without is not drained, unless
    /// --force is given. If the drain takes longer than taskmanager.drain.timeout, the job takes a checkpoint and
    /// restarts without the TaskManager.
    Drain(Drain),
    /// Show whether the JobManager leads its job, and the last changes of the leader; or hand the job over to a standby.
    Leader(Leader),
    /// Print the effective options of the processes of a cluster, without secrets.
    ///
    /// Options are read as by a JobManager or TaskManager: from config.yaml, then REFLOW_PROPERTIES. The scripts in
    /// bin/ use this command.
    Config(Config),
    /// Check whether Reflow can run on this machine with its configuration: options, ports, storage, limits.
    ///
    /// Reads the options as a JobManager or TaskManager does, and changes nothing: what it writes in the directory of checkpoints
    /// and in those for temporary files, it removes. Exits with 1 if something is wrong.
    Doctor(Doctor),
    /// Make an authority and certificates for the TLS of a test cluster, and print the lines of config.yaml that use them.
    ///
    /// Connections between processes are then encrypted and admit only processes of the cluster, and REST is served at https://.
    Certs(Certs),
    /// Print a script that completes this command line in a shell.
    ///
    /// For example, in bash: `source <(reflow completions bash)`.
    Completions(Completions),
    /// Write the manual pages of this command and its subcommands into a directory.
    Man(Man),
    /// Run the job NAME in one process: shorthand for `lib/NAME run`.
    Run(Run),
    /// Run a TaskManager in the foreground. It offers slots to the JobManager of the configuration.
    ///
    /// On SIGTERM the job takes a checkpoint and moves off the TaskManager before it ends. Logs go to standard
    /// error; RUST_LOG sets the level (default: info).
    Taskmanager(Taskmanager),
}

/// The JobManager to connect to, and the format of the output.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Connection {
    /// Where the JobManager serves REST [default: rest.address and rest.port of the configuration, or
    /// localhost:8081]. It is reached with TLS if this begins with https://, or if a CA file is named; without a scheme also
    /// if the configuration has security.ssl.rest.enabled.
    #[arg(short = 'm', long, value_name = "HOST:PORT", value_parser = address)]
    pub(crate) jobmanager: Option<String>,
    /// The directory of config.yaml [default: conf/ of this executable's distribution, if there is one].
    #[arg(long, value_name = "DIR", env = "REFLOW_CONF_DIR")]
    pub(crate) config_dir: Option<PathBuf>,
    /// A file with the token to send [default: rest.client.token-file of the configuration,
    /// unless --jobmanager is given].
    #[arg(long, value_name = "FILE", env = "REFLOW_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The PEM file of the authority that signs the certificate of REST [default: security.ssl.rest.ca of the
    /// configuration].
    #[arg(long, value_name = "FILE", env = "REFLOW_CA_FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Print JSON, for programs.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Also list jobs that have ended.
    #[arg(short, long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Info {
    /// The job: its id, a prefix of its id, or its name. Can be omitted if there is only one.
    pub(crate) job: Option<String>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Cancel {
    /// The job: its id, a prefix of its id, or its name. Can be omitted if there is only one.
    pub(crate) job: Option<String>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Stop {
    /// The job: its id, a prefix of its id, or its name. Can be omitted if there is only one.
    pub(crate) job: Option<String>,
    /// The directory of the savepoint [default: execution.checkpointing.savepoint-dir of the JobManager].
    #[arg(short = 'p', long, alias = "savepointPath", value_name = "DIR")]
    pub(crate) savepoint_path: Option<String>,
    /// Fire all timers and windows first, as at the end of the input. Use it for jobs that will not be resumed.
    #[arg(short, long)]
    pub(crate) drain: bool,
    /// How long to wait for the savepoint.
    #[arg(long, value_name = "DURATION", default_value = "10 min", value_parser = duration)]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, clap::Args)]
#[group(id = "what", required = true, multiple = false, args = ["parallelism", "vertices", "cancel"])]
pub(crate) struct Rescale {
    /// The job: its id, a prefix of its id, or its name. Can be omitted if there is only one.
    pub(crate) job: Option<String>,
    /// The upper bound of every vertex's parallelism. A vertex with a lower max parallelism gets that instead.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) parallelism: Option<u32>,
    /// The upper bound of one vertex's parallelism. Other vertices keep theirs. Can be given several times.
    #[arg(long = "vertex", value_name = "NAME_OR_ID=N", value_parser = assignment)]
    pub(crate) vertices: Vec<(String, u32)>,
    /// Cancel the live rescale that is under way, before its cut. The current parallelism becomes the upper bound of every
    /// vertex, until you set another one.
    #[arg(long)]
    pub(crate) cancel: bool,
    /// Send the request and do not wait.
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// How long to wait for the rescale.
    #[arg(long, value_name = "DURATION", default_value = "10 min", value_parser = duration)]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Rescales {
    /// The job: its id, a prefix of its id, or its name. Can be omitted if there is only one.
    pub(crate) job: Option<String>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Drain {
    /// The TaskManager: its id, a prefix of its id, or its host if no other TaskManager is there.
    pub(crate) task_manager: String,
    /// Drain it even if the job then has too few slots and stops. A savepoint is taken first, or a checkpoint if
    /// execution.checkpointing.savepoint-dir is not set.
    #[arg(long)]
    pub(crate) force: bool,
    /// Send the request and do not wait.
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// How long to wait for the TaskManager to end.
    #[arg(long, value_name = "DURATION", default_value = "15 min", value_parser = duration)]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Leader {
    #[command(subcommand)]
    pub(crate) command: Option<LeaderCommand>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LeaderCommand {
    /// Hand the job over to a standby, for example before the machine of the leader is restarted.
    ///
    /// Ends when another JobManager leads; this one then stands by. Tasks run on. SIGTERM on the leader's machine does the
    /// same, and the leader then ends.
    Transfer(LeaderTransfer),
}

#[derive(Debug, clap::Args)]
pub(crate) struct LeaderTransfer {
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// The executable in lib/.
    pub(crate) name: String,
    /// The arguments after `run`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) args: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Config {
    /// Print only the values of these options, one per line. The other options are then not checked.
    #[arg(long, value_name = "KEY", num_args = 1..)]
    pub(crate) print: Vec<String>,
    /// End each value with a NUL instead of a newline, because paths may contain newlines.
    #[arg(short = '0', long, requires = "print")]
    pub(crate) null: bool,
    /// The directory of config.yaml [default: conf/ of this executable's distribution, if there is one].
    #[arg(long, value_name = "DIR", env = "REFLOW_CONF_DIR")]
    pub(crate) config_dir: Option<PathBuf>,
    /// The directory that contains logs and checkpoints by default [default: the parent of --config-dir].
    #[arg(long, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// Set an option. Overrides the file. Can be given several times.
    #[arg(short = 'D', value_name = "KEY=VALUE")]
    pub(crate) definitions: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Taskmanager {
    /// The directory of config.yaml. Without it, options come only from REFLOW_PROPERTIES and -D.
    #[arg(long, value_name = "DIR")]
    pub(crate) config_dir: Option<PathBuf>,
    /// Set an option. Overrides the file. Can be given several times.
    #[arg(short = 'D', value_name = "KEY=VALUE")]
    pub(crate) definitions: Vec<String>,
}

fn duration(text: &str) -> Result<Duration, String> {
    reflow_config::duration::parse(text).ok_or_else(|| "use a duration such as `30 s` or `10 min`".into())
}

/// Splits at the last `=`, because names may contain one.
fn assignment(text: &str) -> Result<(String, u32), String> {
    let parts = text.rsplit_once('=').filter(|(vertex, _)| !vertex.is_empty());
    let parsed = parts.and_then(|(vertex, n)| Some((vertex.to_owned(), n.parse().ok().filter(|n| *n > 0)?)));
    parsed.ok_or_else(|| "use NAME=N or ID=N with N of at least 1, such as `count=4`".into())
}

fn address(text: &str) -> Result<String, String> {
    let address = text.trim_end_matches('/');
    let bare = match address.split_once("://") {
        // Any other, such as `HTTPS`, must not be taken for one without TLS.
        Some(("http" | "https", bare)) => bare,
        Some((scheme, _)) => return Err(format!("there is no `{scheme}://` here: use http:// or https://")),
        None => address,
    };
    match bare.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(address.to_owned()),
        _ => Err("use HOST:PORT, such as localhost:8081 or https://localhost:8081".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Command, String> {
        let words = std::iter::once("reflow").chain(line.split_whitespace());
        Args::try_parse_from(words).map(|args| args.command).map_err(|e| e.to_string())
    }

    #[track_caller]
    fn refused(line: &str, why: &str) {
        let text = parse(line).unwrap_err();
        assert!(text.contains(why), "{text}");
    }

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_savepoint_takes_a_job_and_a_directory() {
        let Command::Savepoint(savepoint) = parse("savepoint 9cb9 s3://b/sp --json").unwrap() else {
            panic!()
        };
        assert_eq!(savepoint.job.as_deref(), Some("9cb9"));
        assert_eq!(savepoint.directory.as_deref(), Some("s3://b/sp"));
        assert_eq!(savepoint.timeout, Duration::from_secs(600));
        assert!(savepoint.connection.json);
    }

    #[test]
    fn stop_is_spelled_as_in_flink() {
        let Command::Stop(stop) = parse("stop -p /data/sp -d -m host:9091").unwrap() else { panic!() };
        assert_eq!((stop.savepoint_path.as_deref(), stop.drain, stop.job), (Some("/data/sp"), true, None));
        assert_eq!(stop.connection.jobmanager.as_deref(), Some("host:9091"));
        let Command::Stop(stop) = parse("stop orders --savepointPath /sp").unwrap() else { panic!() };
        assert_eq!(stop.savepoint_path.as_deref(), Some("/sp"));
    }

    #[test]
    fn the_leader_is_shown_or_changed() {
        let Command::Leader(leader) = parse("leader -m host:9091").unwrap() else { panic!() };
        assert!(leader.command.is_none() && leader.connection.jobmanager.as_deref() == Some("host:9091"));
        let Command::Leader(leader) = parse("leader transfer -m host:9091").unwrap() else { panic!() };
        let Some(LeaderCommand::Transfer(transfer)) = leader.command else { panic!() };
        assert_eq!(transfer.connection.jobmanager.as_deref(), Some("host:9091"));
    }

    #[test]
    fn a_taskmanager_takes_definitions() {
        let line = "taskmanager --config-dir conf -Drest.port=1 -Da=b=c";
        let Command::Taskmanager(start) = parse(line).unwrap() else { panic!() };
        assert_eq!(start.definitions, ["rest.port=1", "a=b=c"]);
    }

    #[test]
    fn config_prints_some_options_or_all() {
        let line = "config --null --config-dir conf --print env.pid.dir env.log.max -Dx=y";
        let Command::Config(config) = parse(line).unwrap() else { panic!() };
        assert_eq!(config.print, ["env.pid.dir", "env.log.max"]);
        assert_eq!((config.null, config.definitions.len()), (true, 1));
        let Command::Config(config) = parse("config").unwrap() else { panic!() };
        assert!(config.print.is_empty());
        refused("config --null", "--print <KEY>");
    }

    #[test]
    fn run_passes_everything_on() {
        let Command::Run(run) = parse("run top_speed --cars 3 -Dx=y --help").unwrap() else { panic!() };
        assert_eq!((run.name.as_str(), run.args.len()), ("top_speed", 4));
    }

    #[test]
    fn rescale_takes_one_number_or_some_vertices() {
        let Command::Rescale(rescale) = parse("rescale orders -p 4 --no-wait").unwrap() else { panic!() };
        assert_eq!(
            (rescale.job.as_deref(), rescale.parallelism, rescale.no_wait),
            (Some("orders"), Some(4), true)
        );
        let Command::Rescale(rescale) = parse("rescale --vertex a=b=2 --vertex 6bf0=3").unwrap() else {
            panic!()
        };
        assert_eq!(rescale.vertices, [("a=b".to_owned(), 2), ("6bf0".to_owned(), 3)]);
        refused("rescale", "required arguments were not provided");
        refused("rescale -p 0", "0 is not in 1..");
        refused("rescale -p 2 --vertex a=1", "cannot be used with");
        refused("rescale --vertex a", "use NAME=N or ID=N");
        refused("rescale --vertex a=0", "use NAME=N or ID=N");
    }

    #[test]
    fn drain_takes_a_task_manager() {
        let Command::Drain(drain) = parse("drain 1488 --force").unwrap() else { panic!() };
        assert_eq!((drain.task_manager.as_str(), drain.force, drain.no_wait), ("1488", true, false));
        refused("drain", "<TASK_MANAGER>");
    }

    #[test]
    fn what_is_wrong_is_named() {
        refused("lst", "some similar subcommands exist: 'stop', 'list'");
        refused("list --jobmanager localhost", "use HOST:PORT, such as localhost:8081");
        refused("list --jobmanager :8081", "use HOST:PORT, such as localhost:8081");
        refused("stop --timeout soon", "use a duration such as `30 s` or `10 min`");
        refused("list orders", "unexpected argument 'orders'");
    }
}
