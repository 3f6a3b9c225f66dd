//! Tests of the generator: the records of all splits together, the rate, and restores.

use super::*;
use crate::testing::{Collected, read_to_the_end, reader_context, splits_of};
use proptest::prelude::*;

type Make = fn(u64) -> u64;

fn squares() -> Generator<Make> {
    Generator::new(|index| index * index)
}

fn reader_of(source: &Generator<Make>, splits: Vec<GeneratorSplit>) -> GeneratorReader<Make> {
    let mut reader = source.reader(&reader_context());
    for split in splits {
        assert_eq!(reader.add_split(split.clone()), u64::from(split.number));
    }
    reader.no_more_splits();
    reader
}

fn reader(source: &Generator<Make>) -> GeneratorReader<Make> {
    reader_of(source, splits_of(source))
}

proptest! {
    #[test]
    fn yields_each_index_once_over_any_interruptions(
        count in 0_u64..3_000, splits in 1_u32..20, rooms in prop::collection::vec(1_usize..700, 1..10),
    ) {
        let source = squares().count(count).splits(splits);
        let mut before = reader(&source);
        let mut out = Collected::with_room(0);
        for room in rooms {
            out.make_room(room);
            before.poll(Instant(1), &mut out).unwrap();
            let emitted = out.records.len() as u64;
            prop_assert_eq!(before.pending_records(), Some(count - emitted));
            let mut all = out.records.clone();
            all.extend(read_to_the_end(&mut reader_of(&source, before.snapshot()), 100));
            all.sort_unstable();
            prop_assert_eq!(all, (0..count).map(|index| index * index).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_rate_holds_for_the_whole_source(rate in 1_u32..200_000, splits in 1_u32..20) {
        let source = squares().rate(rate).splits(splits);
        let mut reader = reader(&source);
        let (start, mut now) = (Instant::from_millis(5_000), Instant::from_millis(5_000));
        let mut out = Collected::with_room(usize::MAX);
        while out.records.len() < 300 {
            let Polled::Wait(Some(due)) = reader.poll(now, &mut out).unwrap() else { panic!("it waits") };
            let elapsed = now.since(start).as_secs_f64();
            let (least, most) = (elapsed * f64::from(rate), (elapsed + 2e-6) * f64::from(rate) + 1.0);
            let emitted = out.records.len() as f64;
            prop_assert!(least <= emitted && emitted <= most, "{emitted} after {elapsed} s");
            prop_assert!(due > now);
            now = due;
        }
    }
}

#[test]
fn records_of_a_split_come_in_order_and_splits_take_turns() {
    let source = squares().splits(2).count(2_000);
    let mut out = Collected::with_room(1_000);
    assert_eq!(reader(&source).poll(Instant(0), &mut out).unwrap(), Polled::More);
    for split in 0..2 {
        let own: Vec<u64> =
            out.records.iter().zip(&out.splits).filter(|(_, of)| **of == split).map(|(r, _)| *r).collect();
        assert!(own.is_sorted());
        assert!(own.len() >= 400);
    }
}

#[test]
fn after_a_pause_the_source_catches_up() {
    let source = squares().rate(1_000);
    let mut before = reader(&source);
    let mut out = Collected::with_room(usize::MAX);
    before.poll(Instant::from_millis(0), &mut out).unwrap();
    before.poll(Instant::from_millis(10), &mut out).unwrap();
    assert_eq!(out.records.len(), 11);

    let mut after = reader_of(&source, before.snapshot());
    out.make_room(5);
    assert_eq!(after.poll(Instant::from_millis(500), &mut out).unwrap(), Polled::More);
    assert_eq!(after.pending_records(), Some(501 - 16));
    out.make_room(usize::MAX / 2);
    assert!(matches!(after.poll(Instant::from_millis(500), &mut out).unwrap(), Polled::Wait(Some(_))));
    assert_eq!(out.records.len(), 501);
}

#[test]
fn splits_without_records_end() {
    let source = squares().count(3);
    let mut out = Collected::with_room(10);
    assert_eq!(reader(&source).poll(Instant(0), &mut out).unwrap(), Polled::End);
    assert_eq!(out.ended.len(), 16);
    assert_eq!(out.records, [0, 1, 4]);
}
