//! The hand-over writer, the outgoing half of a key-group migration: it collects the state of outgoing key groups
//! while the snapshot of the cut is written.
//!
//! The same bytes go into storage and to the new owners, so they are encoded once. If the groups of a segment go to
//! several new owners, each of them gets the whole run and installs only its own groups.

use crate::rescale::Outgoing;
use bytes::Bytes;
use reflow_protocol::rescale::Part;
use reflow_state::{RunKind, RunWriter, SnapshotSink, SnapshotWriter, TableId};
use reflow_types::key_group::segment_groups;
use reflow_types::{KeyGroupSet, MaxParallelism, SubtaskId};

/// Collects the hand-over parts of one task while its snapshot of the cut is written.
pub(super) struct HandoverWriter {
    max: MaxParallelism,
    /// A part is sent once it has this size.
    part_bytes: usize,
    new_owners: Vec<NewOwner>,
    /// Indexes of the new owners that get the run that is being written.
    open: Vec<usize>,
    parts: Vec<(SubtaskId, Part)>,
}

struct NewOwner {
    subtask: SubtaskId,
    groups: KeyGroupSet,
    /// The table of `bytes`: a part holds blocks of one table.
    table: u16,
    bytes: Vec<u8>,
}

impl HandoverWriter {
    pub(super) fn new(max: MaxParallelism, outgoing: &[Outgoing], part_bytes: usize) -> Self {
        let new_owner = |outgoing: &Outgoing| NewOwner {
            subtask: outgoing.to,
            groups: outgoing.groups.clone(),
            table: 0,
            bytes: Vec::new(),
        };
        let new_owners = outgoing.iter().map(new_owner).collect();
        Self { max, part_bytes, new_owners, open: Vec::new(), parts: Vec::new() }
    }

    /// Takes the parts that are ready to be sent.
    pub(super) fn take_parts(&mut self) -> Vec<(SubtaskId, Part)> {
        std::mem::take(&mut self.parts)
    }

    /// Completes the last part of each new owner, after all tables have been written.
    pub(super) fn finish(&mut self) {
        for owner in &mut self.new_owners {
            owner.complete_part(&mut self.parts);
        }
    }
}

impl NewOwner {
    fn complete_part(&mut self, parts: &mut Vec<(SubtaskId, Part)>) {
        if !self.bytes.is_empty() {
            let bytes = Bytes::from(std::mem::take(&mut self.bytes));
            parts.push((self.subtask, Part::Blocks { table: self.table, bytes }));
        }
    }
}

/// Writes runs to storage and, as far as they hold outgoing groups, to the hand-over.
pub(super) struct Tee<'a, S> {
    pub(super) writer: &'a mut SnapshotWriter<S>,
    pub(super) handover: &'a mut HandoverWriter,
}

impl<S: SnapshotSink> RunWriter for Tee<'_, S> {
    fn begin_run(&mut self, table: TableId, segment: u16, kind: RunKind) {
        self.writer.begin_run(table, segment, kind);
        let HandoverWriter { max, new_owners, open, parts, .. } = &mut *self.handover;
        let Some((first, last)) = segment_groups(*max, segment) else { return };
        for (i, owner) in new_owners.iter_mut().enumerate() {
            if !owner.groups.intersects(first, last) {
                continue;
            }
            if owner.table != table.0 {
                owner.complete_part(parts);
                owner.table = table.0;
            }
            open.push(i);
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.writer.write(bytes);
        for &owner in &self.handover.open {
            self.handover.new_owners[owner].bytes.extend_from_slice(bytes);
        }
    }

    fn end_run(&mut self) {
        self.writer.end_run();
        let HandoverWriter { new_owners, open, parts, part_bytes, .. } = &mut *self.handover;
        for owner in open.drain(..) {
            if new_owners[owner].bytes.len() >= *part_bytes {
                new_owners[owner].complete_part(parts);
            }
        }
    }
}
