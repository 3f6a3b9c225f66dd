//! What is to happen, in order of time; at one time, in the order in which it was scheduled.

use super::network::Arrival;
use super::storage::Request;
use super::time::Time;
use super::{ChildStart, ProcessId};
use reflow_env::Input;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Something to happen.
pub(super) enum Event {
    /// A process takes its next input.
    Turn(ProcessId),
    /// A process's own wakeup is due.
    Timer(ProcessId),
    /// A slot makes a step, if it has not been scheduled anew since.
    Step { process: ProcessId, slot: usize, version: u64 },
    /// An input reaches a process.
    Input(ProcessId, Input),
    /// Something reaches an end of a connection.
    Arrival(Arrival),
    /// A connection attempt is given up, if it has not succeeded.
    ConnectTimeout(usize),
    /// One end of a connection that a partition broke notices.
    Noticed { link: usize, side: usize },
    /// The store carries out a request.
    Store(Box<Request>),
    /// A child process comes up.
    ChildStart(Box<ChildStart>),
    /// A process is gone.
    Kill(ProcessId, String),
}

struct Scheduled {
    at: Time,
    number: u64,
    event: Event,
}

/// The events to come.
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
