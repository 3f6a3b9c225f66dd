//! A task's way back: reads the runs of its key groups and loads them, before the first record.

use crate::stage::Control;
use reflow_api::Io;
use reflow_env::{Location, StoreError, StoreOp, StoreReply, Ticket};
use reflow_protocol::control::Fault;
use reflow_protocol::snapshot::{Codec, Restore};
use reflow_state::{Origin, TableId};
use reflow_types::KeyGroupSet;
use std::collections::VecDeque;

/// So many reads are under way at once.
const MAX_READS: usize = 8;

/// The keyed state that a task still has to load.
pub(super) struct Restoring {
    io: Io,
    origin: Origin,
    /// In the order in which they are applied.
    to_read: VecDeque<Read>,
    reading: VecDeque<(Ticket, Read)>,
    /// The next answer has not come.
    waiting: bool,
}

struct Read {
    table: u16,
    groups: KeyGroupSet,
    object: String,
    offset: u64,
    len: u32,
}

impl Restoring {
    pub(super) fn new(io: Io, restore: &Restore, codec: Codec) -> Self {
        let origin = if codec == Codec::Exchange { Origin::Own } else { Origin::Foreign };
        let parts = restore.keyed.iter().flat_map(|part| part.runs.iter().map(|run| (&part.groups, run)));
        let to_read = parts.filter(|(_, run)| run.len > 0).map(|(groups, run)| Read {
            table: run.table,
            groups: groups.clone(),
            object: run.object.clone(),
            offset: run.offset,
            len: run.len,
        });
        Self { io, origin, to_read: to_read.collect(), reading: VecDeque::new(), waiting: false }
    }

    /// Loads what has been read; says whether all is loaded.
    pub(super) fn step(&mut self, task: &str, chain: &mut impl Control) -> bool {
        while self.reading.len() < MAX_READS
            && let Some(read) = self.to_read.pop_front()
        {
            let range = Some(read.offset..read.offset + u64::from(read.len));
            let at = Location(read.object.clone());
            self.reading.push_back((self.io.submit(StoreOp::Get { at, range }), read));
        }
        let Some((ticket, read)) = self.reading.front() else {
            chain.loaded();
            return true;
        };
        let answer = self.io.take(*ticket);
        self.waiting = answer.is_none();
        let Some(answer) = answer else { return false };
        let bytes = match answer {
            Ok(StoreReply::Bytes(bytes)) => bytes,
            Ok(_) => crate::fail(Fault::Engine, task, "the store answered a read with something else"),
            // The object is gone or cut off: it will not come back, and an older checkpoint may do.
            Err(error @ (StoreError::NotFound(_) | StoreError::OutOfRange { .. })) => {
                crate::fail(Fault::Engine, task, format!("its state is damaged: {error}"))
            }
            Err(error) => crate::fail(Fault::External, task, format!("cannot read its state: {error}")),
        };
        let mut known = false;
        chain.tables(&mut |table| {
            if table.id() == TableId(read.table) {
                known = true;
                let restore =
                    reflow_state::Restore { table: table.id(), owned: &read.groups, origin: self.origin };
                if let Err(error) = table.load(&bytes, restore) {
                    crate::fail(Fault::Engine, task, format!("cannot restore from {}: {error}", read.object));
                }
            }
        });
        if !known {
            let text = format!("the checkpoint holds a table {} that this build does not know", read.table);
            crate::fail(Fault::Permanent, task, text);
        }
        self.reading.pop_front();
        false
    }

    /// Whether an answer is awaited, and nothing can be done before it.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting
    }
}
