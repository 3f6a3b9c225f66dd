//! The trace of a run: a hash to compare and, on request, lines to read.

use crate::frame_text;
use reflow_env::{CallResult, Input, SlotStep, StoreReply, StoreResult};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// A function that takes the lines of a verbose run.
pub type Lines = Box<dyn FnMut(String)>;

/// Which events are lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// All.
    #[default]
    Everything,
    /// Only what the simulator does, and remarks.
    Notes,
}

/// The trace of a run. Two runs with the same hash have handled the same inputs at the same times.
pub struct Trace {
    hash: Xxh3,
    lines: Option<Lines>,
    detail: Detail,
    /// The number of inputs and steps.
    pub events: u64,
}

impl Trace {
    /// An empty trace; `lines` gets each event as text.
    pub fn new(lines: Option<Lines>) -> Self {
        Self::with_detail(lines, Detail::Everything)
    }

    /// An empty trace; `lines` gets the events of this detail as text.
    pub fn with_detail(lines: Option<Lines>, detail: Detail) -> Self {
        Self { hash: Xxh3::new(), lines, detail, events: 0 }
    }

    /// The hash of everything so far.
    pub fn hash(&self) -> u64 {
        self.hash.digest()
    }

    /// A process handles an input.
    pub fn input(&mut self, now: u64, process: &str, input: &Input) {
        let (kind, digest) = digest(input);
        self.add(now, process, kind, digest);
        if self.lines.is_some() && self.detail == Detail::Everything {
            let text = describe(process, input);
            self.line(now, process, &text);
        }
    }

    /// A slot has made a step.
    pub fn step(&mut self, now: u64, process: &str, slot: usize, step: SlotStep) {
        let digest = match step {
            SlotStep::Ready => 1,
            SlotStep::Wait(until) => 2 + until.map_or(0, |until| until.0),
            SlotStep::Ended => 0,
        };
        self.add(now, process, 100 + slot as u64, digest);
    }

    /// The simulator has done something, such as a fault.
    pub fn note(&mut self, now: u64, process: &str, text: &str) {
        self.add(now, process, 99, xxh3_64(text.as_bytes()));
        self.line(now, process, text);
    }

    /// Something that a reader of the lines wants to know. It is no event.
    pub fn remark(&mut self, now: u64, process: &str, text: &str) {
        self.line(now, process, text);
    }

    fn add(&mut self, now: u64, process: &str, kind: u64, digest: u64) {
        self.events += 1;
        for number in [now, xxh3_64(process.as_bytes()), kind, digest] {
            self.hash.update(&number.to_le_bytes());
        }
    }

    fn line(&mut self, now: u64, process: &str, text: &str) {
        if let Some(lines) = &mut self.lines {
            let (seconds, micros) = (now / 1_000_000 % 100_000, now % 1_000_000);
            lines(format!("{seconds:5}.{micros:06} {process:<12} {text}"));
        }
    }
}

fn digest(input: &Input) -> (u64, u64) {
    match input {
        Input::Start => (0, 0),
        Input::Wakeup => (1, 0),
        Input::Listening { address, .. } => (2, xxh3_64(address.as_bytes())),
        Input::ListenFailed { error, .. } => (3, xxh3_64(error.as_bytes())),
        Input::Accepted { conn, .. } => (4, conn.0),
        Input::Connected { conn, .. } => (5, conn.0),
        Input::Received { conn, frame } => (6, conn.0 ^ xxh3_64(frame)),
        Input::Closed { conn, .. } => (7, conn.0),
        Input::Stored { ticket, result } => (8, ticket.0 ^ xxh3_64(stored(result).as_bytes())),
        Input::Called { ticket, result } => (11, ticket.0 ^ xxh3_64(called(result).as_bytes())),
        Input::ChildExited { child, .. } => (9, child.0),
        Input::Terminate => (10, 0),
        Input::Silent { conn } => (12, conn.0),
    }
}

fn describe(process: &str, input: &Input) -> String {
    match input {
        Input::Received { conn, frame } => {
            format!("conn {:x}: {}", conn.0, frame_text::of(process, *conn, frame))
        }
        Input::Stored { ticket, result } => format!("ticket {}: {}", ticket.0, stored(result)),
        Input::Called { ticket, result } => format!("ticket {}: {}", ticket.0, called(result)),
        other => format!("{other:?}"),
    }
}

fn called(result: &CallResult) -> String {
    match result {
        Ok(answer) => format!("{answer:?}"),
        Err(error) => error.to_string(),
    }
}

fn stored(result: &StoreResult) -> String {
    match result {
        Ok(StoreReply::Done) => "done".to_owned(),
        Ok(StoreReply::Bytes(bytes)) => format!("{} bytes, {:016x}", bytes.len(), xxh3_64(bytes)),
        Ok(StoreReply::Objects(objects)) => format!("{} objects", objects.len()),
        Err(error) => error.to_string(),
    }
}
