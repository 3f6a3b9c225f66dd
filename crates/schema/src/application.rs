//! The JSON form of applications, which Flink's dashboard shows first. An application is the main function of an
//! executable; here it has one job and that job's id.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{JobOverview, UNSET};
use reflow_view::{ClusterView, JobStatus, JobView};

/// `GET /applications/overview`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ApplicationsOverview {
    pub applications: Vec<Application>,
}

/// An application: the main function of an executable, which has one job.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Application {
    /// That of its job.
    pub id: String,
    pub name: String,
    pub start_time: i64,
    pub end_time: i64,
    pub duration: i64,
    pub status: String,
    /// The number of its jobs by status.
    pub jobs: BTreeMap<JobStatus, usize>,
}

impl ApplicationsOverview {
    pub fn of(view: &ClusterView) -> Self {
        let application = |job: &JobView| Application {
            id: job.id.to_string(),
            name: job.name.clone(),
            start_time: job.started_at_ms,
            end_time: job.ended_at_ms.unwrap_or(UNSET),
            duration: duration_ms(job, view.now_ms),
            status: status(job).to_string(),
            jobs: BTreeMap::from([(job.status, 1)]),
        };
        Self { applications: view.jobs.iter().map(application).collect() }
    }
}

/// `GET /applications/:id`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ApplicationDetails {
    pub id: String,
    pub name: String,
    pub status: String,
    pub start_time: i64,
    pub end_time: i64,
    pub duration: i64,
    /// When it entered each status; 0 if never.
    pub timestamps: BTreeMap<JobStatus, i64>,
    pub jobs: Vec<JobOverview>,
}

impl ApplicationDetails {
    pub fn of(job: &JobView, now_ms: i64) -> Self {
        let statuses = [
            JobStatus::Created,
            JobStatus::Running,
            JobStatus::Failing,
            JobStatus::Failed,
            JobStatus::Cancelling,
            JobStatus::Canceled,
            JobStatus::Finished,
        ];
        Self {
            id: job.id.to_string(),
            name: job.name.clone(),
            status: status(job).to_string(),
            start_time: job.started_at_ms,
            end_time: job.ended_at_ms.unwrap_or(UNSET),
            duration: duration_ms(job, now_ms),
            timestamps: statuses
                .map(|status| (status, job.entered_at_ms.get(&status).copied().unwrap_or(0)))
                .into(),
            jobs: vec![JobOverview::of(job, now_ms)],
        }
    }
}

/// `GET /applications/:id/exceptions`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationExceptions {
    pub exception_history: ApplicationExceptionHistory,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ApplicationExceptionHistory {
    /// The failure that has ended the application; empty while it runs.
    pub entries: Vec<ApplicationException>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationException {
    pub exception_name: String,
    pub stacktrace: String,
    pub timestamp: i64,
    pub job_id: String,
}

impl ApplicationExceptions {
    pub fn of(job: &JobView) -> Self {
        let last = job.exceptions.first().filter(|_| job.status == JobStatus::Failed);
        let entry = last.map(|exception| ApplicationException {
            exception_name: exception.name.clone(),
            stacktrace: exception.message.clone(),
            timestamp: exception.at_ms,
            job_id: job.id.to_string(),
        });
        Self { exception_history: ApplicationExceptionHistory { entries: entry.into_iter().collect() } }
    }
}

/// The status of the application: that of its job, where Flink has such a status for applications.
fn status(job: &JobView) -> JobStatus {
    match job.status {
        status if status.is_terminal() => status,
        _ => JobStatus::Running,
    }
}

fn duration_ms(job: &JobView, now_ms: i64) -> i64 {
    job.ended_at_ms.unwrap_or(now_ms) - job.started_at_ms
}
