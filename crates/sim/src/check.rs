//! Invariants that can be seen from outside: in what is stored, after each event.
//!
//! - A committed file never changes and never goes.
//! - A checkpoint is decided once.
//! - The objects that a retained manifest names are there.
//! - At the end, what was committed is what the model expects, each line as often; nothing is doubled unless
//!   a checkpoint was damaged.

use crate::workload::{Lines, committed, sink};
use crate::world::{Change, Storage};
use reflow_coordination::manifest::{self, Decision};
use reflow_types::CheckpointId;
use std::collections::{BTreeMap, BTreeSet};

/// Watches the storage.
#[derive(Default)]
pub struct Checker {
    /// How many complete checkpoints are kept.
    retained: usize,
    /// The manifests of complete checkpoints, what they are called and what they name.
    manifests: BTreeMap<CheckpointId, (String, BTreeSet<String>)>,
    /// How many checkpoints were completed.
    pub checkpoints: u64,
    /// The highest complete checkpoint.
    pub highest: Option<CheckpointId>,
    violations: Vec<String>,
}

/// How many differing lines are shown.
const SHOWN: usize = 8;

impl Checker {
    /// Nothing was seen yet; `retained` is how many complete checkpoints are kept.
    pub fn new(retained: usize) -> Self {
        Self { retained, ..Self::default() }
    }

    /// Looks at what has changed; says whether something was committed.
    pub fn look(&mut self, storage: &mut Storage) -> bool {
        let mut newly_committed = false;
        for change in storage.take_changes() {
            match &change {
                Change::Written { name, replaced } if name.starts_with(sink::COMMITTED) => {
                    newly_committed = true;
                    if *replaced {
                        self.violate(format!("{name} was committed with another content before"));
                    }
                }
                Change::Deleted { name } if name.starts_with(sink::COMMITTED) => {
                    self.violate(format!("{name} was committed and is gone"));
                }
                Change::Written { name, replaced } if name.ends_with("/_metadata") => {
                    if *replaced {
                        self.violate(format!("{name} was decided twice"));
                    }
                    self.decided(name, storage);
                }
                Change::Deleted { name } if name.ends_with("/_metadata") => {
                    self.manifests.retain(|_, (manifest, _)| manifest != name);
                }
                Change::Deleted { name } => self.deleted(name),
                // Nothing of a job that is over is needed.
                Change::Written { name, .. } if name.contains("/ended/") => self.retained = 0,
                Change::Written { .. } => {}
            }
        }
        newly_committed
    }

    fn decided(&mut self, name: &str, storage: &Storage) {
        let Some(body) = storage.get(name) else { return };
        match manifest::decode(body) {
            Ok(Decision::Complete(mut manifest)) => {
                // A dead JobManager's request, after a newer checkpoint was complete and the abandoned name gone:
                // nobody will restore it.
                if self.highest > Some(manifest.checkpoint) {
                    return;
                }
                manifest.rebase(name.trim_end_matches("/_metadata"));
                let objects: BTreeSet<String> = manifest.objects().into_iter().map(path).collect();
                for missing in objects.iter().filter(|object| storage.get(object).is_none()) {
                    self.violations.push(format!("{name} names {missing}, which is not there"));
                }
                self.manifests.insert(manifest.checkpoint, (name.to_owned(), objects));
                self.checkpoints += 1;
                self.highest = self.highest.max(Some(manifest.checkpoint));
            }
            Ok(Decision::Abandoned) => {}
            Err(error) => self.violate(format!("{name} cannot be read: {error}")),
        }
    }

    fn deleted(&mut self, name: &str) {
        // Older manifests are on their way out, too.
        let retained = self.manifests.values().rev().take(self.retained);
        let users = retained.filter(|(_, objects)| objects.contains(name)).map(|(manifest, _)| manifest);
        let users: Vec<&String> = users.collect();
        if !users.is_empty() {
            self.violations.push(format!("{name} was deleted, but {users:?} name it"));
        }
    }

    /// Compares what was committed with what is expected. A job that had to fall back on an older checkpoint,
    /// because the newest was damaged, has committed some of its output again: `or_more` allows for that.
    pub fn compare(&mut self, storage: &Storage, expected: &Lines, or_more: bool) {
        let found = committed(storage);
        let all: BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
        let often = |lines: &Lines, line: &String| lines.get(line).copied().unwrap_or(0);
        let differ = |line: &&&String| {
            let (found, expected) = (often(&found, line), often(expected, line));
            found != expected && !(or_more && expected > 0 && found > expected)
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

    /// Something that must not be.
    pub fn violate(&mut self, what: String) {
        self.violations.push(what);
    }

    /// What was found wrong so far.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }
}

fn path(object: &str) -> String {
    object.strip_prefix("file://").unwrap_or(object).to_owned()
}
