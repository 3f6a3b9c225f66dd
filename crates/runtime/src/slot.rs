//! The slot: the loop of one thread, which runs its tasks in turn, most downstream first.
//!
//! The executor uses a slot through a [`SlotPort`]: it sends commands, and takes events and storage requests. The
//! code here never waits; if no task can make progress, the slot's thread sleeps until its signal is raised.
//!
//! `slot_tests.rs` has a complete example of a slot with two tasks.

use crate::failure::{catch, log_unreported};
use crate::rescale::Preparation;
use crate::step::{CurrentStep, Step};
use crate::task::{RetainedState, Task, TaskEvent, TaskStep};
use reflow_api::Io;
use reflow_env::{Answer, Clock, Request, Signal, SlotLoop, SlotStep, Ticket};
use reflow_graph::VertexIndex;
use reflow_protocol::command::{CheckpointCommand, SplitAssignment, SubtaskCommand};
use reflow_protocol::control::SubtaskMetrics;
use reflow_protocol::deployment::Attempt;
use reflow_protocol::failure::{Failure, Fault};
use reflow_protocol::report::SubtaskEvent;
use reflow_protocol::rescale::Part;
use reflow_protocol::snapshot::Restore;
use reflow_types::{CheckpointId, Instant, SubtaskId, injected_fault};
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A subtask with the task that runs it.
pub struct DeployedTask {
    pub subtask: SubtaskId,
    /// Its vertex, which determines its place in the order of tasks.
    pub vertex: VertexIndex,
    /// The vertex's name, for error messages.
    pub name: String,
    pub task: Box<dyn Task>,
}

/// A command of the executor to a slot.
pub enum SlotCommand {
    /// Run these tasks as well. They get the retained state of the slot's earlier tasks of the same vertices; the rest of
    /// it is dropped.
    Deploy {
        /// The attempt that they belong to.
        attempt: Attempt,
        /// The tasks, in topological order.
        tasks: Vec<DeployedTask>,
    },
    /// Drop these tasks, which are not deployed, because their attempt has ended before.
    Discard(Vec<DeployedTask>),
    /// Drop all tasks but keep their retained state. Answered by [`SlotEvent::Cleared`].
    Clear,
    /// Drop these tasks but keep their retained state, because their region has failed. Answered by
    /// [`SlotEvent::RegionEnded`].
    EndRegion(BTreeSet<SubtaskId>),
    /// Drop the retained state of earlier tasks.
    Forget,
    /// A command to all tasks but those of regions that do not take part in the checkpoint.
    Checkpoint { checkpoint: CheckpointId, absent: Arc<BTreeSet<SubtaskId>>, command: CheckpointCommand },
    /// A command to the task of this subtask.
    Subtask(SubtaskId, SubtaskCommand),
    /// Run this task as well. The next graph of a rescale has added it.
    Add {
        /// The attempt that it belongs to.
        attempt: Attempt,
        task: DeployedTask,
    },
    /// Drop these tasks: a rescale has removed them, or was abandoned before it added them.
    Drop(Vec<SubtaskId>),
    /// See [`Task::prepare`].
    Prepare(SubtaskId, Box<Preparation>),
    /// See [`Task::catch_up`].
    CatchUp(SubtaskId, CheckpointId, Restore),
    /// See [`Task::abandon`].
    Abandon,
    /// See [`Task::hand_over`].
    HandOver {
        /// The old owner.
        from: SubtaskId,
        /// The new one.
        to: SubtaskId,
        part: Part,
    },
    /// The answer to a request.
    Answer(Ticket, Answer),
    /// Report the metrics of all tasks.
    Measure,
}

/// What a slot reports to its executor.
pub enum SlotEvent {
    /// An event of a task.
    Task {
        /// The attempt of the task.
        attempt: Attempt,
        subtask: SubtaskId,
        event: TaskEvent,
    },
    /// A request to the outside.
    Request(Ticket, Request),
    /// A call that is cancelled. It was reported before and may be answered already.
    CancelCall(Ticket),
    /// The metrics of all tasks.
    Metrics(Vec<SubtaskMetrics>),
    /// The final metrics of tasks that end or are dropped. Reported before the event that ends them.
    LastMetrics(Vec<SubtaskMetrics>),
    /// All tasks were dropped.
    Cleared,
    /// The tasks of a region were dropped.
    RegionEnded,
}

/// The connection between a slot and its executor. Its queues are bounded by the number of outstanding requests.
#[derive(Clone)]
pub struct SlotPort {
    inner: Arc<Mutex<Port>>,
    step: Arc<CurrentStep>,
    slot: Signal,
    executor: Signal,
}

#[derive(Default)]
struct Port {
    commands: VecDeque<SlotCommand>,
    events: Vec<SlotEvent>,
}

impl SlotPort {
    /// A port between a slot and an executor, each with the signal that wakes it.
    pub fn new(slot: Signal, executor: Signal) -> Self {
        Self { inner: Arc::default(), step: Arc::default(), slot, executor }
    }

    /// Sends a command to the slot. Called by the executor.
    pub fn send(&self, command: SlotCommand) {
        self.lock().commands.push_back(command);
        self.slot.raise();
    }

    /// Takes the slot's events. Called by the executor.
    pub fn take_events(&self) -> Vec<SlotEvent> {
        std::mem::take(&mut self.lock().events)
    }

    /// The step that the slot's thread is running. Read by the executor.
    pub fn current_step(&self) -> &CurrentStep {
        &self.step
    }

    fn take_commands(&self) -> VecDeque<SlotCommand> {
        std::mem::take(&mut self.lock().commands)
    }

    fn emit(&self, events: &mut Vec<SlotEvent>) {
        if !events.is_empty() {
            self.lock().events.append(events);
            self.executor.raise();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Port> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The loop of a slot.
pub struct Slot {
    port: SlotPort,
    io: Io,
    clock: Arc<dyn Clock>,
    attempt: Attempt,
    /// The tasks, most downstream first.
    tasks: Vec<Running>,
    /// The state of the last attempt, until the next one is deployed.
    retained: Vec<(VertexIndex, RetainedState)>,
    events: Vec<SlotEvent>,
    task_events: Vec<TaskEvent>,
}

struct Running {
    subtask: SubtaskId,
    vertex: VertexIndex,
    name: String,
    /// The task; `None` once it has failed.
    task: Option<Box<dyn Task>>,
    /// The metrics of the task when it failed.
    counted: SubtaskMetrics,
    time: TimeSpent,
    /// The longest step since the last report of metrics.
    longest_step: Duration,
    step: Arc<CurrentStep>,
}

/// The time that a task was busy, backpressured and idle. The three add up to the time that has passed.
///
/// A task that has worked and waits for its turn counts as busy, because its slot is the bottleneck.
struct TimeSpent {
    since: Instant,
    /// The outcome of the last step.
    last: TaskStep,
    busy: Duration,
    backpressured: Duration,
    idle: Duration,
}

impl TimeSpent {
    fn new(now: Instant) -> Self {
        let (busy, backpressured, idle) = Default::default();
        Self { since: now, last: TaskStep::Idle(None), busy, backpressured, idle }
    }

    /// Counts the time up to `before` by the outcome of the previous step, and the time up to `after` by that of
    /// this step.
    fn book(&mut self, before: Instant, after: Instant, step: TaskStep) {
        self.book_until(before);
        self.last = step;
        self.book_until(after);
    }

    fn book_until(&mut self, now: Instant) {
        let passed = now.since(self.since);
        match self.last {
            TaskStep::Backpressured(_) => self.backpressured += passed,
            TaskStep::Idle(_) | TaskStep::Finished => self.idle += passed,
            TaskStep::Worked | TaskStep::AtCapacity(_) => self.busy += passed,
        }
        self.since = now;
    }
}

impl Slot {
    /// A slot without tasks. Its tasks share `io`.
    pub fn new(port: SlotPort, io: Io, clock: Arc<dyn Clock>) -> Self {
        Self {
            port,
            io,
            clock,
            attempt: Attempt::default(),
            tasks: Vec::new(),
            retained: Vec::new(),
            events: Vec::new(),
            task_events: Vec::new(),
        }
    }

    /// Handles one command.
    fn handle_command(&mut self, now: Instant, command: SlotCommand) {
        match command {
            SlotCommand::Deploy { attempt, tasks } => {
                self.attempt = attempt;
                tasks.into_iter().for_each(|task| self.add(now, task));
                self.pass_on_retained();
            }
            SlotCommand::Discard(tasks) => {
                tasks.into_iter().for_each(|task| Running::new(now, task, &self.port.step).close(now));
            }
            SlotCommand::Clear => {
                self.end(now, |_| true);
                self.events.push(SlotEvent::Cleared);
            }
            SlotCommand::EndRegion(subtasks) => {
                self.end(now, |subtask| subtasks.contains(&subtask));
                self.events.push(SlotEvent::RegionEnded);
            }
            SlotCommand::Forget => self.retained.clear(),
            SlotCommand::Checkpoint { checkpoint, absent, command } => {
                let takes_part = |subtask| {
                    !absent.contains(&subtask)
                        || injected_fault::is_active("checkpoint_with_an_absent_region")
                };
                self.each(now, takes_part, |task| match &command {
                    CheckpointCommand::Trigger(kind) => task.trigger(now, checkpoint, kind),
                    CheckpointCommand::NotifyComplete => task.completed(checkpoint),
                    CheckpointCommand::NotifyAborted => task.aborted(checkpoint),
                });
            }
            SlotCommand::Subtask(subtask, command) => self.with_task(now, subtask, |task| match command {
                SubtaskCommand::AssignSplits(SplitAssignment { splits, states, more }) => {
                    task.assign_splits(&splits, states, more);
                }
                SubtaskCommand::SetActiveReaders(readers) => task.active_readers(readers),
                SubtaskCommand::SetLowestWatermark(lowest) => task.set_lowest_watermark(lowest),
                SubtaskCommand::EndSource => task.end_source(),
                SubtaskCommand::AdoptState(states) => task.adopt(states),
            }),
            SlotCommand::Add { attempt, task } => {
                self.attempt = attempt;
                self.add(now, task);
            }
            SlotCommand::Drop(gone) => {
                self.report_last(now, |id| gone.contains(&id));
                for mut running in self.tasks.extract_if(.., |running| gone.contains(&running.subtask)) {
                    running.close(now);
                }
            }
            SlotCommand::Prepare(subtask, preparation) => {
                self.with_task(now, subtask, |task| task.prepare(*preparation));
            }
            SlotCommand::CatchUp(subtask, checkpoint, restore) => {
                self.with_task(now, subtask, |task| task.catch_up(checkpoint, &restore));
            }
            SlotCommand::Abandon => self.each(now, |_| true, |task| task.abandon()),
            SlotCommand::HandOver { from, to, part } => {
                self.with_task(now, to, |task| task.hand_over(from, part));
            }
            SlotCommand::Answer(ticket, answer) => self.io.answer(ticket, answer),
            SlotCommand::Measure => {
                let metrics = self.tasks.iter_mut().map(|running| running.measure(now)).collect();
                self.events.push(SlotEvent::Metrics(metrics));
            }
        }
    }

    /// Adds a task, behind those that are more downstream.
    fn add(&mut self, now: Instant, task: DeployedTask) {
        let behind = self.tasks.partition_point(|other| other.vertex > task.vertex);
        self.tasks.insert(behind, Running::new(now, task, &self.port.step));
    }

    /// Drops tasks but keeps their state for the next ones of their vertices.
    fn end(&mut self, now: Instant, which: impl Fn(SubtaskId) -> bool) {
        self.report_last(now, &which);
        for mut running in self.tasks.extract_if(.., |running| which(running.subtask)) {
            let retained = running.run(now, |task| task.retain_state()).and_then(Result::ok).flatten();
            self.retained.extend(retained.map(|state| (running.vertex, state)));
            running.close(now);
        }
    }

    /// Passes retained state to the new tasks of the same vertices, and drops the rest.
    fn pass_on_retained(&mut self) {
        for (vertex, retained) in self.retained.drain(..) {
            if let Some(running) = self.tasks.iter_mut().find(|running| running.vertex == vertex)
                && let Some(task) = &mut running.task
            {
                task.adopt_retained(retained);
            }
        }
    }

    /// Reports the final metrics of tasks that are about to be dropped.
    fn report_last(&mut self, now: Instant, which: impl Fn(SubtaskId) -> bool) {
        let gone = self.tasks.iter_mut().filter(|running| which(running.subtask));
        let metrics: Vec<SubtaskMetrics> = gone.map(|running| running.measure(now)).collect();
        if !metrics.is_empty() {
            self.events.push(SlotEvent::LastMetrics(metrics));
        }
    }

    /// Calls the task of a subtask, if this slot has it.
    fn with_task(&mut self, now: Instant, subtask: SubtaskId, call: impl FnOnce(&mut dyn Task)) {
        if let Some(running) = self.tasks.iter_mut().find(|running| running.subtask == subtask)
            && let Some(Err(failure)) = running.run(now, call)
        {
            self.events.push(failed(self.attempt, subtask, failure));
        }
    }

    fn each(&mut self, now: Instant, which: impl Fn(SubtaskId) -> bool, mut call: impl FnMut(&mut dyn Task)) {
        for running in self.tasks.iter_mut().filter(|running| which(running.subtask)) {
            if let Some(Err(failure)) = running.run(now, |task| call(task)) {
                self.events.push(failed(self.attempt, running.subtask, failure));
            }
        }
    }

    /// Runs one step of each task. Returns whether any made progress, and the earliest time at which one wants to
    /// be woken.
    fn step_tasks(&mut self) -> (bool, Option<Instant>) {
        let (mut moved, mut wake) = (false, None);
        for running in &mut self.tasks {
            let (task_events, clock) = (&mut self.task_events, &self.clock);
            let before = clock.now();
            let step = match running.run(before, |task| task.step(before, task_events)) {
                None => continue,
                Some(Ok(step)) => step,
                Some(Err(failure)) => {
                    self.events.push(failed(self.attempt, running.subtask, failure));
                    moved = true;
                    continue;
                }
            };
            let after = clock.now();
            running.time.book(before, after, step);
            running.longest_step = running.longest_step.max(after.since(before));
            if self.task_events.contains(&SubtaskEvent::Finished.into()) {
                self.events.push(SlotEvent::LastMetrics(vec![running.measure(after)]));
            }
            match step {
                TaskStep::Worked => moved = true,
                TaskStep::Idle(at) | TaskStep::Backpressured(at) | TaskStep::AtCapacity(at) => {
                    wake = wake.into_iter().chain(at).min();
                }
                TaskStep::Finished => {}
            }
            let (attempt, subtask) = (self.attempt, running.subtask);
            let event = |event| SlotEvent::Task { attempt, subtask, event };
            self.events.extend(self.task_events.drain(..).map(event));
        }
        (moved, wake)
    }
}

fn failed(attempt: Attempt, subtask: SubtaskId, failure: Failure) -> SlotEvent {
    SlotEvent::Task { attempt, subtask, event: SubtaskEvent::Failed(failure).into() }
}

impl Running {
    fn new(now: Instant, task: DeployedTask, step: &Arc<CurrentStep>) -> Self {
        Self {
            subtask: task.subtask,
            vertex: task.vertex,
            name: task.name,
            task: Some(task.task),
            counted: SubtaskMetrics::default(),
            time: TimeSpent::new(now),
            longest_step: Duration::ZERO,
            step: step.clone(),
        }
    }

    /// Calls the task unless it has failed. After a failure the task is dropped.
    fn run<R>(&mut self, now: Instant, call: impl FnOnce(&mut dyn Task) -> R) -> Option<Result<R, Failure>> {
        let task = self.task.as_mut()?;
        self.step.begin(Step { vertex: self.vertex, subtask: self.subtask, since: now });
        let mut result = catch(&self.name, || call(task.as_mut()));
        self.step.end();
        if let Err(failure) = &mut result {
            if failure.fault == Fault::User
                && let Ok(Some(position)) = catch(&self.name, || task.position())
            {
                failure.add_note(&format!(" (the record at {position})"));
            }
            self.counted = catch(&self.name, || task.metrics()).unwrap_or_default();
            self.close(now);
        }
        Some(result)
    }

    /// Closes the task's functions and drops it. The attempt ends for another reason, so what fails here is only logged.
    fn close(&mut self, now: Instant) {
        let Some(mut task) = self.task.take() else { return };
        self.step.begin(Step { vertex: self.vertex, subtask: self.subtask, since: now });
        let closed = catch(&self.name, || task.close());
        let dropped = catch(&self.name, || drop(task)); // a user's destructor may panic as well
        self.step.end();
        let failures = [closed.unwrap_or_else(Some), dropped.err()];
        failures.iter().flatten().for_each(log_unreported);
    }

    fn measure(&mut self, now: Instant) -> SubtaskMetrics {
        self.time.book_until(now);
        let counted = self.task.as_ref().map_or_else(|| self.counted.clone(), |task| task.metrics());
        SubtaskMetrics {
            subtask: self.subtask,
            busy: self.time.busy,
            backpressured: self.time.backpressured,
            idle: self.time.idle,
            longest_step: std::mem::take(&mut self.longest_step),
            ..counted
        }
    }
}

impl SlotLoop for Slot {
    fn step(&mut self, now: Instant) -> SlotStep {
        for command in self.port.take_commands() {
            self.handle_command(now, command);
        }
        let (moved, wake) = self.step_tasks();
        let requests = self.io.drain_submitted();
        self.events.extend(requests.into_iter().map(|(ticket, request)| SlotEvent::Request(ticket, request)));
        self.events.extend(self.io.drain_canceled().into_iter().map(SlotEvent::CancelCall));
        self.port.emit(&mut self.events);
        if moved { SlotStep::Ready } else { SlotStep::Wait(wake) }
    }
}

#[cfg(test)]
#[path = "slot_tests.rs"]
mod tests;
