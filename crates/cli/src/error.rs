//! What can go wrong, and what the user can do about it.

use crate::output::{job_table, task_manager_table};
use crate::wait::Stopped;
use reflow_config::ConfigError;
use reflow_schema::{JobOverview, TaskManager};
use reflow_view::JobStatus;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(
        "no JobManager answers at {address}: {cause}\n  Is it running? Is this its address? It is rest.address and rest.port in config.yaml; \
         --jobmanager HOST:PORT names another."
    )]
    Unreachable { address: String, cause: String },
    #[error("{address} does not answer as a JobManager does: {cause}\n  Is something else listening there?")]
    NotAJobManager { address: String, cause: String },
    #[error("the JobManager at {address} refused: {text}")]
    Refused { address: String, text: String },
    #[error("no job {wanted} at {address}{}", candidates(.jobs))]
    UnknownJob { wanted: String, address: String, jobs: Vec<JobOverview> },
    #[error("{wanted} is more than one job; give more of the id{}", candidates(.jobs))]
    Ambiguous { wanted: String, jobs: Vec<JobOverview> },
    #[error("which job? There is more than one{}", candidates(.jobs))]
    WhichJob { jobs: Vec<JobOverview> },
    #[error("no job runs at {address}")]
    NoJob { address: String },
    #[error("the savepoint of {job} failed: {cause}")]
    SavepointFailed { job: String, cause: String },
    #[error(
        "the savepoint of {job} is not complete after {waited}; it may still become so: `reflow info` tells \
         how the job stands, --timeout waits longer"
    )]
    TimedOut { job: String, waited: String },
    #[error(
        "the JobManager at {address} ended before it told where the savepoint of {job} is; its log says so"
    )]
    Lost { job: String, address: String },
    #[error("{job} has no vertex {wanted}; there are:\n{}", .vertices.trim_end())]
    UnknownVertex { job: String, wanted: String, vertices: String },
    #[error("{wanted} is more than one vertex of {job}; give more of the id; there are:\n{}", .vertices.trim_end())]
    AmbiguousVertex { job: String, wanted: String, vertices: String },
    #[error("{vertex} has max parallelism {max}: it cannot run with {wanted} subtasks")]
    AboveMaxParallelism { vertex: String, wanted: u32, max: u32 },
    #[error("{job} has ended ({state}) and is not rescaled")]
    EndedMeanwhile { job: String, state: JobStatus },
    #[error("no TaskManager {wanted} at {address}{}", task_managers(.there))]
    UnknownTaskManager { wanted: String, address: String, there: Vec<TaskManager> },
    #[error("{wanted} is more than one TaskManager; give more of the id{}", task_managers(.there))]
    AmbiguousTaskManager { wanted: String, there: Vec<TaskManager> },
    #[error("TaskManager {id} stays: {cause}")]
    NotDrained { id: String, cause: Box<CliError> },
    #[error("{what} is not done after {waited} ({standing}); it goes on by itself, --timeout waits longer")]
    NotYet { what: String, waited: String, standing: String },
    #[error("the JobManager at {address} ended before {what} was done; its log says how it stands")]
    LostMeanwhile { what: String, address: String },
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("no job {name} in {}: {there}", .lib.display())]
    NoExecutable { name: String, lib: PathBuf, there: String },
    #[error("cannot run {}: {cause}", .program.display())]
    CannotRun { program: PathBuf, cause: std::io::Error },
    #[error("cannot find out about this machine: {0}")]
    Machine(#[source] std::io::Error),
    #[error("cannot write the answer: {0}")]
    Output(#[source] std::io::Error),
}

impl CliError {
    /// The error of a wait for `what`.
    pub(crate) fn of_wait(what: String, stopped: Stopped) -> Self {
        match stopped {
            Stopped::TimedOut { waited, standing } => Self::NotYet { what, waited, standing },
            Stopped::Lost { address } => Self::LostMeanwhile { what, address },
            Stopped::Failed(error) => error,
        }
    }
}

fn task_managers(there: &[TaskManager]) -> String {
    if there.is_empty() {
        "; there is none".to_owned()
    } else {
        format!("; there are:\n{}", task_manager_table(there).trim_end())
    }
}

fn candidates(jobs: &[JobOverview]) -> String {
    if jobs.is_empty() {
        "; there is none".to_owned()
    } else {
        format!("; there are:\n{}", job_table(jobs).trim_end())
    }
}
