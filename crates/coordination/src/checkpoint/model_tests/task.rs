//! A subtask: what it holds, and what it writes at a barrier.

use super::Random;
use bytes::Bytes;
use reflow_protocol::command::SnapshotKind;
use reflow_protocol::snapshot::{OperatorState, Redistribution, Run, StateFormat};
use reflow_types::key_group::segment_groups;
use reflow_types::{CheckpointId, KeyGroupSet, MaxParallelism};
use std::collections::{BTreeMap, VecDeque};

/// `(group, key within the group)`.
pub(super) type Key = (u16, u8);
pub(super) type Entries = Vec<(Key, Option<u64>)>;
/// Keyed state of all groups, and the offset of each split.
pub(super) type State = (BTreeMap<Key, u64>, BTreeMap<u64, u64>);

/// Which table and segment a key is in.
pub(super) fn place(max: MaxParallelism, (group, key): Key) -> (u16, u16) {
    let within = |segment: &u16| {
        segment_groups(max, *segment).is_some_and(|(first, last)| (first.0..=last.0).contains(&group))
    };
    let segments: Vec<u16> = (0..512).filter(within).collect();
    (u16::from(key) % 2, segments[usize::from(key) % segments.len()])
}

/// By `(segment, table)`: whether it is written in full, and the entries.
type Pieces = BTreeMap<(u16, u16), (bool, Entries)>;

/// A subtask. Sources hold splits, the others keyed state.
#[derive(Default)]
pub(super) struct Task {
    pub(super) owned: Option<KeyGroupSet>,
    pub(super) splits: BTreeMap<u64, u64>,
    pub(super) state: BTreeMap<Key, u64>,
    /// When each key changed last.
    pub(super) changed: BTreeMap<Key, u64>,
    pub(super) clock: u64,
    pub(super) base: u64,
    pub(super) frozen: BTreeMap<CheckpointId, u64>,
    pub(super) barriers: VecDeque<(CheckpointId, SnapshotKind)>,
}

/// Keyed state as it is written: the runs, and what stands at the offset of each that is not empty.
pub(super) struct Written {
    pub(super) runs: Vec<Run>,
    pub(super) content: BTreeMap<u64, Entries>,
    pub(super) bytes: u64,
}

impl Task {
    /// A barrier arrives: a source writes its splits, a keyed subtask the state of its groups.
    pub(super) fn snapshot(
        &mut self,
        (checkpoint, format): (CheckpointId, StateFormat),
        max: MaxParallelism,
        random: &mut Random,
    ) -> (Vec<OperatorState>, Option<Written>) {
        if self.owned.is_none() {
            let items = self.splits.iter().map(|(split, offset)| item(*split, *offset)).collect();
            let (operator, name) = ("source".into(), "splits".into());
            let redistribution = Redistribution::Split;
            return (vec![OperatorState { operator, name, redistribution, items }], None);
        }
        self.clock += 1;
        self.frozen.insert(checkpoint, self.clock);
        let mut pieces = match format {
            StateFormat::Savepoint => self.everything(max),
            StateFormat::Checkpoint => self.increments(max),
        };
        for (&(segment, table), (full, entries)) in &mut pieces {
            if format == StateFormat::Savepoint || random.one_in(4) {
                *full = true;
                let here = self.state.iter().filter(|(key, _)| place(max, **key) == (table, segment));
                *entries = here.map(|(&key, &value)| (key, Some(value))).collect();
            }
        }
        let mut written = Written { runs: Vec::new(), content: BTreeMap::new(), bytes: 0 };
        for ((segment, table), (full, entries)) in pieces {
            let (offset, len) = (written.bytes, entries.len() as u32);
            written.runs.push(Run { table, segment, full, offset, len });
            if len > 0 {
                written.content.insert(offset, entries);
            }
            written.bytes += u64::from(len);
        }
        (Vec::new(), Some(written))
    }

    /// What has changed since the last complete checkpoint.
    fn increments(&self, max: MaxParallelism) -> Pieces {
        let mut pieces = Pieces::new();
        for (&key, _) in self.changed.iter().filter(|(_, at)| **at > self.base) {
            let (table, segment) = place(max, key);
            pieces.entry((segment, table)).or_default().1.push((key, self.state.get(&key).copied()));
        }
        pieces
    }

    /// A piece for each segment and table that holds anything.
    fn everything(&self, max: MaxParallelism) -> Pieces {
        let swap = |(table, segment)| ((segment, table), Default::default());
        self.state.keys().map(|&key| swap(place(max, key))).collect()
    }
}

pub(super) fn item(split: u64, offset: u64) -> Bytes {
    Bytes::from([split.to_le_bytes(), offset.to_le_bytes()].concat())
}

pub(super) fn split(item: &Bytes) -> (u64, u64) {
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    (number(&item[..8]), number(&item[8..]))
}
