//! TaskManagers that are the pods of a workload of Kubernetes, which declares their number.

use super::Provider;
use crate::launch::{LaunchError, kubernetes};
use reflow_config::{Config, options};
use reflow_coordination::autoscaler::provisioning::Rules;
use reflow_kubernetes::scale::{Change, Scale};
use reflow_kubernetes::{ApiError, ScaleClient, Workload};

/// The replicas of a workload.
pub(super) struct Replicas {
    client: ScaleClient,
    workload: Workload,
}

impl Replicas {
    pub(super) fn connect(config: &Config) -> Result<Self, LaunchError> {
        let target = options::AUTOSCALER_SCALE_TARGET.get(config);
        let workload = target.as_deref().and_then(Workload::parse).expect("the configuration was checked");
        let api = kubernetes::api(config, options::AUTOSCALER_PROVIDER.key())?;
        let namespace = options::KUBERNETES_NAMESPACE.get(config);
        Ok(Self { client: ScaleClient::new(api, namespace, workload.clone()), workload })
    }
}

impl Provider for Replicas {
    type Found = Scale;

    fn rules(&self) -> Rules {
        Rules::of_replicas(format!("replicas of {}", self.workload))
    }

    async fn look(&self, _: u32) -> Result<(u32, Scale), String> {
        let scale = self.client.read().await.map_err(advise)?;
        Ok((scale.replicas, scale))
    }

    async fn change(&self, (_, scale): (u32, Scale), to: u32) -> Result<bool, String> {
        let change = self.client.change(scale, to).await.map_err(advise)?;
        Ok(change == Change::Done)
    }
}

/// The error, with what to do about it.
fn advise(error: ApiError) -> String {
    let advice = match &error {
        ApiError::Forbidden { .. } => "; the component `autoscaler` of the manifests has this Role",
        ApiError::NotFound { .. } => "; see job.autoscaler.task-managers.scale-target",
        _ => "",
    };
    format!("{error}{advice}")
}
