//! The sink of workloads, which commits lines to the world's storage: a file appears below `/out` when its
//! checkpoint is complete.

use crate::world::Storage;
use bytes::Bytes;
use reflow_api::sink::{Barrier, Prepared, WriterContext, WriterOutput};
use reflow_api::{Sink, Transaction, UserError, Writer};
use reflow_env::{Location, PutMode, Request, StoreOp};
use reflow_types::{CheckpointId, Instant, SubtaskId, Timestamp};
use std::time::Duration;

/// The directory of committed files.
pub const COMMITTED: &str = "/out/";
/// The directory of files that wait for their checkpoint.
pub const PENDING: &str = "/pending/";

/// The directory of such files of the file sink.
const HIDDEN: &str = "/out/.pending/";

/// The name of a file that waits for its checkpoint.
pub fn pending(name: &str) -> Option<&str> {
    name.strip_prefix(PENDING).or_else(|| name.strip_prefix(HIDDEN))
}

/// Whether this is a committed file.
pub fn is_committed(name: &str) -> bool {
    name.starts_with(COMMITTED) && !name.starts_with(HIDDEN)
}

/// The text of the committed file of this name, in any directory.
pub fn committed(name: &str, storage: &Storage) -> String {
    let found = storage.below(COMMITTED).find(|(path, _)| {
        is_committed(path) && path.strip_suffix(name).is_some_and(|directory| directory.ends_with('/'))
    });
    found.map(|(_, body)| String::from_utf8_lossy(body).into_owned()).unwrap_or_default()
}

/// The text of a file that waits for its checkpoint.
pub fn waiting(name: &str, storage: &Storage) -> String {
    let bodies = [PENDING, HIDDEN].iter().filter_map(|directory| storage.get(&format!("{directory}{name}")));
    bodies.map(|body| String::from_utf8_lossy(body).into_owned()).collect()
}

/// How long after a barrier the slowest writer is prepared, as one that waits for another system's answer is.
pub(super) const SLOWEST: Duration = Duration::from_millis(40);

/// The sink.
#[derive(Clone, Copy, Debug)]
pub struct LineSink;

/// Writes lines.
pub struct LineWriter {
    subtask: SubtaskId,
    files: u64,
    lines: String,
    now: Instant,
    /// When the last checkpoint's lines are prepared.
    prepared_at: Instant,
}

impl Sink for LineSink {
    type Item = String;
    type Writer = LineWriter;

    fn writer(&self, context: &WriterContext) -> Result<LineWriter, UserError> {
        let (subtask, now) = (context.subtask, context.opened);
        Ok(LineWriter { subtask, files: 0, lines: String::new(), now, prepared_at: now })
    }
}

impl Writer for LineWriter {
    type Item = String;

    fn write(&mut self, line: String, _: Timestamp) -> Result<(), UserError> {
        self.lines.push_str(&line);
        self.lines.push('\n');
        Ok(())
    }

    fn prepare(&mut self) -> Result<Option<Prepared>, UserError> {
        if self.lines.is_empty() {
            return Ok(None);
        }
        let name = format!("{}-{}", self.subtask, self.files);
        self.files += 1;
        let at = Location(format!("{PENDING}{name}"));
        // Names contain the subtask's id, which is never used twice, so no other writer has this name.
        let body = Bytes::from(std::mem::take(&mut self.lines));
        let requests = vec![StoreOp::Put { at, body, mode: PutMode::Overwrite }.into()];
        Ok(Some(Prepared { transaction: Transaction(Bytes::from(name)), requests, wait_for: Vec::new() }))
    }

    fn snapshot(&mut self, barrier: Barrier) -> Result<WriterOutput, UserError> {
        let quarters = (barrier.checkpoint.0 + self.subtask.0) % 5;
        self.prepared_at = self.now + SLOWEST * u32::try_from(quarters)? / 4;
        let Some(Prepared { transaction, requests, wait_for }) = self.prepare()? else {
            return Ok(WriterOutput::default());
        };
        Ok(WriterOutput { transactions: vec![transaction], requests, wait_for, ..WriterOutput::default() })
    }

    fn tick(&mut self, now: Instant) -> Result<(), UserError> {
        self.now = now;
        Ok(())
    }

    fn next_wakeup(&self) -> Option<Instant> {
        (self.now < self.prepared_at).then_some(self.prepared_at)
    }

    fn is_prepared(&mut self, _: CheckpointId) -> bool {
        self.now >= self.prepared_at
    }

    fn commit(&self, transaction: &Transaction) -> Result<Request, UserError> {
        let name = std::str::from_utf8(&transaction.0)?;
        let (from, to) = (format!("{PENDING}{name}"), format!("{COMMITTED}{name}"));
        Ok(StoreOp::Rename { from: Location(from), to: Location(to) }.into())
    }
}
