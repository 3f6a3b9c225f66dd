//! The command `JOB jobmanager`, which runs the JobManager of this job with REST and the web interface.

use super::{Executable, LaunchError, Options, logging, machine};
use reflow_config::{Config, options};
use reflow_env::{Location, Signal, real};
use reflow_jobmanager::{Artifact, Handle, JobManager, JobSpec, StartMode};
use reflow_rest::Limits;
use reflow_types::Bounds;
use sha2::{Digest, Sha256};
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

pub(super) fn run(executable: Executable, options: &Options) -> Result<ExitCode, LaunchError> {
    logging::start("info");
    let config = load(options)?;
    let runtime = runtime()?;
    let storage = super::storage::open(&config)?;
    let driver = real::Options {
        signals: true,
        runtime: Some(runtime.handle().clone()),
        storage,
        ..Default::default()
    };
    let exit = drive(&executable, options, &config, &runtime, driver)?;
    Ok(ExitCode::from(u8::try_from(exit.code).unwrap_or(1)))
}

/// Runs the JobManager on this thread, and REST on the runtime, until the job has ended.
pub(super) fn drive(
    executable: &Executable,
    options: &Options,
    config: &Config,
    runtime: &Runtime,
    driver: real::Options,
) -> Result<real::Exit, LaunchError> {
    let job = executable.build(&options.args)?;
    let spec = JobSpec {
        fingerprint: job.fingerprint(),
        graph: job.graph,
        executable: executable.name.to_owned(),
        args: options.args.clone(),
        enumerators: job.enumerators.into_iter().map(|(uid, make)| (uid, make())).collect(),
        artifact: artifact()?,
        target: machine::target(),
        clock: machine::clock(),
        start: StartMode {
            fresh: options.fresh,
            allow_other_build: options.allow_other_build,
            allow_replay: options.allow_replay,
        },
    };
    let seed = machine::random().map_err(system("cannot read random numbers"))?;
    let signal = Signal::default();
    let (process, handle) = JobManager::new(config, spec, seed, signal.clone(), Bounds::default());
    let listener = runtime.block_on(listen(config))?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = runtime.spawn(serve(listener, handle, stopped));
    let exit = real::run(Box::new(process), signal, driver);
    drop(stop);
    // The server has a second for answers under way. It has logged its errors.
    let _ = runtime.block_on(server);
    if exit.code == 0 {
        tracing::info!(
            "the JobManager ends{}",
            if exit.reason.is_empty() { "" } else { ": " }.to_owned() + &exit.reason
        );
    } else {
        tracing::error!("the JobManager ends: {}", exit.reason);
    }
    Ok(exit)
}

/// Reads the options, and warns about those that have no effect.
pub(super) fn load(options: &Options) -> Result<Config, LaunchError> {
    let mut definitions = options.definitions.clone();
    if let Some(path) = &options.from_savepoint {
        definitions.push(format!("{}={path}", reflow_config::options::STATE_RECOVERY_PATH.key()));
    }
    let loaded = Config::load(options.config_dir.as_deref(), &definitions)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok(loaded.config)
}

pub(super) fn runtime() -> Result<Runtime, LaunchError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().map_err(system("cannot start threads"))
}

async fn listen(config: &Config) -> Result<TcpListener, LaunchError> {
    let (host, port) = (options::REST_BIND_ADDRESS.get(config), options::REST_PORT.get(config));
    let listener = TcpListener::bind((host.as_str(), port)).await;
    listener.map_err(|error| LaunchError::Rest { address: format!("{host}:{port}"), error })
}

async fn serve(listener: TcpListener, handle: Handle, stopped: tokio::sync::oneshot::Receiver<()>) {
    let stopped = async move {
        let _ = stopped.await;
    };
    let most = Limits::default();
    // Most file descriptors are left for the job: connections to TaskManagers and executors, and storage.
    let limits = Limits { connections: most.connections.min(real::descriptor_limit() / 4), ..most };
    if let Err(error) = reflow_rest::serve(listener, Arc::new(handle), limits, stopped).await {
        tracing::error!("{error}");
    }
}

/// The executable of this process, even if another file has its name by now.
const THIS_EXECUTABLE: &str = "/proc/self/exe";

/// The description of this executable, which TaskManagers fetch.
fn artifact() -> Result<Artifact, LaunchError> {
    let (sha256, len) = hash(Path::new(THIS_EXECUTABLE)).map_err(system("cannot read this executable"))?;
    Ok(Artifact { sha256, at: Location(THIS_EXECUTABLE.to_owned()), len })
}

fn hash(path: &Path) -> io::Result<(String, u64)> {
    let mut file = std::fs::File::open(path)?;
    let (mut hasher, mut len, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        len += read as u64;
    }
    Ok((hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect(), len))
}

pub(super) fn system(what: &'static str) -> impl FnOnce(io::Error) -> LaunchError {
    move |error| LaunchError::System { what, error }
}
