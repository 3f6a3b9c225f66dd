//! Starts and stops TaskManagers as the autoscaler asks for.
//!
//! A task of the runtime looks at the number of TaskManagers, and has a [`Provider`] change it to the one that the job should
//! have. When it does so, and when it leaves the number to others, is decided in
//! [`reflow_coordination::autoscaler::provisioning`]. What happens goes to the log, the time line, and `/jobs/:id/autoscaler`.

#[cfg(feature = "kubernetes")]
mod kubernetes;
mod processes;

use super::LaunchError;
use processes::{Scripts, Shell};
use reflow_config::{Config, TaskManagerProvider, options};
use reflow_coordination::autoscaler::provisioning::{Desired, Provisioning, Request, Rules};
use reflow_jobmanager::Handle;
use reflow_types::Instant;
use reflow_view::{Cluster, ClusterView, Readiness};
use std::path::PathBuf;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// The time between two looks at what the job should have.
const INTERVAL: Duration = Duration::from_millis(500);

/// Knows the number of TaskManagers, and changes it.
trait Provider: Send + Sync + 'static {
    /// What was found. A change needs it.
    type Found: Send;

    fn rules(&self) -> Rules;

    /// The number that there is. `registered` are the TaskManagers that the JobManager has.
    fn look(&self, registered: u32) -> impl Future<Output = Result<(u32, Self::Found), String>> + Send;

    /// Changes the number. Waits until the change has begun, or is done. `false`: someone else has changed something since the
    /// look, so nothing was done.
    fn change(&self, found: (u32, Self::Found), to: u32)
    -> impl Future<Output = Result<bool, String>> + Send;
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
    Ok(Some(match options::AUTOSCALER_PROVIDER.get(config) {
        TaskManagerProvider::None => return Ok(None),
        TaskManagerProvider::Scripts => {
            let home = std::env::var_os("REFLOW_HOME").map(PathBuf::from);
            let script = home.map(|home| home.join("bin/taskmanager.sh")).filter(|script| script.is_file());
            runtime.spawn(follow(Scripts(script.ok_or(LaunchError::NoScripts)?), cluster))
        }
        TaskManagerProvider::Command => {
            let command = options::AUTOSCALER_COMMAND.get(config);
            runtime.spawn(follow(Shell(command.ok_or(LaunchError::NoScalingCommand)?), cluster))
        }
        #[cfg(feature = "kubernetes")]
        TaskManagerProvider::Kubernetes => {
            runtime.spawn(follow(kubernetes::Replicas::connect(config)?, cluster))
        }
        #[cfg(not(feature = "kubernetes"))]
        TaskManagerProvider::Kubernetes => {
            return Err(LaunchError::NoKubernetes { option: options::AUTOSCALER_PROVIDER.key() });
        }
    }))
}

async fn follow<P: Provider>(provider: P, cluster: Handle) {
    let begun = tokio::time::Instant::now();
    let now = || Instant(0) + begun.elapsed();
    let mut provisioning = Provisioning::new(provider.rules());
    loop {
        tokio::time::sleep(INTERVAL).await;
        let counts = counts(&cluster.view());
        if let Some((registered, desired)) = counts
            && provisioning.is_due(now(), desired)
        {
            match provider.look(registered).await {
                Ok(found) => {
                    if let Some(to) = provisioning.found(now(), found.0, desired) {
                        tracing::info!(
                            "autoscaler: changing the number of TaskManagers from {} to {to}",
                            found.0
                        );
                        match provider.change(found, to).await {
                            Ok(true) => provisioning.changed(now(), to),
                            Ok(false) => {}
                            Err(error) => provisioning.failed(now(), Request::Change, &error),
                        }
                    }
                }
                Err(error) => provisioning.failed(now(), Request::Look, &error),
            }
        }
        if let Some(report) = provisioning.take_report() {
            for event in &report.events {
                tracing::warn!("autoscaler: {event}");
            }
            cluster.report(report);
        }
    }
}

/// The TaskManagers that there are, and that there should be. `None` if that is not known, the job has ended, decisions are only
/// shown, or this JobManager cannot tell whether it still leads.
fn counts(view: &ClusterView) -> Option<(u32, Desired)> {
    if view.readiness != Readiness::Leading {
        return None;
    }
    let job = view.jobs.first().filter(|job| !job.status.is_terminal())?;
    let autoscaler = job.autoscaler.as_ref().filter(|autoscaler| autoscaler.scaling)?;
    let desired =
        Desired { number: autoscaler.desired_task_managers?, is_least: autoscaler.desired_is_least };
    Some((u32::try_from(view.task_managers.len()).ok()?, desired))
}
