//! What an old owner hands over: what its snapshot of the cut writes of the key groups that go.
//!
//! The same bytes go into storage and to the new owners, so they are made once. A segment whose groups go to several
//! new owners goes to each of them; they take what is theirs.

use crate::rescale::Give;
use bytes::Bytes;
use reflow_protocol::rescale::Part;
use reflow_state::{RunKind, RunWriter, SnapshotSink, SnapshotWriter, TableId};
use reflow_types::key_group::segment_groups;
use reflow_types::{KeyGroupSet, MaxParallelism, SubtaskId};

/// The hand-overs of one task.
pub(super) struct Giving {
    max: MaxParallelism,
    /// Parts are sent once they have this size.
    part_bytes: usize,
    heirs: Vec<Heir>,
    /// Those who get the run that is being written.
    open: Vec<usize>,
    parts: Vec<(SubtaskId, Part)>,
}

struct Heir {
    to: SubtaskId,
    groups: KeyGroupSet,
    table: u16,
    bytes: Vec<u8>,
}

impl Giving {
    pub(super) fn new(max: MaxParallelism, gives: &[Give], part_bytes: usize) -> Self {
        let heir =
            |give: &Give| Heir { to: give.to, groups: give.groups.clone(), table: 0, bytes: Vec::new() };
        Self { max, part_bytes, heirs: gives.iter().map(heir).collect(), open: Vec::new(), parts: Vec::new() }
    }

    /// Parts that are ready to be sent.
    pub(super) fn take_parts(&mut self) -> Vec<(SubtaskId, Part)> {
        std::mem::take(&mut self.parts)
    }

    /// All tables are written.
    pub(super) fn finish(&mut self) {
        for heir in &mut self.heirs {
            heir.send(&mut self.parts);
        }
    }
}

impl Heir {
    fn send(&mut self, parts: &mut Vec<(SubtaskId, Part)>) {
        if !self.bytes.is_empty() {
            let bytes = Bytes::from(std::mem::take(&mut self.bytes));
            parts.push((self.to, Part::Blocks { table: self.table, bytes }));
        }
    }
}

/// Writes to storage, and to the heirs what is theirs.
pub(super) struct Tee<'a, S> {
    pub(super) writer: &'a mut SnapshotWriter<S>,
    pub(super) giving: &'a mut Giving,
}

impl<S: SnapshotSink> RunWriter for Tee<'_, S> {
    fn begin_run(&mut self, table: TableId, segment: u16, kind: RunKind) {
        self.writer.begin_run(table, segment, kind);
        let Giving { max, heirs, open, parts, .. } = &mut *self.giving;
        let Some((first, last)) = segment_groups(*max, segment) else { return };
        for (i, heir) in heirs.iter_mut().enumerate().filter(|(_, heir)| heir.groups.intersects(first, last))
        {
            if heir.table != table.0 {
                heir.send(parts);
                heir.table = table.0;
            }
            open.push(i);
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.writer.write(bytes);
        for &heir in &self.giving.open {
            self.giving.heirs[heir].bytes.extend_from_slice(bytes);
        }
    }

    fn end_run(&mut self) {
        self.writer.end_run();
        let Giving { heirs, open, parts, part_bytes, .. } = &mut *self.giving;
        for heir in open.drain(..) {
            if heirs[heir].bytes.len() >= *part_bytes {
                heirs[heir].send(parts);
            }
        }
    }
}
