//! The command `reflow taskmanager`, which runs a TaskManager.

use crate::args::Taskmanager;
use crate::client::distribution;
use crate::error::CliError;
use reflow_config::Config;
use reflow_config::options::{HEARTBEAT_INTERVAL, HEARTBEAT_SILENCE_TIMEOUT, PROBES_PORT};
use reflow_env::Signal;
use reflow_env::real::{self, Options};
use reflow_launch::{exposure, logging, machine, storage, tls};
use reflow_taskmanager::{Settings, TaskManager};
use reflow_types::TaskManagerId;
use std::process::ExitCode;

/// The first process of a container must reap orphaned processes, so the TaskManager runs as its child.
pub(crate) fn run_below() -> Result<ExitCode, CliError> {
    let program = std::env::current_exe().map_err(CliError::Machine)?;
    let mut command = std::process::Command::new(&program);
    command.args(std::env::args_os().skip(1));
    let code =
        real::run_as_first_process(&mut command).map_err(|cause| CliError::CannotRun { program, cause })?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

pub(crate) fn run(start: &Taskmanager) -> Result<ExitCode, CliError> {
    let loaded = Config::load(start.config_dir.as_deref(), &start.definitions)?;
    logging::start("info");
    real::raise_descriptor_limit();
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    exposure::warn(&loaded.config, exposure::TASK_MANAGER);
    let lib = distribution().map(|home| home.join("lib")).filter(|lib| lib.is_dir());
    let settings = Settings::new(&loaded.config, machine::inspect(lib).map_err(CliError::Machine)?);
    let id = TaskManagerId(u128::from_le_bytes(machine::random().map_err(CliError::Machine)?));
    tracing::info!(
        "TaskManager {id}: {} slots on {} for the JobManager at {}",
        settings.slots,
        settings.host_name,
        settings.job_managers.all()
    );
    serve_probes(&loaded.config, &settings)?;
    let process = Box::new(TaskManager::new(id, settings));
    let mut options = Options {
        signals: true,
        storage: storage::open(&loaded.config)?,
        silence_timeout: Some(HEARTBEAT_SILENCE_TIMEOUT.get(&loaded.config)),
        ..Options::default()
    };
    tls::enable(&loaded.config, &mut options)?;
    tls::enable_fetching(&loaded.config, &mut options)?;
    let exit = real::run(process, Signal::default(), options);
    if exit.code == 0 {
        tracing::info!("TaskManager {id} ended");
    } else {
        tracing::error!("TaskManager {id} ended: {}", exit.reason);
    }
    Ok(ExitCode::from(u8::try_from(exit.code).unwrap_or(1)))
}

/// Answers probes, if the options ask for it.
fn serve_probes(config: &Config, settings: &Settings) -> Result<(), CliError> {
    let Some(port) = PROBES_PORT.get(config) else { return Ok(()) };
    let host = &settings.bind_host;
    let mut watch = settings.health.watch(HEARTBEAT_INTERVAL.get(config));
    let health = settings.health.clone();
    let probed = move |now| real::Probed { live: watch.is_alive(now), ready: health.is_ready() };
    let address = real::serve_probes((host, port), probed)
        .map_err(|cause| CliError::Probes { address: format!("{host}:{port}"), cause })?;
    tracing::info!("probes on http://{address}/livez and /readyz");
    Ok(())
}
