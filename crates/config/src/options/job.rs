//! Options of jobs.

use super::section::{Section, section};
use crate::option::{ConfigOption, option};

section! { "Job" {
    /// The parallelism of operators that set none. In reactive mode the scheduler chooses it.
    DEFAULT_PARALLELISM: u32 = option("parallelism.default").default("1").between(1, 32768);

    /// The max parallelism of operators that set none: the number of key groups, and the largest parallelism that
    /// the job can be rescaled to. State keeps the value with which it was first written.
    MAX_PARALLELISM: u32 =
        option("pipeline.max-parallelism").default("4096").in_reactive_mode("32768").between(1, 32768);

    /// Whether the JobManager ends with its job. If not, REST and the web interface show the job that has FINISHED, FAILED
    /// or was CANCELED, with its exceptions, until the JobManager is terminated.
    SHUTDOWN_ON_APPLICATION_FINISH: bool = option("execution.shutdown-on-application-finish").default("true");
}}
