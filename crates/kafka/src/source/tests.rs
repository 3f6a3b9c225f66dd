//! Tests of the source against answers that the test chooses. Real brokers are in `crates/testkit/tests/kafka`.

use super::*;
use crate::batch::tests::batch;
use crate::client::{Fetched, KafkaAnswer, KafkaError, KafkaRequest, NewPartition, TopicPartition};
use reflow_api::source::{ToEnumerator, decode_split};
use reflow_api::{Emit, EnumeratorContext, Io, Polled, Reader};
use reflow_env::{Answer, CallError, Request, Ticket};
use reflow_types::{Instant, SubtaskIndex, Timestamp};
use std::collections::BTreeSet;
use uuid::Uuid;

const TOPIC: Uuid = Uuid::from_u128(7);

fn source() -> KafkaSource<Text> {
    KafkaSource::text("host:1", ["t"])
}

fn split(partition: i32, next: i64, stop: Option<i64>) -> KafkaSplit {
    let (number, topic) = (partition as u64, "t".to_owned());
    KafkaSplit { number, topic, topic_id: TOPIC.as_u128(), partition, next, stop }
}

fn records(from: i64, values: &[&'static str], end: i64) -> Fetched {
    Fetched::Records { bytes: batch(from, values), aborted: Vec::new(), end }
}

fn nothing(end: i64) -> Fetched {
    Fetched::Records { bytes: bytes::Bytes::new(), aborted: Vec::new(), end }
}

#[derive(Default)]
struct Out {
    records: Vec<(u64, String, Timestamp)>,
    ended: BTreeSet<u64>,
    split: u64,
    room: usize,
    paused: bool,
}

impl Emit<String> for Out {
    fn split(&mut self, split: u64) {
        self.split = split;
    }

    fn end_split(&mut self, split: u64) {
        assert!(self.ended.insert(split), "split {split} ends twice");
    }

    fn emit(&mut self, value: String, time: Timestamp) {
        assert!(!self.is_full(), "a reader emits although the output is full");
        self.records.push((self.split, value, time));
    }

    fn is_paused(&self, _: u64) -> bool {
        self.paused
    }

    fn is_full(&self) -> bool {
        self.records.len() >= self.room
    }
}

struct Driven {
    reader: KafkaReader<Text>,
    io: Io,
    out: Out,
    now: Instant,
}

impl Driven {
    fn new(source: KafkaSource<Text>, splits: impl IntoIterator<Item = KafkaSplit>) -> Self {
        let io = Io::default();
        let enumerator = ToEnumerator::default();
        let context = ReaderContext { index: SubtaskIndex(0), parallelism: 1, io: io.clone(), enumerator };
        let mut reader = source.reader(&context);
        for split in splits {
            let number = split.number;
            assert_eq!(reader.add_split(split), number);
        }
        Self { reader, io, out: Out { room: 1_000, ..Out::default() }, now: Instant::from_millis(1) }
    }

    fn poll(&mut self) -> Result<Polled, String> {
        self.reader.poll(self.now, &mut self.out).map_err(|error| error.to_string())
    }

    /// The requests since the last call: of fetches, the partitions and offsets.
    fn requests(&mut self) -> Vec<(Ticket, Vec<(i32, i64)>)> {
        self.poll().unwrap();
        let submitted = self.io.drain_submitted().into_iter();
        submitted.map(|(ticket, request)| (ticket, fetched_from(&request))).collect()
    }

    fn answer(&mut self, ticket: Ticket, answer: KafkaAnswer) -> Result<Polled, String> {
        self.io.answer(ticket, Answer::External(Ok(Box::new(answer))));
        self.poll()
    }

    /// Answers the only request, which must be a fetch of the only partition.
    fn fetch(&mut self, fetched: Fetched) -> Result<Polled, String> {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        self.answer(requests[0].0, KafkaAnswer::Fetched(vec![fetched]))
    }

    fn values(&self) -> Vec<&str> {
        self.out.records.iter().map(|(_, value, _)| value.as_str()).collect()
    }
}

fn fetched_from(request: &Request) -> Vec<(i32, i64)> {
    let Request::External(call) = request else { panic!("{request:?} is no call") };
    match call.request().downcast_ref() {
        Some(KafkaRequest::Fetch(fetch)) => {
            fetch.partitions.iter().map(|from| (from.partition, from.offset)).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn partitions_are_fetched_together_and_ahead() {
    let mut driven = Driven::new(source(), [split(0, 5, None), split(1, 0, None)]);
    let requests = driven.requests();
    assert_eq!(requests[0].1, [(0, 5), (1, 0)], "their leader is not known, so they share a request");
    assert!(driven.reader.has_more(0), "nobody knows yet");
    // The batch begins before the position, and the topic was compacted.
    let answer = KafkaAnswer::Fetched(vec![records(4, &["a4", "a5", "a6"], 9), nothing(0)]);
    assert_eq!(driven.answer(requests[0].0, answer), Ok(Polled::Wait(None)));
    assert_eq!(driven.out.records, [(0, "a5".to_owned(), 1_001), (0, "a6".to_owned(), 1_002)]);
    assert!(driven.reader.has_more(0) && !driven.reader.has_more(1));
    assert_eq!(driven.reader.pending_records(), Some(2));
    assert_eq!(driven.reader.position().as_deref(), Some("topic t, partition 0, offset 6"));
    assert_eq!(driven.requests()[0].1, [(0, 7), (1, 0)]);
}

#[test]
fn a_split_moves_at_its_exact_offset() {
    let mut driven = Driven::new(source(), [split(0, 0, None)]);
    driven.out.room = 2;
    assert_eq!(driven.fetch(records(0, &["a", "b", "c"], 3)), Ok(Polled::More));
    let ahead = driven.requests();
    assert_eq!(ahead[0].1, [(0, 3)]);
    let released = driven.reader.release(0);
    assert_eq!(released, [(0, split(0, 2, None))]);
    // It comes back before the answer to its former fetch, which no longer counts.
    driven.reader.add_split(split(0, 2, None));
    driven.out.room = 10;
    assert_eq!(driven.requests()[0].1, [(0, 2)]);
    driven.answer(ahead[0].0, KafkaAnswer::Fetched(vec![records(3, &["wrong"], 4)])).unwrap();
    assert_eq!(driven.values(), ["a", "b"]);
    let mut other = Driven::new(source(), [split(0, 2, None)]);
    other.fetch(records(0, &["a", "b", "c"], 3)).unwrap();
    assert_eq!(other.values(), ["c"]);
}

#[test]
fn a_request_that_others_need_survives_a_release() {
    let mut driven = Driven::new(source(), [split(0, 0, None), split(1, 0, None)]);
    let requests = driven.requests();
    assert_eq!(driven.reader.release(1).len(), 1);
    let answer = KafkaAnswer::Fetched(vec![records(0, &["kept"], 1), records(0, &["released"], 1)]);
    driven.answer(requests[0].0, answer).unwrap();
    assert_eq!(driven.values(), ["kept"]);
}

#[test]
fn bounded_input_ends_at_its_stops() {
    let mut driven = Driven::new(source(), [split(0, 0, Some(2)), split(1, 4, Some(4))]);
    driven.reader.no_more_splits();
    driven.poll().unwrap();
    assert_eq!(driven.out.ended, BTreeSet::from([1]), "an empty partition has nothing to read");
    // Record 1 was compacted away, or is a marker: the stop is passed all the same.
    assert_eq!(driven.fetch(records(0, &["a", "b", "c"], 3)), Ok(Polled::End));
    assert_eq!(driven.values(), ["a", "b"]);
    assert_eq!(driven.out.ended, BTreeSet::from([0, 1]));
}

#[test]
fn a_paused_partition_that_is_fetched_up_to_its_stop_does_not_keep_the_reader_awake() {
    let mut driven = Driven::new(source(), [split(0, 0, Some(2))]);
    driven.out.room = 1;
    assert_eq!(driven.fetch(records(0, &["a", "b"], 2)), Ok(Polled::More));
    (driven.out.room, driven.out.paused) = (1_000, true);
    assert_eq!(driven.poll(), Ok(Polled::Wait(None)));
    driven.out.paused = false;
    driven.poll().unwrap();
    assert_eq!(driven.values(), ["a", "b"]);
}

#[test]
fn records_that_do_not_parse_fail_or_are_skipped() {
    let numbers = |record: &crate::KafkaRecord<'_>| {
        let text = std::str::from_utf8(record.value.unwrap_or_default())?;
        Ok(Some(text.parse::<u32>()?))
    };
    for malformed in [Malformed::Fail, Malformed::Skip] {
        let source = KafkaSource::new("host:1", ["t"], numbers).on_malformed(malformed);
        let io = Io::default();
        let enumerator = ToEnumerator::default();
        let context = ReaderContext { index: SubtaskIndex(0), parallelism: 1, io: io.clone(), enumerator };
        let mut reader = source.reader(&context);
        reader.add_split(split(3, 8, None));
        let mut out = Numbers::default();
        reader.poll(Instant::default(), &mut out).unwrap();
        let answer = KafkaAnswer::Fetched(vec![records(8, &["1", "two", "3"], 11)]);
        io.answer(io.drain_submitted()[0].0, Answer::External(Ok(Box::new(answer))));
        let polled = reader.poll(Instant::default(), &mut out).map_err(|error| error.to_string());
        match malformed {
            Malformed::Fail => {
                let expected = "cannot read the record at offset 9 of topic t, partition 3: invalid digit found in string";
                assert_eq!(polled, Err(expected.to_owned()));
            }
            Malformed::Skip => {
                assert_eq!((out.0, reader.skipped_records()), (vec![1, 3], 1));
                assert_eq!(reader.snapshot(), [split(3, 11, None)]);
            }
        }
    }
}

#[derive(Default)]
struct Numbers(Vec<u32>);

impl Emit<u32> for Numbers {
    fn split(&mut self, _: u64) {}

    fn end_split(&mut self, _: u64) {}

    fn emit(&mut self, value: u32, _: Timestamp) {
        self.0.push(value);
    }

    fn is_full(&self) -> bool {
        false
    }
}

#[test]
fn an_offset_that_is_gone_fails_or_is_replaced() {
    let gone = || Fetched::Refused(ResponseError::OffsetOutOfRange);
    let mut driven = Driven::new(source(), [split(0, 5, None)]);
    let error = driven.fetch(gone()).unwrap_err();
    assert!(error.contains("topic t, partition 0 has no offset 5 any more"), "{error}");
    let mut driven = Driven::new(source().on_out_of_range(OutOfRange::Earliest), [split(0, 5, None)]);
    driven.fetch(gone()).unwrap();
    let asked = driven.requests();
    assert_eq!(asked[0].1, [], "it asks for the first offset");
    driven.answer(asked[0].0, KafkaAnswer::Offset(9)).unwrap();
    driven.fetch(records(9, &["first"], 10)).unwrap();
    assert_eq!(driven.values(), ["first"]);
}

#[test]
fn failures_are_repeated_after_growing_pauses() {
    let mut driven = Driven::new(source(), [split(0, 0, None)]);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let ticket = driven.requests()[0].0;
        let lost = KafkaError::NoAddress;
        let error = match pauses.len() {
            0 => CallError::TimedOut { system: "kafka".to_owned(), limit: std::time::Duration::from_secs(1) },
            _ => CallError::failed(
                "kafka",
                KafkaError::Unreachable {
                    address: "host:1".to_owned(),
                    source: std::io::Error::other("down"),
                },
            ),
        };
        assert!(!lost.may_pass(), "nothing but another address helps");
        driven.io.answer(ticket, Answer::External(Err(error)));
        let Polled::Wait(Some(until)) = driven.poll().unwrap() else { panic!("it waits") };
        pauses.push(until.since(driven.now).as_millis());
        driven.now = until;
    }
    assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    driven.fetch(records(0, &["a"], 1)).unwrap();
    assert_eq!(driven.values(), ["a"]);
}

#[test]
fn a_topic_that_stays_away_fails_the_job() {
    let mut driven = Driven::new(source(), [split(0, 5, None)]);
    for _ in 0..100 {
        match driven.fetch(Fetched::Refused(ResponseError::UnknownTopicId)) {
            Ok(Polled::Wait(Some(until))) => driven.now = until,
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert!(error.contains("topic t was deleted") && error.contains("offset 5"), "{error}");
                assert!(driven.now >= Instant::from_millis(30_000), "brokers may be starting");
                return;
            }
        }
    }
    panic!("it waits forever");
}

fn new(partition: i32) -> NewPartition {
    NewPartition { topic: "t".to_owned(), topic_id: TOPIC, partition, start: 3, stop: None }
}

/// Polls an enumerator, answers its request, and returns where that starts and the partitions that were found.
fn search(
    enumerator: &mut dyn Enumerator,
    now: Instant,
    found: Result<Vec<NewPartition>, KafkaError>,
) -> Result<(OffsetsInitializer, Vec<TopicPartition>), String> {
    let io = Io::default();
    let mut context = EnumeratorContext::new(io.clone());
    enumerator.poll(now, &mut context).map_err(|error| error.to_string())?;
    let (ticket, request) = io.drain_submitted().remove(0);
    let Request::External(call) = &request else { panic!("{request:?} is no call") };
    let Some(KafkaRequest::Discover(discover)) = call.request().downcast_ref() else { panic!("{call:?}") };
    let start = discover.start.clone();
    let found = found.map(|found| Box::new(KafkaAnswer::Discovered(found)) as _);
    io.answer(ticket, Answer::External(found.map_err(|error| CallError::failed("kafka://host:1", error))));
    enumerator.poll(now, &mut context).map_err(|error| error.to_string())?;
    let splits = context.take_found().into_iter().map(|split| decode_split::<KafkaSplit>(&split).unwrap());
    Ok((start, splits.map(|split| (split.topic, split.partition)).collect()))
}

#[test]
fn partitions_that_are_found_later_are_read_from_their_beginning() {
    let source = source().starting_offsets(OffsetsInitializer::Latest);
    let mut enumerator = source.enumerator();
    let at = |partition| ("t".to_owned(), partition);
    assert!(enumerator.is_searching() && !enumerator.is_done());
    let start = Instant::from_millis(1);
    let first = search(&mut *enumerator, start, Ok(vec![new(0), new(1)]));
    assert_eq!(first, Ok((OffsetsInitializer::Latest, vec![at(0), at(1)])));
    assert!(!enumerator.is_searching() && !enumerator.is_done());
    let mut restored = source.enumerator();
    restored.restore(&enumerator.snapshot()).unwrap();
    for enumerator in [&mut enumerator, &mut restored] {
        let later = start + Duration::from_secs(5 * 60);
        let found = search(&mut **enumerator, later, Ok(vec![new(1), new(2)]));
        assert_eq!(found, Ok((OffsetsInitializer::Earliest, vec![at(2)])), "each is found once");
    }
}

#[test]
fn the_enumerator_waits_for_brokers_and_not_for_topics() {
    let mut enumerator = source().bounded(OffsetsInitializer::Latest).enumerator();
    let down =
        KafkaError::Unreachable { address: "host:1".to_owned(), source: std::io::Error::other("down") };
    let start = Instant::from_millis(1);
    assert_eq!(search(&mut *enumerator, start, Err(down)).map(|found| found.1), Ok(vec![]));
    assert!(enumerator.is_searching());
    let later = start + Duration::from_secs(2);
    let missing = search(&mut *enumerator, later, Err(KafkaError::NoTopic("t".to_owned()))).unwrap_err();
    assert!(missing.contains("there is no topic t"), "{missing}");
    let mut enumerator = source().bounded(OffsetsInitializer::Latest).enumerator();
    search(&mut *enumerator, start, Ok(vec![new(0)])).unwrap();
    assert!(enumerator.is_done(), "bounded input has no new partitions");
}
