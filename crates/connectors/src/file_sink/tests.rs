//! Tests of the file sink: what is stored when, which files appear, and what is left after failures.

use super::*;
use crate::testing::{Store, writer_context};
use crate::{Csv, Lines};
use bytes::Bytes;
use reflow_api::sink::{Barrier, CommitFailure, FollowedBy, OpenOutput, Owner, WriterOutput};
use reflow_api::{Io, Transaction, Writer};
use reflow_env::{Request, StoreError, StoreOp};
use reflow_types::{CheckpointId, Instant, NO_TIMESTAMP, SubtaskId};
use std::time::Duration;

type Lined<B = OneBucket> = FileSink<String, Lines, B>;

fn sink() -> Lined {
    FileSink::new("/out", Lines).rolling_policy(RollingPolicy::default())
}

fn on_checkpoint() -> Lined {
    sink().rolling_policy(RollingPolicy::on_checkpoint())
}

/// Lines are `bucket:text`.
fn by_bucket() -> FileSink<String, Lines, impl BucketAssigner<String>> {
    sink().bucket_by(|line: &String| line.split(':').next().unwrap_or_default().to_owned())
}

/// A writer with its storage.
struct Driven<W> {
    writer: W,
    io: Io,
    store: Store,
    checkpoint: u64,
    now: Instant,
}

/// What a checkpoint has of a writer.
struct Taken {
    transactions: Vec<Transaction>,
    open: Vec<Bytes>,
    trace: Bytes,
}

impl<T: 'static, F: Format<T>, B: BucketAssigner<T>> Driven<FileWriter<T, F, B>> {
    fn new(sink: &FileSink<T, F, B>) -> Self {
        Self::on(sink, Store::default(), 7)
    }

    fn on(sink: &FileSink<T, F, B>, store: Store, subtask: u64) -> Self {
        let io = Io::default();
        let context = WriterContext { subtask: SubtaskId(subtask), io: io.clone(), ..writer_context() };
        let now = context.opened;
        Self { writer: sink.writer(&context).unwrap(), io, store, checkpoint: 0, now }
    }

    /// The writer of the next attempt, on the same store.
    fn restored(self, sink: &FileSink<T, F, B>, open: &[Bytes], owner: Owner) -> Self {
        let Self { store, now, writer, .. } = self;
        drop(writer);
        let mut next = Self { now, ..Self::on(sink, store, 20) };
        let open = open.iter().map(|state| OpenOutput { state: state.clone(), owner }).collect();
        next.writer.restore(open).unwrap();
        next.advance(Duration::ZERO);
        next
    }

    fn write(&mut self, value: T) {
        self.writer.write(value, NO_TIMESTAMP).unwrap();
    }

    fn advance(&mut self, duration: Duration) {
        self.now = self.now + duration;
        self.writer.tick(self.now).unwrap();
    }

    fn carry_out(&mut self, output: &mut WriterOutput) {
        for request in output.requests.drain(..) {
            self.store.carry_out(request).unwrap();
        }
        self.store.answer_all(&self.io);
        for ticket in output.wait_for.drain(..) {
            assert_eq!(self.io.take(ticket), Some(Ok(reflow_env::StoreReply::Done)));
        }
        // They are under way at the same time, so none may need the object of an earlier one.
        for request in output.then.drain(..).rev() {
            self.store.carry_out(request).unwrap();
        }
    }

    /// Takes a checkpoint, of which everything is stored.
    fn barrier(&mut self, followed_by: FollowedBy) -> Taken {
        self.checkpoint += 1;
        let mut early = self.writer.take_output();
        self.carry_out(&mut early);
        let barrier = Barrier { checkpoint: CheckpointId(self.checkpoint), followed_by };
        let mut output = self.writer.snapshot(barrier).unwrap();
        self.carry_out(&mut output);
        early.transactions.append(&mut output.transactions);
        Taken {
            transactions: early.transactions,
            open: output.open,
            trace: self.writer.trace().expect("it leaves objects behind"),
        }
    }

    fn commit(&mut self, taken: &Taken) {
        for transaction in &taken.transactions {
            self.store.carry_out(self.writer.commit(transaction).unwrap()).unwrap();
        }
        self.writer.completed(CheckpointId(self.checkpoint));
        self.store.answer_all(&self.io);
    }

    /// Takes a checkpoint and commits it.
    fn checkpoint(&mut self) -> Taken {
        let taken = self.barrier(FollowedBy::Records);
        self.commit(&taken);
        taken
    }

    /// Ends the input.
    fn end(&mut self) {
        let taken = self.barrier(FollowedBy::Nothing);
        assert!(taken.open.is_empty());
        self.commit(&taken);
    }

    /// The visible files with their text.
    fn files(&self) -> Vec<(&str, &str)> {
        let visible = self.store.names().into_iter().filter(|name| !name.contains("/.pending/"));
        visible.map(|name| (name, self.store.text(name))).collect()
    }

    /// The number of hidden objects.
    fn hidden(&self) -> usize {
        self.store.names().into_iter().filter(|name| name.contains("/.pending/")).count()
    }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn line(text: &str) -> String {
    text.to_owned()
}

#[test]
fn a_file_appears_with_its_commit() {
    let mut sink = Driven::new(&on_checkpoint());
    assert!(sink.barrier(FollowedBy::Records).transactions.is_empty());
    sink.write(line("a"));
    sink.write(line("b"));
    let taken = sink.barrier(FollowedBy::Records);
    assert_eq!(sink.store.names(), ["/out/.pending/part-abc-7-0"]);
    sink.commit(&taken);
    sink.write(line("c"));
    sink.checkpoint();
    assert_eq!(sink.files(), [("/out/part-abc-7-0.txt", "a\nb\n"), ("/out/part-abc-7-1.txt", "c\n")]);
    assert_eq!(sink.hidden(), 0);
}

#[test]
fn a_second_commit_by_another_subtask_is_known_to_be_one() {
    let mut first = Driven::new(&on_checkpoint());
    first.write(line("a"));
    let taken = first.checkpoint();
    let mut other = first.restored(&on_checkpoint(), &[], Owner::ThisJob);
    let again = other.writer.commit(&taken.transactions[0]).unwrap();
    let error = other.store.carry_out(again).unwrap_err();
    assert_eq!(other.writer.commit_failed(&error.into()), CommitFailure::AlreadyCommitted);
    let away = StoreError::Failed { at: Location(String::new()), reason: String::new() };
    assert_eq!(other.writer.commit_failed(&away.into()), CommitFailure::Transient);
    assert_eq!(other.files(), [("/out/part-abc-7-0.txt", "a\n")]);
}

#[test]
fn a_part_stays_open_over_checkpoints() {
    let mut sink = Driven::new(&sink());
    for text in ["a", "b", "c"] {
        sink.write(line(text));
        let taken = sink.checkpoint();
        assert_eq!((taken.transactions.len(), taken.open.len()), (0, 1));
        assert_eq!(sink.checkpoint().open.len(), 1, "nothing was written");
    }
    assert!(sink.files().is_empty());
    assert_eq!(sink.hidden(), 3);
    sink.advance(secs(60));
    sink.checkpoint();
    assert_eq!(sink.files(), [("/out/part-abc-7-3.txt", "a\nb\nc\n")]);
    assert_eq!(sink.hidden(), 3, "older checkpoints have the pieces");
    (0..9).for_each(|_| drop(sink.checkpoint()));
    assert_eq!(sink.hidden(), 0);
}

#[test]
fn parts_are_rolled_by_size_age_and_inactivity() {
    let policy =
        RollingPolicy::default().max_part_size(8).rollover_interval(secs(30)).inactivity_interval(secs(10));
    let mut sink = Driven::new(&sink().rolling_policy(policy));
    ["abc", "def", "g"].into_iter().for_each(|text| sink.write(line(text)));
    sink.checkpoint();
    let large = ("/out/part-abc-7-0.txt", "abc\ndef\n");
    assert_eq!(sink.files(), [large], "the third line is in the next part");
    sink.write(line("hij"));
    sink.checkpoint();
    assert_eq!(sink.files().len(), 2, "half of its size since the last checkpoint");
    sink.write(line("1"));
    sink.advance(secs(9));
    assert_eq!(sink.writer.next_wakeup(), Some(sink.now + secs(1)));
    sink.checkpoint();
    assert_eq!(sink.files().len(), 2);
    sink.advance(secs(1));
    sink.checkpoint();
    assert_eq!(sink.files().len(), 3, "nothing was written for 10 s");
    sink.write(line("2"));
    for _ in 0..3 {
        sink.advance(secs(9));
        sink.write(line(""));
        sink.checkpoint();
    }
    assert_eq!(sink.files().len(), 3);
    sink.advance(secs(3));
    sink.checkpoint();
    assert_eq!(sink.files().len(), 4, "it was opened 30 s ago");
    assert_eq!(sink.writer.next_wakeup(), None);
}

#[test]
fn after_a_failure_a_part_goes_on_from_its_checkpoint() {
    let mut failed = Driven::new(&sink());
    failed.write(line("a"));
    let taken = failed.checkpoint();
    failed.write(line("lost"));
    failed.barrier(FollowedBy::Records);
    let mut next = failed.restored(&sink(), &taken.open, Owner::ThisJob);
    assert_eq!(next.hidden(), 2);
    while !next.writer.clean_up(std::slice::from_ref(&taken.trace)) {
        next.store.answer_all(&next.io);
    }
    next.store.answer_all(&next.io);
    assert_eq!(next.hidden(), 1, "what was stored after the checkpoint is removed");
    next.write(line("b"));
    next.checkpoint();
    next.write(line("c"));
    next.end();
    assert_eq!(next.files(), [("/out/part-abc-20-1.txt", "a\nb\nc\n")]);
    assert_eq!(next.hidden(), 0);
}

/// The age of a part counts over a failure.
#[test]
fn a_restored_part_is_as_old_as_it_was() {
    let mut failed = Driven::new(&sink());
    failed.write(line("a"));
    failed.advance(secs(50));
    failed.write(line("b"));
    let taken = failed.checkpoint();
    let mut next = failed.restored(&sink(), &taken.open, Owner::ThisJob);
    next.advance(secs(10));
    next.checkpoint();
    assert_eq!(next.files().len(), 1);
}

#[test]
fn a_subtask_continues_one_part_of_each_bucket_and_closes_others() {
    let mut first = Driven::new(&by_bucket());
    ["x:1", "y:1"].into_iter().for_each(|text| first.write(line(text)));
    let mut open = first.checkpoint().open;
    let mut second = Driven::on(&by_bucket(), first.store.copy(), 8);
    ["y:2", "z:2"].into_iter().for_each(|text| second.write(line(text)));
    open.extend(second.checkpoint().open);
    let mut next = second.restored(&by_bucket(), &open, Owner::ThisJob);
    next.write(line("y:3"));
    next.checkpoint();
    let [(name, text)] = next.files()[..] else {
        panic!("one of two parts of y is closed: {:?}", next.files())
    };
    assert!(name.starts_with("/out/y/") && text == "y:2\n", "{name}: {text}");
    next.end();
    let texts: Vec<&str> = next.files().into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["x:1\n", "y:2\n", "y:1\ny:3\n", "z:2\n"]);
}

/// Several jobs can be started from a savepoint.
#[test]
fn a_savepoint_has_no_open_parts_and_can_be_restored_twice() {
    for followed_by in [FollowedBy::OtherJobs, FollowedBy::OtherSubtasks, FollowedBy::Nothing] {
        let mut job = Driven::new(&by_bucket());
        ["x:1", "y:1"].into_iter().for_each(|text| job.write(line(text)));
        job.checkpoint();
        job.write(line("x:2"));
        let taken = job.barrier(followed_by);
        assert!(taken.open.is_empty(), "{followed_by:?}");
        assert_eq!(taken.transactions.len(), 2);
        job.commit(&taken);
        let mut again = job.restored(&by_bucket(), &[], Owner::AnotherJob);
        for transaction in &taken.transactions {
            let commit = again.writer.commit(transaction).unwrap();
            let error = again.store.carry_out(commit).unwrap_err();
            assert_eq!(again.writer.commit_failed(&error.into()), CommitFailure::AlreadyCommitted);
        }
        let texts: Vec<&str> = again.files().into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["x:1\nx:2\n", "y:1\n"], "{followed_by:?}");
    }
}

/// The other job may still run.
#[test]
fn pieces_of_another_job_are_copied_and_stay() {
    let mut other = Driven::new(&sink());
    other.write(line("a"));
    let taken = other.checkpoint();
    let mut job = other.restored(&sink(), &taken.open, Owner::AnotherJob);
    job.write(line("b"));
    job.end();
    assert_eq!(job.files(), [("/out/part-abc-20-0.txt", "a\n"), ("/out/part-abc-20-1.txt", "b\n")]);
    assert_eq!(job.hidden(), 1);
}

#[test]
fn a_part_that_is_open_over_thousands_of_checkpoints_has_few_pieces() {
    let policy = RollingPolicy::default().rollover_interval(Duration::MAX);
    let mut sink = Driven::new(&sink().rolling_policy(policy));
    let joined = Bounds::default().joined_pieces;
    let mut expected = String::new();
    let mut largest = 0;
    for n in 0..joined * (joined + 3) {
        sink.write(n.to_string());
        expected += &format!("{n}\n");
        let taken = sink.checkpoint();
        largest = taken.open.iter().map(Bytes::len).sum::<usize>().max(largest);
    }
    assert!(largest < 64 << 10, "{largest} bytes of state");
    assert!(sink.hidden() < 4 * joined, "{} objects", sink.hidden());
    sink.end();
    assert_eq!(sink.files()[0].1, expected);
    assert_eq!(sink.hidden(), 0);
}

#[test]
fn much_is_uploaded_in_parts_and_waits_for_the_store() {
    let text = "x".repeat((1 << 20) - 1);
    for policy in [RollingPolicy::on_checkpoint(), RollingPolicy::default()] {
        let mut sink = Driven::new(&sink().rolling_policy(policy));
        let mut lines = 0;
        for checkpoint in 0..2 {
            while sink.writer.has_room() {
                sink.write(text.clone());
                lines += 1;
            }
            assert_eq!(lines, (checkpoint + 1) * (4 * 8 + 1), "{policy:?}");
            sink.store.answer_all(&sink.io);
            assert!(sink.writer.has_room());
            sink.checkpoint();
        }
        sink.end();
        let bytes: usize = sink.files().iter().map(|(_, text)| text.len()).sum();
        assert_eq!(bytes, lines << 20, "{policy:?}");
        assert_eq!(sink.hidden(), 0);
    }
}

#[test]
fn many_buckets_take_little_memory() {
    let mut sink = Driven::new(&by_bucket());
    let text = "x".repeat(1 << 20);
    let mut records = 0;
    while sink.writer.has_room() {
        sink.write(format!("{}:{text}", records % 100));
        records += 1;
    }
    assert!((60..80).contains(&records), "{records} MiB, half of them on their way to storage");
    sink.checkpoint();
    assert!(sink.writer.has_room());
    sink.end();
    assert_eq!(sink.files().len(), records);
}

#[test]
fn the_bucket_that_was_used_least_recently_is_closed() {
    let mut sink = Driven::new(&by_bucket().max_open_buckets(2));
    ["x:1", "y:1", "x:2", "z:1", "x:3", "y:2"].into_iter().for_each(|text| sink.write(line(text)));
    let taken = sink.checkpoint();
    assert_eq!(taken.open.len(), 2);
    let texts: Vec<&str> = sink.files().into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["y:1\n", "z:1\n"]);
    sink.end();
    assert_eq!(sink.files().len(), 4);
}

#[test]
fn a_hundred_thousand_buckets_lose_nothing() {
    let mut sink = Driven::new(&by_bucket().max_open_buckets(100));
    let mut files = 0;
    for n in 0..100_000 {
        sink.write(format!("{}:{n}", n % 50_000));
        if n % 1_000 == 0 {
            files += sink.checkpoint().transactions.len();
        }
    }
    sink.end();
    assert_eq!(sink.files().len(), 100_000);
    assert!(files >= 98_000);
    assert_eq!(sink.hidden(), 0);
}

#[test]
fn names_of_files_and_buckets() {
    let named = by_bucket().prefix("events").extension("log");
    let mut sink = Driven::new(&named);
    ["country=de/city=1:a", ":b", "ä b:c"].into_iter().for_each(|text| sink.write(line(text)));
    sink.end();
    let names: Vec<&str> = sink.files().into_iter().map(|(name, _)| name).collect();
    let expected = [
        "/out/country=de/city=1/events-abc-7-2.log",
        "/out/events-abc-7-1.log",
        "/out/ä b/events-abc-7-0.log",
    ];
    assert_eq!(names, expected);
    let long = "x".repeat(600);
    for (bucket, part) in [
        ("../etc", "begins with a dot"),
        ("a//b", "empty part"),
        ("/a", "empty part"),
        (".pending", "begins with a dot"),
        ("a\nb", "control characters"),
        ("a#1", "'#' and digits"),
        (long.as_str(), "512 bytes"),
    ] {
        let error = sink.writer.write(format!("{bucket}:x"), NO_TIMESTAMP).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn buckets_by_event_time_follow_a_time_zone() {
    let mut driven = Driven::new(&sink().bucket_by_time("%Y-%m-%d/%H", "Europe/Berlin"));
    // The clock goes from 2 to 3 o'clock.
    for (time, text) in
        [("2026-03-29T00:59:59.999Z", "a"), ("2026-03-29T01:00Z", "b"), ("2026-03-28T22:59Z", "c")]
    {
        let time: jiff::Timestamp = time.parse().unwrap();
        driven.writer.write(line(text), time.as_millisecond()).unwrap();
    }
    let error = driven.writer.write(line("d"), NO_TIMESTAMP).unwrap_err().to_string();
    assert!(error.contains("add assign_event_time"), "{error}");
    driven.end();
    let files: Vec<_> = driven.files().into_iter().map(|(name, text)| (&name[4..18], text)).collect();
    assert_eq!(files, [("/2026-03-28/23", "c\n"), ("/2026-03-29/01", "a\n"), ("/2026-03-29/03", "b\n")]);
    for (format, zone) in [("%Y-%", "UTC"), ("%Y/../%m", "UTC"), ("%Y", "Mars/Base")] {
        std::panic::catch_unwind(|| sink().bucket_by_time(format, zone)).unwrap_err();
    }
}

#[test]
fn each_file_has_one_header() {
    #[derive(serde::Serialize)]
    struct Row {
        n: u8,
    }
    let csv = FileSink::new("/out/", Csv::with_header())
        .bucket_by(|row: &Row| row.n % 2)
        .rolling_policy(RollingPolicy::default());
    let mut failed = Driven::new(&csv);
    (1..=3).for_each(|n| failed.write(Row { n }));
    let open = failed.checkpoint().open;
    let mut next = failed.restored(&csv, &open, Owner::ThisJob);
    next.write(Row { n: 5 });
    next.end();
    let texts: Vec<&str> = next.files().into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["n\n2\n", "n\n1\n3\n5\n"]);
}

#[test]
fn an_upload_that_cannot_be_stored_fails_the_writer() {
    let mut sink = Driven::new(&on_checkpoint());
    sink.write("x".repeat(Bounds::default().upload_part_bytes));
    sink.store.fail_all(&sink.io);
    let barrier = Barrier { checkpoint: CheckpointId(1), followed_by: FollowedBy::Records };
    let error = sink.writer.snapshot(barrier).unwrap_err().to_string();
    assert_eq!(error, "cannot write /out/.pending/part-abc-7-0: the store: no space left");
}

#[test]
fn a_writer_that_goes_cancels_its_upload() {
    let Driven { mut writer, io, .. } = Driven::new(&sink());
    writer.write("x".repeat(Bounds::default().upload_part_bytes), NO_TIMESTAMP).unwrap();
    let [(_, Request::Store(StoreOp::Upload { upload, .. }))] = &io.drain_submitted()[..] else {
        panic!("one part has left")
    };
    drop(writer);
    assert!(
        matches!(&io.drain_submitted()[..], [(_, Request::Store(StoreOp::CancelUpload { upload: of }))] if of == upload)
    );
}

#[test]
fn a_foreign_transaction_is_refused() {
    let mut sink = Driven::new(&sink());
    let error = sink.writer.commit(&Transaction(Bytes::from_static(b"\xff"))).unwrap_err();
    assert!(error.to_string().contains("same uid"), "{error}");
    let open = OpenOutput { state: Bytes::from_static(b"\xff"), owner: Owner::ThisJob };
    assert!(sink.writer.restore(vec![open]).unwrap_err().to_string().contains("same uid"));
}

#[test]
fn what_a_failed_attempt_has_left_is_removed() {
    let mut failed = Driven::new(&on_checkpoint());
    failed.write(line("in the checkpoint"));
    let taken = failed.barrier(FollowedBy::Records);
    for _ in 0..2 {
        failed.write(line("after it"));
        failed.barrier(FollowedBy::Records);
    }
    // Names of the last release had extensions.
    let left = "/out/.pending/part-abc-7-12.txt";
    let others =
        ["/out/.pending/part-abc-70-9.txt", "/out/.pending/part-def-7-9", "/out/.pending/x", "/out/y"];
    for other in others.into_iter().chain([left]) {
        failed.store.objects.insert(other.to_owned(), Bytes::new());
    }
    let mut next = failed.restored(&on_checkpoint(), &[], Owner::ThisJob);
    while !next.writer.clean_up(std::slice::from_ref(&taken.trace)) {
        next.store.answer_all(&next.io);
    }
    next.store.answer_all(&next.io);
    let mut expected = vec!["/out/.pending/part-abc-7-0"];
    expected.extend(others);
    expected.sort_unstable();
    assert_eq!(next.store.names(), expected);
    next.commit(&taken);
    assert_eq!(next.store.text("/out/part-abc-7-0.txt"), "in the checkpoint\n");
}

#[test]
fn what_a_savepoint_names_is_kept() {
    let mut failed = Driven::new(&on_checkpoint());
    let before = failed.barrier(FollowedBy::Records).trace;
    failed.write(line("in the savepoint"));
    failed.barrier(FollowedBy::OtherJobs);
    failed.store.carry_out(failed.writer.keep().unwrap()).unwrap();
    failed.write(line("after it"));
    failed.barrier(FollowedBy::Records);
    let mut next = failed.restored(&on_checkpoint(), &[], Owner::ThisJob);
    while !next.writer.clean_up(std::slice::from_ref(&before)) {
        next.store.answer_all(&next.io);
    }
    next.store.answer_all(&next.io);
    assert_eq!(next.store.names(), ["/out/.pending/part-abc-7-0", "/out/.pending/part-abc-7.kept-1"]);
}

#[test]
fn a_listing_that_fails_harms_nobody() {
    let mut sink = Driven::new(&sink());
    let trace = [sink.writer.trace().unwrap()];
    assert!(!sink.writer.clean_up(&trace));
    sink.store.fail_all(&sink.io);
    assert!(sink.writer.clean_up(&trace));
}
