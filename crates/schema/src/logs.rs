//! The JSON form of lists of log files: `/jobmanager/logs`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /jobmanager/logs`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LogFiles {
    pub logs: Vec<LogFile>,
}

/// A log file.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LogFile {
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// When it was last written, in milliseconds since the Unix epoch.
    pub mtime: i64,
}
