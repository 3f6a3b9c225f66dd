//! Starts and stops TaskManagers as the autoscaler asks for.
//!
//! A task of the runtime compares the number of TaskManagers that are registered with the number that the job should have, and
//! has a [`Provider`] change it. It changes one thing at a time and waits until the change is seen. If someone else has changed
//! the number, it leaves that alone for a minute.

use super::LaunchError;
use reflow_config::{Config, TaskManagerProvider, options};
use reflow_jobmanager::Handle;
use reflow_view::{Cluster, ClusterView};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// The time between two looks.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long a change may take to be seen, and the time until a failed one is tried again.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a number that someone else has set is left alone.
const YIELD: Duration = Duration::from_secs(60);
/// The variable with the number of TaskManagers for the user's command.
const COUNT: &str = "REFLOW_TASK_MANAGERS";

/// Changes the number of TaskManagers.
trait Provider: Send + Sync + 'static {
    /// The number to which it goes in one step.
    fn step(&self, have: u32, want: u32) -> u32;

    /// Changes the number. Waits until the change has begun, or is done.
    fn change(&self, from: u32, to: u32) -> io::Result<()>;
}

/// `bin/taskmanager.sh` of the distribution, on this machine.
struct Scripts(PathBuf);

impl Provider for Scripts {
    fn step(&self, have: u32, want: u32) -> u32 {
        // The job moves off one after another.
        if want < have { have - 1 } else { want }
    }

    fn change(&self, from: u32, to: u32) -> io::Result<()> {
        let command = if to > from { "start" } else { "stop" };
        (0..from.abs_diff(to)).try_for_each(|_| run(Command::new(&self.0).arg(command)))
    }
}

/// A shell command of the user.
struct Shell(String);

impl Provider for Shell {
    fn step(&self, _: u32, want: u32) -> u32 {
        want
    }

    fn change(&self, _: u32, to: u32) -> io::Result<()> {
        run(Command::new("sh").args(["-c", &self.0]).env(COUNT, to.to_string()))
    }
}

/// Runs a command in a process group of its own, because what it starts must outlive a Ctrl-C for the JobManager.
fn run(command: &mut Command) -> io::Result<()> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{command:?} ended with {status}"))) }
}

/// Starts the task, if the options name a provider.
pub(super) fn start(
    config: &Config,
    cluster: Handle,
    runtime: &Runtime,
) -> Result<Option<JoinHandle<()>>, LaunchError> {
    if !options::AUTOSCALER_ENABLED.get(config) {
        return Ok(None);
    }
    let provider: Arc<dyn Provider> = match options::AUTOSCALER_PROVIDER.get(config) {
        TaskManagerProvider::None => return Ok(None),
        TaskManagerProvider::Scripts => {
            let home = std::env::var_os("REFLOW_HOME").map(PathBuf::from);
            let script = home.map(|home| home.join("bin/taskmanager.sh")).filter(|script| script.is_file());
            Arc::new(Scripts(script.ok_or(LaunchError::NoScripts)?))
        }
        TaskManagerProvider::Command => {
            Arc::new(Shell(options::AUTOSCALER_COMMAND.get(config).ok_or(LaunchError::NoScalingCommand)?))
        }
    };
    Ok(Some(runtime.spawn(follow(provider, cluster))))
}

async fn follow(provider: Arc<dyn Provider>, cluster: Handle) {
    let mut settled: Option<u32> = None;
    let mut quiet_until = Instant::now();
    loop {
        sleep(INTERVAL).await;
        let Some((have, want)) = counts(&cluster.view()) else { continue };
        if settled.is_some_and(|settled| settled != have) {
            tracing::warn!(
                "there are {have} TaskManagers, which the autoscaler has not asked for: leaving that alone for {} s",
                YIELD.as_secs()
            );
            quiet_until = Instant::now() + YIELD;
        }
        settled = Some(have);
        if have == want || Instant::now() < quiet_until {
            continue;
        }
        let to = provider.step(have, want);
        tracing::info!("autoscaler: changing the number of TaskManagers from {have} to {to}");
        let changing = Arc::clone(&provider);
        match tokio::task::spawn_blocking(move || changing.change(have, to)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!("the number of TaskManagers cannot be changed: {error}");
                quiet_until = Instant::now() + PATIENCE;
            }
            Err(error) => tracing::error!("the number of TaskManagers cannot be changed: {error}"),
        }
        settled = seen(&cluster, to).await;
    }
}

/// Waits until there are so many TaskManagers. Returns the number that there are then.
async fn seen(cluster: &Handle, wanted: u32) -> Option<u32> {
    let end = Instant::now() + PATIENCE;
    loop {
        let have = counts(&cluster.view()).map(|(have, _)| have);
        if have == Some(wanted) || Instant::now() >= end {
            return have;
        }
        sleep(INTERVAL).await;
    }
}

/// The TaskManagers that there are, and that there should be. `None` if that is not known, the job has ended, or decisions
/// are only shown.
fn counts(view: &ClusterView) -> Option<(u32, u32)> {
    let job = view.jobs.first().filter(|job| !job.status.is_terminal())?;
    let autoscaler = job.autoscaler.as_ref().filter(|autoscaler| autoscaler.scaling)?;
    Some((u32::try_from(view.task_managers.len()).ok()?, autoscaler.desired_task_managers?))
}
