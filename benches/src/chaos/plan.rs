//! The sequence of faults and their times, random but determined by the seed.

use crate::workloads::splitmix64;
use std::time::Duration;

/// The most TaskManagers at once.
pub const MOST_TASK_MANAGERS: usize = 4;

/// What happens to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A TaskManager is started.
    Start,
    /// A TaskManager gets SIGTERM, and may take its time.
    Stop,
    /// A TaskManager gets SIGKILL.
    KillTaskManager,
    /// A TaskManager's executor gets SIGKILL.
    KillExecutor,
    /// The JobManager gets SIGKILL, and is started again.
    KillJobManager,
    /// A TaskManager and its executor are stopped for a while (SIGSTOP).
    FreezeTaskManager,
    /// The JobManager is stopped for a while (SIGSTOP).
    FreezeJobManager,
    /// Another JobManager of the same job is started while the first one lives, with TaskManagers of its own.
    SecondJobManager,
    /// A host cannot be reached for a while.
    CutHost,
    /// The disk of the checkpoints is full for a while.
    FillDisk,
}

impl Fault {
    /// All of them, with how often each is drawn.
    pub const WEIGHTS: [(Self, u64); 10] = [
        (Self::Start, 8),
        (Self::Stop, 4),
        (Self::KillTaskManager, 3),
        (Self::KillExecutor, 4),
        (Self::KillJobManager, 3),
        (Self::FreezeTaskManager, 3),
        (Self::FreezeJobManager, 2),
        (Self::SecondJobManager, 2),
        (Self::CutHost, 3),
        (Self::FillDisk, 1),
    ];

    /// Its name in the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start_taskmanager",
            Self::Stop => "stop_taskmanager",
            Self::KillTaskManager => "kill_taskmanager",
            Self::KillExecutor => "kill_executor",
            Self::KillJobManager => "kill_jobmanager",
            Self::FreezeTaskManager => "freeze_taskmanager",
            Self::FreezeJobManager => "freeze_jobmanager",
            Self::SecondJobManager => "second_jobmanager",
            Self::CutHost => "cut_host",
            Self::FillDisk => "fill_disk",
        }
    }

    /// Whether the job loses what it has done since its last checkpoint.
    pub const fn is_kill(self) -> bool {
        matches!(self, Self::KillTaskManager | Self::KillExecutor | Self::KillJobManager)
    }
}

/// A sequence of faults.
#[derive(Clone, Debug)]
pub struct Plan {
    seed: u64,
    drawn: u64,
    mean_pause: Duration,
}

impl Plan {
    /// Faults that are `mean_pause` apart on average.
    pub const fn new(seed: u64, mean_pause: Duration) -> Self {
        Self { seed: splitmix64(seed), drawn: 0, mean_pause }
    }

    /// A number below `n`.
    pub const fn draw(&mut self, n: u64) -> u64 {
        self.drawn += 1;
        splitmix64(self.seed.wrapping_add(self.drawn)) % n
    }

    /// A duration between the two.
    pub const fn draw_between(&mut self, least: Duration, most: Duration) -> Duration {
        let range_ms = most.saturating_sub(least).as_millis() as u64;
        Duration::from_millis(least.as_millis() as u64 + self.draw(range_ms + 1))
    }

    /// The next fault of a cluster with this number of TaskManagers, and the time until it. Sometimes two faults
    /// follow within milliseconds, and a cluster without TaskManagers gets one within a second.
    pub fn next(&mut self, task_managers: usize) -> (Duration, Fault) {
        if task_managers == 0 {
            return (Duration::from_millis(self.draw(1_000)), Fault::Start);
        }
        let mean_ms = self.mean_pause.as_millis() as u64;
        let pause_ms = if self.draw(5) == 0 { self.draw(100) } else { self.draw(mean_ms * 5 / 2) };
        let weight = |fault: Fault, weight: u64| match fault {
            Fault::Start if task_managers >= MOST_TASK_MANAGERS => 0,
            _ => weight,
        };
        let sum = Fault::WEIGHTS.iter().map(|(fault, w)| weight(*fault, *w)).sum();
        let mut left = self.draw(sum);
        for (fault, drawn) in Fault::WEIGHTS {
            let weight = weight(fault, drawn);
            if left < weight {
                return (Duration::from_millis(pause_ms), fault);
            }
            left -= weight;
        }
        unreachable!("what was drawn is below the sum of the weights")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_sequence_in_which_everything_occurs() {
        let sequence = |seed| {
            let mut plan = Plan::new(seed, Duration::from_secs(3));
            (0..200).map(|_| plan.next(2)).collect::<Vec<_>>()
        };
        assert_eq!(sequence(7), sequence(7));
        assert_ne!(sequence(7), sequence(8));
        for (fault, _) in Fault::WEIGHTS {
            assert!(sequence(7).iter().any(|(_, struck)| *struck == fault), "{fault:?}");
        }
        let sum: Duration = sequence(7).iter().map(|(pause, _)| *pause).sum();
        assert!((500..700).contains(&sum.as_secs()), "{sum:?}");
    }

    #[test]
    fn there_are_neither_too_few_nor_too_many_task_managers() {
        let mut plan = Plan::new(1, Duration::from_secs(3));
        for _ in 0..100 {
            let (pause, fault) = plan.next(0);
            assert_eq!(fault, Fault::Start);
            assert!(pause < Duration::from_secs(1));
            assert_ne!(plan.next(MOST_TASK_MANAGERS).1, Fault::Start);
        }
    }
}
