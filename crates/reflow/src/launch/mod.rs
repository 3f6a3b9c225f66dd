//! The command line of a job's executable.

pub(crate) mod cluster;
mod executor;
mod http_server;
mod job_manager;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod lease;
mod provider;

use crate::args::ArgsError;
use crate::job_function::{self, JobFunction};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use reflow_config::ConfigError;
use reflow_launch::{logging, machine, storage};
use reflow_stream::{Job, JobError, StreamEnv};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// The job of this executable.
#[derive(Clone)]
pub(crate) struct Executable {
    /// Its name, unless the job function sets another.
    pub(crate) name: &'static str,
    /// Calls the job function with these arguments.
    build: Arc<Build>,
}

/// Builds the job from its arguments.
type Build = dyn Fn(&[String]) -> Result<Job, LaunchError> + Send + Sync;

/// A Reflow job.
///
/// Run it here with `run`, or put it into the lib/ directory of a distribution and start it with
/// bin/standalone-job.sh.
#[derive(Parser)]
#[command(version, about, long_about)]
struct CommandLine {
    /// Print a description of this executable as JSON.
    #[arg(long, exclusive = true)]
    describe: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the job on a cluster inside this process: a JobManager and TaskManagers.
    Run {
        /// How many TaskManagers.
        #[arg(long, default_value_t = 2)]
        task_managers: u32,
        #[command(flatten)]
        options: Options,
    },
    /// Be the JobManager of this job: what bin/standalone-job.sh starts.
    Jobmanager {
        #[command(flatten)]
        options: Options,
    },
    /// Run tasks. Started by a TaskManager, which sends the parameters on standard input.
    #[command(hide = true)]
    Executor,
    /// Print the job graph as JSON.
    Plan {
        /// The job's own arguments.
        #[arg(last = true)]
        args: Vec<String>,
    },
}

/// The common options of `run` and `jobmanager`.
#[derive(clap::Args, Clone, Default)]
pub(crate) struct Options {
    /// The directory of config.yaml.
    #[arg(long)]
    pub(crate) config_dir: Option<PathBuf>,
    /// Set an option. Overrides config.yaml and the environment.
    #[arg(short = 'D', value_name = "KEY=VALUE")]
    pub(crate) definitions: Vec<String>,
    /// Options with another default than usual.
    #[arg(skip)]
    pub(crate) defaults: Vec<(&'static str, String)>,
    /// Start a new job, and ignore the state of earlier runs.
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Start from this savepoint.
    #[arg(long = "fromSavepoint", short = 's', value_name = "PATH")]
    pub(crate) from_savepoint: Option<String>,
    /// Restore checkpoints of another build that an earlier release of Reflow wrote, without the types of the state. These
    /// must be the same.
    #[arg(long)]
    pub(crate) allow_other_build: bool,
    /// If the newest checkpoint is damaged, continue from an older one, although some output is then written again.
    #[arg(long)]
    pub(crate) allow_replay: bool,
    /// The job's own arguments.
    #[arg(last = true)]
    pub(crate) args: Vec<String>,
}

/// Why an executable could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Args(#[from] ArgsError),
    #[error(transparent)]
    Job(#[from] JobError),
    #[error("cannot listen for REST on {address}: {error}; set rest.port")]
    Rest { address: String, error: io::Error },
    #[error(
        "cannot listen on {host} for TaskManagers that fetch the job's executable: {error}; set jobmanager.bind-host"
    )]
    Artifacts { host: String, error: io::Error },
    #[error("cannot listen for external metrics on {address}: {error}; set kubernetes.external-metrics.port")]
    ExternalMetrics { address: String, error: io::Error },
    #[cfg(feature = "kubernetes")]
    #[error("cannot use {option}: kubernetes: {error}")]
    Kubernetes { option: &'static str, error: reflow_kubernetes::AccessError },
    #[cfg(not(feature = "kubernetes"))]
    #[error(
        "{option} is kubernetes, but this executable was built without it: build it with the feature `kubernetes` of the \
         crate reflow"
    )]
    NoKubernetes { option: &'static str },
    #[error(transparent)]
    Credentials(#[from] reflow_rest::CredentialsError),
    #[error(transparent)]
    Tls(#[from] reflow_launch::tls::UnusableTls),
    #[error(transparent)]
    Storage(#[from] storage::UnusableDirectory),
    #[error(
        "job.autoscaler.task-managers.provider is scripts, but there is no bin/taskmanager.sh: start the JobManager by \
         bin/standalone-job.sh, or set REFLOW_HOME to the distribution"
    )]
    NoScripts,
    #[error("job.autoscaler.task-managers.provider is command: set job.autoscaler.task-managers.command")]
    NoScalingCommand,
    #[error("{what}: {error}")]
    System { what: &'static str, error: io::Error },
    #[error("cannot decode the TaskManager's message: {0}")]
    Protocol(#[from] reflow_protocol::ProtocolError),
}

/// Makes an error of the operating system one of the start. `what` says what could not be done.
fn system(what: &'static str) -> impl FnOnce(io::Error) -> LaunchError {
    move |error| LaunchError::System { what, error }
}

/// The `main` of a job's executable, which [`main!`](crate::main) calls.
#[doc(hidden)]
pub fn main<P, F: JobFunction<P>>(name: &'static str, function: F) -> ExitCode {
    let executable = Executable::new(name, function);
    let matches = command_line::<P, F>(name).get_matches_from(separate_job_args(std::env::args()));
    let line = CommandLine::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    if line.describe {
        return print(name, &describe(name));
    }
    reflow_env::real::raise_descriptor_limit();
    let result = match line.command {
        Some(Command::Run { task_managers, options }) => cluster::run(executable, task_managers, &options),
        Some(Command::Jobmanager { options }) => job_manager::run(executable, &options),
        Some(Command::Executor) => executor::run(executable),
        Some(Command::Plan { args }) => executable.plan(&args),
        None => {
            print_to_stderr(format_args!("{name} is a Reflow job. Try '{name} run', or '{name} --help'."));
            return ExitCode::from(2);
        }
    };
    let code = result.unwrap_or_else(|error| {
        if let LaunchError::Args(ArgsError::Mismatch(mismatch)) = &error {
            // It may be a request for help.
            drop(mismatch.print());
            return ExitCode::from(u8::try_from(mismatch.exit_code()).unwrap_or(2));
        }
        print_to_stderr(format_args!("{name}: {error}"));
        ExitCode::from(2)
    });
    logging::finish();
    code
}

/// The command line, whose help lists the job's own arguments as well.
fn command_line<P, F: JobFunction<P>>(name: &'static str) -> clap::Command {
    let own = clap::Command::new(name).disable_help_flag(true).help_template("{options}");
    let own = F::describe(own).render_help();
    let command = CommandLine::command();
    if own.to_string().trim().is_empty() {
        return command;
    }
    let add = |subcommand: clap::Command| {
        subcommand.after_help(format!("{}\n{}", "The job's own arguments:", own.ansi()))
    };
    ["run", "jobmanager", "plan"].into_iter().fold(command, |command, name| command.mut_subcommand(name, add))
}

/// Prints an answer. A reader may close the pipe early (`JOB plan | head -1`).
fn print(name: &str, answer: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match writeln!(out, "{answer}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            print_to_stderr(format_args!("{name}: cannot write to standard output: {error}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Writes a line to standard error, and ignores failures.
fn print_to_stderr(line: std::fmt::Arguments<'_>) {
    drop(writeln!(io::stderr(), "{line}"));
}

/// The job's arguments start with the first one that this command line does not know, so that `--` before them can
/// be omitted.
fn separate_job_args(arguments: impl Iterator<Item = String>) -> Vec<String> {
    const WITH_VALUE: [&str; 5] = ["-D", "-s", "--config-dir", "--fromSavepoint", "--task-managers"];
    const ALONE: [&str; 8] =
        ["--fresh", "--allow-other-build", "--allow-replay", "--help", "-h", "--version", "-V", "--describe"];
    let mut arguments: VecDeque<String> = arguments.collect();
    let mut line: Vec<String> = arguments.drain(..arguments.len().min(2)).collect();
    while let Some(argument) = arguments.pop_front() {
        let name = argument.split('=').next().unwrap_or_default();
        let known = ALONE.contains(&name) || WITH_VALUE.contains(&name) || argument.starts_with("-D");
        if argument == "--" {
            arguments.push_front(argument);
            break;
        }
        if !known {
            line.push("--".to_owned());
            arguments.push_front(argument);
            break;
        }
        let takes_next = WITH_VALUE.contains(&argument.as_str());
        line.push(argument);
        if takes_next {
            line.extend(arguments.pop_front());
        }
    }
    line.extend(arguments);
    line
}

/// Starts with `{"reflow":`, by which scripts recognize jobs.
fn describe(name: &str) -> String {
    let name = serde_json::Value::from(name);
    format!(
        r#"{{"reflow":"{}","protocol":{},"target":"{}","job":{name}}}"#,
        env!("CARGO_PKG_VERSION"),
        reflow_protocol::hello::PROTOCOL_VERSION,
        machine::target(),
    )
}

impl Executable {
    fn new<P, F: JobFunction<P>>(name: &'static str, function: F) -> Self {
        let build = move |arguments: &[String]| {
            let command = clap::Command::new(name).bin_name(format!("{name} run"));
            let built =
                StreamEnv::build(name, |env| job_function::call_as(command, function, env, arguments));
            built.map_err(|error| match error {
                JobError::Function(error) => match error.downcast::<ArgsError>() {
                    Ok(error) => LaunchError::Args(*error),
                    Err(error) => LaunchError::Job(JobError::Function(error)),
                },
                error => LaunchError::Job(error),
            })
        };
        Self::built_by(name, build)
    }

    /// An executable whose job is built otherwise than by a job function.
    pub(crate) fn built_by(
        name: &'static str,
        build: impl Fn(&[String]) -> Result<Job, LaunchError> + Send + Sync + 'static,
    ) -> Self {
        Self { name, build: Arc::new(build) }
    }

    /// Calls the job function.
    pub(crate) fn build(&self, arguments: &[String]) -> Result<Job, LaunchError> {
        (self.build)(arguments)
    }

    fn plan(self, args: &[String]) -> Result<ExitCode, LaunchError> {
        let job = self.build(args)?;
        let json = serde_json::to_string_pretty(job.graph.as_ref()).expect("a graph is plain data");
        Ok(print(self.name, &json))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_arguments_need_no_separator() {
        let check = |line: &str, expect: &str| {
            let split = separate_job_args(line.split(' ').map(str::to_owned));
            assert_eq!(split.join(" "), expect);
        };
        check("job run", "job run");
        check("job run -Da=b --fresh", "job run -Da=b --fresh");
        check("job run -D a=b --rate 3 -Dc=d", "job run -D a=b -- --rate 3 -Dc=d");
        check("job jobmanager --config-dir conf --cars=2", "job jobmanager --config-dir conf -- --cars=2");
        check("job run --fresh -- --rate 3", "job run --fresh -- --rate 3");
        check("job plan --events 5", "job plan -- --events 5");
    }
}
