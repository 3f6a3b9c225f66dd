//! Calls to simulated systems outside the cluster.
//!
//! The client's own function is not run: the request goes to a [`System`], a state machine that all hosts reach. It
//! arrives late, or not at all; its answer may be lost; and it may arrive twice, as with a proxy that repeats it. A
//! call ends for its process when it is answered, cancelled or its time is up, whatever becomes of the request.

use super::queue::Event;
use super::{ProcessId, Storage, Time, World};
use crate::faults::FaultKind;
use reflow_env::{Call, CallError, CallResult, Input, Ticket};
use std::any::Any;

/// A simulated system outside the cluster.
pub trait System {
    /// Carries out a request. `None` if there is no answer yet: then it is asked again later, for as long as the
    /// caller waits. `disk` is where it keeps what a user sees of it.
    fn answer(
        &mut self,
        now: Time,
        request: &(dyn Any + Send + Sync),
        disk: &mut Storage,
    ) -> Option<CallResult>;
}

/// A request on its way to a system.
pub(super) struct SentCall {
    pub(super) process: ProcessId,
    pub(super) ticket: Ticket,
    pub(super) call: Call,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is carried out and answered.
    Done,
    /// It does not arrive.
    Lost,
    /// It is carried out, and the answer is lost.
    AnswerLost,
    /// It is carried out and answered, and then carried out again.
    Twice,
    /// The second time.
    Again,
}

/// The connection to a system was lost.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct ConnectionLost(&'static str);

impl World {
    /// Adds a system, which clients of this name reach.
    pub fn add_system(&mut self, name: &str, system: Box<dyn System>) {
        self.systems.insert(name.to_owned(), system);
    }

    pub(super) fn call(&mut self, process: ProcessId, ticket: Ticket, call: Call) {
        let fate = self.fate_of_call();
        let mut delay = self.rng.skewed(100..=20_000);
        if self.rng.chance(self.faults.call_slow) {
            self.strikes.strike(FaultKind::CallSlow);
            delay = self.rng.skewed(100_000..=60_000_000);
        }
        let limit = call.time_limit().as_micros() as Time;
        self.calls.insert((process, ticket));
        self.queue.push(self.now + limit, Event::CallTimeout(process, ticket, Box::new(call.timed_out())));
        let arriving = SentCall { process, ticket, call, fate };
        self.queue.push(self.now + delay, Event::Call(Box::new(arriving)));
    }

    fn fate_of_call(&mut self) -> Fate {
        let faults = self.faults;
        let fates = [
            (faults.call_lost, FaultKind::CallLost, Fate::Lost),
            (faults.call_answer_lost, FaultKind::CallAnswerLost, Fate::AnswerLost),
            (faults.call_twice, FaultKind::CallTwice, Fate::Twice),
        ];
        for (chance, kind, fate) in fates {
            if self.rng.chance(chance) {
                self.strikes.strike(kind);
                return fate;
            }
        }
        Fate::Done
    }

    pub(super) fn cancel_call(&mut self, process: ProcessId, ticket: Ticket) {
        self.calls.remove(&(process, ticket));
    }

    /// A request arrives at its system.
    pub(super) fn call_arrives(&mut self, arriving: SentCall) {
        let SentCall { process, ticket, call, fate } = arriving;
        let waits = self.calls.contains(&(process, ticket));
        if !waits && fate != Fate::Again && self.rng.chance(0.5) {
            return; // it was lost with its connection
        }
        let lost = |reason| Err(CallError::failed(call.system(), ConnectionLost(reason)));
        let Some(system) = self.systems.get_mut(call.system()) else {
            return self.end_call(process, ticket, lost("no such host"));
        };
        if self.faults.systems_down {
            self.strikes.strike(FaultKind::SystemDown);
            return self.end_call(process, ticket, lost("connection refused"));
        }
        if fate == Fate::Lost {
            return self.end_call(process, ticket, lost("the connection was lost"));
        }
        let Some(result) = system.answer(self.now, call.request(), &mut self.storage) else {
            if waits {
                let at = self.now + self.rng.skewed(1_000..=100_000);
                self.queue.push(at, Event::Call(Box::new(SentCall { process, ticket, call, fate })));
            }
            return;
        };
        match fate {
            Fate::AnswerLost => {
                return self.end_call(
                    process,
                    ticket,
                    lost("the connection was lost before the answer came"),
                );
            }
            Fate::Again => return,
            Fate::Twice => {
                let at = self.now + self.rng.skewed(1..=10_000_000);
                let again = SentCall { process, ticket, call, fate: Fate::Again };
                self.queue.push(at, Event::Call(Box::new(again)));
            }
            Fate::Done | Fate::Lost => {}
        }
        self.end_call(process, ticket, result);
    }

    /// The answer is on its way.
    fn end_call(&mut self, process: ProcessId, ticket: Ticket, result: CallResult) {
        let at = self.now + self.rng.skewed(1..=2_000);
        self.queue.push(at, Event::Called(process, ticket, Box::new(result)));
    }

    /// A call is answered, or its time is up, whichever is first.
    pub(super) fn called(&mut self, process: ProcessId, ticket: Ticket, result: CallResult) {
        if self.calls.remove(&(process, ticket)) {
            self.deliver(process, Input::Called { ticket, result });
        }
    }
}
