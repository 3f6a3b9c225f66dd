//! Settings and identity of a scheduler, as plain values. The JobManager derives them from the options.

use crate::checkpoint::fallback::AllowReplay;
use crate::requirements::SchedulerMode;
use crate::restore::UnclaimedState;
use crate::transition::Waits;
use crate::{checkpoint, restart};
use reflow_types::{JobId, LeaderEpoch, MaxParallelism};
use std::time::Duration;

/// How a job is scheduled. Each field names the option that it comes from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `scheduler-mode`.
    pub mode: SchedulerMode,
    /// `parallelism.default`: of vertices that set none.
    pub default_parallelism: u32,
    /// The max parallelism of vertices that set none.
    pub default_max_parallelism: MaxParallelism,
    /// `…submission.resource-wait-timeout`; `None` waits without limit.
    pub resource_wait_timeout: Option<Duration>,
    /// `…submission.resource-stabilization-timeout`.
    pub resource_stabilization_timeout: Duration,
    /// `…executing.cooldown-after-rescaling` and `…executing.resource-stabilization-timeout`.
    pub restart_waits: Waits,
    /// The same for a live rescale: only what the user set, because it interrupts nothing.
    pub live_waits: Waits,
    /// `…rescale-trigger.max-checkpoint-failures`, at least 1.
    pub max_checkpoint_failures: u32,
    /// `…rescale-trigger.max-delay`; `None` takes the default of [`Settings::trigger_delay`].
    pub max_trigger_delay: Option<Duration>,
    /// `…rescale-trigger.active-checkpoint.enabled`.
    pub active_checkpoint: bool,
    /// `…live-rescale.enabled`: whether rescales are live where that is possible.
    pub live_rescale: bool,
    /// `taskmanager.drain.timeout`: after this time the job is moved off a draining TaskManager by a restart.
    pub drain_timeout: Duration,
    /// `task.cancellation.timeout`: after this time an executor that has not ended an attempt is killed; `None`
    /// waits without limit.
    pub cancellation_timeout: Option<Duration>,
    /// `jobmanager.execution.failover-strategy`.
    pub failover: restart::Failover,
    /// `restart-strategy.*`.
    pub restart: restart::Strategy,
    /// `Delayed` if the user set the strategy's delay.
    pub lost_executor: restart::LostExecutorRestart,
    /// The seed of the jitter of the exponential delay.
    pub restart_seed: u64,
    /// `web.exception-history-size`.
    pub exception_history_size: usize,
    /// `web.adaptive-scheduler.rescale-history.size`.
    pub rescale_history_size: usize,
    /// What becomes of restored state that belongs to no operator of the job.
    pub unclaimed_state: UnclaimedState,
    /// Whether output that was committed may be written again.
    pub allow_replay: AllowReplay,
    /// `execution.checkpointing.*`.
    pub checkpoints: checkpoint::Settings,
}

impl Settings {
    /// Whether the job uses all available slots, regardless of the parallelism that it requests.
    pub fn is_reactive(&self) -> bool {
        self.mode == SchedulerMode::Reactive
    }

    /// How long a rescale waits for a checkpoint: as configured; otherwise zero without checkpoints, or long
    /// enough for the checkpoints that may fail and one more.
    pub fn trigger_delay(&self) -> Duration {
        let default = |interval: Duration| interval.saturating_mul(self.max_checkpoint_failures + 1);
        self.max_trigger_delay.unwrap_or(self.checkpoints.interval.map_or(Duration::ZERO, default))
    }
}

/// The job of a scheduler, and its leadership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub job: JobId,
    /// The leadership epoch, which is part of each attempt's name.
    pub epoch: LeaderEpoch,
    /// The SHA-256 of the job's executable, in hexadecimal.
    pub build: String,
}
