//! The cluster as a job sees it: its executors, what their slots allow, and who wants to leave.

use super::context::Context;
use crate::action::Action;
use crate::event::Event;
use crate::slots::{self, Offer, Parallelism};
use crate::transition::Resources;
use reflow_protocol::report::ExecutorReport;
use reflow_types::{ExecutorId, Instant, SlotId, TaskManagerId};

/// An executor of the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Executor {
    /// Whose child it is.
    pub task_manager: TaskManagerId,
    /// How many slots it runs.
    pub slots: u32,
    /// Its TaskManager wants to leave: when the job moves off it by a restart, if it is still on it.
    pub drain_by: Option<Instant>,
}

impl Executor {
    /// Whether its TaskManager wants to leave.
    pub fn draining(&self) -> bool {
        self.drain_by.is_some()
    }
}

impl Context {
    /// The slots that may be planned with: those of executors that stay.
    pub(super) fn offers(&self) -> Vec<Offer> {
        let staying = self.executors.iter().filter(|(_, executor)| !executor.draining());
        staying
            .flat_map(|(&id, executor)| {
                let slot = move |index| SlotId { executor: id, index };
                (0..executor.slots).map(move |index| (slot(index), executor.task_manager))
            })
            .map(|(slot, task_manager)| Offer { slot, task_manager })
            .collect()
    }

    /// Takes note of executors that run out of memory. Returns whether an event is to be handled: those of executors
    /// whose slots wait are not.
    pub(super) fn counts(&mut self, now: Instant, event: &Event) -> bool {
        match event {
            Event::ExecutorAdded { executor, task_manager, slots } => {
                let (task_manager, slots) = (*task_manager, *slots);
                !self.backoff.holds(now, *executor, Executor { task_manager, slots, drain_by: None })
            }
            Event::ExecutorLost { executor, .. } => self.backoff.remove(*executor).is_none(),
            Event::ExecutorDraining { executor } => {
                // It is released like any other.
                let waited = self.backoff.remove(*executor).map(|waited| (*executor, waited));
                self.executors.extend(waited);
                true
            }
            Event::ExecutorReported { executor, report: ExecutorReport::MemoryExhausted } => {
                if let Some(task_manager) = self.executors.get(executor).map(|known| known.task_manager) {
                    let (times, delay) = self.backoff.exhausted(now, task_manager);
                    if !delay.is_zero() {
                        let seconds = delay.as_secs();
                        self.warnings.push(format!(
                            "executors of TaskManager {task_manager} have run out of memory {times} times: slots of \
                             the next one are used after {seconds} s, or when the job cannot run without them; \
                             raise taskmanager.memory.process.size there"
                        ));
                    }
                }
                false
            }
            _ => true,
        }
    }

    /// An executor whose slots have waited long enough, or without which the job cannot run.
    pub(super) fn take_waiting(&mut self, now: Instant) -> Option<Event> {
        let needed = self.slots() < self.slots_asked_for().0;
        let (executor, Executor { task_manager, slots, .. }) = self.backoff.take(now, needed)?;
        Some(Event::ExecutorAdded { executor, task_manager, slots })
    }

    /// How many slots those are.
    pub(super) fn slots(&self) -> u32 {
        self.executors.values().filter(|executor| !executor.draining()).map(|executor| executor.slots).sum()
    }

    /// Whether the job can do without the slots of a TaskManager. One that cannot run as it is has nothing to lose.
    pub(super) fn can_spare(&self, task_manager: TaskManagerId) -> bool {
        let needed = self.slots_asked_for().0;
        let of_it = self.executors.values().filter(|executor| executor.task_manager == task_manager);
        let of_it: u32 = of_it.filter(|executor| !executor.draining()).map(|executor| executor.slots).sum();
        self.slots() < needed || self.slots() - of_it >= needed
    }

    /// The parallelism that the slots allow; `None` if they are too few.
    pub(super) fn plan(&self) -> Option<Parallelism> {
        slots::parallelism(&self.job, &self.bounds, self.slots())
    }

    /// Slots without which the job cannot run, and slots that it asks for. In reactive mode it asks for those
    /// that there are.
    pub(super) fn slots_asked_for(&self) -> (u32, u32) {
        let groups = slots::sharing_groups(&self.job, &self.bounds);
        let lower: u32 = groups.iter().map(|group| group.lower).sum();
        let upper: u32 = groups.iter().map(|group| group.upper).sum();
        (lower, if self.settings.reactive { upper.min(self.slots().max(lower)) } else { upper })
    }

    /// What a deployment now would get.
    pub(super) fn resources(&self) -> Resources {
        let (lower, upper) = self.slots_asked_for();
        let slots = self.slots();
        Resources { desired: slots >= upper, sufficient: slots >= lower }
    }

    /// What a rescale now would get: nothing, if the parallelism would stay as it is.
    pub(super) fn rescale_resources(&self) -> Resources {
        if self.parallelism_would_change() { self.resources() } else { Resources::default() }
    }

    /// Whether a rescale now would change anything.
    pub(super) fn rescale_is_wanted(&self) -> bool {
        self.drains() || self.rescale_resources().sufficient
    }

    fn parallelism_would_change(&self) -> bool {
        match (&self.attempt, self.plan()) {
            (Some(attempt), Some(plan)) => attempt.parallelism() != plan.vertices,
            _ => false,
        }
    }

    /// Whether the attempt has subtasks on an executor that wants to leave.
    pub(super) fn drains(&self) -> bool {
        self.drain_by().is_some()
    }

    /// When the attempt moves by a restart off an executor that wants to leave, if it has not done so before.
    pub(super) fn drain_by(&self) -> Option<Instant> {
        let holders = self.attempt.iter().flat_map(|attempt| &attempt.holders);
        holders.filter_map(|id| self.executors.get(id)?.drain_by).min()
    }

    /// Whether it is high time for that.
    pub(super) fn drain_is_overdue(&self, now: Instant) -> bool {
        self.drain_by().is_some_and(|by| by <= now)
    }

    /// Lets go of executors that want to leave and on which nothing of the job is left.
    pub(super) fn release_drained(&mut self) {
        let holds = |id: &ExecutorId| self.attempt.as_ref().is_some_and(|a| a.holders.contains(id));
        let free = |(id, executor): &(&ExecutorId, &Executor)| executor.draining() && !holds(id);
        let leaving: Vec<ExecutorId> = self.executors.iter().filter(free).map(|(id, _)| *id).collect();
        for executor in leaving {
            self.executors.remove(&executor);
            self.actions.push(Action::Release { executor });
        }
    }
}
