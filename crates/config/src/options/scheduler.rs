//! Options of the scheduler and of rescales.

use std::time::Duration;

use super::section::{Section, section};
use crate::choice::{FailoverStrategy, Scheduler, SchedulerMode};
use crate::memory::MemorySize;
use crate::option::{ConfigOption, Off, option};

section! { "Scheduler and elasticity" {
    /// Which scheduler runs the job. Reflow has one, the adaptive scheduler; `default` is accepted and means
    /// the same.
    SCHEDULER: Scheduler = option("jobmanager.scheduler").default("adaptive");

    /// `reactive`: the job always uses all available slots; the scheduler chooses the parallelism of operators, up
    /// to their max parallelism. It changes the defaults of some options, so that the job reacts at once. Unset:
    /// the job requests the parallelism that it was given.
    SCHEDULER_MODE: Option<SchedulerMode> = option("scheduler-mode");

    /// How long to wait, after a submission or a restart, for the slots that the job requests. After that it runs
    /// with the available slots, or fails if they are fewer than it needs at least. A negative value waits without
    /// a limit.
    RESOURCE_WAIT_TIMEOUT: Option<Duration> =
        option("jobmanager.adaptive-scheduler.submission.resource-wait-timeout")
            .aliases(&["jobmanager.adaptive-scheduler.resource-wait-timeout"])
            .default("5 min")
            .in_reactive_mode("-1")
            .off(Off::WhenNegative);

    /// How long to wait for more slots, after a submission or a restart, when there are enough to run but fewer
    /// than the job requests.
    RESOURCE_STABILIZATION_TIMEOUT: Duration =
        option("jobmanager.adaptive-scheduler.submission.resource-stabilization-timeout")
            .aliases(&["jobmanager.adaptive-scheduler.resource-stabilization-timeout"])
            .default("10 s")
            .in_reactive_mode("0 ms");

    /// The shortest time between two rescales. A change within this time takes effect at its end. A live rescale does not
    /// wait unless this option is set, because it interrupts nothing.
    EXECUTING_COOLDOWN_AFTER_RESCALING: Duration =
        option("jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling")
            .aliases(&["jobmanager.adaptive-scheduler.scaling-interval.min"])
            .default("30 s")
            .in_reactive_mode("0 ms");

    /// How long a running job waits for further changes before it rescales to slots that suffice but are fewer than
    /// it requests. It rescales at once when all requested slots are available, and so does a live rescale unless this
    /// option is set.
    EXECUTING_RESOURCE_STABILIZATION_TIMEOUT: Duration =
        option("jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout")
            .default("1 min")
            .in_reactive_mode("0 ms");

    /// How many consecutive checkpoints may fail before a rescale continues without one. Checkpoints that fail
    /// because of storage do not count: the rescale waits until storage is available.
    RESCALE_TRIGGER_MAX_CHECKPOINT_FAILURES: u32 =
        option("jobmanager.adaptive-scheduler.rescale-trigger.max-checkpoint-failures")
            .aliases(&["jobmanager.adaptive-scheduler.scale-on-failed-checkpoints-count"])
            .default("2")
            .between(1, i32::MAX as i64);

    /// The longest time that a rescale waits for a checkpoint. Unset: 0 without checkpoints, otherwise the
    /// checkpoint interval times one more than
    /// `jobmanager.adaptive-scheduler.rescale-trigger.max-checkpoint-failures`.
    RESCALE_TRIGGER_MAX_DELAY: Option<Duration> =
        option("jobmanager.adaptive-scheduler.rescale-trigger.max-delay")
            .aliases(&["jobmanager.adaptive-scheduler.max-delay-for-scale-trigger"]);

    /// What restarts after a failure. `region`: the pipeline in which it happened, while others that exchange no records with
    /// it run on. `full`: the job.
    FAILOVER_STRATEGY: FailoverStrategy =
        option("jobmanager.execution.failover-strategy").default("region");

    /// Whether rescales are live: the job continues, and only key groups and splits that move pause for a moment.
    /// Otherwise the job takes a checkpoint and restarts from it. It also does so where a live rescale is not
    /// possible: without checkpoints, if functions keep lists as operator state, and after executors could not
    /// prepare the rescale three times.
    LIVE_RESCALE: bool = option("jobmanager.adaptive-scheduler.live-rescale.enabled").default("true");

    /// The most bytes a second that each TaskManager reads from the checkpoint storage to prepare a live rescale. Unset or 0:
    /// no bound. Records come first either way: a subtask that has records to process spends at most a quarter of its
    /// time on the state that it reads. A bound spares the network and the storage; the rescale takes longer, and more
    /// state changes meanwhile, which is handed over while the key groups that move pause. Choose a bound well above the
    /// rate at which the state changes. The hand-over itself is not bounded.
    LIVE_RESCALE_BANDWIDTH: Option<MemorySize> =
        option("jobmanager.adaptive-scheduler.live-rescale.bandwidth");

    /// Whether a checkpoint starts as soon as a rescale is due, instead of waiting for the next periodic one.
    RESCALE_TRIGGER_ACTIVE_CHECKPOINT: bool =
        option("jobmanager.adaptive-scheduler.rescale-trigger.active-checkpoint.enabled").default("true");
}}
