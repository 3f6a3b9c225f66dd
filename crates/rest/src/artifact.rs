//! Serves the job's executable to TaskManagers, whole or in ranges, as `/artifacts/<sha256>`.
//!
//! The name contains the hash of the content, so that a TaskManager that asks a JobManager of another build gets
//! a 404. The route is not part of the API.

use axum::Router;
use std::path::PathBuf;
use tower_http::services::ServeFile;

/// The executable of a job.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// Its SHA-256 in lower-case hexadecimal.
    pub sha256: String,
    /// The file.
    pub path: PathBuf,
}

impl Artifact {
    pub(crate) fn route(&self) -> Router {
        Router::new().route_service(&format!("/artifacts/{}", self.sha256), ServeFile::new(&self.path))
    }
}
