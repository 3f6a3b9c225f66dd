//! The way to the API server of Kubernetes.

use super::LaunchError;
use reflow_config::{Config, options};
use reflow_kubernetes::{Access, Api};

/// The API server, which the option with this key needs.
pub(super) fn api(config: &Config, option: &'static str) -> Result<Api, LaunchError> {
    let kubeconfig = options::KUBERNETES_CONFIG_FILE.get(config);
    let context = options::KUBERNETES_CONTEXT.get(config);
    let access = Access::find(kubeconfig.as_deref(), context.as_deref());
    access.map(Api::new).map_err(|error| LaunchError::Kubernetes { option, error })
}
