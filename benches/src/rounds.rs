//! The input of `snapshot`: a source whose rounds end at barriers.
//!
//! First every key is put once. Then each barrier begins a round: a fixed number of keys, other ones each time, are
//! put again, and after them keys are only read, without an end, until the next barrier. So the slot is never
//! idle, and exactly this number of keys differs between two checkpoints, however fast the machine is.

use crate::workloads::splitmix64;
use reflow::source::{FixedSplits, ReaderContext};
use reflow::{Data, Emit, Enumerator, Instant, NO_TIMESTAMP, Polled, Reader, Source, UserError};
use std::cell::Cell;

/// What to do with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Data)]
pub enum Event {
    /// Change its value.
    Put {
        /// The key.
        key: u64,
        /// The round: values differ from round to round.
        round: u64,
    },
    /// Look at its value.
    Read {
        /// The key.
        key: u64,
    },
    /// A round has ended.
    Ended(Round),
}

/// A round that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Data)]
pub struct Round {
    /// 0 if keys were put for the first time.
    pub number: u64,
    /// How many barriers there have been, the one that ended it included.
    pub barrier: u64,
    /// How many keys were put.
    pub puts: u64,
}

impl Event {
    /// The key.
    pub const fn key(&self) -> u64 {
        match self {
            Self::Put { key, .. } | Self::Read { key } => *key,
            Self::Ended(_) => 0,
        }
    }
}

/// The source. It has one split.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    /// How many keys there are.
    pub keys: u64,
    /// How many of them a round puts.
    pub puts: u64,
}

/// A place in the rounds.
#[derive(Clone, Copy, Debug, Default, Data)]
pub struct Place {
    round: u64,
    next: u64,
}

impl Source for Rounds {
    type Item = Event;
    type Split = Place;
    type Reader = RoundsReader;

    fn enumerator(&self) -> Box<dyn Enumerator> {
        Box::new(FixedSplits::new([Place::default()]))
    }

    fn reader(&self, _: &ReaderContext) -> RoundsReader {
        RoundsReader {
            source: *self,
            place: Cell::default(),
            ended: Cell::default(),
            barriers: Cell::default(),
        }
    }
}

/// Reads the rounds.
pub struct RoundsReader {
    source: Rounds,
    place: Cell<Option<Place>>,
    /// What is to be told next.
    ended: Cell<Option<Round>>,
    barriers: Cell<u64>,
}

impl Reader for RoundsReader {
    type Item = Event;
    type Split = Place;

    fn add_split(&mut self, place: Place) -> u64 {
        self.place.set(Some(place));
        0
    }

    fn no_more_splits(&mut self) {}

    fn release(&mut self, keep: usize) -> Vec<(u64, Place)> {
        let released = if keep == 0 { self.place.take() } else { None };
        released.into_iter().map(|place| (0, place)).collect()
    }

    fn poll(&mut self, _: Instant, out: &mut impl Emit<Event>) -> Result<Polled, UserError> {
        let Some(mut place) = self.place.get() else { return Ok(Polled::Wait(None)) };
        out.split(0);
        while !out.is_full() {
            if let Some(round) = self.ended.take() {
                out.emit(Event::Ended(round), NO_TIMESTAMP);
                continue;
            }
            out.emit(self.source.event(place), NO_TIMESTAMP);
            place.next += 1;
        }
        self.place.set(Some(place));
        Ok(Polled::More)
    }

    /// At a barrier: ends the round, unless not all keys have been put for the first time.
    fn snapshot(&self) -> Vec<Place> {
        self.barriers.set(self.barriers.get() + 1);
        let Some(place) = self.place.get() else { return Vec::new() };
        if place.round > 0 || place.next >= self.source.keys {
            let puts = place.next.min(self.source.puts_of(place.round));
            self.ended.set(Some(Round { number: place.round, barrier: self.barriers.get(), puts }));
            self.place.set(Some(Place { round: place.round + 1, next: 0 }));
        }
        self.place.get().into_iter().collect()
    }
}

impl Rounds {
    const fn puts_of(&self, round: u64) -> u64 {
        if round == 0 { self.keys } else { self.puts }
    }

    fn event(&self, Place { round, next }: Place) -> Event {
        if next < self.puts_of(round) {
            Event::Put { key: self.key(round, next), round }
        } else {
            Event::Read { key: splitmix64(next) % self.keys }
        }
    }

    /// The keys of a round are distinct: a walk around all keys in steps that share no factor with their number.
    fn key(&self, round: u64, next: u64) -> u64 {
        let (mut step, first) = (splitmix64(2 * round) % self.keys, splitmix64(2 * round + 1) % self.keys);
        while greatest_common_divisor(step, self.keys) != 1 {
            step += 1;
        }
        ((u128::from(first) + u128::from(step) * u128::from(next)) % u128::from(self.keys)) as u64
    }
}

const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    struct Collected {
        events: Vec<Event>,
        room: usize,
    }

    impl Emit<Event> for Collected {
        fn split(&mut self, _: u64) {}
        fn end_split(&mut self, _: u64) {}
        fn emit(&mut self, event: Event, _: i64) {
            self.events.push(event);
        }
        fn is_full(&self) -> bool {
            self.events.len() >= self.room
        }
    }

    fn poll(reader: &mut RoundsReader, room: usize) -> Vec<Event> {
        let mut out = Collected { events: Vec::new(), room };
        assert_eq!(reader.poll(Instant(0), &mut out).unwrap(), Polled::More);
        out.events
    }

    #[test]
    fn a_round_puts_distinct_keys_and_ends_at_a_barrier() {
        let source = Rounds { keys: 1_000, puts: 50 };
        let mut reader = RoundsReader {
            source,
            place: Cell::new(Some(Place::default())),
            ended: Cell::default(),
            barriers: Cell::default(),
        };
        assert_eq!(poll(&mut reader, 999).len(), 999);
        assert_eq!(reader.snapshot()[0].round, 0);
        let last = poll(&mut reader, 2);
        assert!(matches!(last[..], [Event::Put { .. }, Event::Read { .. }]), "{last:?}");
        assert_eq!(reader.snapshot()[0].round, 1);
        let events = poll(&mut reader, 101);
        assert_eq!(events[0], Event::Ended(Round { number: 0, barrier: 2, puts: 1_000 }));
        let puts: BTreeSet<_> =
            events.iter().filter(|event| matches!(event, Event::Put { .. })).map(Event::key).collect();
        assert_eq!(puts.len(), 50);
        assert!(matches!(events[51], Event::Read { .. }));
        assert_eq!(reader.snapshot()[0].round, 2);
        assert_eq!(poll(&mut reader, 1), [Event::Ended(Round { number: 1, barrier: 3, puts: 50 })]);
    }
}
