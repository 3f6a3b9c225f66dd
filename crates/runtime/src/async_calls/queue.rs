//! The records under way of an operator with asynchronous calls, and the signals that wait behind them.
//!
//! ```text
//! record ── waits for a call ──► called ◄──► waits for a repetition
//!                                  │
//!                                  └─ ready ──► emitted, in its order
//! ```
//!
//! Records and signals have numbers, which increase in the order of their arrival. A signal passes when no record with a
//! lower number is left; a result passes when no signal with a lower number is left and, if results are ordered, no record.
//!
//! # Invariants
//! - Each record is in exactly one of the sets `idle`, `calls`, `repetitions` and `ready`.
//! - Records that came with a hand-over precede all others.

use reflow_api::async_calls::ResultOrder;
use reflow_env::Ticket;
use reflow_types::{Instant, KeyHash, MAX_WATERMARK, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The number of a record or signal.
pub(super) type Number = i64;

/// A record under way.
#[derive(Clone, Debug)]
pub(super) struct Record<T> {
    pub(super) hash: KeyHash,
    pub(super) time: Timestamp,
    pub(super) value: T,
    /// The length of its encoding.
    pub(super) bytes: u64,
}

/// A record with the state of its calls. `R` is a final result.
struct Entry<T, R> {
    record: Record<T>,
    /// When its time is up, from its first call on.
    deadline: Option<Instant>,
    /// The number of its calls.
    calls: u32,
    state: State<R>,
}

/// The set in which a record is.
enum State<R> {
    Idle,
    Called(Ticket),
    /// Its call was answered, and what becomes of it is being decided.
    Answered,
    Repeats(Instant),
    Ready(R),
}

/// A signal behind records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Watermark(Timestamp),
    Idle(bool),
    End,
}

/// Something that is passed on.
#[derive(Debug)]
pub(super) enum Passed<T, R> {
    Result(Record<T>, R),
    Signal(Signal),
}

/// A record that needs a call now.
pub(super) struct Due<'a, T> {
    pub(super) number: Number,
    pub(super) value: &'a T,
    /// When its time is up, if it has had a call before.
    pub(super) deadline: Option<Instant>,
}

/// See the [module](self).
pub(super) struct Queue<T, R> {
    order: ResultOrder,
    entries: BTreeMap<Number, Entry<T, R>>,
    idle: BTreeSet<Number>,
    calls: BTreeMap<Ticket, Number>,
    repetitions: BTreeSet<(Instant, Number)>,
    ready: BTreeSet<Number>,
    signals: VecDeque<(Number, Signal)>,
    /// The lowest number and the one behind the highest.
    numbers: (Number, Number),
    bytes: u64,
    /// Set while other subtasks may still release records to this one: what came since then.
    held_since: Option<Number>,
}

impl<T, R> Queue<T, R> {
    pub(super) fn new(order: ResultOrder) -> Self {
        Self {
            order,
            entries: BTreeMap::new(),
            idle: BTreeSet::new(),
            calls: BTreeMap::new(),
            repetitions: BTreeSet::new(),
            ready: BTreeSet::new(),
            signals: VecDeque::new(),
            numbers: (0, 0),
            bytes: 0,
            held_since: None,
        }
    }

    /// The number of records, and of their bytes.
    #[inline]
    pub(super) fn len(&self) -> (usize, u64) {
        (self.entries.len(), self.bytes)
    }

    /// About the memory that it takes. Records of few bytes take more than those.
    #[inline]
    pub(super) fn memory_bytes(&self) -> u64 {
        self.bytes + (self.entries.len() * size_of::<Entry<T, R>>()) as u64
    }

    /// Whether neither records nor signals are left.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.signals.is_empty()
    }

    /// The number of records that have had a call and no final result.
    pub(super) fn under_way(&self) -> usize {
        self.calls.len() + self.repetitions.len()
    }

    /// Adds a record behind all others.
    pub(super) fn push(&mut self, record: Record<T>) {
        let number = self.numbers.1;
        self.numbers.1 += 1;
        self.insert(number, record);
    }

    /// Adds records in front of all others, in their order.
    pub(super) fn push_front(&mut self, records: Vec<Record<T>>) {
        self.numbers.0 -= records.len() as Number;
        for (number, record) in (self.numbers.0..).zip(records) {
            self.insert(number, record);
        }
    }

    fn insert(&mut self, number: Number, record: Record<T>) {
        self.bytes += record.bytes;
        self.idle.insert(number);
        self.entries.insert(number, Entry { record, deadline: None, calls: 0, state: State::Idle });
    }

    /// Adds a signal. Returns it if it need not wait.
    pub(super) fn signal(&mut self, signal: Signal) -> Option<Signal> {
        if self.is_empty() && self.held_since.is_none() {
            return Some(signal);
        }
        // Of adjacent watermarks, the last one counts.
        if let (Signal::Watermark(_), Some((number, last @ Signal::Watermark(_)))) =
            (signal, self.signals.back_mut())
            && self.entries.last_key_value().is_none_or(|(last, _)| last < number)
        {
            *last = signal;
            return None;
        }
        self.signals.push_back((self.numbers.1, signal));
        self.numbers.1 += 1;
        None
    }

    /// The first record that needs a call: one whose repetition is due, or, if `may_begin`, one without a call.
    pub(super) fn due(&self, now: Instant, most_calls: usize) -> Option<Due<'_, T>> {
        let repetition = self.repetitions.first().filter(|(at, _)| *at <= now).map(|(_, number)| *number);
        let may_begin = self.under_way() < most_calls;
        let number = repetition.or_else(|| self.idle.first().copied().filter(|_| may_begin))?;
        let entry = &self.entries[&number];
        Some(Due { number, value: &entry.record.value, deadline: entry.deadline })
    }

    /// When the next repetition is due.
    pub(super) fn next_repetition(&self) -> Option<Instant> {
        self.repetitions.first().map(|(at, _)| *at)
    }

    /// A call was made for a record.
    pub(super) fn called(&mut self, number: Number, ticket: Ticket, deadline: Instant) {
        let entry = self.change(number, State::Called(ticket));
        (entry.deadline, entry.calls) = (Some(deadline), entry.calls + 1);
        self.calls.insert(ticket, number);
    }

    /// A call was answered. Returns the record, how many calls it has had, and until when it has time.
    pub(super) fn answered(&mut self, ticket: Ticket) -> Option<(Number, u32, Instant)> {
        let number = *self.calls.get(&ticket)?;
        let entry = self.change(number, State::Answered);
        Some((number, entry.calls, entry.deadline.expect("a call sets it")))
    }

    /// A record that was answered is called again at this time.
    pub(super) fn repeat(&mut self, number: Number, at: Instant) {
        self.change(number, State::Repeats(at));
        self.repetitions.insert((at, number));
    }

    /// A record has its final result.
    pub(super) fn finish(&mut self, number: Number, result: R) {
        self.change(number, State::Ready(result));
        self.ready.insert(number);
    }

    /// Takes what can be passed on next.
    pub(super) fn pass(&mut self) -> Option<Passed<T, R>> {
        let signal = self.signals.front().map(|(number, _)| *number);
        let end = match (self.order, self.held_since) {
            (ResultOrder::Ordered, Some(since)) => signal.map_or(since, |signal| signal.min(since)),
            _ => signal.unwrap_or(Number::MAX),
        };
        let first = self.entries.first_key_value().map(|(number, _)| *number);
        let next = match self.order {
            ResultOrder::Ordered => first.filter(|number| self.ready.contains(number)),
            ResultOrder::Unordered => self.ready.first().copied(),
        };
        if let Some(number) = next.filter(|number| *number < end) {
            let Entry { record, state: State::Ready(result), .. } = self.remove(number) else {
                unreachable!("it is ready")
            };
            return Some(Passed::Result(record, result));
        }
        if self.held_since.is_none() && first.is_none_or(|first| signal.is_some_and(|signal| signal < first))
        {
            return self.signals.pop_front().map(|(_, signal)| Passed::Signal(signal));
        }
        None
    }

    /// The records in their order.
    pub(super) fn records(&self) -> impl Iterator<Item = &Record<T>> {
        self.entries.values().map(|entry| &entry.record)
    }

    /// Removes the records for which `leaves` holds. Returns them in their order, and their calls.
    pub(super) fn release(&mut self, leaves: impl Fn(KeyHash) -> bool) -> (Vec<Record<T>>, Vec<Ticket>) {
        let leaving = self.entries.iter().filter(|(_, entry)| leaves(entry.record.hash));
        let numbers: BTreeSet<Number> = leaving.map(|(number, _)| *number).collect();
        let calls = self.calls.iter().filter(|(_, number)| numbers.contains(number));
        let calls: Vec<Ticket> = calls.map(|(ticket, _)| *ticket).collect();
        (numbers.into_iter().map(|number| self.remove(number).record).collect(), calls)
    }

    /// Other subtasks may release records to this one, which precede those that it gets from now on. Until
    /// [`resume`](Self::resume), no signal passes.
    pub(super) fn hold(&mut self) {
        self.held_since = Some(self.numbers.1);
    }

    /// Drops signals of event time, because event time begins anew. The last watermark stays in front of the end.
    pub(super) fn reset_event_time(&mut self) {
        let ends = self.has_end();
        let is_last = |signal| matches!(signal, Signal::End | Signal::Watermark(MAX_WATERMARK));
        self.signals.retain(|(_, signal)| ends && is_last(*signal));
    }

    /// Whether the end of the input waits.
    pub(super) fn has_end(&self) -> bool {
        self.signals.back().is_some_and(|(_, signal)| *signal == Signal::End)
    }

    /// Drops all signals, because the subtask is removed.
    pub(super) fn clear_signals(&mut self) {
        self.signals.clear();
    }

    /// The released records are here.
    pub(super) fn resume(&mut self) {
        self.held_since = None;
    }

    /// Whether it waits for records that others release.
    pub(super) fn is_held(&self) -> bool {
        self.held_since.is_some()
    }

    /// Takes a record out of its set and sets its state. The caller adds it to the set of that state.
    fn change(&mut self, number: Number, state: State<R>) -> &mut Entry<T, R> {
        self.leave_set(number);
        let entry = self.entries.get_mut(&number).expect("the record is under way");
        entry.state = state;
        entry
    }

    fn remove(&mut self, number: Number) -> Entry<T, R> {
        self.leave_set(number);
        let entry = self.entries.remove(&number).expect("the record is under way");
        self.bytes -= entry.record.bytes;
        entry
    }

    fn leave_set(&mut self, number: Number) {
        match &self.entries[&number].state {
            State::Idle => drop(self.idle.remove(&number)),
            State::Called(ticket) => drop(self.calls.remove(ticket)),
            State::Repeats(at) => drop(self.repetitions.remove(&(*at, number))),
            State::Ready(_) => drop(self.ready.remove(&number)),
            State::Answered => {}
        }
    }

    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        let repeated = self.repetitions.iter().map(|(_, number)| *number);
        let in_sets = self.idle.iter().chain(&self.ready).chain(self.calls.values()).copied().chain(repeated);
        let mut in_sets: Vec<Number> = in_sets.collect();
        in_sets.sort_unstable();
        assert_eq!(in_sets, self.entries.keys().copied().collect::<Vec<_>>(), "each is in one set");
        assert_eq!(self.bytes, self.entries.values().map(|entry| entry.record.bytes).sum::<u64>());
    }
}
