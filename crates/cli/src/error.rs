//! What can go wrong, and what the user can do about it.

use crate::client::JobOverview;
use crate::output::job_table;
use reflow_config::ConfigError;
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

fn candidates(jobs: &[JobOverview]) -> String {
    if jobs.is_empty() {
        "; there is none".to_owned()
    } else {
        format!("; there are:\n{}", job_table(jobs).trim_end())
    }
}
