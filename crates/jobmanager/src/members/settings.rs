//! Requirements that members must meet, and the settings with which executors are started.

use super::violation::ProtocolViolation;
use bytes::Bytes;
use reflow_protocol::control::StorageProof;
use reflow_protocol::deployment::{Artifact, StartExecutor};
use reflow_types::{ExecutorId, JobId, LeaderEpoch, TaskManagerId};
use std::time::Duration;

const MAX_SLOTS: u32 = 4_096;

/// The requirements for members, and the settings of executors.
#[derive(Clone, Debug)]
pub(crate) struct MemberSettings {
    pub(crate) job: JobId,
    pub(crate) artifact: Artifact,
    pub(crate) job_args: Vec<String>,
    pub(crate) fingerprint: u64,
    /// The platform that the executable runs on.
    pub(crate) target: String,
    pub(crate) epoch: LeaderEpoch,
    /// The path of this leadership's epoch file. `record` is its content.
    pub(crate) written: String,
    pub(crate) record: Bytes,
    /// The directory of the data objects of checkpoints.
    pub(crate) data_dir: String,
    /// The secret with which members authenticate to this JobManager, and executors to each other.
    pub(crate) token: u128,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) heartbeat_timeout: Duration,
    pub(crate) executor_start_timeout: Duration,
}

impl MemberSettings {
    pub(super) fn check_task_manager(
        &self,
        slots: u32,
        release: &str,
        target: &str,
    ) -> Result<(), ProtocolViolation> {
        let (ours, platform) = (env!("CARGO_PKG_VERSION"), &self.target);
        let problem = if release != ours {
            format!("it is of release {release}, the JobManager of {ours}: run the same release")
        } else if target != platform {
            format!("it runs on {target}, the job's executable on {platform}: build the job for its platform")
        } else if !(1..=MAX_SLOTS).contains(&slots) {
            format!("it offers {slots} slots: taskmanager.numberOfTaskSlots must be 1 to {MAX_SLOTS}")
        } else {
            return Ok(());
        };
        Err(ProtocolViolation::Refused(problem))
    }

    /// Whether an executor that a former leadership has started runs this job as this one would.
    pub(super) fn is_ours(&self, start: &StartExecutor, slots: u32) -> bool {
        let StartExecutor { job, artifact, job_args, slots: of_executor, .. } = start;
        (job, &artifact.sha256, job_args) == (&self.job, &self.artifact.sha256, &self.job_args)
            && *of_executor == slots
    }

    /// Checks that the job function has built the same graph in an executor as here.
    pub(super) fn check_fingerprint(&self, fingerprint: u64) -> Result<(), ProtocolViolation> {
        if fingerprint != self.fingerprint {
            let ours = self.fingerprint;
            return Err(ProtocolViolation::Refused(format!(
                "the executable builds another job graph there ({fingerprint:016x}) than here ({ours:016x}): the \
                 job function must depend on its arguments only, not on the machine's files, variables or time"
            )));
        }
        Ok(())
    }

    /// The exchange by which a TaskManager proves that it reads and writes the checkpoint storage.
    pub(super) fn storage_proof(&self, id: TaskManagerId) -> StorageProof {
        StorageProof {
            written: self.written.clone(),
            content: self.record.clone(),
            creates: format!("{}/seen-by-{id}", self.data_dir),
        }
    }

    pub(super) fn start_executor(&self, executor: ExecutorId, slots: u32) -> StartExecutor {
        StartExecutor {
            executor,
            job: self.job,
            artifact: self.artifact.clone(),
            job_args: self.job_args.clone(),
            token: self.token,
            slots,
        }
    }
}
