//! The checker of stored objects: invariants that are checked after each event, by what is in storage.
//!
//! - A committed file is never changed or deleted.
//! - A checkpoint is decided once.
//! - The objects that a retained manifest names exist.
//! - The newest complete checkpoints, as many as are retained, keep their manifests.
//! - Objects that a savepoint names are never deleted.
//! - No checkpoint completes after the one with which the job ends, at its end or by a stop.
//! - At the end, the committed lines are those that the model expects, with their numbers. Only lines that belong
//!   to checkpoints newer than one to which a user has allowed the job to go back may be committed again
//!   ([`crate::redone`]).
//! - The output of each key is committed in order.

use crate::redone::{Files, TransactionText};
use crate::workload::{Lines, committed, sink};
use crate::world::{Change, ChangeKind, Storage};
use bytes::Bytes;
use reflow_coordination::manifest::{self, Decision, Manifest};
use reflow_protocol::snapshot::{AfterBarrier, StateFormat};
use reflow_testkit::collect;
use reflow_types::{CheckpointId, JobId, LeaderEpoch, Timestamp, VertexId};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// Checks the storage.
#[derive(Default)]
pub struct Checker {
    /// The number of complete checkpoints that are retained.
    retained: usize,
    /// The names of the manifests of complete checkpoints, with the objects that they name.
    manifests: BTreeMap<CheckpointId, (String, BTreeSet<String>)>,
    /// The checkpoint with which the job ends. None may complete after it.
    last: Option<(CheckpointId, LeaderEpoch)>,
    /// Complete checkpoints that may or may not count: those of deposed leaders, and those before which the job
    /// has gone back.
    unsure: BTreeSet<CheckpointId>,
    /// The same for savepoints.
    savepoints: BTreeMap<CheckpointId, (String, BTreeSet<String>)>,
    files: Files,
    transaction_text: TransactionText,
    /// The watermark of each vertex in the newest complete checkpoint.
    watermarks: BTreeMap<VertexId, (CheckpointId, Timestamp)>,
    /// Whether a checkpoint is known to be damaged.
    pub damaged: bool,
    /// The number of committed files.
    pub committed: u64,
    /// The number of completed checkpoints.
    pub checkpoints: u64,
    /// The highest complete checkpoint that is not a savepoint.
    pub highest: Option<CheckpointId>,
    /// Savepoints that stop the job. They are decided in the job's directory.
    stops: BTreeSet<String>,
    /// The job, once it has a checkpoint.
    jobs: BTreeSet<JobId>,
    former_jobs: BTreeSet<JobId>,
    violations: Vec<String>,
}

/// The directory of savepoints.
pub const SAVEPOINTS: &str = "/savepoints/";

/// The number of differing lines that a violation shows.
const SHOWN: usize = 8;

impl Checker {
    /// A checker for a job that retains `retained` complete checkpoints.
    pub fn new(retained: usize, transaction_text: TransactionText) -> Self {
        Self { retained, transaction_text, ..Self::default() }
    }

    /// Checks changes of the storage. Returns whether something was committed.
    pub fn look(&mut self, storage: &Storage, changes: &[Change]) -> bool {
        let mut newly_committed = false;
        for Change { name, by, kind } in changes {
            if let Some(file) = sink::pending(name) {
                match kind {
                    ChangeKind::Deleted => self.files.removed(file),
                    _ => self.files.written(file),
                }
            } else if sink::is_committed(name) {
                match kind {
                    ChangeKind::Written => {}
                    ChangeKind::Replaced => {
                        self.violate(format!("{name} was committed with another content before"));
                    }
                    ChangeKind::Deleted => self.violate(format!("{name} was committed and is gone")),
                }
                newly_committed = true;
                self.committed += u64::from(*kind == ChangeKind::Written);
            } else if name.contains(collect::COMMITTED) {
                match kind {
                    ChangeKind::Written => self.committed += 1,
                    _ => self.violate(format!("{name} was committed and is changed")),
                }
                newly_committed = true;
            } else if name.ends_with("/_metadata") {
                match kind {
                    // A manifest that cannot be read is not retained and does not count.
                    ChangeKind::Deleted => self.manifest_deleted(name, by.is_none() || storage.has_damage()),
                    _ => {
                        if *kind == ChangeKind::Replaced {
                            self.violate(format!("{name} was decided twice"));
                        }
                        self.decided(name, storage);
                    }
                }
            } else if *kind == ChangeKind::Deleted {
                self.deleted(name, storage);
            } else if name.contains("/ended/") && !is_failed(storage.get(name)) {
                // Nothing of a job that has ended is needed.
                self.retained = 0;
            }
        }
        newly_committed
    }

    /// A user starts another job with the same name.
    pub fn begin_job(&mut self, retained: usize) {
        self.retained = retained;
        self.last = None;
        // The ids of its checkpoints follow the savepoint's, and the earlier job may already have used higher
        // ones.
        self.highest = None;
        self.former_jobs.append(&mut self.jobs);
        self.manifests.clear();
        self.watermarks.clear();
    }

    fn decided(&mut self, name: &str, storage: &Storage) {
        let Some(body) = storage.get(name) else { return };
        match manifest::decode(body) {
            Ok(Decision::Complete(mut manifest)) => {
                // A successor does not know the ids of savepoints and may use them again.
                let is_savepoint = name.starts_with(SAVEPOINTS);
                // A late request of a dead JobManager, after a newer checkpoint completed and the abandonment was
                // deleted, or a request of an ended job. It is never restored.
                let is_late = !is_savepoint && self.highest > Some(manifest.checkpoint);
                if is_late || self.former_jobs.contains(&manifest.job) {
                    return;
                }
                self.jobs.insert(manifest.job);
                manifest.rebase(name.trim_end_matches("/_metadata"));
                let objects: BTreeSet<String> = manifest.objects().into_iter().map(path).collect();
                // A checkpoint that was being decided when the job was cancelled is not needed.
                let is_over = self.retained == 0;
                for missing in objects.iter().filter(|object| !is_over && storage.get(object).is_none()) {
                    self.violations.push(format!("{name} names {missing}, which is not there"));
                }
                self.watermarks(name, &manifest, storage);
                // A stop is abandoned if its manifest, which exists after a lost answer, cannot be read.
                let is_damaged = |name: &String| storage.is_damaged(name);
                self.last
                    .take_if(|(last, _)| self.manifests.get(last).is_some_and(|(name, _)| is_damaged(name)));
                self.ends(name, &manifest);
                self.checkpoints += 1;
                if !is_savepoint {
                    self.highest = self.highest.max(Some(manifest.checkpoint));
                }
                let unnamed = self.files.completed(&manifest, self.transaction_text);
                self.violations.extend(unnamed);
                if manifest.format == StateFormat::Savepoint && !is_savepoint {
                    self.stops.insert(name.to_owned());
                }
                let of = if is_savepoint { &mut self.savepoints } else { &mut self.manifests };
                of.insert(manifest.checkpoint, (name.to_owned(), objects));
            }
            Ok(Decision::Abandoned(_) | Decision::Ended { .. }) => {}
            Err(error) => self.violate(format!("{name} cannot be read: {error}")),
        }
    }

    /// Checks that a job that was stopped, or has read all its input, does not continue under any leader.
    fn ends(&mut self, name: &str, manifest: &Manifest) {
        if name.starts_with(SAVEPOINTS) {
            return; // it decides nothing
        }
        let counts = |(last, epoch): &(CheckpointId, LeaderEpoch)| !manifest.lineage.voids(*last, *epoch);
        // A user may stop the job while it ends by itself. Then it ends with that savepoint.
        let ends = manifest.ending.is_some_and(|ending| ending.then == AfterBarrier::Finish);
        let stops = manifest.ending.is_some();
        if let Some((last, _)) = self.last.filter(counts).filter(|_| !stops && !self.damaged) {
            self.violations
                .push(format!("{name} is complete, but the job was to end with checkpoint {last}"));
        }
        self.last = ends.then_some((manifest.checkpoint, manifest.lineage.epoch));
    }

    /// Checks that a keyed vertex's watermark in complete checkpoints never goes back, unless the job goes back
    /// to an older one. Other vertices reset event time at a cut.
    fn watermarks(&mut self, name: &str, manifest: &Manifest, storage: &Storage) {
        if name.starts_with(SAVEPOINTS) {
            return; // nothing begins from it
        }
        // A checkpoint is abandoned if its manifest, which exists after a lost answer, cannot be read.
        let is_damaged = |last: &CheckpointId| {
            self.manifests.get(last).is_some_and(|(manifest, _)| storage.is_damaged(manifest))
        };
        for vertex in manifest.vertices.iter().filter(|vertex| vertex.table.is_some()) {
            let last = self.watermarks.insert(vertex.vertex, (manifest.checkpoint, vertex.watermark));
            if !self.damaged
                && let Some((_, last)) = last.filter(|(at, last)| *last > vertex.watermark && !is_damaged(at))
            {
                let (vertex, to) = (vertex.vertex, vertex.watermark);
                let text = format!("{name}: the watermark of vertex {vertex} goes back from {last} to {to}");
                self.violations.push(text);
            }
        }
    }

    /// A deposed leader has decided a checkpoint, which counts if its successor finds it.
    pub fn decided_by_deposed(&mut self, name: &str, storage: &Storage) {
        if let Some(Ok(Decision::Complete(manifest))) = storage.get(name).map(|body| manifest::decode(body)) {
            self.unsure.insert(manifest.checkpoint);
            self.files.decided_by_deposed(&manifest, self.transaction_text);
        }
    }

    /// The newest complete checkpoints, as many as are retained, with their manifests and objects.
    fn newest(&self) -> impl Iterator<Item = &(String, BTreeSet<String>)> {
        let places = self.manifests.iter().rev().zip(0..);
        let newest = places.filter(|((checkpoint, _), place)| {
            let newer = (Bound::Excluded(**checkpoint), Bound::Unbounded);
            place + self.unsure.range(newer).count() < self.retained
        });
        newest.map(|((_, manifest), _)| manifest)
    }

    /// `unrelated`: a user deletes it, or something is damaged, and a damaged decision completes nothing.
    fn manifest_deleted(&mut self, name: &str, unrelated: bool) {
        let mut excused = unrelated;
        // A savepoint belongs to the user, so the job relies on it only if it has no own checkpoint.
        let newest = self.manifests.last_key_value().is_some_and(|(_, (newest, _))| newest == name);
        excused |= self.stops.remove(name) && !newest;
        if !excused && !self.damaged && self.newest().any(|(manifest, _)| manifest == name) {
            self.violate(format!("{name} was deleted, but is one of the {} newest", self.retained));
        }
        // An abandoned stop deletes its savepoint, unless it is decided in the job's directory.
        let savepoint = self.savepoints.iter().find(|(_, (manifest, _))| manifest == name);
        if let Some(checkpoint) = savepoint.map(|(checkpoint, _)| *checkpoint) {
            if self.manifests.contains_key(&checkpoint) && !unrelated {
                self.violate(format!("{name} was deleted, but the job has stopped with it"));
            }
            self.savepoints.remove(&checkpoint);
        }
        self.manifests.retain(|_, (manifest, _)| manifest != name);
    }

    /// The job goes back to an older checkpoint, as a user has allowed. Newer ones no longer count.
    pub fn goes_back(&mut self, from: Option<CheckpointId>, storage: &Storage) {
        self.files.begins(from, storage);
        // If the older one is damaged as well and the objects are repaired, the newer ones count again.
        let newer = self.manifests.extract_if(.., |checkpoint, _| Some(*checkpoint) > from);
        self.unsure.extend(newer.map(|(checkpoint, _)| checkpoint));
        self.watermarks.clear();
    }

    /// Whether the job has gone back to an older checkpoint.
    pub fn has_gone_back(&self) -> bool {
        self.files.has_gone_back()
    }

    fn deleted(&mut self, name: &str, storage: &Storage) {
        if self.savepoints.values().any(|(_, objects)| objects.contains(name)) {
            self.violations.push(format!("{name} was deleted, but a savepoint names it"));
        }
        // Older manifests are being deleted as well.
        let users = self.newest().filter(|(_, objects)| objects.contains(name)).map(|(manifest, _)| manifest);
        // A checkpoint is abandoned if its manifest, which exists after a lost answer, cannot be read.
        let users: Vec<&String> = users.filter(|manifest| !storage.is_damaged(manifest)).collect();
        if !users.is_empty() {
            self.violations.push(format!("{name} was deleted, but {users:?} name it"));
        }
    }

    /// Compares the committed lines with the expected and the possible ones. With `or_less`, as for a cancelled
    /// job, lines may be missing.
    pub fn compare(&mut self, storage: &Storage, (expected, possible): (&Lines, &Lines), or_less: bool) {
        let found = committed(storage);
        let all: BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
        let often = |lines: &Lines, line: &String| lines.get(line).copied().unwrap_or(0);
        let differ = |line: &&&String| {
            let (found, expected, possible) =
                (often(&found, line), often(expected, line), often(possible, line));
            let again = if expected + possible > 0 { self.files.redone(line) } else { 0 };
            (found < expected && !or_less) || found > expected + possible + again
        };
        let wrong: Vec<&&String> = all.iter().filter(differ).collect();
        for line in wrong.iter().take(SHOWN) {
            let (found, expected) = (often(&found, line), often(expected, line));
            self.violations.push(format!("'{line}' is committed {found} times instead of {expected}"));
        }
        if wrong.len() > SHOWN {
            self.violations.push(format!("{} more lines are wrong", wrong.len() - SHOWN));
        }
    }

    /// Checks that the output of each key, lines of the form `key count`, was committed in order.
    pub fn check_order(&mut self, storage: &Storage) {
        if !self.files.has_gone_back() {
            self.violations.extend(self.files.out_of_order(storage));
        }
    }

    /// The directory of the newest savepoint for which `wanted` is true. Those of lost JobManagers may appear
    /// late.
    pub fn newest_savepoint(&self, wanted: impl Fn(CheckpointId) -> bool) -> Option<&str> {
        let mut newest_first = self.savepoints.iter().rev();
        let (_, (manifest, _)) = newest_first.find(|(checkpoint, _)| wanted(**checkpoint))?;
        Some(manifest.trim_end_matches("/_metadata"))
    }

    /// The oldest manifest of a complete checkpoint, if there is a newer one.
    pub fn oldest_manifest(&self) -> Option<&str> {
        let (_, (manifest, _)) = self.manifests.first_key_value().filter(|_| self.manifests.len() > 1)?;
        Some(manifest)
    }

    /// The newest complete checkpoint, with its manifest.
    pub fn newest_manifest(&self) -> Option<(CheckpointId, &str)> {
        let (checkpoint, (manifest, _)) = self.manifests.last_key_value()?;
        Some((*checkpoint, manifest))
    }

    /// Adds a violation.
    pub fn violate(&mut self, what: String) {
        self.violations.push(what);
    }

    /// The violations so far.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }
}

/// Whether the marker of a job's end shows that the job has failed, so that the next start resumes it.
fn is_failed(marker: Option<&Bytes>) -> bool {
    marker.is_some_and(|body| String::from_utf8_lossy(body).contains("FAILED"))
}

fn path(object: &str) -> String {
    object.strip_prefix("file://").unwrap_or(object).to_owned()
}
