//! The errors of the command line, each with what the user can do.

use crate::table::{job_table, task_manager_table};
use reflow_config::ConfigError;
use reflow_env::real::TlsError;
use reflow_launch::storage::UnusableDirectory;
use reflow_savepoint::SavepointError;
use reflow_schema::{JobOverview, TaskManager};
use reflow_view::JobStatus;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(
        "no JobManager answers at {address}: {cause}\n  Check that it runs at this address. The address is rest.address and rest.port of \
         config.yaml; --jobmanager HOST:PORT sets another."
    )]
    Unreachable { address: String, cause: String },
    #[error(
        "the answer of {address} is not that of a JobManager: {cause}\n  Check that no other program listens there."
    )]
    NotAJobManager { address: String, cause: String },
    #[error("the JobManager at {address} refused the request: {text}")]
    Refused { address: String, text: String },
    #[error(
        "the JobManager at {address} asks who you are: {text}\n  Put a token of rest.authentication.file into a file, and name it by --token-file, \
         REFLOW_TOKEN_FILE or rest.client.token-file."
    )]
    Unauthorized { address: String, text: String },
    #[error("no connection to {address}: {cause}")]
    NotTrusted { address: String, cause: String },
    #[error(
        "{address} is reached with TLS, and no authority is named that signs its certificate\n  Name the PEM file of the authority by --ca-file, \
         REFLOW_CA_FILE or security.ssl.rest.ca."
    )]
    NoAuthority { address: String },
    #[error(
        "{address} is reached without TLS, and --ca-file names an authority: use https://, or leave the file out"
    )]
    AuthorityWithoutTls { address: String },
    #[error(transparent)]
    Certificates(#[from] TlsError),
    #[error("cannot take the token from {}: {cause}", .file.display())]
    Token { file: PathBuf, cause: String },
    #[error("no job {wanted} at {address}{}", candidates(.jobs))]
    UnknownJob { wanted: String, address: String, jobs: Vec<JobOverview> },
    #[error("several jobs match {wanted}; use a longer prefix of the id{}", candidates(.jobs))]
    Ambiguous { wanted: String, jobs: Vec<JobOverview> },
    #[error("no job is named, and several exist{}", candidates(.jobs))]
    WhichJob { jobs: Vec<JobOverview> },
    #[error("no job runs at {address}")]
    NoJob { address: String },
    #[error("the savepoint of {job} failed: {cause}")]
    SavepointFailed { job: String, cause: String },
    #[error(
        "the savepoint of {job} is not complete after {waited}, but may still complete; `reflow info` shows the job, \
         --timeout waits longer"
    )]
    TimedOut { job: String, waited: String },
    #[error(
        "the JobManager at {address} ended before it reported the location of the savepoint of {job}; its log has it"
    )]
    Lost { job: String, address: String },
    #[error("{job} has no vertex {wanted}; its vertices are:\n{}", .vertices.trim_end())]
    UnknownVertex { job: String, wanted: String, vertices: String },
    #[error("several vertices of {job} match {wanted}; use a longer prefix of the id; they are:\n{}", .vertices.trim_end())]
    AmbiguousVertex { job: String, wanted: String, vertices: String },
    #[error("{vertex} has max parallelism {max}: it cannot run with {wanted} subtasks")]
    AboveMaxParallelism { vertex: String, wanted: u32, max: u32 },
    #[error(
        "no live rescale of {job} is under way: there is nothing to cancel; `reflow rescales` lists the ended ones"
    )]
    NoRescale { job: String },
    #[error(
        "the rescale of {job} has passed its cut, so it cannot be cancelled; it ends within moments, and `reflow rescale \
         --parallelism N` then changes the job back"
    )]
    HasCut { job: String },
    #[error("{job} ended ({state}) before it was rescaled")]
    EndedMeanwhile { job: String, state: JobStatus },
    #[error("no TaskManager {wanted} at {address}{}", task_managers(.there))]
    UnknownTaskManager { wanted: String, address: String, there: Vec<TaskManager> },
    #[error("several TaskManagers match {wanted}; use a longer prefix of the id{}", task_managers(.there))]
    AmbiguousTaskManager { wanted: String, there: Vec<TaskManager> },
    #[error("TaskManager {id} was not drained: {cause}")]
    NotDrained { id: String, cause: Box<CliError> },
    #[error("{what} is not done after {waited} ({standing}); it continues, --timeout waits longer")]
    NotYet { what: String, waited: String, standing: String },
    #[error("the JobManager at {address} ended before {what} was done; see its log")]
    LostMeanwhile { what: String, address: String },
    #[error(transparent)]
    Tls(#[from] reflow_launch::tls::UnusableTls),
    #[error(transparent)]
    Storage(#[from] UnusableDirectory),
    #[error(transparent)]
    Savepoint(#[from] SavepointError),
    #[error("{} of --entries: {cause}", .file.display())]
    Entries { file: PathBuf, cause: std::io::Error },
    #[error("lines of JSON go to standard output: leave out --to, or choose --format parquet or arrow")]
    DirectoryOfLines,
    #[error("cannot create {}: {cause}", .directory.display())]
    Directory { directory: PathBuf, cause: std::io::Error },
    #[error(
        "{} is there: name another directory, or give --renew to replace the certificates and keep the authority", .path.display()
    )]
    CertificateExists { path: PathBuf },
    #[error("cannot write {}: {cause}", .path.display())]
    NotWritten { path: PathBuf, cause: std::io::Error },
    #[error(
        "cannot read the authority's key from {}: {cause}\n  --renew needs the directory that `reflow certs` has made, with ca.key.",
        .path.display()
    )]
    AuthorityKey { path: PathBuf, cause: String },
    #[error("--host '{host}' is no name or address: leave out scheme and port")]
    NoHost { host: String },
    #[error("cannot make a certificate: {cause}")]
    NoCertificate { cause: String },
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("no job {name} in {}: {there}", .lib.display())]
    NoExecutable { name: String, lib: PathBuf, there: String },
    #[error("cannot run {}: {cause}", .program.display())]
    CannotRun { program: PathBuf, cause: std::io::Error },
    #[error("cannot read the properties of this machine: {0}")]
    Machine(#[source] std::io::Error),
    #[error(
        "cannot listen for probes at {address}: {cause}\n  Set taskmanager.probes.port to a port that is free."
    )]
    Probes { address: String, cause: std::io::Error },
    #[error("cannot write the answer: {0}")]
    Output(#[source] std::io::Error),
}

fn task_managers(there: &[TaskManager]) -> String {
    if there.is_empty() {
        "; no TaskManager is registered".to_owned()
    } else {
        format!("; the TaskManagers are:\n{}", task_manager_table(there).trim_end())
    }
}

fn candidates(jobs: &[JobOverview]) -> String {
    if jobs.is_empty() {
        "; it has no jobs".to_owned()
    } else {
        format!("; the jobs are:\n{}", job_table(jobs).trim_end())
    }
}
