//! The cluster from the job's point of view: executors, usable slots, and TaskManagers that are being drained.

use super::backoff::SlotBackoff;
use super::executor::Executor;
use crate::event::Event;
use crate::isolation::CutOff;
use crate::slots::Offer;
use reflow_types::{ExecutorId, Instant, SlotId, TaskManagerId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[derive(Default)]
pub(super) struct Cluster {
    /// The executors whose slots count.
    executors: BTreeMap<ExecutorId, Executor>,
    backoff: SlotBackoff,
}

impl Cluster {
    /// The executors whose slots count.
    pub(super) fn executors(&self) -> &BTreeMap<ExecutorId, Executor> {
        &self.executors
    }

    /// The TaskManager of an executor.
    pub(super) fn task_manager(&self, executor: ExecutorId) -> Option<TaskManagerId> {
        self.executors.get(&executor).map(|executor| executor.task_manager)
    }

    /// Whether an executor is registered and not being drained.
    pub(super) fn stays(&self, executor: ExecutorId) -> bool {
        self.executors.get(&executor).is_some_and(|executor| !executor.draining())
    }

    /// Removes a lost executor.
    pub(super) fn remove(&mut self, executor: ExecutorId) {
        self.executors.remove(&executor);
    }

    /// Updates the cluster by an event. When an executor is being drained, the job must be off it after the
    /// timeout.
    pub(super) fn observe(&mut self, now: Instant, event: &Event, drain_timeout: Duration) {
        match event {
            Event::ExecutorAdded { executor, task_manager, slots } => {
                let (task_manager, slots) = (*task_manager, *slots);
                self.executors.insert(*executor, Executor { task_manager, slots, drain_by: None });
            }
            Event::ExecutorDraining { executor } => {
                if let Some(executor) = self.executors.get_mut(executor) {
                    executor.drain_by.get_or_insert(now + drain_timeout);
                }
            }
            Event::ExecutorLost { executor, .. } => self.remove(*executor),
            _ => {}
        }
    }

    /// Whether an event must be handled. Events of executors whose slots wait are not.
    pub(super) fn admits(&mut self, now: Instant, event: &Event) -> bool {
        match event {
            Event::ExecutorAdded { executor, task_manager, slots } => {
                let (task_manager, slots) = (*task_manager, *slots);
                !self.backoff.holds(now, *executor, Executor { task_manager, slots, drain_by: None })
            }
            Event::ExecutorLost { executor, .. } => self.backoff.remove(*executor).is_none(),
            Event::ExecutorDraining { executor } => {
                // An executor whose slots waited is released like any other.
                let waited = self.backoff.remove(*executor).map(|waited| (*executor, waited));
                self.executors.extend(waited);
                true
            }
            _ => true,
        }
    }

    /// Records that an executor has run out of memory. Returns a warning if the slots of the next one on its
    /// TaskManager will wait.
    pub(super) fn on_memory_exhausted(&mut self, now: Instant, executor: ExecutorId) -> Option<String> {
        let task_manager = self.task_manager(executor)?;
        let (times, delay) = self.backoff.exhausted(now, task_manager);
        let seconds = delay.as_secs();
        (!delay.is_zero()).then(|| {
            format!(
                "executors of TaskManager {task_manager} have run out of memory {times} times: slots of the next one \
                 are used after {seconds} s, or when the job cannot run without them; raise \
                 taskmanager.memory.process.size there"
            )
        })
    }

    /// An executor is cut off from others. Returns a warning.
    pub(super) fn on_cut_off(&mut self, now: Instant, cut_off: &CutOff) -> Option<String> {
        let CutOff { executor, from } = cut_off;
        let task_manager = self.task_manager(*executor)?;
        let seconds = self.backoff.cut_off(now, task_manager).as_secs();
        let others = from.len();
        Some(format!(
            "executor {executor} on TaskManager {task_manager} is cut off from {others} others, which the JobManager \
             reaches: slots of the next one there are used after {seconds} s, or when the job cannot run without them"
        ))
    }

    /// Takes an executor whose slots have waited long enough, or without which the job does not get the slots
    /// that it needs.
    pub(super) fn take_waiting(&mut self, now: Instant, needed: u32) -> Option<Event> {
        let taken = match self.slots() < needed {
            true => self.backoff.take_needed(),
            false => self.backoff.take_due(now),
        };
        let (executor, Executor { task_manager, slots, .. }) = taken?;
        Some(Event::ExecutorAdded { executor, task_manager, slots })
    }

    /// When the slots of an executor have waited long enough.
    pub(super) fn next_wakeup(&self) -> Option<Instant> {
        self.backoff.next_wakeup()
    }

    /// The usable slots: those of executors that are not being drained.
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

    /// The number of usable slots.
    pub(super) fn slots(&self) -> u32 {
        self.executors.values().filter(|executor| !executor.draining()).map(|executor| executor.slots).sum()
    }

    /// The number of usable slots on a TaskManager.
    pub(super) fn slots_of(&self, task_manager: TaskManagerId) -> u32 {
        let of_it = self.executors.values().filter(|executor| executor.task_manager == task_manager);
        of_it.filter(|executor| !executor.draining()).map(|executor| executor.slots).sum()
    }

    /// The earliest time by which the job must be off one of these executors that is being drained.
    pub(super) fn drain_by(&self, executors: &BTreeSet<ExecutorId>) -> Option<Instant> {
        executors.iter().filter_map(|id| self.executors.get(id)?.drain_by).min()
    }

    /// Takes the executors that are being drained and run no part of the job any more: neither of the attempt, nor of one that a
    /// former leader has left.
    pub(super) fn take_drained(
        &mut self,
        holders: Option<&BTreeSet<ExecutorId>>,
        reported: &BTreeSet<ExecutorId>,
    ) -> Vec<ExecutorId> {
        let holds =
            |id: &ExecutorId| holders.is_some_and(|holders| holders.contains(id)) || reported.contains(id);
        let free = |(id, executor): &(&ExecutorId, &Executor)| executor.draining() && !holds(id);
        let leaving: Vec<ExecutorId> = self.executors.iter().filter(free).map(|(id, _)| *id).collect();
        self.executors.retain(|id, _| !leaving.contains(id));
        leaving
    }
}
