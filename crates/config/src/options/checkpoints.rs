//! When checkpoints are taken, where they go, and what a job starts from.

use std::time::Duration;

use super::{Section, section};
use crate::choice::CheckpointingMode;
use crate::option::{ConfigOption, Default, Off, option};

section! { "Checkpoints and savepoints" {
    /// The time from the start of one checkpoint to the start of the next. `0` or `none` switches
    /// checkpoints off: then a failure or a rescale starts the job from nothing.
    CHECKPOINT_INTERVAL: Option<Duration> =
        option("execution.checkpointing.interval").default("1 s").off(Off::AtZero);

    /// How long a checkpoint may take before it is given up.
    CHECKPOINT_TIMEOUT: Duration = option("execution.checkpointing.timeout").default("10 min");

    /// The shortest time from the end of one checkpoint to the start of the next.
    CHECKPOINT_MIN_PAUSE: Duration = option("execution.checkpointing.min-pause").default("0 ms");

    /// How many checkpoints may fail one after the other before the job is taken to have failed. The default
    /// lets the job go on while its storage is away or full, and try the next checkpoint.
    CHECKPOINT_TOLERABLE_FAILURES: u32 =
        option("execution.checkpointing.tolerable-failed-checkpoints")
            .default("2147483647")
            .between(0, i32::MAX as i64);

    /// How many complete checkpoints are kept; the newest is the one that a job recovers from. If it is damaged, the job
    /// goes on from an older one, or asks first: see `execution.state-recovery.allow-replay`.
    CHECKPOINT_NUM_RETAINED: u32 =
        option("execution.checkpointing.num-retained")
            .aliases(&["state.checkpoints.num-retained"])
            .default("3")
            .between(1, 10_000);

    /// The directory of checkpoints: a path, or a URL such as `s3://bucket/checkpoints`. Every JobManager
    /// and TaskManager must see it under this name; a TaskManager that does not ends with the reason.
    CHECKPOINT_DIRECTORY: String =
        option("execution.checkpointing.dir")
            .aliases(&["state.checkpoints.dir", "state.backend.fs.checkpointdir"])
            .default_from(Default::InHome("checkpoints"));

    /// The directory of savepoints, when a request for one names none: a path or a URL.
    SAVEPOINT_DIRECTORY: Option<String> =
        option("execution.checkpointing.savepoint-dir")
            .aliases(&["state.savepoints.dir", "savepoints.state.backend.fs.dir"]);

    /// What a checkpoint guarantees: that after a failure state is as if each record had been processed once.
    CHECKPOINTING_MODE: CheckpointingMode = option("execution.checkpointing.mode").default("EXACTLY_ONCE");

    /// The savepoint or checkpoint that the job starts from: a path or a URL. It is read, never deleted.
    STATE_RECOVERY_PATH: Option<String> =
        option("execution.state-recovery.path").aliases(&["execution.savepoint.path"]);

    /// Whether state in the savepoint that belongs to no operator of the job is dropped; otherwise the job
    /// does not start.
    STATE_RECOVERY_IGNORE_UNCLAIMED: bool =
        option("execution.state-recovery.ignore-unclaimed-state")
            .aliases(&["execution.savepoint.ignore-unclaimed-state"])
            .default("false");

    /// Whether a job goes on from an older checkpoint by itself if newer ones cannot be read, although a sink has
    /// committed output that is then written again. Otherwise such a job fails with a question; started with
    /// `--allow-replay` it goes back once, for what is damaged at that start. `true` is the answer for every time.
    STATE_RECOVERY_ALLOW_REPLAY: bool =
        option("execution.state-recovery.allow-replay").default("false");

    /// Whether keyed state outlives an attempt in the processes that go on: after a failure elsewhere they go back to
    /// the last checkpoint in place, and read only what a lost process had. Costs memory for what has changed since
    /// that checkpoint, at most a quarter of the state. On a TaskManager, for its slots.
    STATE_RECOVERY_FROM_LOCAL: bool =
        option("execution.state-recovery.from-local")
            .aliases(&["state.backend.local-recovery"])
            .default("true");
}}
