//! A client of the API server of Kubernetes, for what a JobManager needs of it.
//!
//! The client is hyper with rustls, which jobs contain anyway, and no library for Kubernetes: `docs/design/libraries.md` says
//! why. It is asynchronous and runs only as [calls](reflow_env::Client) of the driver, and in the task that carries out what the
//! autoscaler decides.
//!
//! Reading order: [`access`] (where the API server is, and how a process shows who it is) with `kubeconfig`, [`api`] (requests),
//! [`lease`] (the lease of the leading JobManager), [`scale`] (the number of TaskManagers).

pub mod access;
pub mod api;
mod kubeconfig;
pub mod lease;
pub mod scale;
#[cfg(test)]
mod test_server;

pub use access::{Access, AccessError};
pub use api::{Api, ApiError};
pub use lease::LeaseClient;
pub use scale::{ScaleClient, Workload};
