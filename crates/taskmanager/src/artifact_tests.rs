//! The search for an executable: `lib/`, the cache, the JobManager; what is damaged, refused or too slow.

use super::*;
use bytes::Bytes;
use reflow_env::ObjectMeta;

const BODY: &[u8] = b"#!/bin/sh\n";
const NOW: Instant = Instant(1_000_000);

/// A search for [`BODY`], or for a longer file.
struct Driven {
    artifacts: Artifacts,
    artifact: Artifact,
}

fn driven_for(body: &[u8]) -> Driven {
    let sha256 = hex(&Sha256::digest(body));
    let artifact = Artifact {
        name: "job".into(),
        sha256,
        len: body.len() as u64,
        http_port: 8081,
        tls: ArtifactTls::None,
    };
    Driven {
        artifacts: Artifacts::new(Executables::Files {
            lib: Some("/opt/lib".into()),
            cache: "/tmp/cache".into(),
        }),
        artifact,
    }
}

impl Driven {
    fn search(&mut self) -> Option<Step> {
        self.artifacts.search(&self.artifact, "jm")
    }

    fn answer(&mut self, result: StoreResult) -> Option<Step> {
        self.artifacts.stored(NOW, &self.artifact.sha256, result)
    }

    /// Neither `lib/` nor the cache has it: what the JobManager is asked for first.
    fn fetch(&mut self) -> Option<Step> {
        self.search();
        self.answer(found(&[]));
        self.answer(found(&[]))
    }

    fn cached(&self) -> String {
        format!("/tmp/cache/{}", self.artifact.sha256)
    }

    fn get(&self, at: &str, range: std::ops::Range<u64>) -> Option<Step> {
        let url = format!("http://jm:8081/artifacts/{}", self.artifact.sha256);
        let at = Location(if at == "url" { url } else { at.to_owned() });
        Some(Step::Store(StoreOp::Get { at, range: Some(range) }))
    }

    fn upload(&self, part: &[u8], last: bool) -> Option<Step> {
        let (at, part) = (Location(self.cached()), Bytes::copy_from_slice(part));
        Some(Step::Store(StoreOp::Upload { upload: 1, at, part, last }))
    }
}

fn list(at: &str) -> Option<Step> {
    Some(Step::Store(StoreOp::List { below: Location(at.into()) }))
}

fn found(files: &[(&str, u64)]) -> StoreResult {
    let meta = |(at, len): &(&str, u64)| ObjectMeta { at: Location((*at).into()), len: *len };
    Ok(StoreReply::Objects(files.iter().map(meta).collect()))
}

fn bytes(bytes: &[u8]) -> StoreResult {
    Ok(StoreReply::Bytes(Bytes::copy_from_slice(bytes)))
}

fn failed(reason: &str) -> StoreResult {
    Err(StoreError::Failed { at: Location("x".into()), reason: reason.into() })
}

fn cancel() -> Option<Step> {
    Some(Step::Store(StoreOp::CancelUpload { upload: 1 }))
}

#[test]
fn the_same_build_in_lib_is_used_as_it_is() {
    let mut driven = driven_for(BODY);
    assert_eq!(driven.search(), list("/opt/lib/job"));
    assert_eq!(driven.search(), None, "one search serves all");
    assert_eq!(driven.answer(found(&[("/opt/lib/job", 10)])), driven.get("/opt/lib/job", 0..10));
    assert_eq!(driven.answer(bytes(BODY)), Some(Step::Found("/opt/lib/job".into())));
    assert!(driven.artifacts.searches.is_empty());
}

#[test]
fn files_of_another_length_or_content_are_passed_over() {
    let mut driven = driven_for(BODY);
    driven.search();
    let cached = driven.cached();
    assert_eq!(driven.answer(found(&[("/opt/lib/job", 11)])), list(&cached), "a longer file that begins so");
    assert_eq!(driven.answer(found(&[(&cached, 10)])), driven.get(&cached, 0..10));
    assert_eq!(driven.answer(bytes(b"#!/bin/zsh")), driven.get("url", 0..10));
    let mut driven = driven_for(BODY);
    driven.search();
    assert_eq!(driven.answer(found(&[("/opt/lib/job/a", 10)])), list(&cached), "a directory");
    assert_eq!(driven.answer(failed("no permission")), driven.get("url", 0..10));
}

#[test]
fn a_cached_executable_is_made_executable_again() {
    let mut driven = driven_for(BODY);
    driven.artifact.name = "../job".into();
    let cached = driven.cached();
    assert_eq!(driven.search(), list(&cached), "no way out of lib/");
    driven.answer(found(&[(&cached, 10)]));
    let mark = Some(Step::Store(StoreOp::MakeExecutable { at: Location(cached.clone()) }));
    assert_eq!(driven.answer(bytes(BODY)), mark);
    assert_eq!(driven.answer(Ok(StoreReply::Done)), Some(Step::Found(cached.into())));
}

#[test]
fn a_download_goes_on_where_it_broke_off_and_appears_when_it_is_checked() {
    let body = vec![7; PIECE_BYTES as usize + 5];
    let (first, rest) = body.split_at(PIECE_BYTES as usize);
    let mut driven = driven_for(&body);
    assert_eq!(driven.fetch(), driven.get("url", 0..PIECE_BYTES));
    assert_eq!(driven.answer(bytes(first)), driven.upload(first, false));
    assert_eq!(driven.answer(Ok(StoreReply::Done)), driven.get("url", PIECE_BYTES..PIECE_BYTES + 5));
    assert_eq!(driven.answer(failed("connection reset")), None);
    let again = driven.artifacts.next_wakeup().unwrap();
    assert_eq!(again, NOW + FIRST_RETRY);
    assert_eq!(driven.artifacts.due(NOW), []);
    let due = driven.artifacts.due(again).into_iter().map(|(_, step)| step).collect::<Vec<_>>();
    assert_eq!(due.first(), driven.get("url", PIECE_BYTES..PIECE_BYTES + 5).as_ref());
    assert_eq!(driven.answer(bytes(rest)), driven.upload(rest, true));
    let mark = Some(Step::Store(StoreOp::MakeExecutable { at: Location(driven.cached()) }));
    assert_eq!(driven.answer(Ok(StoreReply::Done)), mark);
    assert_eq!(driven.answer(Ok(StoreReply::Done)), Some(Step::Found(driven.cached().into())));
}

#[test]
fn a_wrong_hash_is_fetched_again_once() {
    let mut driven = driven_for(BODY);
    driven.fetch();
    assert_eq!(driven.answer(bytes(b"#!/bin/zsh")), cancel());
    assert_eq!(driven.answer(Ok(StoreReply::Done)), driven.get("url", 0..10));
    assert_eq!(driven.answer(bytes(b"#!/bin/zsh")), cancel());
    let missing = driven.answer(Ok(StoreReply::Done));
    assert!(matches!(&missing, Some(Step::Missing(why)) if why.contains("came twice")), "{missing:?}");
}

#[test]
fn what_cannot_be_fetched_or_kept_is_named() {
    let mut driven = driven_for(BODY);
    driven.fetch();
    let mut last = None;
    for _ in 0..MAX_TRIES {
        last = driven.answer(failed("connection refused"));
        driven.artifacts.due(NOW + Duration::from_secs(10));
    }
    let named = |why: &str| why.contains("connection refused") && why.contains("rest.bind-address");
    assert!(matches!(&last, Some(Step::Missing(why)) if named(why)), "{last:?}");
    let mut driven = driven_for(BODY);
    driven.fetch();
    driven.answer(bytes(BODY));
    assert_eq!(driven.answer(failed("No space left on device")), cancel());
    let missing = driven.answer(Ok(StoreReply::Done));
    assert!(matches!(&missing, Some(Step::Missing(why)) if why.contains("No space left")), "{missing:?}");
}

#[test]
fn what_no_executable_can_be_is_refused() {
    for (sha256, len) in [("../../etc", 10), (&"ab".repeat(32), 0), (&"ab".repeat(32), u64::MAX)] {
        let mut driven = driven_for(BODY);
        driven.artifact = Artifact { sha256: sha256.to_owned(), len, ..driven.artifact };
        assert!(matches!(driven.search(), Some(Step::Missing(_))), "{sha256} of {len} bytes");
    }
}

#[test]
fn the_pieces_of_a_download_that_is_given_up_are_removed() {
    let mut driven = driven_for(&vec![7; PIECE_BYTES as usize + 5]);
    driven.fetch();
    assert_eq!(driven.artifacts.give_up(), [], "nothing is written yet");
    driven.fetch();
    driven.answer(bytes(&vec![7; PIECE_BYTES as usize]));
    assert_eq!(driven.artifacts.give_up(), [StoreOp::CancelUpload { upload: 2 }]);
    assert_eq!(driven.answer(Ok(StoreReply::Done)), None);
}

#[test]
fn executables_of_other_jobs_are_removed_once() {
    let mut driven = driven_for(b"wanted");
    driven.search();
    let artifacts = &mut driven.artifacts;
    let [sha, other, wanted] = [BODY, b"other", b"wanted"].map(|body| hex(&Sha256::digest(body)));
    let below = Location("/tmp/cache".into());
    assert_eq!(artifacts.clean(), Some(StoreOp::List { below: below.clone() }));
    assert_eq!(artifacts.clean(), None);
    let names = [sha.as_str(), &other, &wanted, "notes.txt"];
    let meta = |name: &str| ObjectMeta { at: below.join(name), len: 1 };
    let listed = Ok(StoreReply::Objects(names.map(meta).to_vec()));
    assert_eq!(artifacts.unused(&sha, listed), [StoreOp::Delete { at: below.join(&other) }]);
    assert_eq!(artifacts.unused(&sha, Err(StoreError::NotFound(below))), []);
}

#[test]
fn a_job_in_this_process_is_neither_read_nor_hashed() {
    let mut driven = driven_for(BODY);
    driven.artifacts = Artifacts::new(Executables::ThisProcess);
    for _ in 0..2 {
        assert!(matches!(driven.search(), Some(Step::Found(_))));
    }
    assert_eq!(driven.artifacts.clean(), None, "the cache is that of TaskManagers in processes of their own");
}

#[test]
fn the_url_says_how_the_connection_is_encrypted() {
    let check = |tls, expect: &str| assert_eq!(url(tls, "jm", 8081, "ab"), Location(expect.to_owned()));
    check(ArtifactTls::None, "http://jm:8081/artifacts/ab");
    check(ArtifactTls::Rest, "https://jm:8081/artifacts/ab");
    check(ArtifactTls::Internal, "internal+https://jm:8081/artifacts/ab");
}
