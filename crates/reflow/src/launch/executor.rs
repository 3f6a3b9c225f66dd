//! The command `JOB executor`, which runs tasks for the TaskManager that started it.

use super::{Executable, LaunchError, system};
use reflow_config::{Loader, options};
use reflow_env::real::{self, Clock, Options};
use reflow_env::{Process, Signal};
use reflow_executor::{Bandwidth, Executor, ExecutorOptions};
use reflow_launch::{logging, machine, storage, tls};
use reflow_protocol::deployment::ExecutorStart;
use reflow_types::Bounds;
use std::num::NonZeroU64;
use std::process::ExitCode;
use std::sync::Arc;

pub(super) fn run(executable: Executable) -> Result<ExitCode, LaunchError> {
    crate::allocator::keep_memory();
    logging::start("info");
    let message = real::read_stdin().map_err(system("cannot read the TaskManager's message"))?;
    real::end_when_stdin_closes(|| {
        logging::finish();
        std::process::exit(0)
    });
    let start = ExecutorStart::decode(&message)?;
    let config = Loader::new().properties(&start.properties)?.load()?.config;
    let clock = Clock::start();
    let storage = storage::open(&config)?;
    let silence_timeout = Some(options::HEARTBEAT_SILENCE_TIMEOUT.get(&config));
    let mut driver = Options { clock, storage, silence_timeout, ..Options::default() };
    tls::enable(&config, &mut driver)?;
    let (process, signal) = process(&executable, start, clock)?;
    let exit = real::run(process, signal, driver);
    if exit.code != 0 {
        tracing::error!("the executor ends: {}", exit.reason);
    }
    Ok(ExitCode::from(u8::try_from(exit.code).unwrap_or(1)))
}

/// The process of the executor. Builds the job with the arguments in the TaskManager's message.
pub(super) fn process(
    executable: &Executable,
    start: ExecutorStart,
    clock: Clock,
) -> Result<(Box<dyn Process>, Signal), LaunchError> {
    let config = Loader::new().properties(&start.properties)?.load()?.config;
    let job = executable.build(&start.start.job_args)?;
    let signal = Signal::default();
    let executor = Executor::new(ExecutorOptions {
        start,
        job,
        clock: Arc::new(clock),
        signal: signal.clone(),
        memory: Box::new(machine::memory),
        give_back: crate::allocator::give_back,
        pid: std::process::id(),
        from_local: options::STATE_RECOVERY_FROM_LOCAL.get(&config),
        adoption_timeout: options::ADOPTION_TIMEOUT.get(&config),
        latency_interval: options::METRICS_LATENCY_INTERVAL.get(&config),
        prefetch_bandwidth: options::LIVE_RESCALE_BANDWIDTH
            .get(&config)
            .and_then(|size| NonZeroU64::new(size.as_bytes()))
            .map(Bandwidth::new),
        bounds: Bounds::default(),
    });
    Ok((Box::new(executor), signal))
}
