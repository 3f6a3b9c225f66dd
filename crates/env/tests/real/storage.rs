//! What every store promises, checked for each: memory, local files, and S3 where `cargo xtask s3` has started one.

use crate::probe::Probe;
use bytes::Bytes;
use reflow_env::real::{Options, Storage, StorageOptions};
use reflow_env::{Location, ObjectMeta, PutMode, StoreError, StoreOp, StoreReply, StoreResult};

/// Runs `test` against each store, with a fresh directory of it.
fn each_store(test: impl Fn(&Probe, Location)) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let file = Location(format!("file://{path}/as url"));
    for base in [Location("memory:///base".into()), Location(format!("{path}/as path/")), file] {
        test(&Probe::start(Options::default()), base);
    }
    if let Some(storage) = s3() {
        test(&Probe::start(Options { storage, ..Options::default() }), in_bucket(dir.path()));
    }
}

/// The S3 that `cargo xtask s3` has started, by a client of its own.
fn s3() -> Option<Storage> {
    let endpoint = std::env::var("REFLOW_TEST_S3_ENDPOINT").ok()?;
    let set = |key: &str, text: String| (key.to_owned(), text);
    let settings = [
        set("aws_endpoint", endpoint),
        set("aws_allow_http", "true".to_owned()),
        set("aws_virtual_hosted_style_request", "false".to_owned()),
        set("aws_access_key_id", std::env::var("REFLOW_TEST_S3_ACCESS_KEY").unwrap()),
        set("aws_secret_access_key", std::env::var("REFLOW_TEST_S3_SECRET_KEY").unwrap()),
    ];
    Some(Storage::new(StorageOptions { s3: settings.into(), ..StorageOptions::default() }))
}

/// A place in a bucket that no other test has.
fn in_bucket(unique: &std::path::Path) -> Location {
    Location(format!("s3://reflow-test/{}/in a bucket", unique.file_name().unwrap().to_str().unwrap()))
}

fn put(at: &Location, body: &'static str, mode: PutMode) -> StoreOp {
    StoreOp::Put { at: at.clone(), body: Bytes::from_static(body.as_bytes()), mode }
}

fn get(at: &Location) -> StoreOp {
    StoreOp::Get { at: at.clone(), range: None }
}

fn part(upload: u64, at: &Location, part: Vec<u8>, last: bool) -> StoreOp {
    StoreOp::Upload { upload, at: at.clone(), part: part.into(), last }
}

fn bytes(body: &'static str) -> StoreResult {
    Ok(StoreReply::Bytes(body.into()))
}

fn names(probe: &Probe, below: &Location) -> Vec<String> {
    match probe.store(StoreOp::List { below: below.clone() }) {
        Ok(StoreReply::Objects(objects)) => objects.into_iter().map(|object| object.at.0).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_put_is_read_back_and_replaced() {
    each_store(|probe, base| {
        let at = base.join("chk-1/_metadata");
        assert_eq!(probe.store(get(&at)), Err(StoreError::NotFound(at.clone())));
        assert_eq!(probe.store(put(&at, "one", PutMode::Overwrite)), Ok(StoreReply::Done));
        assert_eq!(probe.store(get(&at)), bytes("one"));
        assert_eq!(probe.store(put(&at, "two", PutMode::Overwrite)), Ok(StoreReply::Done));
        assert_eq!(probe.store(get(&at)), bytes("two"));
    });
}

#[test]
fn of_many_who_create_an_object_one_wins() {
    each_store(|probe, base| {
        let at = base.join("epoch-1");
        let bodies = ["0", "1", "2", "3", "4", "5", "6", "7"];
        let tickets = bodies.map(|body| probe.begin(put(&at, body, PutMode::Create)));
        let results = tickets.map(|ticket| probe.stored(ticket));
        let winners: Vec<_> = (0..8).filter(|&i| results[i] == Ok(StoreReply::Done)).collect();
        let [winner] = winners[..] else { panic!("{results:?}") };
        let lost = results.iter().filter(|result| **result == Err(StoreError::AlreadyExists(at.clone())));
        assert_eq!(lost.count(), 7, "{results:?}");
        assert_eq!(probe.store(get(&at)), bytes(bodies[winner]));
        assert_eq!(names(probe, &base).len(), 1);
    });
}

/// As JobManagers race for an epoch or for the deciding name of a checkpoint: each with connections of its own.
#[test]
fn of_many_processes_that_create_an_object_one_wins() {
    let dir = tempfile::tempdir().unwrap();
    let check = |open: &dyn Fn() -> Storage, base: Location| {
        let racers: Vec<_> =
            (0..4).map(|_| Probe::start(Options { storage: open(), ..Options::default() })).collect();
        for round in 0..16 {
            let at = base.join(&format!("chk-{round}/_metadata"));
            let body = |racer: usize| Bytes::from(format!("by {racer}"));
            let put = |racer| StoreOp::Put { at: at.clone(), body: body(racer), mode: PutMode::Create };
            let begun: Vec<_> =
                racers.iter().enumerate().map(|(racer, probe)| probe.begin(put(racer))).collect();
            let results: Vec<_> =
                racers.iter().zip(begun).map(|(probe, ticket)| probe.stored(ticket)).collect();
            let winners: Vec<_> = (0..4).filter(|&i| results[i] == Ok(StoreReply::Done)).collect();
            let [winner] = winners[..] else { panic!("{results:?}") };
            let lost = results.iter().filter(|result| **result == Err(StoreError::AlreadyExists(at.clone())));
            assert_eq!(lost.count(), 3, "{results:?}");
            for probe in &racers {
                assert_eq!(probe.store(get(&at)), Ok(StoreReply::Bytes(body(winner))));
            }
        }
    };
    check(&Storage::default, Location(dir.path().to_str().unwrap().into()));
    if s3().is_some() {
        check(&|| s3().unwrap(), in_bucket(dir.path()));
    }
}

#[test]
fn an_upload_appears_with_its_last_part() {
    each_store(|probe, base| {
        let at = base.join("state/big");
        let chunk = 5 << 20;
        let first = probe.begin(part(1, &at, vec![1; chunk], false));
        let second = probe.begin(part(1, &at, vec![2; chunk], false));
        assert_eq!(probe.stored(first), Ok(StoreReply::Done));
        assert_eq!(probe.stored(second), Ok(StoreReply::Done));
        assert_eq!(probe.store(get(&at)), Err(StoreError::NotFound(at.clone())));
        assert!(names(probe, &base).is_empty());
        assert_eq!(probe.store(part(1, &at, vec![3; 3], true)), Ok(StoreReply::Done));
        let Ok(StoreReply::Bytes(body)) = probe.store(get(&at)) else { panic!("it is there") };
        let expected = [vec![1; chunk], vec![2; chunk], vec![3; 3]].concat();
        assert!(body == expected);
    });
}

#[test]
fn an_upload_of_one_part_is_a_put() {
    each_store(|probe, base| {
        let at = base.join("small");
        assert_eq!(probe.store(part(1, &at, b"all of it".to_vec(), true)), Ok(StoreReply::Done));
        assert_eq!(probe.store(get(&at)), bytes("all of it"));
    });
}

#[test]
fn a_cancelled_upload_leaves_nothing() {
    each_store(|probe, base| {
        let at = base.join("big");
        assert_eq!(probe.store(part(9, &at, vec![1; 5 << 20], false)), Ok(StoreReply::Done));
        assert_eq!(probe.store(StoreOp::CancelUpload { upload: 9 }), Ok(StoreReply::Done));
        assert_eq!(probe.store(get(&at)), Err(StoreError::NotFound(at.clone())));
        assert_eq!(probe.store(StoreOp::CancelUpload { upload: 9 }), Ok(StoreReply::Done));
        assert!(names(probe, &base).is_empty());
    });
}

#[test]
fn a_range_is_read_whole_or_not_at_all() {
    each_store(|probe, base| {
        let at = base.join("ten");
        probe.store(put(&at, "0123456789", PutMode::Overwrite)).unwrap();
        let range = |range| probe.store(StoreOp::Get { at: at.clone(), range: Some(range) });
        assert_eq!(range(0..10), bytes("0123456789"));
        assert_eq!(range(3..5), bytes("34"));
        assert_eq!(range(10..10), bytes(""));
        for past in [8..11, 10..11, 12..13] {
            let error = StoreError::OutOfRange { at: at.clone(), range: past.clone(), len: 10 };
            assert_eq!(range(past), Err(error));
        }
        let text = format!("{at}: bytes 8 to 11 are not within its 10 bytes");
        assert_eq!(range(8..11).unwrap_err().to_string(), text);
    });
}

#[test]
fn a_listing_is_sorted_and_has_full_names() {
    each_store(|probe, base| {
        assert!(names(probe, &base).is_empty());
        for name in ["b/2", "a", "b/10", "b c/x", "c/d/e"] {
            probe.store(put(&base.join(name), "12345", PutMode::Overwrite)).unwrap();
        }
        let expected: Vec<_> = ["a", "b c/x", "b/10", "b/2", "c/d/e"].map(|name| base.join(name)).into();
        let objects: Vec<_> = expected.iter().map(|at| ObjectMeta { at: at.clone(), len: 5 }).collect();
        assert_eq!(probe.store(StoreOp::List { below: base.clone() }), Ok(StoreReply::Objects(objects)));
        for at in expected {
            assert_eq!(probe.store(get(&at)), bytes("12345"));
        }
        assert_eq!(names(probe, &base.join("b")), [base.join("b/10").0, base.join("b/2").0]);
        assert_eq!(names(probe, &base.join("b/2")), [base.join("b/2").0]);
        assert!(names(probe, &base.join("b/1")).is_empty());
    });
}

#[test]
fn deleting_what_is_not_there_succeeds() {
    each_store(|probe, base| {
        let at = base.join("gone");
        probe.store(put(&at, "", PutMode::Overwrite)).unwrap();
        for _ in 0..2 {
            assert_eq!(probe.store(StoreOp::Delete { at: at.clone() }), Ok(StoreReply::Done));
            assert_eq!(probe.store(get(&at)), Err(StoreError::NotFound(at.clone())));
        }
    });
}

#[test]
fn a_deletion_leaves_no_empty_directory() {
    let dir = tempfile::tempdir().unwrap();
    let probe = Probe::start(Options::default());
    let job = dir.path().join("job");
    let at = |name: &str| Location(job.join(name).to_str().unwrap().to_owned());
    let delete = |name: &str| probe.store(StoreOp::Delete { at: at(name) }).unwrap();
    for name in ["chk-1/_metadata", "chk-2/_metadata", "chk-2/other"] {
        probe.store(put(&at(name), "", PutMode::Create)).unwrap();
    }
    delete("chk-1/_metadata");
    delete("chk-2/other");
    assert!(!job.join("chk-1").exists() && job.join("chk-2").exists());
    delete("chk-2/_metadata");
    assert!(!job.join("chk-2").exists() && job.exists(), "only the object's own directory goes");
}

#[test]
fn a_rename_replaces() {
    each_store(|probe, base| {
        let (from, to) = (base.join("from"), base.join("below/to"));
        let rename = || probe.store(StoreOp::Rename { from: from.clone(), to: to.clone() });
        assert_eq!(rename(), Err(StoreError::NotFound(from.clone())));
        for body in ["first", "second"] {
            probe.store(put(&from, body, PutMode::Overwrite)).unwrap();
            assert_eq!(rename(), Ok(StoreReply::Done));
            assert_eq!(probe.store(get(&to)), bytes(body));
        }
        assert_eq!(names(probe, &base), vec![to.0.clone()]);
    });
}

#[test]
fn objects_are_made_of_others() {
    each_store(|probe, base| {
        let concat = |pieces: &[(&str, u64)], tail: &'static str| {
            let pieces = pieces.iter().map(|(name, len)| (base.join(name), *len)).collect();
            probe.store(StoreOp::Concat { at: base.join("to/whole"), pieces, tail: tail.into() })
        };
        for (name, body) in [("a", "first "), ("b", "second ")] {
            probe.store(put(&base.join(name), body, PutMode::Create)).unwrap();
        }
        let whole = base.join("to/whole");
        for _ in 0..2 {
            assert_eq!(concat(&[("a", 6), ("b", 7)], "third"), Ok(StoreReply::Done));
            assert_eq!(probe.store(get(&whole)), bytes("first second third"));
        }
        assert_eq!(concat(&[], "alone"), Ok(StoreReply::Done));
        assert_eq!(probe.store(get(&whole)), bytes("alone"));
        let gone = base.join("gone");
        assert_eq!(concat(&[("a", 6), ("gone", 1)], ""), Err(StoreError::NotFound(gone)));
        let (at, len) = (base.join("b"), 7);
        assert_eq!(concat(&[("b", 8)], ""), Err(StoreError::OutOfRange { at, range: 0..8, len }));
        assert_eq!(probe.store(get(&whole)), bytes("alone"), "nothing is written by halves");
        assert_eq!(names(probe, &base), [base.join("a").0, base.join("b").0, whole.0]);
    });
}

/// Larger than a part of an upload, with pieces that are smaller and larger than one.
#[test]
fn a_large_object_is_made_of_others() {
    each_store(|probe, base| {
        let letter = |n: usize| b'a' + (n % 23) as u8;
        let lens = [5 << 20, 1, 17 << 20, 3 << 20];
        let mut pieces = Vec::new();
        let mut expected = Vec::new();
        for (number, len) in lens.into_iter().enumerate() {
            let body: Vec<u8> = (0..len).map(|n| letter(n + number)).collect();
            expected.extend_from_slice(&body);
            let at = base.join(&format!("piece-{number}"));
            probe.store(StoreOp::Put { at: at.clone(), body: body.into(), mode: PutMode::Create }).unwrap();
            pieces.push((at, len as u64));
        }
        let whole = base.join("whole");
        let make = |pieces| probe.store(StoreOp::Concat { at: whole.clone(), pieces, tail: "end".into() });
        pieces.push((base.join("gone"), 1));
        assert_eq!(make(pieces.clone()), Err(StoreError::NotFound(base.join("gone"))));
        assert_eq!(probe.store(get(&whole)), Err(StoreError::NotFound(whole.clone())));
        pieces.pop();
        assert_eq!(make(pieces), Ok(StoreReply::Done));
        expected.extend_from_slice(b"end");
        let Ok(StoreReply::Bytes(body)) = probe.store(get(&whole)) else { panic!("it is there") };
        assert!(body == expected, "{} bytes", body.len());
    });
}

#[test]
fn what_a_crashed_writer_left_is_not_listed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("_metadata#1"), "half").unwrap();
    let probe = Probe::start(Options::default());
    let base = Location(dir.path().to_str().unwrap().into());
    let at = base.join("_metadata");
    assert!(names(&probe, &base).is_empty());
    assert_eq!(probe.store(put(&at, "whole", PutMode::Create)), Ok(StoreReply::Done));
    assert_eq!(names(&probe, &base), [at.0]);
}

#[test]
fn names_that_no_object_has_do_not_fail_a_listing() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &[u8]| std::fs::write(dir.path().join(std::ffi::OsStr::from_bytes(name)), "x").unwrap();
    let read = ["#", "%2F", "a b?", "a#b", "ä\"\\"];
    read.iter().for_each(|name| file(name.as_bytes()));
    [b"a#1".as_slice(), b"\xff", b"tab\tname", b"line\nfeed"].into_iter().for_each(file);
    let probe = Probe::start(Options::default());
    for base in [dir.path().display().to_string(), format!("file://{}/", dir.path().display())].map(Location)
    {
        let expected: Vec<_> = read.iter().map(|name| base.join(name).0).collect();
        assert_eq!(names(&probe, &base), expected);
        for name in read {
            assert_eq!(probe.store(get(&base.join(name))), bytes("x"), "{name}");
        }
    }
    let staged = Location(dir.path().join("a#1").display().to_string());
    let error = probe.store(StoreOp::List { below: staged }).unwrap_err().to_string();
    assert!(error.ends_with("rename it"), "{error}");
}

#[test]
fn a_failure_names_the_object_and_the_systems_words() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let at = Location(dir.path().join("file/below").to_str().unwrap().into());
    let error = Probe::start(Options::default()).store(put(&at, "", PutMode::Overwrite)).unwrap_err();
    assert_eq!(error.to_string(), format!("{at}: Not a directory (os error 20)"));
}

#[test]
fn an_unknown_scheme_is_named() {
    let at = Location("ftp://host/x".into());
    let error = Probe::start(Options::default()).store(get(&at)).unwrap_err();
    let text = "ftp://host/x: unknown scheme ftp: use a path, file://, memory:// or s3://";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_file_becomes_a_program() {
    let dir = tempfile::tempdir().unwrap();
    let at = Location(dir.path().join("program").to_str().unwrap().into());
    let probe = Probe::start(Options::default());
    let make = || probe.store(StoreOp::MakeExecutable { at: at.clone() });
    assert_eq!(make(), Err(StoreError::NotFound(at.clone())));
    probe.store(put(&at, "#!/bin/sh\nexit 4\n", PutMode::Create)).unwrap();
    assert_eq!(make(), Ok(StoreReply::Done));
    assert_eq!(std::process::Command::new(&at.0).status().unwrap().code(), Some(4));
}
