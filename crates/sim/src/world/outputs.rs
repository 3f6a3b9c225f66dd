//! Carries out the outputs of processes.

use super::network::Parcel;
use super::process::{Body, Ended, Slot};
use super::queue::Event;
use super::storage::{Fate, Request};
use super::{ChildStart, ProcessId, World};
use crate::faults::FaultKind;
use reflow_env::{ChildId, ConnId, Input, Output, StoreOp, Ticket};

impl Body {
    /// Whether the process may still get inputs of a connection. Its `Closed` stays in the inbox after it has
    /// closed.
    pub(super) fn is_open(&self, conn: ConnId) -> bool {
        self.connections.contains_key(&conn)
            || self
                .inbox
                .iter()
                .any(|input| matches!(input, Input::Closed { conn: closed, .. } if *closed == conn))
    }
}

impl World {
    pub(super) fn carry_out_output(&mut self, id: ProcessId, output: Output) {
        if self.processes[id.0].body.is_none() {
            return;
        }
        match output {
            Output::Listen { listener, address } => {
                let host = self.processes[id.0].host.clone();
                let input = match self.network.listen(&host, &address, (id, listener)) {
                    Ok(address) => Input::Listening { listener, address },
                    Err(error) => Input::ListenFailed { listener, error },
                };
                let at = self.now + self.rng.skewed(1..=1_000);
                self.queue.push(at, Event::Input(id, input));
            }
            Output::Connect { conn, address } => self.connect(id, conn, &address),
            Output::Send { conn, frame } => {
                if let Some((link, side)) = self.connection(id, conn) {
                    self.send(link, 1 - side, Parcel::Frame(frame));
                }
            }
            Output::Close { conn } => self.close_own(id, conn),
            Output::Store { ticket, op } => self.request(id, ticket, op),
            Output::Call { ticket, call } => self.call(id, ticket, call),
            Output::CancelCall { ticket } => self.cancel_call(id, ticket),
            Output::StartChild { child, command } => {
                let at = self.now + self.rng.skewed(1_000..=100_000);
                if let Some(body) = &mut self.processes[id.0].body {
                    body.starting.insert(child);
                }
                let start = ChildStart { parent: id, child, command };
                self.queue.push(at, Event::ChildStart(Box::new(start)));
            }
            Output::KillChild { child } => self.kill_child(id, child),
            Output::RunSlot { slot, signal, name: _ } => {
                let slot = Slot { slot, signal, waiting: false, version: 0 };
                let Some(body) = &mut self.processes[id.0].body else { return };
                body.slots.push(Some(slot));
                let number = body.slots.len() - 1;
                let at = self.now + self.rng.skewed(1..=1_000);
                self.queue.push(at, Event::Step { process: id, slot: number, version: 0 });
            }
            Output::Exit { code, reason } => {
                let text = format!("exits with {code} {reason}");
                self.trace.note(self.now, &self.processes[id.0].name, &text);
                self.end(id, Ended { code: Some(code), reason });
            }
        }
    }

    fn connection(&self, id: ProcessId, conn: ConnId) -> Option<(usize, usize)> {
        self.processes[id.0].body.as_ref()?.connections.get(&conn).copied()
    }

    fn connect(&mut self, id: ProcessId, conn: ConnId, address: &str) {
        let host = self.processes[id.0].host.clone();
        match self.network.connect(&host, address, (id, conn)) {
            Ok(link) => {
                if let Some(body) = &mut self.processes[id.0].body {
                    body.connections.insert(conn, (link, 0));
                }
                self.send(link, 1, Parcel::Open);
                let at = self.now + self.rng.within(3_000_000..=10_000_000);
                self.queue.push(at, Event::ConnectTimeout(link));
            }
            Err(reason) => self.queue.push(self.now, Event::Input(id, Input::Closed { conn, reason })),
        }
    }

    fn close_own(&mut self, id: ProcessId, conn: ConnId) {
        let Some(body) = &mut self.processes[id.0].body else { return };
        body.inbox.retain(|input| !concerns(input, conn));
        if let Some((link, side)) = body.connections.remove(&conn) {
            self.close(link, side, "the peer closed the connection");
        }
    }

    fn kill_child(&mut self, id: ProcessId, child: ChildId) {
        let Some(body) = &mut self.processes[id.0].body else { return };
        if let Some(&process) = body.children.get(&child) {
            self.kill(process);
        } else if body.starting.remove(&child) {
            let input = Input::ChildExited { child, status: "killed by signal 9".to_owned() };
            self.queue.push(self.now, Event::Input(id, input));
        }
    }

    /// Sends a request to the store, and chooses its fate.
    fn request(&mut self, process: ProcessId, ticket: Ticket, op: StoreOp) {
        let fate = self.fate(&op);
        let mut delay = self.rng.skewed(100..=20_000);
        if self.rng.chance(self.faults.store_slow) {
            self.strikes.strike(FaultKind::StoreSlow);
            delay = self.rng.skewed(100_000..=5_000_000);
        }
        let mut at = self.now + delay;
        let Some(body) = &mut self.processes[process.0].body else { return };
        if let StoreOp::Upload { upload, .. } | StoreOp::CancelUpload { upload } = &op {
            let last = body.uploads.entry(*upload).or_default();
            at = at.max(*last);
            *last = at;
        }
        let answer_after = self.rng.skewed(1..=2_000);
        self.queue.push(at, Event::Store(Box::new(Request { process, ticket, op, fate, answer_after })));
    }

    fn fate(&mut self, op: &StoreOp) -> Fate {
        let writes = matches!(op, StoreOp::Put { .. } | StoreOp::Upload { .. });
        if writes && self.faults.disk_full {
            self.strikes.strike(FaultKind::DiskFull);
            return Fate::Failed("no space left on device");
        }
        if self.rng.chance(self.faults.store_error) {
            self.strikes.strike(FaultKind::StoreError);
            return Fate::Failed("the store did not answer");
        }
        if self.rng.chance(self.faults.store_error_although_done) {
            self.strikes.strike(FaultKind::StoreErrorAlthoughDone);
            return Fate::FailedAlthoughDone;
        }
        match op {
            StoreOp::Get { at, .. } if at.0.contains(&self.damageable) => self.flip(&at.0),
            _ => Fate::Done,
        }
    }

    /// The fate of a read: sometimes a flipped bit, in this answer or in all.
    fn flip(&mut self, name: &str) -> Fate {
        let damageable = self.faults.store_bit_flip > 0.0 && self.damage_left > 0 && is_of_checkpoint(name);
        if damageable && self.rng.chance(0.2) {
            self.damage(name);
        } else if self.rng.chance(self.faults.store_bit_flip) && self.storage.may_misread(name) {
            self.strikes.strike(FaultKind::StoreBitFlip);
            return Fate::BitFlipped(self.rng.bits());
        }
        Fate::Done
    }

    /// Damages a random object of a checkpoint, if another one may be damaged.
    pub fn damage_any(&mut self) {
        let objects = self.storage.below(&self.damageable).map(|(name, _)| name.to_owned());
        let objects: Vec<String> = objects.filter(|name| is_of_checkpoint(name)).collect();
        if self.damage_left > 0
            && let Some(name) = self.rng.pick(&objects)
        {
            self.damage(name);
        }
    }

    fn damage(&mut self, name: &str) {
        self.damage_left -= 1;
        self.strikes.strike(FaultKind::StoreDamage);
        self.storage.damage(name, self.rng.bits());
    }

    /// Carries out a request. A request of a process that has ended may be lost.
    pub(super) fn carry_out(&mut self, request: Request) {
        let Request { process, ticket, op, fate, answer_after } = request;
        if self.processes[process.0].body.is_none() && self.lost_with_process(&op) {
            self.strikes.strike(FaultKind::RequestLost);
            return;
        }
        let result = self.storage.carry_out(process, op, fate);
        self.queue.push(self.now + answer_after, Event::Input(process, Input::Stored { ticket, result }));
    }

    /// Whether the request is lost because its process has ended: an upload needs its writer until the end, other
    /// requests may already be on their way.
    fn lost_with_process(&mut self, op: &StoreOp) -> bool {
        matches!(op, StoreOp::Upload { .. }) || self.rng.chance(0.5)
    }
}

fn is_of_checkpoint(name: &str) -> bool {
    name.ends_with("/_metadata") || name.contains("/data/")
}

fn concerns(input: &Input, conn: ConnId) -> bool {
    match input {
        Input::Accepted { conn: of, .. }
        | Input::Connected { conn: of, .. }
        | Input::Received { conn: of, .. }
        | Input::Silent { conn: of }
        | Input::Closed { conn: of, .. } => *of == conn,
        _ => false,
    }
}
