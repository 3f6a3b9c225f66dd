//! Which JobManagers have led the job, and why the leader changed.

use reflow_types::LeaderEpoch;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The beginning of a leadership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderChange {
    /// The leadership.
    pub epoch: LeaderEpoch,
    /// When its JobManager claimed the job.
    pub at_ms: i64,
    /// Why it did.
    pub cause: LeaderChangeCause,
    /// How long the former leader had given no sign of life, if that was the cause.
    pub silent_ms: Option<u64>,
}

/// Why a JobManager claimed the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LeaderChangeCause {
    /// It was started, and did not wait for a leader.
    Started,
    /// The leader gave the job up.
    HandedOver,
    /// The leader did not renew its lease.
    LeaseExpired,
}

display_as_serialized!(LeaderChangeCause);

/// What became of the attempt that ran under the former leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TakeoverView {
    /// It goes on.
    Adopted,
    /// The job restarts from its last checkpoint.
    Restarted {
        /// Why the attempt could not go on.
        reason: String,
    },
}

/// The leadership of the JobManager that has published the view.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeadershipView {
    /// The last leaderships of the job, oldest first. The last one is that of this JobManager, unless it does not lead.
    pub changes: Vec<LeaderChange>,
    /// `None` if there was no such attempt, or while it is not decided.
    pub takeover: Option<TakeoverView>,
}
