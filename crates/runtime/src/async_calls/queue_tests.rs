//! The queue against a list of records and signals that is searched from its front.

use super::queue::{Passed, Queue, Record, Signal};
use reflow_api::async_calls::ResultOrder;
use reflow_env::Ticket;
use reflow_types::{Instant, KeyHash};
use std::collections::BTreeMap;
use std::time::Duration;

const MOST_CALLS: usize = 3;

enum Element {
    Record {
        value: u64,
        is_ready: bool,
        /// Whether it came behind a hold that has not ended.
        is_held: bool,
    },
    Signal(Signal),
}

struct Model {
    order: ResultOrder,
    elements: Vec<Element>,
    is_held: bool,
}

impl Model {
    fn push(&mut self, value: u64) {
        self.elements.push(Element::Record { value, is_ready: false, is_held: self.is_held });
    }

    fn push_front(&mut self, values: &[u64]) {
        let records = values.iter().map(|&value| Element::Record { value, is_ready: false, is_held: false });
        self.elements.splice(0..0, records);
    }

    fn resume(&mut self) {
        self.is_held = false;
        for element in &mut self.elements {
            if let Element::Record { is_held, .. } = element {
                *is_held = false;
            }
        }
    }

    fn signal(&mut self, signal: Signal) -> Option<Signal> {
        if self.elements.is_empty() && !self.is_held {
            return Some(signal);
        }
        if let (Signal::Watermark(_), Some(Element::Signal(last @ Signal::Watermark(_)))) =
            (signal, self.elements.last_mut())
        {
            *last = signal;
        } else {
            self.elements.push(Element::Signal(signal));
        }
        None
    }

    fn finish(&mut self, finished: u64) {
        for element in &mut self.elements {
            if let Element::Record { value, is_ready, .. } = element {
                *is_ready |= *value == finished;
            }
        }
    }

    /// The value of the record, or the signal, that passes next.
    fn pass(&mut self) -> Option<Result<u64, Signal>> {
        for at in 0..self.elements.len() {
            match &self.elements[at] {
                Element::Signal(signal) => {
                    let signal = *signal;
                    return (at == 0 && !self.is_held).then(|| {
                        self.elements.remove(0);
                        Err(signal)
                    });
                }
                Element::Record { value, is_ready, is_held } => {
                    let ordered = self.order == ResultOrder::Ordered;
                    if *is_ready && !(ordered && *is_held && self.is_held) {
                        let value = *value;
                        self.elements.remove(at);
                        return Some(Ok(value));
                    }
                    if ordered {
                        return None;
                    }
                }
            }
        }
        None
    }

    fn release(&mut self, leaves: impl Fn(u64) -> bool) -> Vec<u64> {
        let leaving = |element: &Element| match element {
            Element::Record { value, .. } => leaves(*value).then_some(*value),
            Element::Signal(_) => None,
        };
        let released = self.elements.iter().filter_map(leaving).collect();
        self.elements.retain(|element| leaving(element).is_none());
        released
    }
}

fn record(value: u64) -> Record<u64> {
    Record { hash: KeyHash(value), time: 0, value, bytes: value }
}

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn check(order: ResultOrder, seed: u64) {
    let mut random = Random(seed);
    let mut queue: Queue<u64, u64> = Queue::new(order);
    let mut model = Model { order, elements: Vec::new(), is_held: false };
    let (mut now, mut next, mut tickets) = (Instant(0), 0, 0);
    let mut calls: BTreeMap<Ticket, u64> = BTreeMap::new();
    for _ in 0..2_000 {
        now = now + Duration::from_millis(1);
        match random.below(20) {
            0..5 => {
                next += 1;
                queue.push(record(next));
                model.push(next);
            }
            5 => {
                let signal = match random.below(3) {
                    0 => Signal::Idle(random.below(2) == 0),
                    _ => Signal::Watermark(next as i64),
                };
                assert_eq!(queue.signal(signal), model.signal(signal));
            }
            6..10 => {
                while let Some(due) = queue.due(now, MOST_CALLS) {
                    let (number, value) = (due.number, *due.value);
                    tickets += 1;
                    calls.insert(Ticket(tickets), value);
                    queue.called(number, Ticket(tickets), now);
                }
                assert!(calls.len() <= MOST_CALLS);
            }
            10..15 => {
                let at = random.below(MOST_CALLS as u64) as usize;
                if let Some((&ticket, &value)) = calls.iter().nth(at) {
                    calls.remove(&ticket);
                    let (number, _, _) = queue.answered(ticket).expect("it is under way");
                    if random.below(4) == 0 {
                        queue.repeat(number, now + Duration::from_millis(random.below(20)));
                    } else {
                        queue.finish(number, value);
                        model.finish(value);
                    }
                }
            }
            15..18 => {
                let passed = queue.pass().map(|passed| match passed {
                    Passed::Result(record, result) => {
                        assert_eq!(record.value, result);
                        Ok(result)
                    }
                    Passed::Signal(signal) => Err(signal),
                });
                assert_eq!(passed, model.pass());
            }
            18 if !model.is_held => {
                let rest = random.below(3);
                let leaves = |value: u64| value % 3 == rest;
                let (records, cancelled) = queue.release(|hash| leaves(hash.0));
                let released: Vec<u64> = records.into_iter().map(|record| record.value).collect();
                assert_eq!(released, model.release(leaves));
                for ticket in cancelled {
                    calls.remove(&ticket);
                }
                assert!(!calls.values().any(|value| leaves(*value)), "all their calls are cancelled");
                queue.hold();
                model.is_held = true;
            }
            _ if model.is_held => {
                let records: Vec<u64> = (next + 1..=next + random.below(4)).collect();
                next += records.len() as u64;
                queue.push_front(records.iter().map(|value| record(*value)).collect());
                model.push_front(&records);
                queue.resume();
                model.resume();
            }
            _ => {}
        }
        assert_eq!(queue.is_empty(), model.elements.is_empty());
        queue.check_invariants();
    }
}

#[test]
fn records_and_signals_pass_in_their_order() {
    for seed in 0..50 {
        check(ResultOrder::Ordered, seed);
        check(ResultOrder::Unordered, seed);
    }
}

/// Otherwise there would be no bound for records that are encoded as nothing.
#[test]
fn records_without_bytes_take_memory() {
    let mut queue: Queue<(), u64> = Queue::new(ResultOrder::Ordered);
    for _ in 0..1_000 {
        queue.push(Record { hash: KeyHash(0), time: 0, value: (), bytes: 0 });
    }
    assert_eq!(queue.len(), (1_000, 0));
    assert!(queue.memory_bytes() > 50_000, "{}", queue.memory_bytes());
}
