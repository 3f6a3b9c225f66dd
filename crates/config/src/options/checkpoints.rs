//! Options of checkpoints and savepoints.

use std::time::Duration;

use super::section::{Section, section};
use crate::choice::CheckpointingMode;
use crate::option::{ConfigOption, Default, Off, option};

section! { "Checkpoints and savepoints" {
    /// The time from the start of one checkpoint to the start of the next. `0` or `none` switches checkpoints off.
    /// Then a job loses its state at each failure or rescale.
    CHECKPOINT_INTERVAL: Option<Duration> =
        option("execution.checkpointing.interval").default("1 s").off(Off::AtZero);

    /// How long a checkpoint may take before it is aborted.
    CHECKPOINT_TIMEOUT: Duration = option("execution.checkpointing.timeout").default("10 min");

    /// The shortest time from the end of one checkpoint to the start of the next.
    CHECKPOINT_MIN_PAUSE: Duration = option("execution.checkpointing.min-pause").default("0 ms");

    /// How many consecutive checkpoints may fail before the job fails. With the default, the job continues while
    /// its storage is unavailable or full, and tries the next checkpoint.
    CHECKPOINT_TOLERABLE_FAILURES: u32 =
        option("execution.checkpointing.tolerable-failed-checkpoints")
            .default("2147483647")
            .between(0, i32::MAX as i64);

    /// How many complete checkpoints are kept. A job recovers from the newest one. If that is damaged, the job
    /// continues from an older one or asks first, see `execution.state-recovery.allow-replay`.
    CHECKPOINT_NUM_RETAINED: u32 =
        option("execution.checkpointing.num-retained")
            .aliases(&["state.checkpoints.num-retained"])
            .default("3")
            .between(1, 10_000);

    /// The directory of checkpoints: a path, or a URL such as `s3://bucket/checkpoints`. Every JobManager and
    /// TaskManager must see it under this path; a TaskManager that does not ends and logs the reason.
    CHECKPOINT_DIRECTORY: String =
        option("execution.checkpointing.dir")
            .aliases(&["state.checkpoints.dir", "state.backend.fs.checkpointdir"])
            .default_from(Default::InHome("checkpoints"));

    /// The directory of savepoints if a request does not name one: a path or a URL.
    SAVEPOINT_DIRECTORY: Option<String> =
        option("execution.checkpointing.savepoint-dir")
            .aliases(&["state.savepoints.dir", "savepoints.state.backend.fs.dir"]);

    /// What a checkpoint guarantees. `EXACTLY_ONCE`: after a failure, state is as if each record had been processed
    /// once.
    CHECKPOINTING_MODE: CheckpointingMode = option("execution.checkpointing.mode").default("EXACTLY_ONCE");

    /// The savepoint or checkpoint that the job starts from: a path or a URL. It is read, never deleted.
    STATE_RECOVERY_PATH: Option<String> =
        option("execution.state-recovery.path").aliases(&["execution.savepoint.path"]);

    /// Whether state of the savepoint that no operator of the job claims is dropped. Otherwise the job does not
    /// start.
    STATE_RECOVERY_IGNORE_UNCLAIMED: bool =
        option("execution.state-recovery.ignore-unclaimed-state")
            .aliases(&["execution.savepoint.ignore-unclaimed-state"])
            .default("false");

    /// Whether a job continues from an older checkpoint by itself if newer ones cannot be read, although a sink
    /// then writes committed output again. Otherwise such a job fails with a question; if it is started with
    /// `--allow-replay`, it uses an older checkpoint once, for the damage that is found at that start. `true` gives
    /// this answer every time.
    STATE_RECOVERY_ALLOW_REPLAY: bool =
        option("execution.state-recovery.allow-replay").default("false");

    /// Whether processes retain keyed state over a failed attempt: after a failure elsewhere they roll it back to
    /// the last checkpoint in memory, and read only the state of lost processes from storage. It costs memory for
    /// the changes since that checkpoint, at most a quarter of the state. Set it on a TaskManager, for its slots.
    STATE_RECOVERY_FROM_LOCAL: bool =
        option("execution.state-recovery.from-local")
            .aliases(&["state.backend.local-recovery"])
            .default("true");
}}
