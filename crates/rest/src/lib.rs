//! Flink's monitoring REST API, version 1, and the web interface.
//!
//! The same paths, methods, status codes and field names as Flink 2.3, with and without the prefix `/v1`, so
//! that tools written for Flink work unchanged. The crate knows nothing of the JobManager: it reads a
//! [`ClusterView`](reflow_view::ClusterView) and sends commands through the trait
//! [`Cluster`](reflow_view::Cluster), which the JobManager implements.
//!
//! Fields of Flink's answers that describe the JVM exist and are 0 or -1. An error is one sentence instead of a Java stack
//! trace, and a known path with the wrong method is answered by 405 with an `Allow` header instead of Flink's 404.
//!
//! `crates/schema` defines the JSON and makes the answers from a view. Reading order here: `routes` (the paths), `server`,
//! `connections`, `stream` (TLS), `guard` (which requests are passed on), `origin` (what pages of other servers may do), `credentials`, `probes` (which need none), `page`, `artifact` (the job's executable, for
//! TaskManagers), `external_metrics` (for the HPA of Kubernetes).

mod artifact;
mod connections;
mod credentials;
mod external_metrics;
mod guard;
mod origin;
mod page;
mod probes;
mod routes;
mod server;
mod stream;

pub use artifact::Artifact;
pub use connections::Limits;
pub use credentials::{Credentials, CredentialsError};
pub use guard::Access;
pub use origin::Origins;
pub use server::{ServeError, serve, serve_artifact, serve_external_metrics};
pub use stream::{Encrypted, Endpoint, Handshake};
