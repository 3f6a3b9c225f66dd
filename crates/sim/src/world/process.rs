//! A process of the simulated world.

use super::ProcessId;
use super::clock::{SimClock, Work};
use super::time::Time;
use reflow_env::{ChildId, Clock, ConnId, Input, Process, Signal, SlotLoop};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// The arguments for the creation of a process.
pub struct Context {
    /// The host on which it runs.
    pub host: String,
    /// Its clock, for its slots.
    pub clock: Arc<dyn Clock>,
    /// The handle by which its user code uses time.
    pub work: Work,
    /// The signal that wakes it.
    pub signal: Signal,
    /// A seed for ids and the like, different for each process.
    pub seed: u64,
}

/// A process for the world to run.
pub struct Program {
    /// Its name in the trace.
    pub name: String,
    /// The process itself.
    pub process: Box<dyn Process>,
}

/// The end of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// `None` if it was killed.
    pub code: Option<i32>,
    /// The reason that it gave.
    pub reason: String,
}

/// A process of the world, which stays in the table after its end.
pub(super) struct Running {
    pub(super) name: String,
    pub(super) host: String,
    pub(super) parent: Option<(ProcessId, ChildId)>,
    /// `None` once it has ended.
    pub(super) body: Option<Body>,
    pub(super) ended: Option<Ended>,
}

/// The parts of a process that end with it.
pub(super) struct Body {
    pub(super) process: Box<dyn Process>,
    pub(super) signal: Signal,
    /// Whether the signal was raised since the last wakeup.
    pub(super) raised: bool,
    pub(super) inbox: VecDeque<Input>,
    pub(super) turn_scheduled: bool,
    pub(super) timer: Option<Time>,
    pub(super) frozen_until: Time,
    /// Until when it is slow, and the longest time of each turn until then, in microseconds.
    pub(super) slow: (Time, u64),
    pub(super) clock: Arc<SimClock>,
    pub(super) slots: Vec<Option<Slot>>,
    /// Link and side of each connection.
    pub(super) connections: BTreeMap<ConnId, (usize, usize)>,
    pub(super) accepted: u64,
    /// Children that are starting.
    pub(super) starting: BTreeSet<ChildId>,
    pub(super) children: BTreeMap<ChildId, ProcessId>,
    /// When the last part of each upload takes effect. The next one takes effect later.
    pub(super) uploads: BTreeMap<u64, Time>,
}

/// A slot, with the time of its next step.
pub(super) struct Slot {
    pub(super) slot: Box<dyn SlotLoop>,
    pub(super) signal: Signal,
    pub(super) waiting: bool,
    pub(super) version: u64,
}

impl Body {
    pub(super) fn new(process: Box<dyn Process>, signal: Signal, clock: Arc<SimClock>) -> Self {
        Self {
            process,
            signal,
            raised: false,
            inbox: VecDeque::from([Input::Start]),
            turn_scheduled: false,
            timer: None,
            frozen_until: 0,
            slow: (0, 0),
            clock,
            slots: Vec::new(),
            connections: BTreeMap::new(),
            accepted: 0,
            starting: BTreeSet::new(),
            children: BTreeMap::new(),
            uploads: BTreeMap::new(),
        }
    }
}
