//! Executors without processes: slots that are stepped one at a time, and the channels between them.

use crate::clock::ManualClock;
use crate::order::Order;
use crate::peer::Peer;
use crate::store::MemoryStore;
use reflow_api::Io;
use reflow_env::{Answer, Call, Clock, Request, Signal, SlotLoop, SlotStep, StoreResult, Ticket};
use reflow_network::{Hub, Outgoing};
use reflow_protocol::control::SubtaskMetrics;
use reflow_protocol::data::{DataFrame, ToSender};
use reflow_runtime::{Slot, SlotCommand, SlotEvent, SlotPort, TaskEvent};
use reflow_types::{Bounds, ExecutorId, Instant, SubtaskId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// One executor: its slots and its end of the network.
pub(crate) struct Executor {
    pub(crate) id: ExecutorId,
    pub(crate) hub: Hub,
    pub(crate) signals: Vec<Signal>,
}

/// A slot. As on its thread, it is stepped when it has more work, when its signal was raised, and when its time
/// has come, so a lost wakeup shows in tests.
pub(crate) struct SteppedSlot {
    slot: Slot,
    pub(crate) port: SlotPort,
    pub(crate) io: Io,
    signal: Signal,
    ready: bool,
    wake: Option<Instant>,
}

/// All executors of an attempt. Slot `s` of executor `e` has the number `e + s * executors`.
pub(crate) struct Machines {
    pub(crate) executors: Vec<Executor>,
    pub(crate) slots: Vec<SteppedSlot>,
    /// Frames in transit by sender and receiver, in order.
    links: BTreeMap<(ExecutorId, ExecutorId), VecDeque<Frame>>,
    answers: VecDeque<(usize, Ticket, StoreResult)>,
    /// The systems outside the cluster.
    pub(crate) peers: Vec<Peer>,
    calls: Vec<WaitingCall>,
    /// Whether answers from storage are withheld.
    pub(crate) storage_held: bool,
    /// Whether frames are withheld.
    pub(crate) network_held: bool,
    pub(crate) events: Vec<(SubtaskId, TaskEvent)>,
    pub(crate) metrics: Vec<SubtaskMetrics>,
}

/// A call that is not answered.
struct WaitingCall {
    slot: usize,
    ticket: Ticket,
    call: Call,
    peer: Peer,
    /// When its time is up.
    until: Instant,
    /// Whether it is never answered.
    is_lost: bool,
}

impl WaitingCall {
    fn can_end(&self, now: Instant) -> bool {
        self.until <= now || !self.is_lost && !self.peer.is_held()
    }
}

enum Frame {
    Data(DataFrame),
    Credit(ToSender),
}

/// An event that may happen next.
enum Next {
    Slot(usize),
    Link((ExecutorId, ExecutorId)),
    Answer,
    Call,
}

impl Machines {
    /// Creates executors. `survivors` are slots of an earlier attempt, which keep their numbers. All other slots
    /// are new.
    pub(crate) fn new(
        executors: usize,
        (slots, bounds): (usize, Bounds),
        clock: &ManualClock,
        survivors: Vec<SteppedSlot>,
    ) -> Self {
        let executor = |number: usize| Executor {
            id: ExecutorId(number as u128 + 1),
            hub: Hub::with_bounds(Signal::default(), bounds),
            signals: Vec::new(),
        };
        let mut executors: Vec<Executor> = (0..executors).map(executor).collect();
        let count = executors.len();
        let mut survivors = survivors.into_iter();
        let slot = |number: usize| {
            if let Some(survivor) = survivors.next() {
                executors[number % count].signals.push(survivor.signal.clone());
                return survivor;
            }
            let (signal, io) = (Signal::default(), Io::default());
            executors[number % count].signals.push(signal.clone());
            let port = SlotPort::new(signal.clone(), Signal::default());
            let slot = Slot::new(port.clone(), io.clone(), Arc::new(clock.clone()));
            SteppedSlot { slot, port, io, signal, ready: false, wake: None }
        };
        let slots = (0..slots).map(slot).collect();
        Self {
            executors,
            slots,
            links: BTreeMap::new(),
            answers: VecDeque::new(),
            peers: Vec::new(),
            calls: Vec::new(),
            storage_held: false,
            network_held: false,
            events: Vec::new(),
            metrics: Vec::new(),
        }
    }

    /// Ends the attempt. Frames and answers in transit are lost. Returns the slots.
    pub(crate) fn end(mut self, clock: &ManualClock) -> Vec<SteppedSlot> {
        self.send_to_all(|| SlotCommand::Clear);
        for slot in &mut self.slots {
            slot.slot.step(clock.now());
            slot.port.take_events();
        }
        self.slots
    }

    pub(crate) fn send_to_all(&self, command: impl Fn() -> SlotCommand) {
        self.slots.iter().for_each(|slot| slot.port.send(command()));
    }

    /// Wakes all slots, because something outside of the job has changed.
    pub(crate) fn wake_all(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.ready = true);
    }

    /// The earliest time at which a sleeping slot must be woken, or the time of a call is up.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        let slots = self.slots.iter().filter_map(|slot| slot.wake);
        slots.chain(self.calls.iter().map(|call| call.until)).min()
    }

    /// Carries out one event. Returns whether there was one.
    pub(crate) fn step(&mut self, order: &mut Order, clock: &ManualClock, store: &mut MemoryStore) -> bool {
        let now = clock.now();
        let mut possible = Vec::new();
        for (number, slot) in self.slots.iter_mut().enumerate() {
            slot.ready |= slot.signal.take() || slot.wake.is_some_and(|wake| wake <= now);
            if slot.ready {
                possible.push(Next::Slot(number));
            }
        }
        if !self.network_held {
            let links = self.links.iter().filter(|(_, link)| !link.is_empty());
            possible.extend(links.map(|(ends, _)| Next::Link(*ends)));
        }
        if !self.storage_held && !self.answers.is_empty() {
            possible.push(Next::Answer);
        }
        if self.calls.iter().any(|call| call.can_end(now)) {
            possible.push(Next::Call);
        }
        if possible.is_empty() {
            return false;
        }
        match possible.swap_remove(order.pick(possible.len())) {
            Next::Slot(number) => self.step_slot(number, now, store),
            Next::Link(ends) => self.deliver(ends),
            Next::Answer => {
                if let Some((slot, ticket, result)) = self.answers.pop_front() {
                    self.slots[slot].port.send(SlotCommand::Answer(ticket, result.into()));
                }
            }
            Next::Call => self.end_call(order, now),
        }
        true
    }

    /// Answers one of the calls that can be answered, or ends one whose time is up.
    fn end_call(&mut self, order: &mut Order, now: Instant) {
        let count = self.calls.len();
        let first = order.pick(count);
        let mut numbers = (first..count).chain(0..first);
        let Some(number) = numbers.find(|number| self.calls[*number].can_end(now)) else { return };
        let waiting = &mut self.calls[number];
        let result = match waiting.until <= now {
            true => Some(Err(waiting.call.timed_out())),
            false => waiting.peer.answer(&waiting.call),
        };
        let Some(result) = result else {
            waiting.is_lost = true;
            return;
        };
        let WaitingCall { slot, ticket, .. } = self.calls.remove(number);
        self.slots[slot].port.send(SlotCommand::Answer(ticket, Answer::External(result)));
    }

    fn begin_call(&mut self, slot: usize, ticket: Ticket, call: Call, now: Instant) {
        let peer = self.peers.iter().find(|peer| peer.is_for(&call)).cloned();
        let peer = peer.unwrap_or_else(|| panic!("the test adds no system for {call:?}"));
        peer.arrived();
        let until = now + call.time_limit();
        self.calls.push(WaitingCall { slot, ticket, call, peer, until, is_lost: false });
    }

    fn step_slot(&mut self, number: usize, now: Instant, store: &mut MemoryStore) {
        let slot = &mut self.slots[number];
        let step = slot.slot.step(now);
        (slot.ready, slot.wake) = match step {
            SlotStep::Ready => (true, None),
            SlotStep::Wait(wake) => (false, wake),
            SlotStep::Ended => (false, None),
        };
        let (mut begun, mut canceled) = (Vec::new(), Vec::new());
        for event in slot.port.take_events() {
            match event {
                SlotEvent::Task { subtask, event, .. } => self.events.push((subtask, event)),
                SlotEvent::Request(ticket, Request::Store(op)) => {
                    self.answers.push_back((number, ticket, store.answer(number, op)));
                }
                SlotEvent::Metrics(metrics) => self.metrics.extend(metrics),
                SlotEvent::Request(ticket, Request::External(call)) => begun.push((ticket, call)),
                SlotEvent::CancelCall(ticket) => canceled.push(ticket),
                SlotEvent::LastMetrics(_) | SlotEvent::Cleared | SlotEvent::RegionEnded => {}
            }
        }
        begun.into_iter().for_each(|(ticket, call)| self.begin_call(number, ticket, call, now));
        if !canceled.is_empty() {
            self.calls.retain(|call| call.slot != number || !canceled.contains(&call.ticket));
        }
        for executor in &self.executors {
            for outgoing in executor.hub.take_outgoing() {
                let (to, frame) = match outgoing {
                    Outgoing::Data(to, bytes) => {
                        (to, Frame::Data(DataFrame::decode(bytes).expect("a frame that was just encoded")))
                    }
                    Outgoing::Credit(to, message) => (to, Frame::Credit(message)),
                };
                self.links.entry((executor.id, to)).or_default().push_back(frame);
            }
        }
    }

    fn deliver(&mut self, ends: (ExecutorId, ExecutorId)) {
        let Some(frame) = self.links.get_mut(&ends).and_then(VecDeque::pop_front) else { return };
        let receiver = self.executors.iter().find(|executor| executor.id == ends.1);
        let hub = &receiver.expect("frames go to executors of the attempt").hub;
        match frame {
            Frame::Data(frame) => hub.deliver(frame),
            Frame::Credit(message) => hub.credit(message),
        }
    }
}
