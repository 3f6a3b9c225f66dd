//! The second stage of `flat_map`, which makes any number of records from each record: `map` turns a record into
//! an iterator, and this stage passes on the records that the iterator yields.
//!
//! An iterator may yield more records than the outputs have room for, or may never end. So a step passes on only
//! as many as there is room for. The rest of the iterator waits for the next step, and everything behind it waits
//! with it, in order. Meanwhile the stage takes neither records nor barriers, because an iterator cannot be part
//! of a snapshot: a barrier waits for the end of its record, while the slot's other tasks run.

use crate::stage::{Control, OpenContext, Refused, Stage};
use crate::task::FIRST_CHUNK;
use reflow_api::OutputTag;
use reflow_types::{Bounds, Instant, Timestamp};
use std::collections::VecDeque;

/// Passes on the records that each iterator yields.
pub struct Flatten<I: IntoIterator, D> {
    next: D,
    /// The most records that a step passes on, however much room there is.
    bound: usize,
    /// The number of records that a step passes on now: as many as the last step with waiting records could. Few
    /// at first, because the cost of a record in the next stages is not known yet.
    step_records: usize,
    /// The number of records that this step may still pass on; 0 while something waits.
    left: usize,
    waiting: VecDeque<Waiting<I::IntoIter>>,
}

/// Something that is passed on in a later step.
enum Waiting<I> {
    Items(I, Timestamp),
    Signal(Signal),
}

/// A signal between records.
enum Signal {
    SplitAdded(u64),
    Split(u64),
    SplitEnded(u64),
    Watermark(Timestamp),
    Idle(bool),
    End,
}

impl<I: IntoIterator, D: Stage<I::Item>> Flatten<I, D> {
    /// A stage that passes the items of each record to `next`.
    pub fn new(next: D) -> Self {
        let bound = Bounds::default().flat_map_records;
        let step_records = FIRST_CHUNK.min(bound);
        Self { next, bound, step_records, left: step_records, waiting: VecDeque::new() }
    }

    /// Passes on as many records as this step may. Returns whether the iterator is at its end.
    #[inline]
    fn pass_on(&mut self, items: &mut I::IntoIter, time: Timestamp) -> bool {
        let mut left = self.left; // kept in a register
        let all = loop {
            if left == 0 || self.next.has_rest() || self.next.is_full() {
                // An iterator that is known to be at its end need not wait.
                break items.size_hint().1 == Some(0) && !self.next.has_rest();
            }
            let Some(item) = items.next() else { break true };
            left -= 1;
            self.next.push(item, time);
        };
        self.left = left;
        all
    }

    #[cold]
    fn keep(&mut self, items: I::IntoIter, time: Timestamp) {
        self.left = 0;
        self.waiting.push_back(Waiting::Items(items, time));
    }

    /// Passes a signal on, behind everything that waits.
    fn pass_signal(&mut self, signal: Signal) {
        if self.waiting.is_empty() {
            self.tell_now(signal);
        } else {
            self.waiting.push_back(Waiting::Signal(signal));
        }
    }

    fn tell_now(&mut self, signal: Signal) {
        match signal {
            Signal::SplitAdded(split) => self.next.split_added(split),
            Signal::Split(split) => self.next.split(split),
            Signal::SplitEnded(split) => self.next.split_ended(split),
            Signal::Watermark(time) => self.next.watermark(time),
            Signal::Idle(idle) => self.next.idle(idle),
            Signal::End => self.next.end(),
        }
    }

    fn begin_step(&mut self) {
        self.left = self.step_records;
    }
}

impl<I: IntoIterator<IntoIter: Send>, D: Stage<I::Item>> Stage<I> for Flatten<I, D> {
    #[inline]
    fn push(&mut self, items: I, time: Timestamp) {
        let mut items = items.into_iter();
        if !self.pass_on(&mut items, time) {
            self.keep(items, time);
        }
    }
}

impl<I: IntoIterator<IntoIter: Send>, D: Stage<I::Item>> Control for Flatten<I, D> {
    type Next = D;

    fn next_stage(&self) -> &D {
        &self.next
    }

    fn next_stage_mut(&mut self) -> &mut D {
        &mut self.next
    }

    /// The operator consists of two stages, of which this is the second.
    #[inline]
    fn emit_to<E: 'static>(&mut self, tag: &OutputTag<E>, value: E, time: Timestamp) -> Result<(), Refused> {
        self.next.emit_to(tag, value, time)
    }

    fn open(&mut self, context: &mut OpenContext<'_>) {
        self.bound = context.bounds.flat_map_records;
        self.step_records = self.step_records.min(self.bound);
        self.left = self.left.min(self.step_records);
        self.next.open(context);
    }

    fn split_added(&mut self, split: u64) {
        self.pass_signal(Signal::SplitAdded(split));
    }

    fn split(&mut self, split: u64) {
        self.pass_signal(Signal::Split(split));
    }

    fn split_ended(&mut self, split: u64) {
        self.pass_signal(Signal::SplitEnded(split));
    }

    fn watermark(&mut self, time: Timestamp) {
        self.pass_signal(Signal::Watermark(time));
    }

    fn idle(&mut self, idle: bool) {
        self.pass_signal(Signal::Idle(idle));
    }

    fn end(&mut self) {
        self.pass_signal(Signal::End);
    }

    fn tick(&mut self, now: Instant) {
        if self.waiting.is_empty() {
            self.begin_step();
        }
        self.next.tick(now);
    }

    fn resume(&mut self, most: usize) -> Option<usize> {
        if let Some(passed) = self.next.resume(most) {
            return Some(passed);
        }
        if self.waiting.is_empty() {
            return None;
        }
        self.step_records = most.min(self.bound);
        self.begin_step();
        let mut passed = 0;
        while let Some(first) = self.waiting.pop_front() {
            match first {
                Waiting::Signal(signal) => self.tell_now(signal),
                Waiting::Items(mut items, time) => {
                    let all = self.pass_on(&mut items, time);
                    passed = self.step_records - self.left;
                    if !all {
                        self.left = 0;
                        self.waiting.push_front(Waiting::Items(items, time));
                        break;
                    }
                }
            }
        }
        Some(passed)
    }

    fn has_rest(&self) -> bool {
        !self.waiting.is_empty() || self.next.has_rest()
    }
}
