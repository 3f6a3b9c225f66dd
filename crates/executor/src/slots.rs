//! The executor's slots, and their requests to the outside.

use super::watch;
use reflow_api::Io;
use reflow_env::{Answer, Clock, Output, Request, Signal, StoreOp, Ticket};
use reflow_protocol::control::SubtaskMetrics;
use reflow_runtime::step::Step;
use reflow_runtime::{Slot, SlotCommand, SlotEvent, SlotPort};
use reflow_types::{Instant, SubtaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The executor's slots.
pub(super) struct Slots {
    all: Vec<SlotHandle>,
    signals: Arc<[Signal]>,
    metrics: BTreeMap<usize, Vec<SubtaskMetrics>>,
    /// Final metrics of tasks that have ended or were dropped, not yet sent.
    last_metrics: Vec<SubtaskMetrics>,
    /// The number of slots that have not yet dropped their tasks.
    clearing: usize,
    /// The number of slots that have not yet dropped the tasks of regions.
    ending_regions: usize,
}

struct SlotHandle {
    port: SlotPort,
    io: Io,
}

impl Slots {
    /// Creates the slots, and adds the outputs that start their threads.
    pub(super) fn start(
        count: u32,
        executor: &Signal,
        clock: &Arc<dyn Clock>,
        out: &mut Vec<Output>,
    ) -> Self {
        let signals: Arc<[Signal]> = (0..count).map(|_| Signal::default()).collect();
        let all = signals.iter().enumerate().map(|(index, signal)| {
            let port = SlotPort::new(signal.clone(), executor.clone());
            let io = Io::default();
            let slot = Box::new(Slot::new(port.clone(), io.clone(), clock.clone()));
            out.push(Output::RunSlot { slot, signal: signal.clone(), name: format!("slot-{index}") });
            SlotHandle { port, io }
        });
        let all = all.collect();
        Self {
            all,
            signals,
            metrics: BTreeMap::new(),
            last_metrics: Vec::new(),
            clearing: 0,
            ending_regions: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn signals(&self) -> Arc<[Signal]> {
        self.signals.clone()
    }

    pub(super) fn io(&self, slot: usize) -> Io {
        self.all[slot].io.clone()
    }

    pub(super) fn send(&self, slot: usize, command: SlotCommand) {
        self.all[slot].port.send(command);
    }

    pub(super) fn send_to_all(&self, command: impl Fn() -> SlotCommand) {
        self.all.iter().for_each(|slot| slot.port.send(command()));
    }

    /// Begins to drop all tasks.
    pub(super) fn clear(&mut self) {
        if self.clearing == 0 {
            self.clearing = self.all.len();
            self.metrics.clear();
            self.send_to_all(|| SlotCommand::Clear);
        }
    }

    /// Begins to drop the tasks of regions.
    pub(super) fn end_regions(&mut self, subtasks: &BTreeSet<SubtaskId>) {
        self.ending_regions += self.all.len();
        for metrics in self.metrics.values_mut() {
            metrics.retain(|metrics| !subtasks.contains(&metrics.subtask));
        }
        self.send_to_all(|| SlotCommand::EndRegion(subtasks.clone()));
    }

    /// Whether slots are dropping tasks of regions.
    pub(super) fn is_ending_regions(&self) -> bool {
        self.ending_regions > 0
    }

    pub(super) fn is_clearing(&self) -> bool {
        self.clearing > 0
    }

    /// Takes the slots' events. Requests are passed on, and all other events are returned.
    pub(super) fn take_events(&mut self, out: &mut Vec<Output>) -> Vec<SlotEvent> {
        let mut rest = Vec::new();
        for slot in 0..self.all.len() {
            for event in self.all[slot].port.take_events() {
                match event {
                    SlotEvent::Request(ticket, Request::Store(op)) => {
                        let ticket = Ticket(in_process(slot, ticket.0));
                        out.push(Output::Store { ticket, op: rename_upload(slot, op) });
                    }
                    SlotEvent::Request(ticket, Request::External(call)) => {
                        out.push(Output::Call { ticket: Ticket(in_process(slot, ticket.0)), call });
                    }
                    SlotEvent::CancelCall(ticket) => {
                        out.push(Output::CancelCall { ticket: Ticket(in_process(slot, ticket.0)) });
                    }
                    SlotEvent::Metrics(metrics) => {
                        self.metrics.insert(slot, metrics);
                    }
                    SlotEvent::LastMetrics(metrics) => {
                        // The next heartbeat must not report lower counts.
                        let known = self.metrics.get_mut(&slot).into_iter().flatten();
                        for known in known {
                            let last = metrics.iter().find(|last| last.subtask == known.subtask);
                            last.into_iter().for_each(|last| known.clone_from(last));
                        }
                        self.last_metrics.extend(metrics);
                    }
                    SlotEvent::Cleared => self.clearing = self.clearing.saturating_sub(1),
                    SlotEvent::RegionEnded => self.ending_regions = self.ending_regions.saturating_sub(1),
                    other => rest.push(other),
                }
            }
        }
        rest
    }

    /// Passes an answer on to its slot.
    pub(super) fn answer(&self, ticket: Ticket, answer: impl Into<Answer>) {
        let (slot, ticket) = of_slot(ticket);
        self.send(slot, SlotCommand::Answer(ticket, answer.into()));
    }

    /// Takes the final metrics of tasks that have ended or were dropped.
    pub(super) fn take_last_metrics(&mut self) -> Vec<SubtaskMetrics> {
        std::mem::take(&mut self.last_metrics)
    }

    /// The latest metrics of the subtasks, including the steps in progress.
    pub(super) fn metrics(&self, now: Instant) -> Vec<SubtaskMetrics> {
        let steps: Vec<Step> = self.steps().collect();
        watch::with_steps(self.metrics.values().flatten().cloned(), &steps, now)
    }

    /// The steps in progress on the slots' threads.
    pub(super) fn steps(&self) -> impl Iterator<Item = Step> {
        self.all.iter().filter_map(|slot| slot.port.current_step().get())
    }
}

/// How many bits a slot's own numbers have.
const NUMBER_BITS: u32 = 48;

/// Makes a number of a slot unique in the process. Each slot numbers its own requests and uploads.
fn in_process(slot: usize, number: u64) -> u64 {
    (slot as u64) << NUMBER_BITS | number
}

/// The slot of a request, and the slot's own ticket.
fn of_slot(ticket: Ticket) -> (usize, Ticket) {
    ((ticket.0 >> NUMBER_BITS) as usize, Ticket(ticket.0 & ((1 << NUMBER_BITS) - 1)))
}

fn rename_upload(slot: usize, op: StoreOp) -> StoreOp {
    let unique = |upload: u64| in_process(slot, upload);
    match op {
        StoreOp::Upload { upload, at, part, last } => {
            StoreOp::Upload { upload: unique(upload), at, part, last }
        }
        StoreOp::CancelUpload { upload } => StoreOp::CancelUpload { upload: unique(upload) },
        other => other,
    }
}
