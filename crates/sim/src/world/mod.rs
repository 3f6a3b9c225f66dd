//! The simulated world: processes, network and storage with one clock, on one thread, from one seed.
//!
//! Everything that happens is an event with a time. Events are handled in the order of their times, and
//! everything that takes time takes a random time. A process takes its inputs one by one from an inbox, each some
//! time after the previous one, so that concurrent events are interleaved in every way. Its slots step at random
//! moments in between.
//!
//! The world makes no decisions about a cluster: [`World::start`] and the [`Spawner`] determine what runs;
//! [`Faults`] and the calls that kill, freeze and partition determine what goes wrong.

mod calls;
mod clock;
mod network;
mod outputs;
mod process;
mod queue;
mod storage;
mod time;

pub use calls::System;
pub use process::{Context, Ended, Program};
pub use storage::{Change, ChangeKind, Storage};
pub use time::{BEGIN, Time};

use crate::faults::{FaultKind, Faults, Strikes};
use crate::rng::Rng;
use crate::trace::Trace;
use bytes::Bytes;
use clock::SimClock;
pub use clock::Work;
use network::{Arrival, Arrived, Network, Parcel};
use process::{Body, Running};
use queue::{Event, Queue};
use reflow_env::{ChildCommand, ChildId, ConnId, Input, Signal, SlotStep, Ticket};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// When the ends of a connection that hear nothing of each other give it up, in microseconds: after the default of
/// `heartbeat.silence-timeout`, counted from the last sign of life.
const SILENCE: (Time, Time) = (1_600_000, 2_000_000);

/// In which directions a partition holds back what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directions {
    Both,
    /// From the first host to the second one.
    One,
}

/// A frame that a process has received.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The process's name.
    pub process: String,
    /// The connection.
    pub conn: ConnId,
    pub frame: Bytes,
}

/// The id of a process of the world, which is never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(pub usize);

/// Creates the process that a command starts.
pub trait Spawner {
    /// The program, or the reason why it cannot be started.
    fn spawn(&mut self, context: &Context, command: &ChildCommand) -> Result<Program, String>;
}

/// A world without child processes.
pub struct NoChildren;

impl Spawner for NoChildren {
    fn spawn(&mut self, _: &Context, command: &ChildCommand) -> Result<Program, String> {
        Err(format!("{}: no such file", command.program.display()))
    }
}

struct ChildStart {
    parent: ProcessId,
    child: ChildId,
    command: ChildCommand,
}

/// The world.
pub struct World {
    now: Time,
    /// The current time, for the clocks of processes.
    shared_now: Arc<AtomicU64>,
    rng: Rng,
    queue: Queue,
    processes: Vec<Running>,
    network: Network,
    spawner: Box<dyn Spawner>,
    /// The time that a reading of the clock takes, in microseconds, which is what work costs.
    pub look_cost_us: RangeInclusive<u64>,
    /// The prefix of objects whose reads may return a flipped bit.
    damageable: String,
    /// All objects.
    pub storage: Storage,
    /// The systems outside the cluster, by name.
    systems: BTreeMap<String, Box<dyn System>>,
    /// Calls that are neither answered nor cancelled.
    calls: BTreeSet<(ProcessId, Ticket)>,
    /// The probabilities of faults.
    pub faults: Faults,
    /// The number of objects that may still be damaged.
    pub damage_left: u64,
    /// The faults that have struck.
    pub strikes: Strikes,
    pub trace: Trace,
    seen: Option<Seen>,
    /// The process that had the last turn.
    last_turn: Option<ProcessId>,
    /// The number of events at the current moment.
    events_at_once: u64,
}

impl World {
    /// An empty world.
    pub fn new(seed: u64, spawner: Box<dyn Spawner>, strikes: Strikes, trace: Trace) -> Self {
        Self {
            now: BEGIN,
            shared_now: Arc::new(AtomicU64::new(BEGIN)),
            rng: Rng::new(seed).fork("world"),
            queue: Queue::default(),
            processes: Vec::new(),
            network: Network::default(),
            spawner,
            look_cost_us: 1..=50,
            damageable: "/checkpoints/".to_owned(),
            storage: Storage::default(),
            systems: BTreeMap::new(),
            calls: BTreeSet::new(),
            faults: Faults::default(),
            damage_left: 0,
            strikes,
            trace,
            seen: None,
            last_turn: None,
            events_at_once: 0,
        }
    }

    /// The current time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Starts a process on a host.
    pub fn start(&mut self, host: &str, make: impl FnOnce(&Context) -> Program) -> ProcessId {
        let (context, clock) = self.context(host);
        let program = make(&context);
        self.add(context, clock, program, None)
    }

    fn context(&mut self, host: &str) -> (Context, Arc<SimClock>) {
        let seed = self.rng.bits();
        let clock = SimClock::new(self.shared_now.clone(), self.look_cost_us.clone(), Rng::new(seed));
        let clock = Arc::new(clock);
        let signal = Signal::default();
        let work = Work::of(clock.clone());
        (Context { host: host.to_owned(), clock: clock.clone(), work, signal, seed }, clock)
    }

    fn add(
        &mut self,
        context: Context,
        clock: Arc<SimClock>,
        program: Program,
        parent: Option<(ProcessId, ChildId)>,
    ) -> ProcessId {
        let id = ProcessId(self.processes.len());
        let Program { name, process } = program;
        self.trace.note(self.now, &name, "starts");
        let body = Some(Body::new(process, context.signal, clock));
        self.processes.push(Running { name, host: context.host, parent, body, ended: None });
        self.schedule_turn(id);
        id
    }

    /// The end of a process, if it has ended.
    pub fn ended(&self, id: ProcessId) -> Option<&Ended> {
        self.processes[id.0].ended.as_ref()
    }

    /// The processes that run, in the order of their start, with their names.
    pub fn running(&self) -> impl Iterator<Item = (ProcessId, &str)> {
        let numbered = self.processes.iter().enumerate();
        numbered.filter(|(_, p)| p.body.is_some()).map(|(number, p)| (ProcessId(number), p.name.as_str()))
    }

    /// The running children of a process.
    pub fn children(&self, id: ProcessId) -> Vec<ProcessId> {
        self.processes[id.0]
            .body
            .as_ref()
            .map_or(Vec::new(), |body| body.children.values().copied().collect())
    }

    /// The host of a process.
    pub fn host(&self, id: ProcessId) -> &str {
        &self.processes[id.0].host
    }

    /// Sends SIGTERM to a process.
    pub fn terminate(&mut self, id: ProcessId) {
        self.deliver(id, Input::Terminate);
    }

    /// Kills a process with SIGKILL. Its children end with it or shortly after.
    pub fn kill(&mut self, id: ProcessId) {
        self.trace.note(self.now, &self.processes[id.0].name, "is killed");
        self.end(id, Ended { code: None, reason: "killed by signal 9".to_owned() });
    }

    /// A signal of the process was raised from outside.
    pub fn signal(&mut self, id: ProcessId) {
        self.trace.note(self.now, &self.processes[id.0].name, "is asked for something");
        self.settle(id);
    }

    /// Freezes a process for a while. Its connections stay open.
    pub fn freeze(&mut self, id: ProcessId, pause: Duration) {
        let until = self.now + pause.as_micros() as Time;
        if let Some(body) = &mut self.processes[id.0].body {
            body.frozen_until = body.frozen_until.max(until);
            self.trace.note(self.now, &self.processes[id.0].name, "freezes");
        }
    }

    /// Slows a process down for a while: each turn takes up to `turn`.
    pub fn slow_down(&mut self, id: ProcessId, lasts: Duration, turn: Duration) {
        let until = self.now + lasts.as_micros() as Time;
        if let Some(body) = &mut self.processes[id.0].body {
            body.slow = (until, turn.as_micros() as u64);
            self.trace.note(self.now, &self.processes[id.0].name, "gets slow");
        }
    }

    /// Whether the process runs and is not frozen.
    pub fn is_awake(&self, id: ProcessId) -> bool {
        self.processes[id.0].body.as_ref().is_some_and(|body| body.frozen_until <= self.now)
    }

    /// Whether nothing arrives from one of two hosts at the other.
    pub fn are_cut_off(&self, a: &str, b: &str) -> bool {
        self.network.are_cut_off(a, b)
    }

    /// Points a name at a host, for all hosts or only for `viewer`. Existing connections stay.
    pub fn point(&mut self, viewer: Option<&str>, name: &str, host: &str) {
        self.network.point(viewer, name, host);
    }

    /// Takes the process whose turn the last event was, if it was one.
    pub fn take_last_turn(&mut self) -> Option<ProcessId> {
        self.last_turn.take()
    }

    /// The number of events at the current moment. Many are a loop in which no time passes.
    pub fn events_at_once(&self) -> u64 {
        self.events_at_once
    }

    /// Cuts two hosts off from each other, in both directions or in one. Some connections between them break, others
    /// survive, unless their ends give up because they hear nothing.
    pub fn partition(&mut self, a: &str, b: &str, directions: Directions) {
        self.trace.note(self.now, a, &format!("is cut off from {b} ({directions:?})"));
        let mut links = self.network.partition(a, b);
        if directions == Directions::Both {
            links = self.network.partition(b, a);
        }
        for link in links {
            let fate = self.rng.within(0..=2);
            for side in [0, 1] {
                match fate {
                    0 if directions == Directions::Both => {
                        self.network.break_link(link);
                        let at = self.now + self.rng.skewed(1_000..=20_000_000);
                        self.queue.push(at, Event::Noticed { link, side });
                    }
                    1 => {
                        let at = self.now + self.rng.within(SILENCE.0..=SILENCE.1);
                        self.queue.push(at, Event::Silent { link, side });
                    }
                    _ => {}
                }
            }
        }
    }

    /// Ends a partition.
    pub fn heal(&mut self, a: &str, b: &str) {
        self.trace.note(self.now, a, &format!("reaches {b} again"));
        for arrival in self.network.heal(a, b) {
            self.arrive(arrival);
        }
    }

    /// Takes the frame that a process received in the last event, if any.
    pub fn take_seen(&mut self) -> Option<Seen> {
        self.seen.take()
    }

    /// Handles the next event that is due at `until` or before. If there is none, advances the time to `until`
    /// and returns false.
    pub fn advance(&mut self, until: Time) -> bool {
        match self.queue.pop(until) {
            Some((at, event)) => {
                self.set_now(at);
                self.handle(event);
                true
            }
            None => {
                self.set_now(self.now.max(until));
                false
            }
        }
    }

    fn set_now(&mut self, now: Time) {
        self.events_at_once = if now == self.now { self.events_at_once + 1 } else { 0 };
        self.now = now;
        self.shared_now.store(now, Ordering::Relaxed);
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Turn(id) => self.turn(id),
            Event::Timer(id) => {
                if let Some(body) = &mut self.processes[id.0].body {
                    body.timer = None;
                    self.schedule_turn(id);
                }
            }
            Event::Step { process, slot, version } => self.step(process, slot, version),
            Event::Input(id, input) => self.deliver(id, input),
            Event::Arrival(arrival) => self.arrive(arrival),
            Event::ConnectTimeout(link) => {
                if let Some((process, conn)) = self.network.give_up_connecting(link) {
                    self.deliver(process, Input::Silent { conn });
                    self.tell_closed(process, conn, "connection timed out".to_owned());
                }
            }
            Event::Noticed { link, side } => {
                if self.network.close(link, side)
                    && let Some((process, conn)) = self.network.links[link].ends[side].owner
                {
                    self.tell_closed(process, conn, "no route to host".to_owned());
                }
            }
            Event::Silent { link, side } => {
                if self.network.is_silent(link, side)
                    && let Some((process, conn)) = self.network.links[link].ends[side].owner
                {
                    self.deliver(process, Input::Silent { conn });
                    self.close(link, side, "the peer closed the connection");
                    self.tell_closed(process, conn, "the peer has been silent for 2000 ms".to_owned());
                }
            }
            Event::Store(request) => self.carry_out(*request),
            Event::Call(arriving) => self.call_arrives(*arriving),
            Event::Called(process, ticket, result) => self.called(process, ticket, *result),
            Event::CallTimeout(process, ticket, error) => self.called(process, ticket, Err(*error)),
            Event::ChildStart(start) => self.start_child(*start),
            Event::Kill(id, reason) => self.end(id, Ended { code: None, reason }),
        }
    }

    /// Puts an input into a process's inbox.
    fn deliver(&mut self, id: ProcessId, input: Input) {
        if let Some(body) = &mut self.processes[id.0].body {
            body.inbox.push_back(input);
            self.schedule_turn(id);
        }
    }

    fn tell_closed(&mut self, process: ProcessId, conn: ConnId, reason: String) {
        if let Some(body) = &mut self.processes[process.0].body {
            body.connections.remove(&conn);
        }
        self.deliver(process, Input::Closed { conn, reason });
    }

    fn schedule_turn(&mut self, id: ProcessId) {
        let Some(body) = &mut self.processes[id.0].body else { return };
        if !body.turn_scheduled {
            body.turn_scheduled = true;
            let (slow_until, slowest) = body.slow;
            let slowest = if self.now < slow_until { slowest } else { 500 };
            let at = (self.now + self.rng.skewed(1..=slowest)).max(body.frozen_until);
            self.queue.push(at, Event::Turn(id));
        }
    }

    /// A process takes an input, or a wakeup.
    fn turn(&mut self, id: ProcessId) {
        let Some(body) = &mut self.processes[id.0].body else { return };
        body.turn_scheduled = false;
        if body.frozen_until > self.now {
            return self.schedule_turn(id);
        }
        let clock = body.clock.read();
        let wakeup = body.raised || body.process.next_wakeup().is_some_and(|at| at <= clock);
        let first = matches!(body.inbox.front(), Some(Input::Start));
        let input = if wakeup && !first && (body.inbox.is_empty() || self.rng.chance(0.5)) {
            body.raised = false;
            Input::Wakeup
        } else {
            match body.inbox.pop_front() {
                // The process has closed the connection, so it gets no more frames of it.
                Some(Input::Received { conn, .. }) if !body.is_open(conn) => return self.settle(id),
                Some(input) => input,
                None => return self.settle(id),
            }
        };
        self.trace.input(self.now, &self.processes[id.0].name, &input);
        if let Input::Received { conn, frame } = &input {
            let process = self.processes[id.0].name.clone();
            self.seen = Some(Seen { process, conn: *conn, frame: frame.clone() });
        }
        let Some(body) = &mut self.processes[id.0].body else { return };
        let mut out = Vec::new();
        body.process.handle(clock, input, &mut out);
        self.last_turn = Some(id);
        for output in out {
            self.carry_out_output(id, output);
        }
        self.settle(id);
    }

    /// Runs a step of a slot.
    fn step(&mut self, id: ProcessId, number: usize, version: u64) {
        let Some(body) = &mut self.processes[id.0].body else { return };
        let (clock, frozen_until) = (body.clock.read(), body.frozen_until);
        let Some(slot) = &mut body.slots[number] else { return };
        if slot.version != version {
            return;
        }
        if frozen_until > self.now {
            self.queue.push(frozen_until, Event::Step { process: id, slot: number, version });
            return;
        }
        slot.version += 1;
        let step = slot.slot.step(clock);
        self.trace.step(self.now, &self.processes[id.0].name, number, step);
        let Some(body) = &mut self.processes[id.0].body else { return };
        let spent_to = body.clock.spent_to();
        let wait = |until| body.clock.world_time(until).max(spent_to + 1);
        let again = match step {
            SlotStep::Ready => Some(spent_to + self.rng.skewed(20..=2_000)),
            SlotStep::Wait(until) => until.map(wait),
            SlotStep::Ended => None,
        };
        if step == SlotStep::Ended {
            body.slots[number] = None;
            body.inbox.push_back(Input::Wakeup);
        } else if let Some(slot) = &mut body.slots[number] {
            slot.waiting = step != SlotStep::Ready;
            if let Some(at) = again {
                let version = slot.version;
                self.queue.push(at, Event::Step { process: id, slot: number, version });
            }
        }
        self.settle(id);
    }

    /// Schedules the consequences of a process's activity. Only its own code can raise its signals, apart from
    /// users.
    fn settle(&mut self, id: ProcessId) {
        let Some(body) = &mut self.processes[id.0].body else { return };
        body.raised |= body.signal.take();
        let turn = body.raised || !body.inbox.is_empty();
        for (number, slot) in body.slots.iter_mut().enumerate() {
            let Some(slot) = slot else { continue };
            if slot.waiting && slot.signal.take() {
                slot.waiting = false;
                slot.version += 1;
                let at = self.now + self.rng.skewed(1..=300);
                self.queue.push(at, Event::Step { process: id, slot: number, version: slot.version });
            }
        }
        if let Some(at) = body.process.next_wakeup() {
            let at = body.clock.world_time(at).max(self.now);
            if body.timer.is_none_or(|timer| at < timer) {
                body.timer = Some(at);
                self.queue.push(at, Event::Timer(id));
            }
        }
        if turn {
            self.schedule_turn(id);
        }
    }

    /// Ends a process, with everything that belongs to it.
    fn end(&mut self, id: ProcessId, ended: Ended) {
        let running = &mut self.processes[id.0];
        let Some(body) = running.body.take() else { return };
        let killed = ended.code.is_none();
        running.ended = Some(ended.clone());
        let parent = running.parent;
        self.network.stop_listening(id);
        for &(link, side) in body.connections.values() {
            if killed {
                let lost = self.network.lose(link, side, |under_way| self.rng.within(0..=under_way));
                if lost > 0 {
                    self.strikes.strike(FaultKind::FramesLost);
                }
            }
            self.close(link, side, "connection reset by peer");
        }
        self.storage.forget(id);
        self.calls.retain(|(process, _)| *process != id);
        for &child in body.children.values() {
            let at = self.now + if self.rng.chance(0.5) { 0 } else { self.rng.skewed(1..=20_000) };
            self.queue.push(at, Event::Kill(child, "its parent is gone".to_owned()));
        }
        if let Some((parent, child)) = parent {
            let status = ended.code.map_or(ended.reason, |code| format!("exit code {code}"));
            if let Some(body) = &mut self.processes[parent.0].body {
                body.children.remove(&child);
            }
            let at = self.now + self.rng.skewed(10..=5_000);
            self.queue.push(at, Event::Input(parent, Input::ChildExited { child, status }));
        }
    }

    fn arrive(&mut self, arrival: Arrival) {
        let link = arrival.link;
        match self.network.arrive(arrival) {
            Arrived::Nothing => {}
            Arrived::ToAccept(process, listener) => {
                let Some(body) = &mut self.processes[process.0].body else { return };
                let conn = ConnId(ConnId::ACCEPTED + body.accepted);
                body.accepted += 1;
                body.connections.insert(conn, (link, 1));
                self.network.accept(link, (process, conn));
                self.deliver(process, Input::Accepted { conn, listener });
                self.send(link, 0, Parcel::Accepted);
            }
            Arrived::Refused(reason) => self.send(link, 0, Parcel::Closed(reason)),
            Arrived::ToTell(process, conn, what) => match what {
                Parcel::Accepted => {
                    let local = self.processes[process.0].host.clone();
                    self.deliver(process, Input::Connected { conn, local });
                }
                Parcel::Frame(frame) => self.deliver(process, Input::Received { conn, frame }),
                Parcel::Closed(reason) => self.tell_closed(process, conn, reason),
                Parcel::Open => {}
            },
        }
    }

    /// Sends something over a connection.
    fn send(&mut self, link: usize, to: usize, what: Parcel) {
        let [a, b] = &self.network.links[link].hosts;
        let mut delay = if a == b { self.rng.skewed(5..=200) } else { self.rng.skewed(50..=5_000) };
        if self.rng.chance(self.faults.frame_slow) {
            self.strikes.strike(FaultKind::FrameSlow);
            delay = self.rng.skewed(10_000..=1_000_000);
        }
        let (at, arrival) = self.network.send(self.now, delay, link, to, what);
        self.queue.push(at, Event::Arrival(arrival));
    }

    fn close(&mut self, link: usize, side: usize, reason: &str) {
        if self.network.close(link, side) {
            self.send(link, 1 - side, Parcel::Closed(reason.to_owned()));
        }
    }

    fn start_child(&mut self, start: ChildStart) {
        let ChildStart { parent, child, command } = start;
        let Some(body) = &mut self.processes[parent.0].body else { return };
        if !body.starting.remove(&child) {
            return;
        }
        let (context, clock) = self.context(&self.processes[parent.0].host.clone());
        match self.spawner.spawn(&context, &command) {
            Ok(program) => {
                let id = self.add(context, clock, program, Some((parent, child)));
                if let Some(body) = &mut self.processes[parent.0].body {
                    body.children.insert(child, id);
                }
            }
            Err(reason) => {
                let status = format!("cannot be started: {reason}");
                self.deliver(parent, Input::ChildExited { child, status });
            }
        }
    }
}
