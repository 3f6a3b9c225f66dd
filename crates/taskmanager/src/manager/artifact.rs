//! Finds a job's executable: in `lib/`, in the cache, or from the JobManager.
//!
//! An executable is identified by its SHA-256, which is always checked before it is run, because a file in `lib/`
//! may be of another build, and one in the cache may be incomplete. An executable from the JobManager is checked,
//! written to the cache as a whole, and made executable. [`Artifacts`] performs no I/O: it returns a [`Step`] and
//! is given its result.

use reflow_env::{Location, StoreOp, StoreReply, StoreResult};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The largest executable that is accepted, in bytes. It bounds the memory that a wrong length can take.
const MAX_ARTIFACT_BYTES: u64 = 2 << 30;

/// The next step of a search.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Carry out a storage request. [`Artifacts::stored`] takes the answer.
    Store(StoreOp),
    /// Request the part at this offset from the JobManager. [`Artifacts::chunk`] takes the answer.
    Fetch {
        /// The offset in bytes.
        offset: u64,
    },
    /// The executable has been found.
    Found(PathBuf),
    /// The executable cannot be obtained, for this reason.
    Missing(String),
}

/// A part of an executable from the JobManager.
pub(super) struct Chunk<'a> {
    pub(super) offset: u64,
    pub(super) total: u64,
    pub(super) bytes: &'a [u8],
}

/// The stage of a search.
enum Stage {
    InLib(PathBuf),
    InCache,
    Fetching(Vec<u8>),
    Writing,
    Marking,
}

struct Search {
    stage: Stage,
    /// Whether an earlier download had the wrong hash.
    mismatched: bool,
}

/// The searches in progress, by SHA-256 in hexadecimal.
pub(super) struct Artifacts {
    lib: Option<PathBuf>,
    cache: PathBuf,
    searches: BTreeMap<String, Search>,
    /// Whether the cache was cleaned of other executables.
    cleaned: bool,
}

impl Artifacts {
    pub(super) fn new(lib: Option<PathBuf>, cache: PathBuf) -> Self {
        Self { lib, cache, searches: BTreeMap::new(), cleaned: false }
    }

    /// Begins a search; `None` if one for the same executable is in progress.
    pub(super) fn search(&mut self, sha256: &str, executable: &str) -> Option<Step> {
        if self.searches.contains_key(sha256) {
            return None;
        }
        if !is_sha256(sha256) {
            return Some(Step::Missing(format!("'{sha256}' is not a SHA-256 in hexadecimal")));
        }
        let in_lib = self.lib.as_deref().filter(|_| is_file_name(executable)).map(|lib| lib.join(executable));
        let (stage, path) = match in_lib {
            Some(path) => (Stage::InLib(path.clone()), path),
            None => (Stage::InCache, self.cached(sha256)),
        };
        self.searches.insert(sha256.to_owned(), Search { stage, mismatched: false });
        Some(Step::Store(read(&path)))
    }

    /// Handles the answer to a storage request of the search for `sha256`.
    pub(super) fn stored(&mut self, sha256: &str, result: StoreResult) -> Option<Step> {
        let cached = self.cached(sha256);
        let search = self.searches.get_mut(sha256)?;
        let step = match (&search.stage, result) {
            (Stage::InLib(path), Ok(StoreReply::Bytes(bytes))) if digest(&bytes) == sha256 => {
                Step::Found(path.clone())
            }
            (Stage::InLib(path), result) => {
                if result.is_ok() {
                    let path = path.display();
                    tracing::warn!(%path, sha256, "is of another build than the JobManager's: it is not used");
                }
                search.stage = Stage::InCache;
                Step::Store(read(&cached))
            }
            (Stage::InCache, Ok(StoreReply::Bytes(bytes))) if digest(&bytes) == sha256 => {
                search.stage = Stage::Marking;
                Step::Store(StoreOp::MakeExecutable { at: location(&cached) })
            }
            (Stage::InCache, _) => {
                search.stage = Stage::Fetching(Vec::new());
                Step::Fetch { offset: 0 }
            }
            (Stage::Writing, Ok(_)) => {
                search.stage = Stage::Marking;
                Step::Store(StoreOp::MakeExecutable { at: location(&cached) })
            }
            (Stage::Marking, Ok(_)) => Step::Found(cached),
            (Stage::Writing | Stage::Marking, Err(error)) => Step::Missing(format!(
                "the job's executable cannot be kept: {error}; check the space and the rights of io.tmp.dirs"
            )),
            (Stage::Fetching(_), _) => return None,
        };
        self.end_if_over(sha256, step)
    }

    /// Handles a part from the JobManager.
    pub(super) fn chunk(&mut self, sha256: &str, chunk: &Chunk<'_>) -> Option<Step> {
        let cached = self.cached(sha256);
        let search = self.searches.get_mut(sha256)?;
        let Stage::Fetching(bytes) = &mut search.stage else { return None };
        if chunk.offset != bytes.len() as u64 {
            return None; // a part that was asked for before the search began anew
        }
        let whole = chunk.offset + chunk.bytes.len() as u64;
        let step = if chunk.total > MAX_ARTIFACT_BYTES || whole > chunk.total || chunk.bytes.is_empty() {
            let (total, got) = (chunk.total, chunk.bytes.len());
            Step::Missing(format!(
                "the JobManager's parts of the job's executable do not fit: {got} bytes at {} of {total}",
                chunk.offset
            ))
        } else {
            bytes.extend_from_slice(chunk.bytes);
            if whole < chunk.total { Step::Fetch { offset: whole } } else { search.check(sha256, &cached) }
        };
        self.end_if_over(sha256, step)
    }

    /// The request that lists the cache, once per process, after an executable was found. Other executables in
    /// the cache are used again only if exactly that build is started, so they would accumulate with each release
    /// of a job.
    pub(super) fn clean(&mut self) -> Option<StoreOp> {
        let first = !std::mem::replace(&mut self.cleaned, true);
        first.then(|| StoreOp::List { below: location(&self.cache) })
    }

    /// The requests that delete all executables in the cache but `used`. If another TaskManager of this machine
    /// runs one of them, its process continues; for its next executor it fetches the executable again.
    pub(super) fn unused(&self, used: &str, listed: StoreResult) -> Vec<StoreOp> {
        let Ok(StoreReply::Objects(objects)) = listed else { return Vec::new() };
        let unused = |name: &str| is_sha256(name) && name != used && !self.searches.contains_key(name);
        let named = objects.into_iter().map(|object| object.at);
        let goes = |at: &Location| at.0.rsplit('/').next().is_some_and(unused);
        named.filter(goes).map(|at| StoreOp::Delete { at }).collect()
    }

    /// Abandons all searches, because the JobManager is gone and with it the executors that need them.
    pub(super) fn give_up(&mut self) {
        self.searches.clear();
    }

    fn end_if_over(&mut self, sha256: &str, step: Step) -> Option<Step> {
        if matches!(step, Step::Found(_) | Step::Missing(_)) {
            self.searches.remove(sha256);
        }
        Some(step)
    }

    fn cached(&self, sha256: &str) -> PathBuf {
        self.cache.join(sha256)
    }
}

impl Search {
    /// Checks a complete download. It is written to the cache if its hash is right; if not, it is fetched once
    /// more.
    fn check(&mut self, sha256: &str, cached: &Path) -> Step {
        let Stage::Fetching(bytes) = std::mem::replace(&mut self.stage, Stage::Writing) else {
            unreachable!("only a download is checked")
        };
        let found = digest(&bytes);
        if found == sha256 {
            let mode = reflow_env::PutMode::Overwrite;
            return Step::Store(StoreOp::Put { at: location(cached), body: bytes.into(), mode });
        }
        if self.mismatched {
            return Step::Missing(format!(
                "the job's executable came twice with SHA-256 {found} instead of {sha256}: it was replaced \
                 under the running JobManager; restart the JobManager"
            ));
        }
        tracing::warn!(
            expected = sha256,
            found,
            "the job's executable has another SHA-256: fetching it again"
        );
        self.mismatched = true;
        self.stage = Stage::Fetching(Vec::new());
        Step::Fetch { offset: 0 }
    }
}

fn read(path: &Path) -> StoreOp {
    StoreOp::Get { at: location(path), range: None }
}

fn location(path: &Path) -> Location {
    Location(path.display().to_string())
}

/// Whether a job's name is a valid file name, so that it cannot refer to a file outside the directory.
fn is_file_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!((components.next(), components.next()), (Some(std::path::Component::Normal(_)), None))
}

/// Whether `text` is a SHA-256 in hexadecimal.
fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The SHA-256 in lower-case hexadecimal.
fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use reflow_env::StoreError;

    const BODY: &[u8] = b"#!/bin/sh\n";

    fn artifacts() -> (Artifacts, String) {
        (Artifacts::new(Some("/opt/lib".into()), "/tmp/cache".into()), digest(BODY))
    }

    fn absent(path: &str) -> StoreResult {
        Err(StoreError::NotFound(Location(path.into())))
    }

    fn bytes(bytes: &'static [u8]) -> StoreResult {
        Ok(StoreReply::Bytes(Bytes::from_static(bytes)))
    }

    fn get(path: &str) -> Option<Step> {
        Some(Step::Store(read(Path::new(path))))
    }

    fn whole(bytes: &[u8]) -> Chunk<'_> {
        Chunk { offset: 0, total: bytes.len() as u64, bytes }
    }

    #[test]
    fn the_same_build_in_lib_is_used_as_it_is() {
        let (mut artifacts, sha) = artifacts();
        assert_eq!(artifacts.search(&sha, "job"), get("/opt/lib/job"));
        assert_eq!(artifacts.search(&sha, "job"), None, "one search serves all");
        assert_eq!(artifacts.stored(&sha, bytes(BODY)), Some(Step::Found("/opt/lib/job".into())));
        assert!(artifacts.searches.is_empty());
    }

    #[test]
    fn another_build_in_lib_and_a_torn_file_in_the_cache_are_passed_over() {
        let (mut artifacts, sha) = artifacts();
        artifacts.search(&sha, "job");
        assert_eq!(artifacts.stored(&sha, bytes(b"other")), get(&format!("/tmp/cache/{sha}")));
        assert_eq!(artifacts.stored(&sha, bytes(b"torn")), Some(Step::Fetch { offset: 0 }));
    }

    #[test]
    fn a_download_is_checked_kept_and_made_executable() {
        let (mut artifacts, sha) = artifacts();
        assert_eq!(artifacts.search(&sha, "../job"), get(&format!("/tmp/cache/{sha}")), "no way out of lib/");
        artifacts.stored(&sha, absent("cache"));
        let total = BODY.len() as u64;
        let first = Chunk { offset: 0, total, bytes: &BODY[..4] };
        assert_eq!(artifacts.chunk(&sha, &first), Some(Step::Fetch { offset: 4 }));
        assert_eq!(artifacts.chunk(&sha, &first), None, "a part that came before");
        let last = Chunk { offset: 4, total, bytes: &BODY[4..] };
        assert!(matches!(artifacts.chunk(&sha, &last), Some(Step::Store(StoreOp::Put { .. }))));
        let made = artifacts.stored(&sha, Ok(StoreReply::Done));
        assert!(matches!(made, Some(Step::Store(StoreOp::MakeExecutable { .. }))), "{made:?}");
        let found = artifacts.stored(&sha, Ok(StoreReply::Done));
        assert_eq!(found, Some(Step::Found(format!("/tmp/cache/{sha}").into())));
    }

    #[test]
    fn executables_of_other_jobs_are_removed_once() {
        let (mut artifacts, sha) = artifacts();
        let (other, wanted) = (digest(b"other"), digest(b"wanted"));
        artifacts.search(&wanted, "job");
        let below = Location("/tmp/cache".into());
        assert_eq!(artifacts.clean(), Some(StoreOp::List { below: below.clone() }));
        assert_eq!(artifacts.clean(), None);
        let names = [sha.as_str(), &other, &wanted, "notes.txt"];
        let meta = |name: &str| reflow_env::ObjectMeta { at: below.join(name), len: 1 };
        let listed = Ok(StoreReply::Objects(names.map(meta).to_vec()));
        assert_eq!(artifacts.unused(&sha, listed), [StoreOp::Delete { at: below.join(&other) }]);
        assert_eq!(artifacts.unused(&sha, absent("/tmp/cache")), []);
    }

    #[test]
    fn a_wrong_hash_is_fetched_again_once() {
        let (mut artifacts, sha) = artifacts();
        artifacts.search(&sha, "job");
        artifacts.stored(&sha, absent("lib"));
        artifacts.stored(&sha, absent("cache"));
        assert_eq!(artifacts.chunk(&sha, &whole(b"wrong")), Some(Step::Fetch { offset: 0 }));
        let missing = artifacts.chunk(&sha, &whole(b"wrong"));
        assert!(
            matches!(&missing, Some(Step::Missing(why)) if why.contains("restart the JobManager")),
            "{missing:?}"
        );
    }

    #[test]
    fn parts_that_do_not_fit_and_disks_that_are_full_are_named() {
        for chunk in [
            Chunk { offset: 0, total: u64::MAX, bytes: b"x" },
            Chunk { offset: 0, total: 3, bytes: b"longer" },
            Chunk { offset: 0, total: 3, bytes: b"" },
        ] {
            let (mut artifacts, sha) = artifacts();
            artifacts.search(&sha, "job");
            artifacts.stored(&sha, absent("lib"));
            artifacts.stored(&sha, absent("cache"));
            assert!(matches!(artifacts.chunk(&sha, &chunk), Some(Step::Missing(_))));
        }
        let (mut artifacts, sha) = artifacts();
        assert!(matches!(artifacts.search("../../etc", "job"), Some(Step::Missing(_))));
        artifacts.search(&sha, "job");
        artifacts.stored(&sha, absent("lib"));
        artifacts.stored(&sha, absent("cache"));
        artifacts.chunk(&sha, &whole(BODY));
        let reason = "No space left on device".to_owned();
        let full = Err(StoreError::Failed { at: Location("/tmp".into()), reason });
        let missing = artifacts.stored(&sha, full);
        assert!(matches!(&missing, Some(Step::Missing(why)) if why.contains("No space left")), "{missing:?}");
    }
}
