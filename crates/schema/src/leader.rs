//! The JSON form of the leadership: `GET /leader`, which Flink does not have.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use reflow_view::{ClusterView, LeaderChange, LeaderChangeCause, Readiness, TakeoverView};

/// `GET /leader`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Leader {
    pub status: LeaderStatus,
    /// The time of this answer.
    pub now: i64,
    /// The last leaderships of the job, oldest first. Empty unless this JobManager leads.
    pub leaderships: Vec<Leadership>,
    /// What became of the tasks that ran under the former leader.
    #[schema(required)]
    pub takeover: Option<TakeoverOutcome>,
    /// Why the tasks could not run on.
    #[schema(required)]
    pub reason: Option<String>,
}

/// Whether the JobManager leads the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LeaderStatus {
    Starting,
    StandingBy,
    Leading,
}

/// What became of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TakeoverOutcome {
    /// They run on.
    Adopted,
    /// The job has restarted from its last checkpoint.
    Restarted,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Leadership {
    pub epoch: u64,
    pub since: i64,
    pub cause: LeaderChangeCause,
    #[schema(required)]
    pub silent_ms: Option<u64>,
}

impl Leader {
    pub fn of(view: &ClusterView) -> Self {
        let status = match view.readiness {
            Readiness::Starting => LeaderStatus::Starting,
            Readiness::StandingBy | Readiness::StandingByDifferent => LeaderStatus::StandingBy,
            Readiness::Leading | Readiness::StorageSilent => LeaderStatus::Leading,
        };
        let (takeover, reason) = match view.leadership.takeover.clone() {
            None => (None, None),
            Some(TakeoverView::Adopted) => (Some(TakeoverOutcome::Adopted), None),
            Some(TakeoverView::Restarted { reason }) => (Some(TakeoverOutcome::Restarted), Some(reason)),
        };
        let leaderships = view.leadership.changes.iter().map(Leadership::from).collect();
        Self { status, now: view.now_ms, leaderships, takeover, reason }
    }
}

impl From<&LeaderChange> for Leadership {
    fn from(change: &LeaderChange) -> Self {
        Self { epoch: change.epoch.0, since: change.at_ms, cause: change.cause, silent_ms: change.silent_ms }
    }
}
