//! The command line `reflow`.
//!
//! It watches and steers jobs over the JobManager's REST API, and runs TaskManagers. It knows no job: a job's own
//! executable runs it (`JOB run`) and is its JobManager; `reflow run NAME` is a shorthand for the one in `lib/`.
//!
//! Exit codes: 0 all is well, 1 it failed (the text says why and what to do), 2 the command line is wrong.
//!
//! Reading order: [`args`] (what can be asked), [`command`] (what is done), [`client`] (REST), [`selection`]
//! (which job is meant), [`wait`] (operations that take their time), [`output`], [`error`]; [`task_manager`],
//! and the launch module of `reflow`, for logs and the machine.

mod args;
mod client;
mod command;
mod error;
mod output;
mod selection;
mod task_manager;
mod wait;

use args::{Args, Command};
use clap::Parser;
use error::CliError;
use reflow_env::real::is_first_process;
use std::process::ExitCode;

fn main() -> ExitCode {
    let code = carry_out(Args::parse()).unwrap_or_else(|error| {
        output::complain(&error);
        ExitCode::FAILURE
    });
    reflow::launch::logging::finish();
    code
}

fn carry_out(args: Args) -> Result<ExitCode, CliError> {
    match args.command {
        Command::List(list) => command::list::run(&list)?,
        Command::Info(info) => command::info::run(&info)?,
        Command::Cancel(cancel) => command::cancel::run(&cancel)?,
        Command::Stop(stop) => command::savepoint::stop(&stop)?,
        Command::Savepoint(savepoint) => command::savepoint::take(&savepoint)?,
        Command::Rescale(rescale) => command::rescale::run(&rescale)?,
        Command::Rescales(rescales) => command::rescales::run(&rescales)?,
        Command::Drain(drain) => command::drain::run(&drain)?,
        Command::Config(config) => command::config::run(&config)?,
        Command::Run(run) => command::run::run(&run)?,
        Command::Taskmanager(_) if is_first_process() => return task_manager::run_below(),
        Command::Taskmanager(start) => return task_manager::run(&start),
    }
    Ok(ExitCode::SUCCESS)
}
