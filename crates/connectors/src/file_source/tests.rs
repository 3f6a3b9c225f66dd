//! Tests of the file source with a store that answers late, in any order and sometimes with an error.

use super::*;
use crate::testing::{Collected, Store, reader_context};
use bytes::Bytes;
use proptest::prelude::*;
use reflow_api::{Emit, EnumeratorContext, Io, Polled, Reader};
use reflow_env::{StoreError, StoreReply, StoreResult};
use reflow_types::{Instant, Timestamp};
use serde::Deserialize;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Row {
    n: u32,
    text: String,
}

/// The choices that determine a store's answers, repeated as long as needed.
#[derive(Clone, Debug)]
struct Whims {
    choices: Vec<u8>,
    next: usize,
}

impl Whims {
    fn none() -> Self {
        Self { choices: vec![1], next: 0 }
    }

    fn next(&mut self) -> usize {
        self.next += 1;
        self.choices[self.next % self.choices.len()].into()
    }
}

/// An enumerator with its requests.
struct Listed {
    enumerator: Box<dyn Enumerator>,
    io: Io,
    context: EnumeratorContext,
}

impl Listed {
    fn new<D: Decoder>(source: &FileSource<D>) -> Self {
        let io = Io::default();
        Self { enumerator: source.enumerator(), context: EnumeratorContext::new(io.clone()), io }
    }

    fn poll(&mut self, now: Instant) -> Result<Option<Instant>, reflow_api::UserError> {
        self.enumerator.poll(now, &mut self.context)
    }

    /// Polls it, answers the listing that it requests, and polls it again.
    fn answer(
        &mut self,
        now: Instant,
        answer: StoreResult,
    ) -> Result<Option<Instant>, reflow_api::UserError> {
        self.poll(now)?;
        let [(ticket, _)] = self.io.drain_submitted()[..] else { panic!("it lists") };
        self.io.answer(ticket, answer);
        self.poll(now)
    }

    /// Answers its requests for listings until it has none, and takes its splits.
    fn list(&mut self, store: &mut Store, now: Instant) -> Vec<FileSplit> {
        loop {
            self.poll(now).unwrap();
            if !self.enumerator.is_searching() {
                break;
            }
            store.answer_all(&self.io);
        }
        let found = self.context.take_found();
        found.iter().map(|split| reflow_api::source::decode_split(split).unwrap()).collect()
    }

    fn restore(&mut self, snapshot: &[u8]) {
        self.enumerator.restore(snapshot).unwrap();
        self.context = EnumeratorContext::new(self.io.clone());
    }
}

fn splits<D: Decoder>(source: &FileSource<D>, store: &mut Store) -> Vec<FileSplit> {
    Listed::new(source).list(store, Instant(0))
}

struct Run<D> {
    reader: FileReader<D>,
    io: Io,
    now: Instant,
    /// A reader gives up a read that fails five times.
    failures_left: u32,
}

impl<D: Decoder> Run<D> {
    fn new(source: &FileSource<D>, splits: Vec<FileSplit>) -> Self {
        let context = reader_context();
        let mut reader = source.reader(&context);
        for split in splits {
            reader.add_split(split);
        }
        reader.no_more_splits();
        Self { reader, io: context.io, now: Instant(1), failures_left: 4 }
    }

    /// Polls once and lets the store answer. Returns whether the reader has reached its end.
    fn step(
        &mut self,
        store: &mut Store,
        whims: &mut Whims,
        out: &mut Collected<D::Item>,
    ) -> Result<bool, String> {
        match self.reader.poll(self.now, out).map_err(|error| error.to_string())? {
            Polled::End => return Ok(true),
            Polled::More => assert!(out.is_full()),
            Polled::Wait(wake) => {
                let whim = whims.next();
                if whim.is_multiple_of(16) && self.failures_left > 0 {
                    self.failures_left -= 1;
                    store.fail_one(&self.io, whim);
                } else if !store.answer_one(&self.io, whim) {
                    self.now = wake.expect("with no request under way, only time can wake the reader");
                }
            }
        }
        Ok(false)
    }

    fn into_records(mut self, store: &mut Store, whims: &mut Whims) -> Result<Vec<D::Item>, String> {
        let mut out = Collected::with_room(0);
        loop {
            out.make_room(7);
            if self.step(store, whims, &mut out)? {
                return Ok(out.records);
            }
        }
    }
}

fn read<D: Decoder>(source: &FileSource<D>, store: &mut Store) -> Result<Vec<D::Item>, String> {
    let splits = splits(source, store);
    Run::new(source, splits).into_records(store, &mut Whims::none())
}

/// Reads everything. At each pause, it also reads with a reader that is restored there, and checks that both
/// together read each record once.
fn check_restores<D: Decoder>(
    source: &FileSource<D>,
    store: &mut Store,
    mut whims: Whims,
    expected: &[D::Item],
) where
    D::Item: Clone + PartialEq + std::fmt::Debug,
{
    let in_any_order = |records: Vec<D::Item>| {
        let mut texts: Vec<_> = records.iter().map(|record| format!("{record:?}")).collect();
        texts.sort_unstable();
        texts
    };
    let expected = in_any_order(expected.to_vec());
    let mut run = Run::new(source, splits(source, store));
    let mut out = Collected::with_room(0);
    loop {
        out.make_room(1 + whims.next() % 5);
        let ended = run.step(store, &mut whims, &mut out).unwrap();
        let mut all = out.records.clone();
        let rest = Run::new(source, run.reader.snapshot());
        all.extend(rest.into_records(&mut store.copy(), &mut whims.clone()).unwrap());
        assert_eq!(in_any_order(all), expected);
        if ended {
            return assert_eq!(in_any_order(out.records), expected);
        }
    }
}

fn field() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zäß ]{0,12}", "[a\",\r\n]{0,6}"]
}

fn whims() -> impl Strategy<Value = Whims> {
    prop::collection::vec(any::<u8>(), 5..40).prop_map(|mut choices| {
        // Not all choices may be failures.
        choices.extend([1, 2, 3]);
        Whims { choices, next: 0 }
    })
}

/// Rows as a CSV file.
fn csv_text(rows: &[Row], end: &str, last_end: bool, one_line: bool) -> (String, Vec<Row>) {
    let mut text = format!("n,text{end}");
    let mut expected = Vec::new();
    for row in rows {
        let field = if one_line { row.text.replace(['\r', '\n'], "") } else { row.text.clone() };
        text.push_str(&format!("{},\"{}\"{end}", row.n, field.replace('"', "\"\"")));
        expected.push(Row { n: row.n, text: field });
    }
    if !last_end {
        text.truncate(text.len() - end.len());
    }
    (text, expected)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn csv_is_read_once_over_restores(
        texts in prop::collection::vec(prop::collection::vec(field(), 0..12), 1..4),
        crlf: bool, last_end: bool, one_line: bool, byte_order_mark: bool, split_size in 1_u64..60, whims in whims(),
    ) {
        let mut store = Store::default();
        let mut expected = Vec::new();
        for (file, texts) in texts.into_iter().enumerate() {
            let row = |(n, text)| Row { n: (100 * file + n) as u32, text };
            let rows: Vec<Row> = texts.into_iter().enumerate().map(row).collect();
            let (text, rows) = csv_text(&rows, if crlf { "\r\n" } else { "\n" }, last_end, one_line);
            let text = if byte_order_mark { format!("\u{feff}{text}") } else { text };
            store.objects.insert(format!("/in/{file}.csv"), Bytes::from(text));
            expected.extend(rows);
        }
        store.objects.insert("/in/empty.csv".to_owned(), Bytes::new());
        let source = FileSource::csv::<Row>("/in").splittable(one_line).split_size(split_size);
        check_restores(&source, &mut store, whims, &expected);
    }

    #[test]
    fn lines_are_read_once_over_restores(
        lines in prop::collection::vec("[a-cß\r]{0,9}[a-c]?", 0..30),
        last_end: bool, split_size in 1_u64..40, whims in whims(),
    ) {
        let lines: Vec<String> = lines.iter().map(|line| line.trim_end_matches('\r').to_owned()).collect();
        // Carriage returns in a file without line feeds are refused.
        let no_line_feed = lines.len() == 1 && !last_end;
        let lines: Vec<String> =
            lines.into_iter().map(|line| if no_line_feed { line.replace('\r', "") } else { line }).collect();
        let mut text = lines.join("\n");
        let mut expected = lines.clone();
        if last_end && !lines.is_empty() {
            text.push('\n');
        } else if expected.last().is_some_and(String::is_empty) {
            expected.pop(); // without a line end it is no line
        }
        let mut store = Store::with([("/in/lines", text.as_str())]);
        check_restores(&FileSource::lines("/in/lines").split_size(split_size), &mut store, whims, &expected);
    }
}

#[test]
fn json_lines_are_read() {
    let text = "{\"n\":1,\"text\":\"a\"}\n\n  \r\n{\"text\":\"b\\n\",\"n\":2}";
    let mut store = Store::with([("/in/a.jsonl", text)]);
    let rows = read(&FileSource::json_lines::<Row>("/in/a.jsonl"), &mut store).unwrap();
    assert_eq!(rows, [Row { n: 1, text: "a".into() }, Row { n: 2, text: "b\n".into() }]);
}

#[test]
fn columns_are_taken_by_order_without_a_header() {
    let mut store = Store::with([("/in/a", "1;x\n2;\"y;z\"\n")]);
    let source = FileSource::csv::<Row>("/in").without_header().delimiter(b';');
    assert_eq!(read(&source, &mut store).unwrap()[1], Row { n: 2, text: "y;z".into() });
}

#[test]
fn records_longer_than_a_read_are_put_together() {
    let (long, last) = ("x".repeat(5 << 20), "y".repeat(3 << 20));
    let mut store = Store::with([("/in/a", format!("{long}\nb\n{last}").as_str())]);
    for split_size in [1 << 20, 5 << 20, 64 << 20] {
        let mut lines = read(&FileSource::lines("/in").split_size(split_size), &mut store).unwrap();
        lines.sort_unstable();
        assert_eq!(lines.len(), 3);
        assert!(lines == ["b", &long, &last]);
    }
}

#[test]
fn a_record_without_an_end_is_refused() {
    let mut store = Store::with([("/in/a", format!("n,text\n1,\"{}", "x".repeat(17 << 20)).as_str())]);
    let error = read(&FileSource::csv::<Row>("/in"), &mut store).unwrap_err();
    assert_eq!(
        error,
        "/in/a, line 2, byte 7: the record is longer than 16777216 bytes; is a quote not closed, or are there no line feeds?"
    );
}

const WITH_ERRORS: &str = "n,text\n1,\"a\nb\"\nx,c\n3\n4,d\n";

#[test]
fn a_malformed_record_fails_with_its_place() {
    let mut store = Store::with([("/in/a", WITH_ERRORS)]);
    let error = read(&FileSource::csv::<Row>("/in"), &mut store).unwrap_err();
    assert_eq!(error, "/in/a, line 4, byte 15: column 'n': invalid digit found in string");

    let mut store = Store::with([("/in/a", "a\nb\n\u{fffd}\n")]);
    store.objects.insert("/in/a".to_owned(), Bytes::from_static(b"a\nb\n\xff\n"));
    let error = read(&FileSource::lines("/in").split_size(3), &mut store).unwrap_err();
    assert!(error.starts_with("/in/a, byte 4: not UTF-8"), "{error}");
}

#[test]
fn malformed_records_are_skipped_and_counted_if_asked() {
    let mut store = Store::with([("/in/a", WITH_ERRORS)]);
    let source = FileSource::csv::<Row>("/in").on_malformed(Malformed::Skip);
    let mut run = Run::new(&source, splits(&source, &mut store));
    let mut out = Collected::with_room(100);
    while !run.step(&mut store, &mut Whims::none(), &mut out).unwrap() {}
    assert_eq!(out.records, [Row { n: 1, text: "a\nb".into() }, Row { n: 4, text: "d".into() }]);
    assert_eq!(run.reader.skipped_records(), 2);
}

/// An output that panics at a certain row.
struct Refuses(Collected<Row>);

impl Emit<Row> for Refuses {
    fn split(&mut self, split: u64) {
        self.0.split(split);
    }
    fn end_split(&mut self, split: u64) {
        self.0.end_split(split);
    }
    fn emit(&mut self, row: Row, time: Timestamp) {
        assert!(row.n != 4, "refused");
        self.0.emit(row, time);
    }
    fn is_full(&self) -> bool {
        self.0.is_full()
    }
}

#[test]
fn a_record_that_fails_downstream_can_be_named() {
    let mut store = Store::with([("/in/a", WITH_ERRORS)]);
    let source = FileSource::csv::<Row>("/in").on_malformed(Malformed::Skip);
    let mut run = Run::new(&source, splits(&source, &mut store));
    let mut out = Refuses(Collected::with_room(100));
    let reader = &mut run.reader;
    assert_eq!(reader.position(), None);
    let mut poll = || catch_unwind(AssertUnwindSafe(|| reader.poll(run.now, &mut out).map(drop)));
    assert!(poll().is_ok(), "nothing is read yet");
    store.answer_all(&run.io);
    assert!(poll().is_err(), "the last row is refused");
    assert_eq!(run.reader.position().as_deref(), Some("/in/a, line 6, byte 21"));
}

#[test]
fn a_store_that_keeps_failing_fails_the_reader() {
    let mut store = Store::with([("/in/a", "a\n")]);
    let source = FileSource::lines("/in");
    let mut run = Run::new(&source, splits(&source, &mut store));
    run.failures_left = u32::MAX;
    let always = &mut Whims { choices: vec![0], next: 0 };
    let mut out = Collected::with_room(1);
    let error = loop {
        match run.step(&mut store, always, &mut out) {
            Ok(_) => run.now = run.now + Duration::from_millis(100),
            Err(error) => break error,
        }
    };
    assert_eq!(error, "cannot read /in/a at byte 0: the store: no connection");
    let waited = run.now.since(Instant(1));
    assert!((300..400).contains(&waited.as_secs()), "{waited:?}");
}

#[test]
fn a_file_that_has_gone_is_named() {
    let mut store = Store::with([("/in/a", "a\n")]);
    let source = FileSource::lines("/in");
    let splits = splits(&source, &mut store);
    store.objects.clear();
    let error = Run::new(&source, splits).into_records(&mut store, &mut Whims::none()).unwrap_err();
    assert!(error.starts_with("cannot read /in/a at byte 0: /in/a does not exist. "), "{error}");
    assert!(error.contains("on_malformed(Malformed::Skip)"), "{error}");
}

#[test]
fn a_file_that_has_gone_or_shrunk_is_skipped_if_told_so() {
    let mut store = Store::with([("/in/a", "a\n"), ("/in/b", "b\n"), ("/in/c", "c\nd\n"), ("/in/d", "e\n")]);
    let source = FileSource::lines("/in").on_malformed(Malformed::Skip);
    let mut run = Run::new(&source, splits(&source, &mut store));
    store.objects.remove("/in/b");
    store.objects.insert("/in/c".to_owned(), Bytes::from_static(b"c\n"));
    let mut out = Collected::with_room(100);
    while !run.step(&mut store, &mut Whims::none(), &mut out).unwrap() {}
    out.records.sort();
    assert_eq!(out.records, ["a", "e"]);
    assert_eq!(run.reader.skipped_records(), 2);
}

#[test]
fn a_record_that_is_too_long_is_skipped_if_told_so() {
    let long = "x".repeat(active::MAX_RECORD_BYTES + 10);
    let lines = format!("a\n{long}\nb\n");
    let mut store = Store::with([("/in/a", lines.as_str())]);
    let source = FileSource::lines("/in").split_size(5 << 20);
    let error = read(&source, &mut store).unwrap_err();
    assert!(error.starts_with("/in/a, line 2, byte 2: the record is longer than"), "{error}");
    let mut found = read(&source.on_malformed(Malformed::Skip), &mut store).unwrap();
    found.sort();
    assert_eq!(found, ["a", "b"], "they stand in different splits");

    // An unclosed quote extends over the following lines, but only its own line is skipped.
    let row = format!("2,{}\n", "y".repeat(1_000));
    let rows = format!("n,text\n1,\"x\n{}", row.repeat(active::MAX_RECORD_BYTES / row.len() + 10));
    let mut store = Store::with([("/in/a", rows.as_str())]);
    let source = FileSource::csv::<Row>("/in").on_malformed(Malformed::Skip);
    assert_eq!(read(&source, &mut store).unwrap().len(), active::MAX_RECORD_BYTES / row.len() + 10);
}

#[test]
fn a_byte_order_mark_stands_before_the_first_record() {
    let rows = |text: &str| {
        let mut store = Store::with([("/in/a", text)]);
        read(&FileSource::csv::<Vec<String>>("/in"), &mut store)
    };
    let row = vec!["1".to_owned(), "a".to_owned()];
    assert_eq!(rows("\u{feff}\"Date\n(UTC)\",text\n1,a\n"), Ok(vec![row]));
    assert_eq!(rows("\u{feff}"), Ok(vec![]), "as an empty file");
    assert!(
        rows("\u{feff}\n1,a\n").is_err() && rows("\u{feff}\n").is_err(),
        "there is a line, which is empty"
    );
    let mut store = Store::with([("/in/a", "\u{feff}\n")]);
    assert_eq!(read(&FileSource::lines("/in"), &mut store).unwrap(), [""]);
    store.objects.insert("/in/a".to_owned(), Bytes::from_static(b"\xff\xfeI\0d\0\n\0"));
    let error = read(&FileSource::csv::<Vec<String>>("/in"), &mut store).unwrap_err();
    assert!(error.contains("UTF-16"), "{error}");
    let mut store = Store::with([("/in/a", "\u{feff}a\n\u{feff}b")]);
    assert_eq!(read(&FileSource::lines("/in"), &mut store).unwrap(), ["a", "\u{feff}b"]);
}

#[test]
fn lines_that_end_with_carriage_returns_alone_are_refused() {
    let mut store = Store::with([("/in/a", "n,text\r1,a\r2,b\r")]);
    let error = read(&FileSource::csv::<Row>("/in"), &mut store).unwrap_err();
    assert!(error.contains("carriage return without a line feed"), "{error}");

    // Without a header, the only sign is that the whole file has no line feed.
    let classic = "1,a\r2,b\r3,c";
    let mut store = Store::with([("/in/a", classic), ("/in/b", "4,d")]);
    let reason = "/in/a, line 1, byte 0: the file has carriage returns and no line feed; lines must end with a line \
                  feed, or a carriage return and a line feed";
    assert_eq!(read(&FileSource::lines("/in"), &mut store).unwrap_err(), reason);
    let rows = FileSource::csv::<(u32, String)>("/in").without_header();
    assert_eq!(read(&rows, &mut store).unwrap_err(), reason);
    assert_eq!(read(&rows.on_malformed(Malformed::Skip), &mut store).unwrap(), [(4, "d".to_owned())]);

    let mut store = Store::with([("/in/a", "10%\r20%\r30%\n"), ("/in/b", "done\r\r")]);
    let mut lines = read(&FileSource::lines("/in"), &mut store).unwrap();
    lines.sort();
    assert_eq!(lines, ["10%\r20%\r30%", "done\r"], "they are part of a line, as there is a line feed");
    let mut store = Store::with([("/in/a", "{\r\"n\":1,\r\"text\":\"a\"}\r")]);
    let rows = read(&FileSource::json_lines::<Row>("/in/a"), &mut store).unwrap();
    assert_eq!(rows, [Row { n: 1, text: "a".into() }], "they are white space");
}

fn listing_error(at: &str, store: &mut Store) -> String {
    let listing = store.carry_out(reflow_env::StoreOp::List { below: Location(at.to_owned()) });
    Listed::new(&FileSource::lines(at)).answer(Instant(0), listing).unwrap_err().to_string()
}

#[test]
fn nothing_to_read_is_an_error() {
    let mut store = Store::with([("/in/_a", "a"), ("/in/.b/c", "c")]);
    assert_eq!(
        listing_error("/inn", &mut store),
        "there is no file /inn, and no directory /inn with files in it"
    );
    let expected = "there is nothing to read in /in/: the names of all its files begin with '.' or '_'";
    assert_eq!(listing_error("/in/", &mut store), expected);
    assert_eq!(read(&FileSource::lines("/in/_a"), &mut store).unwrap(), ["a"]);
}

#[test]
fn large_files_are_divided_if_they_can_be() {
    let mut store = Store::with([("/in/a", "0123456789"), ("/in/b", "01")]);
    let ends =
        |splits: Vec<FileSplit>| splits.iter().map(|split| (split.number, split.end)).collect::<Vec<_>>();
    let lines = FileSource::lines("/in").split_size(4);
    assert_eq!(ends(splits(&lines, &mut store)), [(0, 4), (1, 8), (2, 10), (3, 2)]);
    let csv = FileSource::csv::<Row>("/in").split_size(4);
    assert_eq!(ends(splits(&csv, &mut store)), [(0, 10), (1, 2)]);
    assert_eq!(splits(&csv.splittable(true), &mut store).len(), 4);
}

#[test]
fn a_watching_source_finds_each_new_file_once() {
    let mut store = Store::default();
    let source = FileSource::lines("/in").watch(Duration::from_secs(10));
    let mut enumerator = Listed::new(&source);
    let names = |splits: Vec<FileSplit>| {
        splits.iter().map(|split| (split.number, split.file.0.clone())).collect::<Vec<_>>()
    };
    assert_eq!(enumerator.list(&mut store, Instant::from_millis(0)), []);
    assert!(!enumerator.enumerator.is_done());
    store.objects.insert("/in/b".to_owned(), Bytes::from_static(b"b"));
    let due = enumerator.poll(Instant::from_millis(5_000)).unwrap();
    assert_eq!(due, Some(Instant::from_millis(10_000)));
    assert_eq!(names(enumerator.list(&mut store, Instant::from_millis(10_000))), [(0, "/in/b".to_owned())]);

    let snapshot = enumerator.enumerator.snapshot();
    let mut enumerator = Listed::new(&source);
    enumerator.restore(&snapshot);
    store.objects.insert("/in/a".to_owned(), Bytes::from_static(b"a"));
    assert_eq!(names(enumerator.list(&mut store, Instant::from_millis(11_000))), [(1, "/in/a".to_owned())]);
}

/// By a JobManager that is lost, after the snapshot.
#[test]
fn splits_that_were_assigned_are_not_found_again_and_others_of_their_file_are() {
    let mut store = Store::with([("/in/a", "0123")]);
    let source = FileSource::lines("/in").split_size(4).watch(Duration::from_secs(10));
    let mut lost = Listed::new(&source);
    assert_eq!(lost.list(&mut store, Instant(0)).len(), 1);
    let snapshot = lost.enumerator.snapshot();
    store.objects.insert("/in/b".to_owned(), Bytes::from_static(b"0123456789"));
    store.objects.insert("/in/c".to_owned(), Bytes::from_static(b"01"));
    let found = lost.list(&mut store, Instant::from_millis(10_000));
    let [b0, b1, b2, c] = &found[..] else { panic!("{found:?}") };

    for assigned in [vec![b1], vec![b2, b0], vec![b0, b1, b2], vec![c, b1]] {
        let mut next = Listed::new(&source);
        next.restore(&snapshot);
        for split in &assigned {
            assert!(next.enumerator.assigned(&reflow_api::source::encode_split(*split)), "{split:?}");
        }
        let again = next.list(&mut store, Instant::from_millis(20_000));
        let part = |split: &FileSplit| (split.file.0.clone(), split.end);
        let mut all: Vec<_> = again.iter().chain(assigned.iter().copied()).map(part).collect();
        all.sort();
        let mut expected: Vec<_> = found.iter().map(part).collect();
        expected.sort();
        assert_eq!(all, expected, "{assigned:?}");
        let mut numbers: Vec<_> = again.iter().chain(assigned).map(|split| split.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), found.len(), "each has a number of its own");
    }
    let mut next = Listed::new(&FileSource::lines("/in").split_size(5).watch(Duration::from_secs(10)));
    next.restore(&snapshot);
    assert!(!next.enumerator.assigned(&reflow_api::source::encode_split(b1)), "it was divided otherwise");
    assert!(!next.enumerator.assigned(b"?"));
}

#[test]
fn a_watching_source_outlives_listings_that_fail() {
    let mut store = Store::with([("/in/a", "a")]);
    let mut enumerator = Listed::new(&FileSource::lines("/in").watch(Duration::from_secs(10)));
    let away = || Err(StoreError::NotFound(Location("/in".into())));
    assert!(enumerator.answer(Instant(0), away()).is_err(), "it may be a mistake in the location");
    assert_eq!(enumerator.list(&mut store, Instant(0)).len(), 1);
    for _ in 0..2 {
        let at = Instant::from_millis(10_000);
        assert_eq!(enumerator.answer(at, away()).unwrap(), Some(Instant::from_millis(20_000)));
        let snapshot = enumerator.enumerator.snapshot();
        enumerator.restore(&snapshot);
    }
    store.objects.insert("/in/b".to_owned(), Bytes::from_static(b"b"));
    assert_eq!(enumerator.list(&mut store, Instant::from_millis(20_000)).len(), 1);
}

#[test]
fn a_bounded_source_lists_once_over_restores() {
    let mut store = Store::with([("/in/a", "a")]);
    let source = FileSource::lines("/in");
    let mut enumerator = Listed::new(&source);
    let pristine = enumerator.enumerator.snapshot();
    let listing = store.carry_out(reflow_env::StoreOp::List { below: Location("/in".into()) });
    enumerator.answer(Instant(0), listing).unwrap();
    assert_eq!(enumerator.context.take_found().len(), 1);
    let found = enumerator.enumerator.snapshot();

    let mut enumerator = Listed::new(&source);
    enumerator.restore(&found);
    assert_eq!(enumerator.poll(Instant(0)).unwrap(), None);
    assert!(enumerator.enumerator.is_done());
    assert_eq!(enumerator.context.take_found().len(), 0, "it was found before the snapshot");

    enumerator.restore(&pristine);
    assert_eq!(enumerator.list(&mut store, Instant(0)).len(), 1);
    enumerator.restore(&pristine);
    let failed = enumerator.answer(Instant(0), Err(StoreError::NotFound(Location("/in".into()))));
    assert_eq!(failed.unwrap_err().to_string(), "cannot list the files in /in: /in does not exist");
    enumerator.restore(&pristine);
    assert!(enumerator.answer(Instant(0), Ok(StoreReply::Done)).is_err());
}
