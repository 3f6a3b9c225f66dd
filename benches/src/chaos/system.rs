//! The system whose processes form a cluster: Reflow, or Apache Flink with the same job.
//!
//! Both take the same options (`-D…`) and speak the same REST, and signals strike both alike. So only this differs: what a process
//! is started as, and how it ends when it was told to.

use crate::cluster::binary;
use crate::flink::Flink;
use std::path::PathBuf;
use std::process::ExitStatus;

/// What runs the job of a cluster.
pub enum System {
    /// Reflow, built beside this executable.
    Reflow {
        /// The name of the job's executable.
        job: String,
    },
    /// Flink.
    Flink(Flink),
}

/// What a process is started as; options and arguments of the job follow.
pub struct Launch {
    /// The executable.
    pub program: PathBuf,
    /// Its first arguments.
    pub arguments: Vec<String>,
}

impl System {
    /// A JobManager with the job. After another one, it continues the job.
    pub fn job_manager(&self) -> Launch {
        match self {
            Self::Reflow { job } => Launch { program: binary(job), arguments: vec!["jobmanager".to_owned()] },
            Self::Flink(flink) => flink.job_manager(),
        }
    }

    /// A TaskManager.
    pub fn task_manager(&self) -> Launch {
        match self {
            Self::Reflow { .. } => {
                Launch { program: binary("reflow"), arguments: vec!["taskmanager".to_owned()] }
            }
            Self::Flink(flink) => flink.task_manager(),
        }
    }

    /// Whether a TaskManager that was told to end (SIGTERM) has ended as it should.
    pub fn has_left(&self, status: ExitStatus) -> bool {
        /// Of a Java virtual machine: 128 and the signal's number.
        const TERMINATED: i32 = 143;
        match self {
            Self::Reflow { .. } => status.success(),
            Self::Flink(_) => status.code() == Some(TERMINATED),
        }
    }
}
