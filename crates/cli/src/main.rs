//! The command line `reflow`.
//!
//! It monitors and controls jobs over the JobManager's REST API, and runs TaskManagers. It contains no job: a job's
//! own executable runs it (`JOB run`) and is its JobManager; `reflow run NAME` is a shorthand for the executable in
//! `lib/`.
//!
//! Exit codes: 0 for success, 1 for a failure (the message gives the reason and what to do), 2 for an invalid
//! command line.
//!
//! Reading order: [`args`] (the command line), [`command`] (the commands), [`client`] (REST), [`selection`] (which
//! job is meant), [`wait`] (operations that take time), [`output`], [`table`], [`error`]; [`task_manager`], and the launch
//! module of `reflow`, for logs and the machine.

mod args;
mod client;
mod command;
mod error;
mod output;
mod selection;
mod table;
mod task_manager;
mod wait;

use args::{Args, Command, SavepointCommand};
use clap::Parser;
use error::CliError;
use reflow_env::real::is_first_process;
use std::process::ExitCode;

fn main() -> ExitCode {
    let code = carry_out(Args::parse()).unwrap_or_else(|error| {
        output::print_error(&error);
        ExitCode::FAILURE
    });
    reflow_launch::logging::finish();
    code
}

fn carry_out(args: Args) -> Result<ExitCode, CliError> {
    match args.command {
        Command::List(list) => command::list::run(&list)?,
        Command::Info(info) => command::info::run(&info)?,
        Command::Cancel(cancel) => command::cancel::run(&cancel)?,
        Command::Stop(stop) => command::savepoint::stop(&stop)?,
        Command::Savepoint(savepoint) => match &savepoint.command {
            None => command::savepoint::take(&savepoint)?,
            Some(SavepointCommand::Inspect(inspect)) => command::offline::inspect(inspect)?,
            Some(SavepointCommand::Export(export)) => command::offline::export(export)?,
            Some(SavepointCommand::Edit(edit)) => command::offline::edit(edit)?,
        },
        Command::Rescale(rescale) => command::rescale::run(&rescale)?,
        Command::Top(top) => command::top::run(&top)?,
        Command::Logs(logs) => command::logs::run(&logs)?,
        Command::Checkpoints(checkpoints) => command::checkpoints::run(&checkpoints)?,
        Command::Exceptions(exceptions) => command::exceptions::run(&exceptions)?,
        Command::Taskmanagers(task_managers) => command::task_managers::run(&task_managers)?,
        Command::Metrics(metrics) => command::metrics::run(&metrics)?,
        Command::Graph(graph) => command::graph::run(&graph)?,
        Command::Rescales(rescales) => command::rescales::run(&rescales)?,
        Command::Drain(drain) => command::drain::run(&drain)?,
        Command::Leader(leader) => command::leader::run(&leader)?,
        Command::Config(config) => command::config::run(&config)?,
        Command::Doctor(doctor) => return command::doctor::run(&doctor),
        Command::Certs(certs) => command::certs::run(&certs)?,
        Command::Completions(completions) => command::generate::completions(&completions)?,
        Command::Man(man) => command::generate::man(&man)?,
        Command::Run(run) => command::run::run(&run)?,
        Command::Taskmanager(_) if is_first_process() => return task_manager::run_below(),
        Command::Taskmanager(start) => return task_manager::run(&start),
    }
    Ok(ExitCode::SUCCESS)
}
