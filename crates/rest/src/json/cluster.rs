//! The cluster: `/config`, `/overview`, `/jobs`, `/jobs/overview`, `/jobmanager/config`.

use std::collections::BTreeMap;

use reflow_types::JobId;
use serde::Serialize;

use super::UNSET;
use super::job::{SCHEDULER_TYPE, job_type, lower_case_counts};
use reflow_view::{ClusterView, JobStatus, JobView};

/// How often Flink's dashboard is to ask, in milliseconds.
const REFRESH_INTERVAL_MS: i64 = 1000;

/// `GET /config`
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct DashboardConfig {
    refresh_interval: i64,
    timezone_name: &'static str,
    timezone_offset: i64,
    flink_version: String,
    flink_revision: String,
    features: Features,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Features {
    web_submit: bool,
    web_cancel: bool,
    web_rescale: bool,
    web_history: bool,
}

impl DashboardConfig {
    pub(crate) fn of(view: &ClusterView) -> Self {
        Self {
            refresh_interval: REFRESH_INTERVAL_MS,
            timezone_name: "Coordinated Universal Time",
            timezone_offset: 0,
            flink_version: view.version.clone(),
            flink_revision: view.commit.clone(),
            features: Features {
                web_submit: false,
                web_cancel: view.cancel_enabled,
                web_rescale: view.rescale_enabled,
                web_history: false,
            },
        }
    }
}

/// `GET /overview`
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Overview<'a> {
    taskmanagers: usize,
    slots_total: u32,
    slots_available: u32,
    jobs_running: usize,
    jobs_finished: usize,
    jobs_cancelled: usize,
    jobs_failed: usize,
    flink_version: &'a str,
    flink_commit: &'a str,
}

impl<'a> Overview<'a> {
    pub(crate) fn of(view: &'a ClusterView) -> Self {
        let count = |wanted: fn(JobStatus) -> bool| view.jobs.iter().filter(|job| wanted(job.status)).count();
        Self {
            taskmanagers: view.task_managers.len(),
            slots_total: view.slots_total(),
            slots_available: view.slots_free(),
            jobs_running: count(|status| !status.is_terminal()),
            jobs_finished: count(|status| status == JobStatus::Finished),
            jobs_cancelled: count(|status| status == JobStatus::Canceled),
            jobs_failed: count(|status| status == JobStatus::Failed),
            flink_version: &view.version,
            flink_commit: &view.commit,
        }
    }
}

/// `GET /jobs`
#[derive(Serialize)]
pub(crate) struct Jobs {
    jobs: Vec<JobEntry>,
}

#[derive(Serialize)]
struct JobEntry {
    id: JobId,
    status: JobStatus,
}

impl Jobs {
    pub(crate) fn of(view: &ClusterView) -> Self {
        Self { jobs: view.jobs.iter().map(|job| JobEntry { id: job.id, status: job.status }).collect() }
    }
}

/// `GET /jobs/overview`
#[derive(Serialize)]
pub(crate) struct JobsOverview<'a> {
    jobs: Vec<JobOverview<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct JobOverview<'a> {
    jid: JobId,
    name: &'a str,
    #[serde(rename = "jobType")]
    job_type: &'static str,
    #[serde(rename = "schedulerType")]
    scheduler_type: &'static str,
    start_time: i64,
    end_time: i64,
    duration: i64,
    state: JobStatus,
    last_modification: i64,
    tasks: BTreeMap<&'static str, usize>,
    pending_operators: u32,
}

impl<'a> JobsOverview<'a> {
    pub(crate) fn of(view: &'a ClusterView) -> Self {
        let overview = |job: &'a JobView| {
            let subtasks = job.vertices.iter().flat_map(|vertex| &vertex.subtasks);
            let subtask_changes = subtasks.flat_map(|subtask| subtask.entered_at_ms.values());
            let changes = job.entered_at_ms.values().chain(subtask_changes);
            JobOverview {
                jid: job.id,
                name: &job.name,
                job_type: job_type(job),
                scheduler_type: SCHEDULER_TYPE,
                start_time: job.started_at_ms,
                end_time: job.ended_at_ms.unwrap_or(UNSET),
                duration: job.ended_at_ms.unwrap_or(view.now_ms) - job.started_at_ms,
                state: job.status,
                last_modification: changes.copied().max().unwrap_or(job.started_at_ms),
                tasks: lower_case_counts(job),
                pending_operators: 0,
            }
        };
        Self { jobs: view.jobs.iter().map(overview).collect() }
    }
}

/// An entry of `GET /jobmanager/config`
#[derive(Serialize)]
pub(crate) struct ConfigEntry<'a> {
    key: &'a str,
    value: &'a str,
}

/// `GET /jobmanager/config`
pub(crate) fn jobmanager_config(view: &ClusterView) -> Vec<ConfigEntry<'_>> {
    view.configuration.iter().map(|(key, value)| ConfigEntry { key, value }).collect()
}
