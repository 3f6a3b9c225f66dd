//! The reasons for which a JobManager exits with a code other than 0.

use crate::leadership::LeadershipError;
use reflow_types::LeaderEpoch;

/// Why a JobManager exits with a code other than 0. The text is for the person who started it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobManagerError {
    /// It cannot listen on its port.
    #[error(
        "cannot listen on {address} for TaskManagers: {error}; is another JobManager running there? Otherwise \
         set jobmanager.rpc.port or jobmanager.bind-host"
    )]
    Listen {
        address: String,
        /// The system's message.
        error: String,
    },
    /// A directory is relative, so each process would look for it elsewhere.
    #[error(
        "{key} is `{value}`: give a path from the root, or a URL; all processes of the cluster must find it"
    )]
    RelativeDirectory {
        /// The option.
        key: &'static str,
        value: String,
    },
    /// It could not take over the job.
    #[error(transparent)]
    Leadership(#[from] LeadershipError),
    /// Another JobManager has taken the job over.
    #[error(
        "another JobManager has taken over job {name} (leadership {epoch}): this one ends, its tasks go on there, and it changes \
         nothing more. One JobManager runs a job: stop the one that is not wanted, set \
         high-availability.type: storage for all of them if others are to stand by, or give each job a \
         high-availability.cluster-id of its own"
    )]
    Deposed {
        /// The job's name.
        name: String,
        /// The later leadership.
        epoch: LeaderEpoch,
    },
    /// Another JobManager leads, and has leases, which this one has not.
    #[error(
        "another JobManager leads job {name} (leadership {epoch}) and renews a lease, but this one is started without \
         high-availability.type: storage: it would depose the leader, and be deposed by a standby in turn. Set \
         high-availability.type: storage here as well, or stop the other JobManagers first"
    )]
    LeaderHasLease {
        /// The job's name.
        name: String,
        /// The leadership.
        epoch: LeaderEpoch,
    },
    /// The job failed.
    #[error(
        "job {name} has failed: {reason}; its checkpoints are kept: the next start resumes it from the newest, or \
         begins anew with --fresh"
    )]
    JobFailed { name: String, reason: String },
}
