//! Tests of the file sink: when it stores what, commits, and slow or failing storage.

use super::*;
use crate::testing::{Store, writer_context};
use crate::{Csv, Lines};
use reflow_api::sink::CommitFailure;
use reflow_types::{NO_TIMESTAMP, SubtaskId};

const NAME: &str = "/out/part-abc-7-0.txt";

fn writer(io: &Io) -> FileWriter<String, Lines> {
    FileSink::new("/out", Lines).writer(&WriterContext { io: io.clone(), ..writer_context() }).unwrap()
}

fn write(writer: &mut FileWriter<String, Lines>, text: &str) {
    writer.write(text.to_owned(), NO_TIMESTAMP).unwrap();
}

/// Prepares a transaction and answers all storage requests.
fn prepare(writer: &mut FileWriter<String, Lines>, store: &mut Store, io: &Io) -> Transaction {
    let prepared = writer.prepare().unwrap().expect("something was written");
    for op in prepared.requests {
        store.carry_out(op).unwrap();
    }
    store.answer_all(io);
    for ticket in prepared.wait_for {
        assert_eq!(io.take(ticket), Some(Ok(reflow_env::StoreReply::Done)));
    }
    prepared.transaction
}

#[test]
fn a_file_appears_with_its_commit() {
    let (io, mut store) = (Io::default(), Store::default());
    let mut writer = writer(&io);
    assert!(writer.prepare().unwrap().is_none());
    write(&mut writer, "a");
    write(&mut writer, "b");
    let transaction = prepare(&mut writer, &mut store, &io);
    assert_eq!(store.names(), ["/out/.pending/part-abc-7-0.txt"]);
    store.carry_out(writer.commit(&transaction).unwrap()).unwrap();
    assert_eq!(store.names(), [NAME]);
    assert_eq!(store.text(NAME), "a\nb\n");
}

#[test]
fn a_second_commit_by_another_subtask_is_known_to_be_one() {
    let (io, mut store) = (Io::default(), Store::default());
    let mut first = writer(&io);
    write(&mut first, "a");
    let transaction = prepare(&mut first, &mut store, &io);
    store.carry_out(first.commit(&transaction).unwrap()).unwrap();

    let context = WriterContext { subtask: SubtaskId(9), ..writer_context() };
    let other = FileSink::<String, _>::new("/out", Lines).writer(&context).unwrap();
    let error = store.carry_out(other.commit(&transaction).unwrap()).unwrap_err();
    assert_eq!(other.commit_failed(&error.into()), CommitFailure::AlreadyCommitted);
    let away = StoreError::Failed { at: Location(String::new()), reason: String::new() };
    assert_eq!(other.commit_failed(&away.into()), CommitFailure::Transient);
    assert_eq!(store.text(NAME), "a\n");
}

#[test]
fn each_prepare_gives_a_file_of_its_own() {
    let (io, mut store) = (Io::default(), Store::default());
    let mut writer = writer(&io);
    for text in ["a", "b"] {
        write(&mut writer, text);
        let transaction = prepare(&mut writer, &mut store, &io);
        store.carry_out(writer.commit(&transaction).unwrap()).unwrap();
    }
    assert_eq!(store.names(), [NAME, "/out/part-abc-7-1.txt"]);
}

#[test]
fn much_is_uploaded_in_parts_and_waits_for_the_store() {
    let (io, mut store) = (Io::default(), Store::default());
    let mut writer = writer(&io);
    let line = "x".repeat((1 << 20) - 1);
    let mut lines = 0;
    while writer.has_room() {
        write(&mut writer, &line);
        lines += 1;
    }
    assert_eq!(lines, 4 * 8 + 1);
    store.answer_all(&io);
    assert!(writer.has_room());
    let transaction = prepare(&mut writer, &mut store, &io);
    store.carry_out(writer.commit(&transaction).unwrap()).unwrap();
    assert_eq!(store.text(NAME), format!("{line}\n").repeat(lines));
}

#[test]
fn a_part_that_cannot_be_stored_fails_the_writer() {
    let (io, mut store) = (Io::default(), Store::default());
    let mut writer = writer(&io);
    write(&mut writer, &"x".repeat(PART_BYTES));
    store.fail_all(&io);
    let error = writer.prepare().unwrap_err().to_string();
    assert_eq!(error, "cannot write /out/.pending/part-abc-7-0.txt: the store: no space left");
}

#[test]
fn a_writer_that_goes_cancels_its_upload() {
    let io = Io::default();
    let mut writer = writer(&io);
    write(&mut writer, &"x".repeat(PART_BYTES));
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
    let error = writer(&Io::default()).commit(&Transaction(Bytes::from_static(b"\xff"))).unwrap_err();
    assert!(error.to_string().contains("same uid"), "{error}");
}

#[test]
fn each_file_has_its_header() {
    let (io, mut store) = (Io::default(), Store::default());
    #[derive(serde::Serialize)]
    struct Row {
        n: u8,
    }
    let mut writer = FileSink::new("/out/", Csv::with_header())
        .writer(&WriterContext { io: io.clone(), ..writer_context() })
        .unwrap();
    for n in [1, 2] {
        writer.write(Row { n }, NO_TIMESTAMP).unwrap();
        for op in writer.prepare().unwrap().expect("something was written").requests {
            store.carry_out(op).unwrap();
        }
    }
    assert_eq!(store.text("/out/.pending/part-abc-7-1.csv"), "n\n2\n");
}

/// Removes what writers of ended attempts have left behind.
fn clean_up(traces: &[Bytes], store: &mut Store) {
    let io = Io::default();
    let context = WriterContext { subtask: SubtaskId(20), io: io.clone(), ..writer_context() };
    let mut writer = FileSink::<String, _>::new("/out", Lines).writer(&context).unwrap();
    while !writer.clean_up(traces) {
        store.answer_all(&io);
    }
    store.answer_all(&io);
}

#[test]
fn what_a_failed_attempt_has_left_is_removed() {
    let (io, mut store) = (Io::default(), Store::default());
    let mut failed = writer(&io);
    write(&mut failed, "in the checkpoint");
    let transaction = prepare(&mut failed, &mut store, &io);
    let trace = failed.trace().unwrap();
    for _ in 0..2 {
        write(&mut failed, "after it");
        prepare(&mut failed, &mut store, &io);
    }
    let others =
        ["/out/.pending/part-abc-70-9.txt", "/out/.pending/part-def-7-9.txt", "/out/.pending/x", "/out/y"];
    for other in others {
        store.objects.insert(other.to_owned(), Bytes::new());
    }
    clean_up(&[trace], &mut store);
    let mut expected = vec!["/out/.pending/part-abc-7-0.txt"];
    expected.extend(others);
    expected.sort_unstable();
    assert_eq!(store.names(), expected);
    store.carry_out(failed.commit(&transaction).unwrap()).unwrap();
    assert_eq!(store.text(NAME), "in the checkpoint\n");
}

#[test]
fn what_a_savepoint_names_is_kept() {
    let (io, mut store) = (Io::default(), Store::default());
    let mut failed = writer(&io);
    let trace = failed.trace().unwrap();
    write(&mut failed, "in the savepoint");
    prepare(&mut failed, &mut store, &io);
    store.carry_out(failed.keep().unwrap()).unwrap();
    write(&mut failed, "after it");
    prepare(&mut failed, &mut store, &io);
    clean_up(&[trace], &mut store);
    assert_eq!(store.names(), ["/out/.pending/part-abc-7-0.txt", "/out/.pending/part-abc-7.kept-1"]);
}

#[test]
fn a_listing_that_fails_harms_nobody() {
    let (io, mut store) = (Io::default(), Store::default());
    let mut writer = writer(&io);
    let trace = [writer.trace().unwrap()];
    assert!(!writer.clean_up(&trace));
    store.fail_all(&io);
    assert!(writer.clean_up(&trace));
}
