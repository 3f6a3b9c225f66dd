//! The parameters of the autoscaler.

use std::time::Duration;

/// `job.autoscaler.*`, with Flink's names and meanings where Flink has them.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `scaling.enabled`: whether decisions are carried out. Otherwise they are only shown.
    pub scaling: bool,
    /// `metrics.window`: the time over which the demand is measured.
    pub window: Duration,
    /// `stabilization.interval`: the time after a change in which nothing else is decided.
    pub stabilization: Duration,
    /// `utilization.target`: how busy a slot should be, 0 to 1.
    pub target: f64,
    /// `utilization.max`: a slot that would be busier needs help.
    pub max_utilization: f64,
    /// `utilization.min`: slots that would be less busy can be given up.
    pub min_utilization: f64,
    /// `scale-up.max-factor`: by which part of itself the parallelism may grow at once.
    pub scale_up_factor: f64,
    /// `scale-down.max-factor`: which part of the parallelism may go at once.
    pub scale_down_factor: f64,
    /// `scale-down.interval`: how long the lower parallelism must have sufficed.
    pub scale_down_interval: Duration,
    /// `scale-up.grace-period`: how long nothing is given up after a scale-up.
    pub scale_up_grace: Duration,
    /// `catch-up.duration`: the time within which what has piled up should be read. Zero: no haste.
    pub catch_up: Duration,
    /// `restart.time`: how long records pile up while the job rescales.
    pub restart: Duration,
    /// `vertex.min-parallelism`.
    pub min_parallelism: u32,
    /// `vertex.max-parallelism`.
    pub max_parallelism: u32,
    /// `task-managers.min`.
    pub min_task_managers: u32,
    /// `task-managers.max`.
    pub max_task_managers: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            scaling: true,
            window: Duration::from_secs(5),
            stabilization: Duration::from_secs(5),
            target: 0.7,
            max_utilization: 0.85,
            min_utilization: 0.6,
            scale_up_factor: 100_000.0,
            scale_down_factor: 0.6,
            scale_down_interval: Duration::from_secs(60),
            scale_up_grace: Duration::from_secs(60),
            catch_up: Duration::from_secs(15),
            restart: Duration::ZERO,
            min_parallelism: 1,
            max_parallelism: 200,
            min_task_managers: 1,
            max_task_managers: 200,
        }
    }
}
