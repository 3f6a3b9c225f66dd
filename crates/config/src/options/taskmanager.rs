//! What a TaskManager offers, and its limits.

use std::time::Duration;

use super::{Section, section};
use crate::memory::MemorySize;
use crate::option::{ConfigOption, Default, Off, option};

section! { "TaskManager" {
    /// How many slots a TaskManager offers. A slot is one thread that runs one subtask of each operator.
    NUM_TASK_SLOTS: u32 = option("taskmanager.numberOfTaskSlots").default("1").between(1, 4096);

    /// The memory of the TaskManager and its task executors together. A job that needs more fails with the
    /// reason, before the kernel acts. Unset: no limit but the container's.
    TASK_MANAGER_MEMORY: Option<MemorySize> = option("taskmanager.memory.process.size");

    /// How long a TaskManager tries to reach the JobManager before it gives up and exits.
    REGISTRATION_TIMEOUT: Duration =
        option("taskmanager.registration.timeout")
            .aliases(&["taskmanager.maxRegistrationDuration"])
            .default("5 min");

    /// How long the job may take to move, while it runs, off a TaskManager that is told to leave (SIGTERM, `reflow
    /// drain`). After that it moves by a checkpoint and a restart; if the TaskManager is not free after twice this
    /// time, it ends all the same, and the job recovers from its last checkpoint.
    DRAIN_TIMEOUT: Duration = option("taskmanager.drain.timeout").default("5 min");

    /// How long a slot may take to end its subtasks; one that takes longer costs its process. `0` waits for
    /// ever.
    TASK_CANCELLATION_TIMEOUT: Option<Duration> =
        option("task.cancellation.timeout").default("3 min").off(Off::AtZero);

    /// Directories for what need not outlive the process: cached executables, downloads.
    TMP_DIRS: Vec<String> =
        option("io.tmp.dirs").aliases(&["taskmanager.tmp.dirs"]).default_from(Default::TemporaryDirectory);
}}
