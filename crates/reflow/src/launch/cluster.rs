//! A cluster inside this process, on which the command `JOB run` runs the job.

use super::job_manager::{self, Ended};
use super::{Executable, LaunchError, Options, executor, print_to_stderr, system};
use bytes::Bytes;
use reflow_config::{Config, options};
use reflow_env::real::{self, BlockingStorage, ChildMode, Clock};
use reflow_env::{ChildCommand, Input, Location, Output, Process, Signal, StoreOp, StoreReply};
use reflow_jobmanager::Role;
use reflow_launch::{logging, machine, storage};
use reflow_protocol::deployment::ExecutorStart;
use reflow_taskmanager::{Executables, Settings, TaskManager};
use reflow_types::{Instant, TaskManagerId};
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Runs the job with `task_managers` TaskManagers, and prints the address of the web interface.
pub(super) fn run(
    executable: Executable,
    task_managers: u32,
    options: &Options,
) -> Result<ExitCode, LaunchError> {
    crate::allocator::keep_memory();
    // TaskManagers retry until the JobManager listens, which is expected here, so their warnings are not logged.
    logging::start("warn,reflow_taskmanager=error");
    let cluster = Cluster::start(executable, task_managers, options)?;
    let (name, port) = (cluster.executable.name, options::REST_PORT.get(&cluster.config));
    let scheme = if options::SECURITY_SSL_REST_ENABLED.get(&cluster.config) { "https" } else { "http" };
    print_to_stderr(format_args!(
        "{name} runs with {task_managers} TaskManagers; look at {scheme}://localhost:{port}"
    ));
    let Ended { exit, accumulators } = cluster.run_job(Signals::Handled)?;
    for (name, value) in accumulators {
        print_to_stderr(format_args!("{name}: {value}"));
    }
    if exit.code != 0 {
        print_to_stderr(format_args!("{name}: {}", exit.reason));
    }
    Ok(ExitCode::from(u8::try_from(exit.code).unwrap_or(1)))
}

/// Who takes signals of the operating system.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signals {
    /// The JobManager.
    Handled,
    /// The program of which the cluster is a part.
    LeftToProgram,
}

/// A cluster inside this process.
struct Cluster {
    executable: Executable,
    options: Options,
    config: Config,
    runtime: Runtime,
    driver: real::Options,
    task_managers: Vec<real::Handle>,
}

impl Cluster {
    /// Starts TaskManagers, which wait for a JobManager.
    fn start(executable: Executable, task_managers: u32, options: &Options) -> Result<Self, LaunchError> {
        let options = with_defaults(options)?;
        let config = job_manager::load(&options)?;
        // Build the job once before anything is started, so that an error in the job or its arguments is reported at
        // once.
        executable.build(&options.args)?;
        let runtime = job_manager::runtime()?;
        let clock = Clock::start();
        let child = {
            let executable = executable.clone();
            move |command: ChildCommand| child(&executable, &command, clock)
        };
        let driver = real::Options {
            clock,
            storage: storage::open(&config)?,
            child: ChildMode::InProcess(Arc::new(child)),
            runtime: Some(runtime.handle().clone()),
            ..Default::default()
        };
        let start = |number| {
            let id = machine::random().map_err(system("cannot read random numbers"))?;
            let machine = machine::inspect(None).map_err(system("cannot inspect this machine"))?;
            let settings =
                Settings { executables: Executables::ThisProcess, ..Settings::new(&config, machine) };
            let process = Box::new(TaskManager::new(TaskManagerId(u128::from_le_bytes(id)), settings));
            let name = format!("taskmanager-{number}");
            let thread = real::spawn(name, process, Signal::default(), driver.clone());
            thread.map_err(system("cannot start a TaskManager"))
        };
        let task_managers = (0..task_managers.max(1)).map(start).collect::<Result<_, _>>()?;
        Ok(Self { executable, options, config, runtime, driver, task_managers })
    }

    /// Runs the JobManager on this thread until the job has ended.
    fn run_job(&self, signals: Signals) -> Result<Ended, LaunchError> {
        let driver = real::Options { signals: signals == Signals::Handled, ..self.driver.clone() };
        job_manager::drive(&self.executable, &self.options, Role::First, &self.config, &self.runtime, driver)
    }
}

/// Runs the job to its end, with an empty store in memory, and returns what it has committed there below `directory`. The
/// cluster has ended when this returns.
pub(crate) fn collect(
    executable: Executable,
    task_managers: u32,
    options: &Options,
    directory: &Location,
) -> Result<(real::Exit, Vec<Bytes>), LaunchError> {
    let cluster = Cluster::start(executable, task_managers, options)?;
    let ended = cluster.run_job(Signals::LeftToProgram);
    let Cluster { task_managers, driver, .. } = cluster;
    task_managers.iter().for_each(real::Handle::kill);
    task_managers.into_iter().for_each(|thread| drop(thread.join()));
    let exit = ended?.exit;
    let storage = BlockingStorage::new(driver.storage).map_err(system("cannot read what was collected"))?;
    let read = |op| storage.request(op).map_err(io::Error::other);
    let read = |op| read(op).map_err(system("cannot read what was collected"));
    let StoreReply::Objects(objects) = read(StoreOp::List { below: directory.clone() })? else {
        unreachable!("a listing has objects");
    };
    let mut collected = Vec::new();
    for object in objects {
        let StoreReply::Bytes(bytes) = read(StoreOp::Get { at: object.at, range: None })? else {
            unreachable!("an object has bytes");
        };
        collected.push(bytes);
    }
    Ok((exit, collected))
}

/// The address of a cluster in one process, which no other cluster has and no standby, and its defaults: checkpoints are in
/// memory, and the job runs in reactive mode.
fn with_defaults(options: &Options) -> Result<Options, LaunchError> {
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr());
    let port = free.map_err(system("cannot find a free port"))?.port();
    // Before those of the user, of which the last one counts.
    let address = [
        "jobmanager.rpc.address=127.0.0.1".to_owned(),
        format!("jobmanager.rpc.port={port}"),
        "high-availability.type=none".to_owned(),
        "high-availability.jobmanager.addresses=".to_owned(),
    ];
    let definitions = address.into_iter().chain(options.definitions.iter().cloned()).collect();
    let mut defaults = options.defaults.clone();
    defaults.extend([
        (options::CHECKPOINT_DIRECTORY.key(), "memory://checkpoints".to_owned()),
        (options::SCHEDULER_MODE.key(), "reactive".to_owned()),
    ]);
    Ok(Options { definitions, defaults, ..options.clone() })
}

/// Runs an executor on a thread of this process, like `JOB executor` in a separate process.
fn child(executable: &Executable, command: &ChildCommand, clock: Clock) -> (Box<dyn Process>, Signal) {
    let start = command.stdin.get(4..).unwrap_or_default();
    let built = ExecutorStart::decode(start).map_err(LaunchError::from);
    match built.and_then(|start| executor::process(executable, start, clock)) {
        Ok(started) => started,
        Err(error) => (Box::new(Broken(error.to_string())), Signal::default()),
    }
}

/// Replaces a process that could not start.
struct Broken(String);

impl Process for Broken {
    fn handle(&mut self, _: Instant, _: Input, out: &mut Vec<Output>) {
        out.push(Output::Exit { code: 2, reason: self.0.clone() });
    }

    fn next_wakeup(&self) -> Option<Instant> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(definitions: &[&str], expected: [&str; 3]) {
        let definitions = definitions.iter().map(|&definition| definition.to_owned()).collect();
        let given = Options { definitions, ..Options::default() };
        let config = job_manager::load(&with_defaults(&given).unwrap()).unwrap();
        let keys = ["execution.checkpointing.dir", "scheduler-mode", "jobmanager.rpc.address"];
        let value =
            |key| config.effective().find(|option| option.key == key).unwrap().value.unwrap_or_default();
        assert_eq!(keys.map(value), expected);
    }

    #[test]
    fn options_of_the_user_are_not_overridden_whatever_their_names() {
        check(&[], ["memory://checkpoints", "reactive", "127.0.0.1"]);
        check(&["-Dstate.checkpoints.dir=/c"], ["/c", "reactive", "127.0.0.1"]);
        check(&["execution.checkpointing.dir=/c", "scheduler-mode="], ["/c", "", "127.0.0.1"]);
        check(&["jobmanager.rpc.address = ::1"], ["memory://checkpoints", "reactive", "::1"]);
    }
}
