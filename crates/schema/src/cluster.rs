//! The JSON form of the cluster: `/config`, `/overview`, `/jobs`, `/jobs/overview`, `/jobmanager/config`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::UNSET;
use crate::job::{SCHEDULER_TYPE, lower_case_counts};
use crate::plan::job_type;
use reflow_view::{ClusterView, JobStatus, JobView};

/// The interval at which Flink's dashboard refreshes, in milliseconds.
const REFRESH_INTERVAL_MS: i64 = 1000;

/// `GET /config`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct DashboardConfig {
    pub refresh_interval: i64,
    pub timezone_name: String,
    pub timezone_offset: i64,
    pub flink_version: String,
    pub flink_revision: String,
    pub features: Features,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Features {
    pub web_submit: bool,
    pub web_cancel: bool,
    pub web_rescale: bool,
    pub web_history: bool,
}

impl DashboardConfig {
    pub fn of(view: &ClusterView) -> Self {
        Self {
            refresh_interval: REFRESH_INTERVAL_MS,
            timezone_name: "Coordinated Universal Time".to_owned(),
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
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ClusterOverview {
    pub taskmanagers: usize,
    pub slots_total: u32,
    pub slots_available: u32,
    pub jobs_running: usize,
    pub jobs_finished: usize,
    pub jobs_cancelled: usize,
    pub jobs_failed: usize,
    pub flink_version: String,
    pub flink_commit: String,
}

impl ClusterOverview {
    pub fn of(view: &ClusterView) -> Self {
        let count = |wanted: fn(JobStatus) -> bool| view.jobs.iter().filter(|job| wanted(job.status)).count();
        Self {
            taskmanagers: view.task_managers.len(),
            slots_total: view.slots_total(),
            slots_available: view.slots_free(),
            jobs_running: count(|status| !status.is_terminal()),
            jobs_finished: count(|status| status == JobStatus::Finished),
            jobs_cancelled: count(|status| status == JobStatus::Canceled),
            jobs_failed: count(|status| status == JobStatus::Failed),
            flink_version: view.version.clone(),
            flink_commit: view.commit.clone(),
        }
    }
}

/// `GET /jobs`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Jobs {
    pub jobs: Vec<JobEntry>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct JobEntry {
    pub id: String,
    pub status: JobStatus,
}

impl Jobs {
    pub fn of(view: &ClusterView) -> Self {
        Self {
            jobs: view
                .jobs
                .iter()
                .map(|job| JobEntry { id: job.id.to_string(), status: job.status })
                .collect(),
        }
    }
}

/// `GET /jobs/overview`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct JobsOverview {
    pub jobs: Vec<JobOverview>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct JobOverview {
    pub jid: String,
    pub name: String,
    #[serde(rename = "jobType")]
    pub job_type: String,
    #[serde(rename = "schedulerType")]
    pub scheduler_type: String,
    pub start_time: i64,
    pub end_time: i64,
    pub duration: i64,
    pub state: JobStatus,
    pub last_modification: i64,
    pub tasks: BTreeMap<String, usize>,
    pub pending_operators: u32,
}

impl JobsOverview {
    pub fn of(view: &ClusterView) -> Self {
        Self { jobs: view.jobs.iter().map(|job| JobOverview::of(job, view.now_ms)).collect() }
    }
}

impl JobOverview {
    pub fn of(job: &JobView, now_ms: i64) -> Self {
        let subtasks = job.vertices.iter().flat_map(|vertex| &vertex.subtasks);
        let subtask_changes = subtasks.flat_map(|subtask| subtask.entered_at_ms.values());
        let changes = job.entered_at_ms.values().chain(subtask_changes);
        Self {
            jid: job.id.to_string(),
            name: job.name.clone(),
            job_type: job_type(job),
            scheduler_type: SCHEDULER_TYPE.to_owned(),
            start_time: job.started_at_ms,
            end_time: job.ended_at_ms.unwrap_or(UNSET),
            duration: job.ended_at_ms.unwrap_or(now_ms) - job.started_at_ms,
            state: job.status,
            last_modification: changes.copied().max().unwrap_or(job.started_at_ms),
            tasks: lower_case_counts(job),
            pending_operators: 0,
        }
    }
}

/// An entry of `GET /jobmanager/config`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ConfigEntry {
    pub key: String,
    pub value: String,
}

/// `GET /jobmanager/config`
pub fn jobmanager_config(view: &ClusterView) -> Vec<ConfigEntry> {
    view.configuration
        .iter()
        .map(|(key, value)| ConfigEntry { key: key.clone(), value: value.clone() })
        .collect()
}

/// `GET /jobmanager/environment`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Environment {
    pub jvm: Program,
    /// The executable of the job.
    pub classpath: Vec<String>,
}

/// The program that runs, in the place of Flink's JVM.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Program {
    pub version: String,
    pub arch: String,
    /// The effective options, without secrets, each as `-Dkey=value`.
    pub options: Vec<String>,
}

impl Environment {
    pub fn of(view: &ClusterView, executable: Option<String>) -> Self {
        let options = view.configuration.iter().map(|(key, value)| format!("-D{key}={value}"));
        let commit = if view.commit.is_empty() { String::new() } else { format!(" ({})", view.commit) };
        Self {
            jvm: Program {
                version: format!("Reflow {}{commit}", view.version),
                arch: std::env::consts::ARCH.to_owned(),
                options: options.collect(),
            },
            classpath: executable.into_iter().collect(),
        }
    }
}

/// `GET /datasets`: there are none.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataSets {
    pub data_sets: Vec<String>,
}
