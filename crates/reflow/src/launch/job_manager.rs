//! The command `JOB jobmanager`, which runs the JobManager of this job with REST and the web interface.

use super::http_server::HttpServer;
use super::{Executable, LaunchError, Options, lease, provider, system};
use reflow_config::{Config, options};
use reflow_env::{Signal, real};
use reflow_jobmanager::{JobManager, JobSpec, Role, StartMode};
use reflow_launch::{exposure, inspection, logging, machine, storage, tls};
use reflow_types::Bounds;
use reflow_types::metric::Accumulated;
use reflow_view::{Cluster, ClusterView};
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

pub(super) fn run(executable: Executable, options: &Options) -> Result<ExitCode, LaunchError> {
    logging::start("info");
    let config = load(options)?;
    let runtime = runtime()?;
    let storage = storage::open(&config)?;
    // The driver has an I/O thread of its own, so that no answer of REST delays a sign of life.
    let mut driver = real::Options {
        // Those that come while it is started again as a standby must not be lost.
        interrupts: Some(real::Interrupts::watch(runtime.handle())),
        storage,
        silence_timeout: Some(options::HEARTBEAT_SILENCE_TIMEOUT.get(&config)),
        ..Default::default()
    };
    tls::enable(&config, &mut driver)?;
    let mut options = options.clone();
    let mut role = Role::First;
    let exit = loop {
        let Ended { exit, .. } = drive(&executable, &options, role, &config, &runtime, driver.clone())?;
        role = match Role::after(exit.code) {
            Some(role) => role,
            None => break exit,
        };
        // These are for the job as it was when the user started it, not for what another JobManager has led since.
        (options.fresh, options.allow_other_build, options.allow_replay) = (false, false, false);
        match role {
            Role::EndingStandby => tracing::info!("waiting until the other JobManager leads"),
            _ => tracing::info!("starting again as a standby"),
        }
    };
    // A command that changes the number of TaskManagers goes on without this process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(ExitCode::from(u8::try_from(exit.code).unwrap_or(1)))
}

/// Runs the JobManager on this thread, and REST on the runtime, until the job has ended.
pub(super) fn drive(
    executable: &Executable,
    options: &Options,
    role: Role,
    config: &Config,
    runtime: &Runtime,
    driver: real::Options,
) -> Result<Ended, LaunchError> {
    let job = executable.build(&options.args)?;
    exposure::warn(config, exposure::JOB_MANAGER);
    let server = runtime.block_on(HttpServer::bind(config))?;
    let spec = JobSpec {
        fingerprint: job.fingerprint(),
        graph: job.graph,
        args: options.args.clone(),
        enumerators: job.enumerators.into_iter().map(|(uid, make)| (uid, make())).collect(),
        artifact: server.artifact(executable.name),
        target: machine::target(),
        clock: machine::clock(),
        inspect: inspection::inspect,
        start: StartMode {
            fresh: options.fresh,
            allow_other_build: options.allow_other_build,
            allow_replay: options.allow_replay,
        },
        role,
    };
    let seed = machine::random().map_err(system("cannot read random numbers"))?;
    let signal = Signal::default();
    let (mut process, handle) = JobManager::new(config, spec, seed, signal.clone(), Bounds::default());
    lease::connect(config, &mut process)?;
    let scaling = provider::start(config, handle.clone(), runtime)?;
    let server = server.start(handle.clone(), runtime);
    let exit = real::run(Box::new(process), signal, driver);
    // Another JobManager may lead from here on.
    scaling.inspect(JoinHandle::abort);
    runtime.block_on(server.stop());
    let accumulators = accumulators(&handle.view());
    if exit.code == 0 || Role::after(exit.code).is_some() {
        tracing::info!(
            "the JobManager ends{}",
            if exit.reason.is_empty() { "" } else { ": " }.to_owned() + &exit.reason
        );
    } else {
        tracing::error!("the JobManager ends: {}", exit.reason);
    }
    Ok(Ended { exit, accumulators })
}

/// The end of a JobManager.
pub(super) struct Ended {
    pub(super) exit: real::Exit,
    /// What the functions of the job have accumulated.
    pub(super) accumulators: Vec<(String, Accumulated)>,
}

fn accumulators(view: &ClusterView) -> Vec<(String, Accumulated)> {
    let vertices = view.jobs.iter().flat_map(|job| &job.vertices);
    let named = |(name, value): (&str, Accumulated)| (name.to_owned(), value);
    vertices.flat_map(|vertex| vertex.accumulators().into_iter().map(named)).collect()
}

/// Reads the options, and warns about those that have no effect.
pub(super) fn load(options: &Options) -> Result<Config, LaunchError> {
    let mut definitions = options.definitions.clone();
    if let Some(path) = &options.from_savepoint {
        definitions.push(format!("{}={path}", reflow_config::options::STATE_RECOVERY_PATH.key()));
    }
    let loaded = Config::load_with_defaults(&options.defaults, options.config_dir.as_deref(), &definitions)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok(loaded.config)
}

pub(super) fn runtime() -> Result<Runtime, LaunchError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().map_err(system("cannot start threads"))
}
