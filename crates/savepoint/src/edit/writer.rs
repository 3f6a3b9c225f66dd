//! The objects of a copy: runs, packed into objects that are created once.

use crate::error::SavepointError;
use crate::open::Savepoint;
use bytes::Bytes;
use reflow_env::{Location, PutMode, StoreOp};
use reflow_protocol::snapshot::RunRef;
use reflow_state::{Block, BlockKind, SegmentLayout, TableId};
use reflow_types::MaxParallelism;
use reflow_types::data::Schema;

/// The size from which an object is written. It is also the memory that a copy needs, besides one run.
const OBJECT_BYTES: usize = 64 << 20;
/// The size from which a block of a new run is complete.
const BLOCK_BYTES: usize = 256 << 10;

/// Writes runs to objects.
pub(super) struct ObjectWriter<'s> {
    savepoint: &'s Savepoint<'s>,
    directory: Location,
    object: Vec<u8>,
    number: usize,
}

impl<'s> ObjectWriter<'s> {
    pub(super) fn new(savepoint: &'s Savepoint<'s>, directory: Location) -> Self {
        Self { savepoint, directory, object: Vec::new(), number: 0 }
    }

    /// Adds a run. Its object's name is relative to the directory, as in every savepoint.
    pub(super) fn add(&mut self, run: &[u8], table: u16, segment: u16) -> Result<RunRef, SavepointError> {
        if !self.object.is_empty() && self.object.len() + run.len() > OBJECT_BYTES {
            self.flush()?;
        }
        let offset = self.object.len() as u64;
        self.object.extend_from_slice(run);
        let len = u32::try_from(run.len()).expect("a run is below 4 GiB, and edits add less than that");
        Ok(RunRef { object: self.name(), table, segment, offset, len })
    }

    /// Writes the last object.
    pub(super) fn finish(mut self) -> Result<(), SavepointError> {
        if self.object.is_empty() { Ok(()) } else { self.flush() }
    }

    fn name(&self) -> String {
        format!("state-{}", self.number)
    }

    fn flush(&mut self) -> Result<(), SavepointError> {
        let (at, body) = (self.directory.join(&self.name()), Bytes::from(std::mem::take(&mut self.object)));
        self.savepoint.request(StoreOp::Put { at, body, mode: PutMode::Create })?;
        self.number += 1;
        Ok(())
    }
}

/// Builds runs of entries.
pub(super) struct RunBuilder {
    table: TableId,
    max: MaxParallelism,
    schema: Schema,
    entries: Vec<Vec<u8>>,
    block: Vec<u8>,
    counts: Vec<u32>,
    count: u32,
}

impl RunBuilder {
    pub(super) fn new(table: TableId, max: MaxParallelism, schema: &Schema) -> Self {
        let (entries, block, counts) = Default::default();
        Self { table, max, schema: schema.clone(), entries, block, counts, count: 0 }
    }

    /// Adds an encoded entry.
    pub(super) fn push(&mut self, entry: &[u8]) {
        self.block.extend_from_slice(entry);
        self.count += 1;
        if self.block.len() >= BLOCK_BYTES {
            self.end_block();
        }
    }

    fn end_block(&mut self) {
        self.entries.push(std::mem::take(&mut self.block));
        self.counts.push(std::mem::take(&mut self.count));
    }

    /// Takes the run of a segment; `None` if it has no entries.
    pub(super) fn take(&mut self, segment: u16) -> Option<Vec<u8>> {
        if self.count > 0 {
            self.end_block();
        }
        let (blocks, counts) = (std::mem::take(&mut self.entries), std::mem::take(&mut self.counts));
        let block = |kind, entries: u32, bytes: &[u8]| {
            Block {
                kind,
                table: self.table,
                max: self.max,
                groups: SegmentLayout::new(self.max).groups(segment),
                fingerprint: self.schema.fingerprint(),
                entries,
                bytes,
            }
            .encode()
        };
        let schema = postcard::to_stdvec(&self.schema).expect("a schema is plain data");
        let mut run = block(BlockKind::Schema, 0, &schema);
        blocks
            .iter()
            .zip(&counts)
            .for_each(|(bytes, count)| run.extend(block(BlockKind::Puts, *count, bytes)));
        (!blocks.is_empty()).then_some(run)
    }
}

/// A run as that of another table.
pub(super) fn with_table(object: &str, run: &[u8], table: TableId) -> Result<Bytes, SavepointError> {
    let (mut rest, mut copy) = (run, Vec::with_capacity(run.len()));
    while !rest.is_empty() {
        let damaged = |error| SavepointError::State { object: object.to_owned(), error };
        let block = Block::take("a renamed state", &mut rest).map_err(damaged)?;
        copy.extend(Block { table, ..block }.encode());
    }
    Ok(copy.into())
}
