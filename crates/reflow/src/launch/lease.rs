//! Where a JobManager keeps its lease, if that is not in the checkpoint storage. It needs the feature `kubernetes`.

use super::LaunchError;
use reflow_config::{Config, HighAvailability, options};
use reflow_jobmanager::JobManager;

/// Connects a JobManager with the API server, if its options say so.
///
/// # Errors
/// If there is no way to reach an API server, or this executable was built without it.
pub(super) fn connect(config: &Config, job_manager: &mut JobManager) -> Result<(), LaunchError> {
    match options::HIGH_AVAILABILITY.get(config) {
        HighAvailability::None | HighAvailability::Storage => Ok(()),
        HighAvailability::Kubernetes => in_kubernetes(config, job_manager),
    }
}

#[cfg(feature = "kubernetes")]
fn in_kubernetes(config: &Config, job_manager: &mut JobManager) -> Result<(), LaunchError> {
    use super::{kubernetes, system};
    use reflow_coordination::leader_election::Candidate;
    use reflow_jobmanager::LeaseCalls;
    use reflow_kubernetes::LeaseClient;
    use reflow_launch::machine;
    use std::sync::Arc;

    let api = kubernetes::api(config, options::HIGH_AVAILABILITY.key())?;
    let id = options::KUBERNETES_CLUSTER_ID.get(config).expect("the configuration was checked for it");
    let random = machine::random::<4>().map_err(system("cannot read random numbers"))?;
    let candidate = Candidate {
        // As client-go's: a pod's name, and something that a process of the same name does not have.
        identity: format!("{}_{:08x}", machine::host(), u32::from_ne_bytes(random)),
        duration: options::KUBERNETES_LEASE_DURATION.get(config),
    };
    let namespace = options::KUBERNETES_NAMESPACE.get(config);
    let identity = candidate.identity.clone();
    let client = LeaseClient::new(api, namespace, &format!("{id}-leader"), candidate);
    job_manager.keep_lease_in_kubernetes(LeaseCalls::new(&Arc::new(client), identity));
    Ok(())
}

#[cfg(not(feature = "kubernetes"))]
fn in_kubernetes(_: &Config, _: &mut JobManager) -> Result<(), LaunchError> {
    Err(LaunchError::NoKubernetes { option: options::HIGH_AVAILABILITY.key() })
}
