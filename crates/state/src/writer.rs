//! The byte stream of a snapshot: what one subtask writes for one checkpoint, over all its tables.

use crate::TableId;
use serde::{Deserialize, Serialize};

/// Takes the bytes of a snapshot in order.
///
/// An implementation must not block: it collects the bytes for an upload. If the upload fails, it fails the
/// checkpoint in its own way and may drop further bytes.
pub trait SnapshotSink: Send {
    /// Takes the next bytes, about a block at a time.
    fn write(&mut self, bytes: &[u8]);
}

impl SnapshotSink for Vec<u8> {
    fn write(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// The kind of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RunKind {
    /// All live entries. Earlier runs of the segment's groups are not needed any more.
    Full,
    /// The changed entries and the tombstones since the last complete checkpoint.
    Increment,
}

/// A range of the stream that contains one segment of one table.
///
/// The acknowledgement contains the runs. The JobManager keeps them by table and segment, and a restore gets them
/// in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Run {
    pub table: TableId,
    /// The segment, as in the table's [`SegmentLayout`](crate::SegmentLayout).
    pub segment: u16,
    /// Whether earlier runs are still needed.
    pub kind: RunKind,
    /// Its offset in the stream, in bytes.
    pub offset: u64,
    /// Its length in bytes; 0 for a full run of an empty segment.
    pub len: u64,
}

/// Writes the stream to a sink and records the range of each run.
pub struct SnapshotWriter<S> {
    sink: S,
    offset: u64,
    runs: Vec<Run>,
    /// The run that is being written; its `len` is not set yet.
    open: Option<Run>,
}

impl<S: SnapshotSink> SnapshotWriter<S> {
    /// A stream that starts at offset 0.
    pub fn new(sink: S) -> Self {
        Self { sink, offset: 0, runs: Vec::new(), open: None }
    }

    /// The number of bytes written so far.
    pub fn len(&self) -> u64 {
        self.offset
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.offset == 0
    }

    /// The sink.
    pub fn sink_mut(&mut self) -> &mut S {
        &mut self.sink
    }

    /// Appends bytes that belong to no run, such as operator state. Returns their offset.
    ///
    /// # Panics
    /// If a table is within a run.
    pub fn append(&mut self, bytes: &[u8]) -> u64 {
        assert!(self.open.is_none(), "a table must reach the end of its snapshot before others write");
        let offset = self.offset;
        self.push(bytes);
        offset
    }

    /// Abandons the snapshot and returns the sink.
    pub fn into_sink(self) -> S {
        self.sink
    }

    /// Returns the sink, and all runs in the order of the stream.
    pub fn finish(self) -> (S, Vec<Run>) {
        assert!(self.open.is_none(), "a table must reach the end of its snapshot before the stream ends");
        (self.sink, self.runs)
    }

    fn push(&mut self, bytes: &[u8]) {
        self.offset += bytes.len() as u64;
        self.sink.write(bytes);
    }
}

/// The part of a [`SnapshotWriter`] that tables use, whatever its sink.
pub trait RunWriter {
    /// Opens the run of a segment.
    fn begin_run(&mut self, table: TableId, segment: u16, kind: RunKind);
    /// Appends to the open run.
    fn write(&mut self, bytes: &[u8]);
    /// Closes the open run. An empty increment is not recorded.
    fn end_run(&mut self);
}

impl<S: SnapshotSink> RunWriter for SnapshotWriter<S> {
    fn begin_run(&mut self, table: TableId, segment: u16, kind: RunKind) {
        assert!(self.open.is_none(), "tables take turns: each snapshot to its end before the next");
        self.open = Some(Run { table, segment, kind, offset: self.offset, len: 0 });
    }

    fn write(&mut self, bytes: &[u8]) {
        assert!(self.open.is_some(), "bytes of a table belong to a run");
        self.push(bytes);
    }

    fn end_run(&mut self) {
        let mut run = self.open.take().expect("a run is closed once");
        run.len = self.offset - run.offset;
        if run.len > 0 || run.kind == RunKind::Full {
            self.runs.push(run);
        }
    }
}
