//! Options of TaskManagers.

use std::time::Duration;

use super::section::{Section, section};
use crate::memory::MemorySize;
use crate::option::{ConfigOption, Default, Off, option};

section! { "TaskManager" {
    /// How many slots a TaskManager offers. A slot is one thread that runs one subtask of each operator.
    NUM_TASK_SLOTS: u32 = option("taskmanager.numberOfTaskSlots").default("1").between(1, 4096);

    /// The memory of the TaskManager and its task executors together. A job that needs more fails and reports the
    /// reason, before the kernel kills the process. Unset: only the container's limit.
    TASK_MANAGER_MEMORY: Option<MemorySize> = option("taskmanager.memory.process.size");

    /// How long a TaskManager tries to reach the JobManager before it exits.
    REGISTRATION_TIMEOUT: Duration =
        option("taskmanager.registration.timeout")
            .aliases(&["taskmanager.maxRegistrationDuration"])
            .default("5 min");

    /// How long a running job may take to move off a TaskManager that is drained (SIGTERM, `reflow drain`). After
    /// that the job takes a checkpoint and restarts without it. After twice this time the TaskManager ends in any
    /// case, and the job recovers from its last checkpoint. The default fits the 30 s that Kubernetes gives a pod to end;
    /// where machines are not taken away so soon, a longer time lets more state move without a restart.
    DRAIN_TIMEOUT: Duration = option("taskmanager.drain.timeout").default("12 s");

    /// A port for probes over HTTP: `/livez` answers 200 while the TaskManager's loop turns, `/readyz` while it is registered
    /// with a JobManager, sees the checkpoint storage and is not being drained. It listens on `taskmanager.bind-host` and tells
    /// nothing else. Unset: no port.
    PROBES_PORT: Option<u16> = option("taskmanager.probes.port");

    /// How long a slot may take to end its subtasks. If it takes longer, its process is killed. `0` waits without a
    /// limit.
    TASK_CANCELLATION_TIMEOUT: Option<Duration> =
        option("task.cancellation.timeout").default("3 min").off(Off::AtZero);

    /// The time between the markers that sources send behind their records to measure latency, one from each subtask on each
    /// edge. `0`: none, and no latency is shown.
    METRICS_LATENCY_INTERVAL: Option<Duration> =
        option("metrics.latency.interval").default("1 s").off(Off::AtZero);

    /// Directories for files that need not outlive the process: cached executables, downloads.
    TMP_DIRS: Vec<String> =
        option("io.tmp.dirs").aliases(&["taskmanager.tmp.dirs"]).default_from(Default::TemporaryDirectory);
}}
