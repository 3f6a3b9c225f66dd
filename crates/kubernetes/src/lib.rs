//! A client of the API server of Kubernetes, for what a JobManager needs of it.
//!
//! The client is hyper with rustls, which jobs contain anyway, and no library for Kubernetes: `docs/design/libraries.md` says
//! why. It is asynchronous and runs only as [calls](reflow_env::Client) of the driver.
//!
//! Reading order: [`access`] (where the API server is, and how a process shows who it is) with `kubeconfig`, [`api`] (requests),
//! [`lease`] (the lease of the leading JobManager).

pub mod access;
pub mod api;
mod kubeconfig;
pub mod lease;

pub use access::{Access, AccessError};
pub use api::{Api, ApiError};
pub use lease::LeaseClient;
