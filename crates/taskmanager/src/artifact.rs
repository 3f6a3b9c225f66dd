//! Finds a job's executable: in `lib/`, in the cache, or on the JobManager's HTTP server.
//!
//! An executable is identified by its SHA-256, which is always checked before it is run, because a file in `lib/`
//! may be of another build, and one in the cache may be damaged. It is read in pieces, so that a large one neither
//! fills the memory nor blocks the TaskManager's thread. Pieces from the JobManager are written to the cache as they
//! arrive; the file appears there with the last piece, after its hash has been checked. [`Artifacts`] performs no
//! I/O: it returns a [`Step`] and is given its result.

use crate::settings::Executables;
use reflow_env::{Location, StoreError, StoreOp, StoreReply, StoreResult};
use reflow_protocol::deployment::{Artifact, ArtifactTls};
use reflow_types::Instant;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The largest executable that is accepted, in bytes.
const MAX_ARTIFACT_BYTES: u64 = 2 << 30;

/// The bytes that are read at a time. Hashing them takes some milliseconds, and a broken connection loses no more.
const PIECE_BYTES: u64 = 8 << 20;

/// How often one piece is requested, with pauses of 7.75 s in all.
const MAX_TRIES: u32 = 6;
const FIRST_RETRY: Duration = Duration::from_millis(250);

/// The next step of a search.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Send this storage request. [`Artifacts::stored`] takes the answer.
    Store(StoreOp),
    /// The executable has been found.
    Found(PathBuf),
    /// The executable cannot be found or fetched, for this reason.
    Missing(String),
}

/// A place where the executable may be.
enum Source {
    Lib(PathBuf),
    Cache,
    JobManager,
}

/// What a search waits for.
enum Stage {
    /// The length of the file.
    Measuring,
    /// The next piece.
    Reading,
    /// The time at which a piece that could not be read is requested again.
    Pausing(Instant),
    /// A piece to be written to the file in the cache.
    Writing,
    /// The written pieces to be removed.
    Discarding(Afterwards),
    /// The file in the cache to be made executable.
    Marking,
}

/// What follows the removal of the pieces of a download.
enum Afterwards {
    FetchAgain,
    GiveUp(String),
}

struct Search {
    artifact: Artifact,
    /// The URL under which the JobManager serves it.
    url: Location,
    /// Its file in the cache.
    cached: PathBuf,
    source: Source,
    stage: Stage,
    /// The number of bytes that were read from the source, and their hash.
    position: u64,
    digest: Sha256,
    /// The id of the upload that writes a download to the cache.
    upload: u64,
    /// How often the current piece could not be read.
    failures: u32,
    /// Whether an earlier download had the wrong hash.
    mismatched: bool,
}

/// The searches under way, by SHA-256 in hexadecimal.
pub(super) struct Artifacts {
    executables: Executables,
    searches: BTreeMap<String, Search>,
    uploads: u64,
    /// Whether the cache was cleaned of other executables.
    cleaned: bool,
}

impl Artifacts {
    pub(super) fn new(executables: Executables) -> Self {
        Self { executables, searches: BTreeMap::new(), uploads: 0, cleaned: false }
    }

    /// Begins a search; `None` if one for the same executable is in progress. `job_manager` is the JobManager's host.
    pub(super) fn search(&mut self, artifact: &Artifact, job_manager: &str) -> Option<Step> {
        let Artifact { name, sha256, len, http_port, tls } = artifact;
        let (lib, cache) = match &self.executables {
            Executables::Files { lib, cache } => (lib, cache),
            Executables::ThisProcess => return Some(Step::Found(PathBuf::new())),
        };
        if self.searches.contains_key(sha256) {
            return None;
        }
        if !is_sha256(sha256) {
            return Some(Step::Missing(format!("'{sha256}' is not a SHA-256 in hexadecimal")));
        }
        if !(1..=MAX_ARTIFACT_BYTES).contains(len) {
            return Some(Step::Missing(format!("the job's executable cannot have {len} bytes")));
        }
        let in_lib = lib.as_deref().filter(|_| is_file_name(name)).map(|lib| lib.join(name));
        self.uploads += 1;
        let mut search = Search {
            artifact: artifact.clone(),
            url: url(*tls, job_manager, *http_port, sha256),
            cached: cache.join(sha256),
            source: in_lib.map_or(Source::Cache, Source::Lib),
            stage: Stage::Measuring,
            position: 0,
            digest: Sha256::new(),
            upload: self.uploads,
            failures: 0,
            mismatched: false,
        };
        let step = search.measure();
        self.searches.insert(sha256.clone(), search);
        Some(step)
    }

    /// Handles the answer to a storage request of the search for `sha256`.
    pub(super) fn stored(&mut self, now: Instant, sha256: &str, result: StoreResult) -> Option<Step> {
        let step = self.searches.get_mut(sha256)?.stored(now, result)?;
        if matches!(step, Step::Found(_) | Step::Missing(_)) {
            self.searches.remove(sha256);
        }
        Some(step)
    }

    /// The next steps of the searches whose pause is over, by SHA-256.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(String, Step)> {
        let due = |search: &&mut Search| matches!(search.stage, Stage::Pausing(until) if until <= now);
        let due = self.searches.values_mut().filter(due);
        due.map(|search| (search.artifact.sha256.clone(), search.read())).collect()
    }

    pub(super) fn next_wakeup(&self) -> Option<Instant> {
        let pause =
            |search: &Search| if let Stage::Pausing(until) = search.stage { Some(until) } else { None };
        self.searches.values().filter_map(pause).min()
    }

    /// The request that lists the cache, once per process, after an executable was found. Other executables in
    /// the cache are used again only if exactly that build is started, so they would accumulate with each release
    /// of a job.
    pub(super) fn clean(&mut self) -> Option<StoreOp> {
        let Executables::Files { cache, .. } = &self.executables else { return None };
        let first = !std::mem::replace(&mut self.cleaned, true);
        first.then(|| StoreOp::List { below: location(cache) })
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

    /// Abandons all searches, because the JobManager is gone and with it the executors that need them. Returns the
    /// requests that remove the pieces of downloads.
    pub(super) fn give_up(&mut self) -> Vec<StoreOp> {
        let searches = std::mem::take(&mut self.searches).into_values();
        let begun = searches.filter(Search::has_begun_upload);
        begun.map(|search| StoreOp::CancelUpload { upload: search.upload }).collect()
    }
}

impl Search {
    fn stored(&mut self, now: Instant, result: StoreResult) -> Option<Step> {
        let stage = std::mem::replace(&mut self.stage, Stage::Reading);
        Some(match (stage, result) {
            (Stage::Measuring, Ok(StoreReply::Objects(found))) => {
                let file = self.file();
                match found.iter().find(|object| object.at == file).map(|object| object.len) {
                    Some(len) if len == self.artifact.len => self.read(),
                    Some(_) => self.pass_over(),
                    None => self.try_next_source(),
                }
            }
            (Stage::Measuring, _) => self.try_next_source(),
            (Stage::Reading, Ok(StoreReply::Bytes(piece))) => self.take(piece),
            (Stage::Reading, Err(error)) if matches!(self.source, Source::JobManager) => {
                return self.pause(now, &error);
            }
            (Stage::Reading, _) => self.try_next_source(),
            (Stage::Writing, Ok(_)) if self.position == self.artifact.len => self.mark(),
            (Stage::Writing, Ok(_)) => self.read(),
            (Stage::Writing, Err(error)) => self.discard(Afterwards::GiveUp(cannot_be_kept(&error))),
            (Stage::Discarding(Afterwards::FetchAgain), _) => self.fetch(),
            (Stage::Discarding(Afterwards::GiveUp(why)), _) => Step::Missing(why),
            (Stage::Marking, Ok(_)) => Step::Found(self.cached.clone()),
            (Stage::Marking, Err(error)) => Step::Missing(cannot_be_kept(&error)),
            (Stage::Pausing(until), _) => {
                self.stage = Stage::Pausing(until);
                return None;
            }
        })
    }

    /// The location of the executable at the current source.
    fn file(&self) -> Location {
        match &self.source {
            Source::Lib(path) => location(path),
            Source::Cache => location(&self.cached),
            Source::JobManager => self.url.clone(),
        }
    }

    fn measure(&mut self) -> Step {
        self.stage = Stage::Measuring;
        Step::Store(StoreOp::List { below: self.file() })
    }

    fn read(&mut self) -> Step {
        self.stage = Stage::Reading;
        let end = self.artifact.len.min(self.position + PIECE_BYTES);
        Step::Store(StoreOp::Get { at: self.file(), range: Some(self.position..end) })
    }

    /// Handles the next piece of the source.
    fn take(&mut self, piece: bytes::Bytes) -> Step {
        self.digest.update(&piece);
        self.position += piece.len() as u64;
        self.failures = 0;
        let last = self.position == self.artifact.len;
        let matches = !last || hex(&self.digest.clone().finalize()) == self.artifact.sha256;
        match &self.source {
            Source::Lib(_) | Source::Cache if !matches => self.pass_over(),
            Source::Lib(_) | Source::Cache if !last => self.read(),
            Source::Lib(path) => Step::Found(path.clone()),
            Source::Cache => self.mark(),
            Source::JobManager if !matches => self.mismatch(),
            Source::JobManager => {
                self.stage = Stage::Writing;
                Step::Store(StoreOp::Upload {
                    upload: self.upload,
                    at: location(&self.cached),
                    part: piece,
                    last,
                })
            }
        }
    }

    /// Ignores a file that has another length or hash.
    fn pass_over(&mut self) -> Step {
        let (file, sha256) = (self.file(), &self.artifact.sha256);
        tracing::warn!(%file, sha256, "is not the JobManager's executable: it is not used");
        self.try_next_source()
    }

    fn try_next_source(&mut self) -> Step {
        (self.position, self.digest) = (0, Sha256::new());
        match self.source {
            Source::Lib(_) => {
                self.source = Source::Cache;
                self.measure()
            }
            Source::Cache | Source::JobManager => self.fetch(),
        }
    }

    /// Begins a download.
    fn fetch(&mut self) -> Step {
        self.source = Source::JobManager;
        (self.position, self.digest, self.failures) = (0, Sha256::new(), 0);
        tracing::info!(url = %self.url, bytes = self.artifact.len, "fetching the job's executable");
        self.read()
    }

    /// Requests a piece of a download once more after a pause, or gives up.
    fn pause(&mut self, now: Instant, error: &StoreError) -> Option<Step> {
        self.failures += 1;
        if self.failures < MAX_TRIES {
            tracing::warn!(%error, position = self.position, "the job's executable cannot be fetched, trying again");
            self.stage = Stage::Pausing(now + FIRST_RETRY * (1 << (self.failures - 1)));
            return None;
        }
        let why = format!(
            "the job's executable cannot be fetched: {error}; TaskManagers must reach this address of the JobManager: \
             see rest.bind-address and rest.port, or put the executable into lib/"
        );
        Some(if self.has_begun_upload() { self.discard(Afterwards::GiveUp(why)) } else { Step::Missing(why) })
    }

    /// Discards a download that has the wrong hash. It is fetched once more.
    fn mismatch(&mut self) -> Step {
        let (url, expected) = (&self.url, &self.artifact.sha256);
        let found = hex(&self.digest.clone().finalize());
        let afterwards = if std::mem::replace(&mut self.mismatched, true) {
            Afterwards::GiveUp(format!(
                "the job's executable from {url} came twice with SHA-256 {found}: it is damaged on its way, or was \
                 replaced under the running JobManager; restart the JobManager"
            ))
        } else {
            tracing::warn!(expected, found, "the job's executable has another SHA-256: fetching it again");
            Afterwards::FetchAgain
        };
        self.discard(afterwards)
    }

    fn discard(&mut self, afterwards: Afterwards) -> Step {
        self.stage = Stage::Discarding(afterwards);
        Step::Store(StoreOp::CancelUpload { upload: self.upload })
    }

    fn mark(&mut self) -> Step {
        self.stage = Stage::Marking;
        Step::Store(StoreOp::MakeExecutable { at: location(&self.cached) })
    }

    fn has_begun_upload(&self) -> bool {
        matches!(self.source, Source::JobManager) && self.position > 0
    }
}

fn cannot_be_kept(error: &StoreError) -> String {
    format!("the job's executable cannot be kept: {error}; check the space and the rights of io.tmp.dirs")
}

/// Where the JobManager serves the executable.
fn url(tls: ArtifactTls, host: &str, port: u16, sha256: &str) -> Location {
    let scheme = match tls {
        ArtifactTls::None => "http",
        ArtifactTls::Rest => "https",
        ArtifactTls::Internal => "internal+https",
    };
    Location(format!("{scheme}://{host}:{port}/artifacts/{sha256}"))
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

/// In lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "artifact_tests.rs"]
mod tests;
