//! The output that may be committed again, and the order of committed output.
//!
//! A sink's file belongs to the first checkpoint whose manifest has its transaction. An attempt that continues from
//! an older checkpoint, because newer ones are damaged and the user has allowed it, commits the output of the newer
//! ones once more, and nothing else.

use crate::workload::{Lines, sink};
use crate::world::Storage;
use bytes::Bytes;
use reflow_coordination::manifest::Manifest;
use reflow_types::{CheckpointId, data};
use std::collections::{BTreeMap, BTreeSet};

/// The name of the operator state with the transactions that are not committed.
const TRANSACTIONS: &str = "transactions";

/// How the encoded transaction of a sink is shown as text, which contains the name of the transaction's file.
#[derive(Clone, Copy, Debug)]
pub struct TransactionText(pub fn(&[u8]) -> String);

impl Default for TransactionText {
    /// The file's name is part of the encoded transaction.
    fn default() -> Self {
        Self(|transaction| String::from_utf8_lossy(transaction).into_owned())
    }
}

/// Tracks the files of sinks.
#[derive(Debug, Default)]
pub struct Files {
    /// Hidden files of which no complete checkpoint has a transaction.
    open: BTreeSet<String>,
    /// Those of `open` that belong to a checkpoint which a deposed leader has decided, and which counts if its successor finds it.
    unsure: BTreeMap<String, CheckpointId>,
    /// The other files, each with its checkpoint.
    belongs: BTreeMap<String, CheckpointId>,
    /// The lines that may be committed again, with their numbers.
    redone: Lines,
    has_gone_back: bool,
}

impl Files {
    /// A hidden file was written.
    pub fn written(&mut self, name: &str) {
        self.open.insert(name.to_owned());
    }

    /// A hidden file was renamed or deleted.
    pub fn removed(&mut self, name: &str) {
        let unsure = self.unsure.remove(name);
        if self.open.remove(name)
            && let Some(checkpoint) = unsure
        {
            self.belongs.insert(name.to_owned(), checkpoint);
        }
    }

    /// A deposed leader has decided a checkpoint. If its successor has found it, its files are committed.
    pub fn decided_by_deposed(&mut self, manifest: &Manifest, text: TransactionText) {
        for transaction in transactions(manifest, text) {
            let files = self.open.iter().filter(|name| names(&transaction, name));
            self.unsure.extend(files.map(|name| (name.clone(), manifest.checkpoint)));
        }
    }

    /// A checkpoint is complete. Returns a violation if its transactions name no file although there are some: then
    /// the check would excuse no output that is committed again, and see none that is out of order.
    pub fn completed(&mut self, manifest: &Manifest, text: TransactionText) -> Option<String> {
        let transactions = transactions(manifest, text);
        let has_files = !self.open.is_empty() && self.belongs.is_empty() && !self.has_gone_back;
        self.belong(manifest.checkpoint, &transactions);
        let transaction = transactions.first().filter(|_| has_files && self.belongs.is_empty())?;
        Some(format!(
            "no file is named by the transactions of checkpoint {}: {transaction:?}",
            manifest.checkpoint
        ))
    }

    /// A checkpoint with these transactions is complete.
    pub fn belong(&mut self, checkpoint: CheckpointId, transactions: &[impl AsRef<str>]) {
        let committed = self
            .open
            .extract_if(.., |name| transactions.iter().any(|transaction| names(transaction.as_ref(), name)));
        self.belongs.extend(committed.map(|name| (name, checkpoint)));
    }

    /// An attempt begins from an older checkpoint than the newest one, because that is damaged and the user has
    /// allowed it.
    pub fn begins(&mut self, from: Option<CheckpointId>, storage: &Storage) {
        self.has_gone_back = true;
        let newer = |checkpoint: &CheckpointId| Some(*checkpoint) > from;
        let redone: Vec<String> =
            self.belongs.iter().filter(|(_, at)| newer(at)).map(|(name, _)| name.clone()).collect();
        for name in redone {
            self.belongs.remove(&name);
            for line in body(&name, storage).lines() {
                *self.redone.entry(line.to_owned()).or_default() += 1;
            }
        }
    }

    /// How many times more than expected a line may be committed.
    pub fn redone(&self, line: &str) -> u64 {
        self.redone.get(line).copied().unwrap_or(0)
    }

    /// Whether an attempt has begun from an older checkpoint than the newest one.
    pub fn has_gone_back(&self) -> bool {
        self.has_gone_back
    }

    /// The first violation of the order of lines `key count`, whose counts must ascend for each key. Lines of a
    /// file are in its order, and files in the order of their checkpoints.
    pub fn out_of_order(&self, storage: &Storage) -> Option<String> {
        let mut pieces: BTreeMap<&str, Vec<(CheckpointId, Vec<u64>)>> = BTreeMap::new();
        let bodies: Vec<_> =
            self.belongs.iter().map(|(name, at)| (*at, sink::committed(name, storage))).collect();
        for (at, body) in &bodies {
            let mut of_file: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
            for line in body.lines() {
                let mut words = line.split(' ');
                let (Some(key), Some(Ok(count))) = (words.next(), words.next().map(str::parse)) else {
                    continue;
                };
                of_file.entry(key).or_default().push(count);
            }
            of_file.into_iter().for_each(|(key, counts)| pieces.entry(key).or_default().push((*at, counts)));
        }
        pieces.into_iter().find_map(|(key, mut pieces)| {
            pieces.sort_by_key(|(at, counts)| (*at, counts.first().copied()));
            let counts: Vec<u64> = pieces.into_iter().flat_map(|(_, counts)| counts).collect();
            let wrong = counts.windows(2).find(|pair| pair[0] >= pair[1])?;
            Some(format!("key {key}: the output of count {} comes before that of {}", wrong[0], wrong[1]))
        })
    }
}

/// The transactions of sinks in a manifest, as text.
fn transactions(manifest: &Manifest, TransactionText(text): TransactionText) -> Vec<String> {
    let states = manifest.vertices.iter().flat_map(|vertex| &vertex.operator);
    let items = states.filter(|state| state.name == TRANSACTIONS).flat_map(|state| &state.items);
    let encoded = items.map(|item| data::decode::<Bytes>(item).expect("a transaction is encoded as bytes"));
    encoded.map(|transaction| text(&transaction)).collect()
}

/// Whether a transaction names a file, and not one with a longer number.
fn names(transaction: &str, file: &str) -> bool {
    let is_whole = |(at, _): (usize, &str)| {
        let (before, behind) = (&transaction[..at], &transaction[at + file.len()..]);
        !before.ends_with(|last: char| last.is_ascii_digit())
            && !behind.starts_with(|next: char| next.is_ascii_digit())
    };
    transaction.match_indices(file).any(is_whole)
}

fn body(name: &str, storage: &Storage) -> String {
    sink::waiting(name, storage) + &sink::committed(name, storage)
}
