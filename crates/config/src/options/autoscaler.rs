//! Options of the autoscaler, with Flink's keys where the meaning is the same.

use std::time::Duration;

use super::section::{Section, section};
use crate::choice::TaskManagerProvider;
use crate::option::{ConfigOption, option};

section! { "Autoscaler" {
    /// Whether the JobManager decides by the load how many slots the job uses, within the bounds that the user has declared.
    /// Flink's defaults are minutes, because there a rescale restarts the job; here they are seconds.
    AUTOSCALER_ENABLED: bool = option("job.autoscaler.enabled").default("false");

    /// Whether decisions are carried out. Otherwise they are only shown: in the time line, at `/jobs/:id/autoscaler` and as
    /// metrics.
    AUTOSCALER_SCALING: bool = option("job.autoscaler.scaling.enabled").default("true");

    /// The time over which the load is measured.
    AUTOSCALER_WINDOW: Duration = option("job.autoscaler.metrics.window").default("5 s");

    /// The time after a change in which nothing else is decided.
    AUTOSCALER_STABILIZATION: Duration = option("job.autoscaler.stabilization.interval").default("5 s");

    /// How busy a slot should be, from 0 to 1.
    AUTOSCALER_TARGET: f64 =
        option("job.autoscaler.utilization.target")
            .aliases(&["job.autoscaler.target.utilization"])
            .default("0.7")
            .between_floats(0.000_001, 1.0);

    /// Slots are added when those that are there would be busier than this.
    AUTOSCALER_MAX_UTILIZATION: f64 =
        option("job.autoscaler.utilization.max").default("0.85").between_floats(0.000_001, 10.0);

    /// Slots are given up when those that are there would be less busy than this.
    AUTOSCALER_MIN_UTILIZATION: f64 =
        option("job.autoscaler.utilization.min").default("0.6").between_floats(0.0, 1.0);

    /// By which part of itself the parallelism may grow at once; 1 doubles it.
    AUTOSCALER_SCALE_UP_FACTOR: f64 =
        option("job.autoscaler.scale-up.max-factor").default("100000").between_floats(0.0, 1e9);

    /// Which part of the parallelism may be given up at once.
    AUTOSCALER_SCALE_DOWN_FACTOR: f64 =
        option("job.autoscaler.scale-down.max-factor").default("0.6").between_floats(0.0, 1.0);

    /// How long fewer slots must have sufficed before the others are given up.
    AUTOSCALER_SCALE_DOWN_INTERVAL: Duration = option("job.autoscaler.scale-down.interval").default("1 min");

    /// How long nothing is given up after slots were added, or a user has changed the requirements.
    AUTOSCALER_SCALE_UP_GRACE: Duration = option("job.autoscaler.scale-up.grace-period").default("1 min");

    /// The time within which records that have piled up should be read. `0`: without haste.
    AUTOSCALER_CATCH_UP: Duration = option("job.autoscaler.catch-up.duration").default("15 s");

    /// How long records pile up while the job rescales. A live rescale stops nothing.
    AUTOSCALER_RESTART_TIME: Duration = option("job.autoscaler.restart.time").default("0 s");

    /// The least parallelism of a vertex.
    AUTOSCALER_MIN_PARALLELISM: u32 =
        option("job.autoscaler.vertex.min-parallelism").default("1").between(1, 32768);

    /// The largest parallelism of a vertex.
    AUTOSCALER_MAX_PARALLELISM: u32 =
        option("job.autoscaler.vertex.max-parallelism").default("200").between(1, 32768);

    /// The least number of TaskManagers.
    AUTOSCALER_MIN_TASK_MANAGERS: u32 =
        option("job.autoscaler.task-managers.min").default("1").between(1, 100_000);

    /// The largest number of TaskManagers.
    AUTOSCALER_MAX_TASK_MANAGERS: u32 =
        option("job.autoscaler.task-managers.max").default("200").between(1, 100_000);

    /// Who starts and stops TaskManagers. `none`: someone outside, such as Kubernetes by the metric `desiredTaskManagers`.
    /// `scripts`: the JobManager, on its machine, by `bin/taskmanager.sh`. `command`: the JobManager, by
    /// `job.autoscaler.task-managers.command`. `kubernetes`: the JobManager, by the replicas of
    /// `job.autoscaler.task-managers.scale-target`. A number that someone else has changed is left alone for a while.
    AUTOSCALER_PROVIDER: TaskManagerProvider = option("job.autoscaler.task-managers.provider").default("none");

    /// A shell command that sets the number of TaskManagers to `$REFLOW_TASK_MANAGERS`, such as
    /// `kubectl scale deployment/taskmanager --replicas=$REFLOW_TASK_MANAGERS`.
    AUTOSCALER_COMMAND: Option<String> = option("job.autoscaler.task-managers.command");

    /// The workload of Kubernetes whose pods are the TaskManagers: `deployment/NAME` or `statefulset/NAME`, in the namespace
    /// `kubernetes.namespace`. With zero replicas the autoscaler leaves it alone until someone sets another number.
    AUTOSCALER_SCALE_TARGET: Option<String> = option("job.autoscaler.task-managers.scale-target");
}}
