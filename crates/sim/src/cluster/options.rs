//! The shape of a cluster: its options, drawn at random.

use crate::rng::Rng;
use reflow_config::Config;
use std::fmt;

/// How a cluster is configured.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Slots of each TaskManager.
    pub slots: u64,
    /// How many TaskManagers there may be at once.
    pub most_task_managers: usize,
    /// The time between checkpoints in milliseconds.
    pub checkpoint_interval_ms: u64,
    /// How many complete checkpoints are kept.
    pub retained: u64,
}

impl Shape {
    /// Any shape.
    pub fn random(rng: &mut Rng) -> Self {
        Self {
            slots: rng.within(1..=4),
            most_task_managers: rng.within(2..=5) as usize,
            checkpoint_interval_ms: rng.skewed(50..=4_000),
            retained: rng.within(1..=4),
        }
    }

    /// The configuration of all processes.
    pub fn config(&self) -> Config {
        let pairs = [
            ("scheduler-mode", "reactive".to_owned()),
            ("jobmanager.rpc.address", super::JOB_MANAGER_HOST.to_owned()),
            ("jobmanager.bind-host", "0.0.0.0".to_owned()),
            ("taskmanager.bind-host", "0.0.0.0".to_owned()),
            ("taskmanager.numberOfTaskSlots", self.slots.to_string()),
            ("execution.checkpointing.interval", format!("{} ms", self.checkpoint_interval_ms)),
            ("execution.checkpointing.timeout", "20 s".to_owned()),
            ("execution.checkpointing.num-retained", self.retained.to_string()),
            ("execution.checkpointing.dir", "/checkpoints".to_owned()),
            ("restart-strategy.type", "fixed-delay".to_owned()),
            ("restart-strategy.fixed-delay.attempts", "1000000".to_owned()),
            ("restart-strategy.fixed-delay.delay", "100 ms".to_owned()),
            ("task.cancellation.timeout", "10 s".to_owned()),
            ("taskmanager.drain.timeout", "10 s".to_owned()),
            ("io.tmp.dirs", "/tmp".to_owned()),
        ];
        let pairs = pairs.iter().map(|(key, value)| (*key, value.as_str()));
        Config::from_pairs(pairs).expect("the options are known and their values fit")
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slots, most_task_managers, checkpoint_interval_ms, retained } = self;
        write!(
            f,
            "{slots} slots, up to {most_task_managers} TaskManagers, a checkpoint each {checkpoint_interval_ms} ms, {retained} kept"
        )
    }
}
