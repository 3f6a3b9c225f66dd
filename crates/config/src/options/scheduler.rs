//! How a job follows its cluster: the scheduler, its waiting times, and when it rescales.

use std::time::Duration;

use super::{Section, section};
use crate::choice::{Scheduler, SchedulerMode};
use crate::option::{ConfigOption, Off, option};

section! { "Scheduler and elasticity" {
    /// Which scheduler runs the job. Reflow has one, the adaptive scheduler; `default` is accepted and means
    /// the same.
    SCHEDULER: Scheduler = option("jobmanager.scheduler").default("adaptive");

    /// `reactive`: the job always uses all slots that there are; the parallelism of operators is chosen by
    /// the scheduler and bounded by their max parallelism only. It changes the defaults of some options, so
    /// that the job reacts at once. Unset: the job asks for the parallelism it was given.
    SCHEDULER_MODE: Option<SchedulerMode> = option("scheduler-mode");

    /// How long to wait, after a submission or a restart, for the slots the job asks for. After that it runs
    /// with those there are, or fails if they are fewer than it needs at least. A negative value waits for
    /// ever.
    RESOURCE_WAIT_TIMEOUT: Option<Duration> =
        option("jobmanager.adaptive-scheduler.submission.resource-wait-timeout")
            .aliases(&["jobmanager.adaptive-scheduler.resource-wait-timeout"])
            .default("5 min")
            .in_reactive_mode("-1")
            .off(Off::WhenNegative);

    /// How long to wait for more slots, at a submission or a restart, once there are enough to run but fewer
    /// than the job asks for.
    RESOURCE_STABILIZATION_TIMEOUT: Duration =
        option("jobmanager.adaptive-scheduler.submission.resource-stabilization-timeout")
            .aliases(&["jobmanager.adaptive-scheduler.resource-stabilization-timeout"])
            .default("10 s")
            .in_reactive_mode("0 ms");

    /// The shortest time between two rescales. A change that comes within it is acted upon at its end.
    EXECUTING_COOLDOWN_AFTER_RESCALING: Duration =
        option("jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling")
            .aliases(&["jobmanager.adaptive-scheduler.scaling-interval.min"])
            .default("30 s")
            .in_reactive_mode("0 ms");

    /// How long a running job waits for further changes before it rescales to slots that suffice but are
    /// fewer than it asks for. It rescales at once when all that it asks for are there.
    EXECUTING_RESOURCE_STABILIZATION_TIMEOUT: Duration =
        option("jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout")
            .default("1 min")
            .in_reactive_mode("0 ms");

    /// How many checkpoints may fail one after the other before a rescale goes ahead without one. Checkpoints that
    /// storage refuses do not count: the rescale waits until storage is back.
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

    /// Whether a rescale goes on while the job runs: only key groups that move pause, for a moment. Otherwise,
    /// and where it cannot (no checkpoints, an input that has ended, a rescale that was given up three times),
    /// the job takes a checkpoint and restarts from it.
    LIVE_RESCALE: bool = option("jobmanager.adaptive-scheduler.live-rescale.enabled").default("true");

    /// Whether a checkpoint is started as soon as a rescale is wanted, instead of waiting for the next one.
    RESCALE_TRIGGER_ACTIVE_CHECKPOINT: bool =
        option("jobmanager.adaptive-scheduler.rescale-trigger.active-checkpoint.enabled").default("true");
}}
