//! Backoff from TaskManagers whose executors run out of memory repeatedly, or are cut off from others.
//!
//! Such a TaskManager starts another executor at once and offers its slots again. A job that uses them fails and restarts
//! when they run out of memory again, although it could run on the other TaskManagers. So from the second time on, the slots
//! of a new executor are offered to the job only after a delay, which doubles each time, or earlier if the job cannot run
//! without them. The count is reset after a long time without such a failure.
//!
//! An executor that is cut off counts as the second time at once: what cuts it off cuts off the next one on the same
//! machine as well, and nothing on the machine ends it.
//!
//! Only these two predict how the next executor on the same TaskManager will fare. A process that was killed predicts
//! nothing. Executors that end soon after their start are restarted with growing delays elsewhere, by
//! the JobManager's members.

use super::executor::Executor;
use reflow_types::{ExecutorId, Instant, TaskManagerId};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long the slots wait at the second time.
const FIRST_DELAY: Duration = Duration::from_secs(30);
const MAX_DELAY: Duration = Duration::from_secs(600);
/// The time without running out of memory after which the count of a TaskManager is reset.
const RESET: Duration = Duration::from_secs(3_600);

/// The executors whose slots wait, and until when.
#[derive(Debug, Default)]
pub(super) struct SlotBackoff {
    task_managers: BTreeMap<TaskManagerId, Exhausted>,
    waiting: BTreeMap<ExecutorId, (Executor, Instant)>,
}

#[derive(Debug)]
struct Exhausted {
    /// How often in a row.
    times: u32,
    last: Instant,
}

impl SlotBackoff {
    /// An executor of this TaskManager has run out of memory. Returns how often one has, and how long the slots of the
    /// next one wait.
    pub(super) fn exhausted(&mut self, now: Instant, task_manager: TaskManagerId) -> (u32, Duration) {
        self.task_managers.retain(|_, exhausted| now.since(exhausted.last) < RESET);
        let exhausted = self.task_managers.entry(task_manager).or_insert(Exhausted { times: 0, last: now });
        exhausted.times = exhausted.times.saturating_add(1);
        exhausted.last = now;
        (exhausted.times, exhausted.delay())
    }

    /// An executor of this TaskManager is cut off. Returns how long the slots of the next one wait.
    pub(super) fn cut_off(&mut self, now: Instant, task_manager: TaskManagerId) -> Duration {
        let (times, delay) = self.exhausted(now, task_manager);
        if times > 1 { delay } else { self.exhausted(now, task_manager).1 }
    }

    /// An executor has registered. Returns whether its slots wait.
    pub(super) fn holds(&mut self, now: Instant, id: ExecutorId, executor: Executor) -> bool {
        let exhausted = self.task_managers.get(&executor.task_manager);
        let until = exhausted.map_or(now, |exhausted| exhausted.last + exhausted.delay());
        let holds = until > now;
        if holds {
            self.waiting.insert(id, (executor, until));
        }
        holds
    }

    /// Removes an executor that is lost or needed at once. Returns it if its slots waited.
    pub(super) fn remove(&mut self, id: ExecutorId) -> Option<Executor> {
        self.waiting.remove(&id).map(|(executor, _)| executor)
    }

    /// Takes an executor that has waited long enough, so that its slots count from now on.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(ExecutorId, Executor)> {
        let due = self.waiting.iter().find(|(_, (_, until))| *until <= now);
        let id = *due?.0;
        self.remove(id).map(|executor| (id, executor))
    }

    /// Takes an executor because the job cannot run without its slots, however long they have waited.
    pub(super) fn take_needed(&mut self) -> Option<(ExecutorId, Executor)> {
        self.waiting.pop_first().map(|(id, (executor, _))| (id, executor))
    }

    pub(super) fn next_wakeup(&self) -> Option<Instant> {
        self.waiting.values().map(|(_, until)| *until).min()
    }
}

impl Exhausted {
    fn delay(&self) -> Duration {
        match self.times {
            0 | 1 => Duration::ZERO,
            times => FIRST_DELAY.saturating_mul(1 << (times - 2).min(10)).min(MAX_DELAY),
        }
    }
}
