//! The queue of events, ordered by time; events of the same time are in the order in which they were scheduled.

use super::calls::SentCall;
use super::network::Arrival;
use super::storage::Request;
use super::time::Time;
use super::{ChildStart, ProcessId};
use reflow_env::{CallError, CallResult, Input, Ticket};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// An event.
pub(super) enum Event {
    /// A process takes its next input.
    Turn(ProcessId),
    /// A process's own wakeup is due.
    Timer(ProcessId),
    /// A slot runs a step, unless it was rescheduled since.
    Step { process: ProcessId, slot: usize, version: u64 },
    /// An input reaches a process.
    Input(ProcessId, Input),
    /// Something arrives at an end of a connection.
    Arrival(Arrival),
    /// A connection attempt times out, unless it has succeeded.
    ConnectTimeout(usize),
    /// One end of a connection notices that a partition has broken it.
    Noticed { link: usize, side: usize },
    /// One end of a connection has heard nothing of the other one for long, if a partition still separates them.
    Silent { link: usize, side: usize },
    /// The store carries out a request.
    Store(Box<Request>),
    /// A request reaches a system outside the cluster.
    Call(Box<SentCall>),
    /// The answer to a call reaches its process.
    Called(ProcessId, Ticket, Box<CallResult>),
    /// A call's time is up, unless it has ended.
    CallTimeout(ProcessId, Ticket, Box<CallError>),
    /// A child process starts.
    ChildStart(Box<ChildStart>),
    /// A process is killed.
    Kill(ProcessId, String),
}

struct Scheduled {
    at: Time,
    number: u64,
    event: Event,
}

/// The queue of events.
#[derive(Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Reverse<Scheduled>>,
    number: u64,
}

impl Queue {
    pub(super) fn push(&mut self, at: Time, event: Event) {
        self.number += 1;
        self.heap.push(Reverse(Scheduled { at, number: self.number, event }));
    }

    /// Takes the next event that is due at `until` or before.
    pub(super) fn pop(&mut self, until: Time) -> Option<(Time, Event)> {
        if self.heap.peek()?.0.at > until {
            return None;
        }
        self.heap.pop().map(|Reverse(scheduled)| (scheduled.at, scheduled.event))
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
