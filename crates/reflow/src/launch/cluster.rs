//! The command `JOB run`, which runs the job on a cluster inside this process.

use super::job_manager;
use super::{Executable, LaunchError, Options, executor, print_to_stderr, system};
use reflow_config::options;
use reflow_env::real::{self, ChildMode, Clock};
use reflow_env::{ChildCommand, Input, Output, Process, Signal};
use reflow_launch::{logging, machine, storage};
use reflow_protocol::deployment::ExecutorStart;
use reflow_taskmanager::{Executables, Settings, TaskManager};
use reflow_types::{Instant, TaskManagerId};
use std::process::ExitCode;
use std::sync::Arc;

/// Runs the job with `task_managers` TaskManagers, and prints the address of the web interface.
pub(super) fn run(
    executable: Executable,
    task_managers: u32,
    options: &Options,
) -> Result<ExitCode, LaunchError> {
    crate::allocator::keep_memory();
    // TaskManagers retry until the JobManager listens, which is expected here, so their warnings are not logged.
    logging::start("warn,reflow_taskmanager=error");
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
    for number in 0..task_managers.max(1) {
        let id = machine::random().map_err(system("cannot read random numbers"))?;
        let machine = machine::inspect(None).map_err(system("cannot inspect this machine"))?;
        let settings = Settings { executables: Executables::ThisProcess, ..Settings::new(&config, machine) };
        let process = Box::new(TaskManager::new(TaskManagerId(u128::from_le_bytes(id)), settings));
        let thread = real::spawn(format!("taskmanager-{number}"), process, Signal::default(), driver.clone());
        thread.map_err(system("cannot start a TaskManager"))?;
    }
    let port = options::REST_PORT.get(&config);
    print_to_stderr(format_args!(
        "{} runs with {task_managers} TaskManagers; look at http://localhost:{port}",
        executable.name
    ));
    let job_manager::Ended { exit, accumulators } = job_manager::drive(
        &executable,
        &options,
        &config,
        &runtime,
        real::Options { signals: true, ..driver },
    )?;
    for (name, value) in accumulators {
        print_to_stderr(format_args!("{name}: {value}"));
    }
    if exit.code != 0 {
        print_to_stderr(format_args!("{}: {}", executable.name, exit.reason));
    }
    Ok(ExitCode::from(u8::try_from(exit.code).unwrap_or(1)))
}

/// The address of a cluster in one process, which no other cluster has, and its defaults: checkpoints are in memory, and the
/// job runs in reactive mode.
fn with_defaults(options: &Options) -> Result<Options, LaunchError> {
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr());
    let port = free.map_err(system("cannot find a free port"))?.port();
    // Before those of the user, of which the last one counts.
    let address = ["jobmanager.rpc.address=127.0.0.1".to_owned(), format!("jobmanager.rpc.port={port}")];
    let definitions = address.into_iter().chain(options.definitions.iter().cloned()).collect();
    let defaults = vec![
        (options::CHECKPOINT_DIRECTORY.key(), "memory://checkpoints".to_owned()),
        (options::SCHEDULER_MODE.key(), "reactive".to_owned()),
    ];
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
        let given = Options {
            config_dir: None,
            definitions,
            defaults: vec![],
            fresh: false,
            from_savepoint: None,
            allow_other_build: false,
            allow_replay: false,
            args: vec![],
        };
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
