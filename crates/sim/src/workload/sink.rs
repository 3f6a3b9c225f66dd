//! The sink of workloads, which commits lines to the world's storage: a file appears below `/out` when its
//! checkpoint is complete.

use crate::world::Storage;
use bytes::Bytes;
use reflow_api::sink::{Prepared, WriterContext};
use reflow_api::{Sink, Transaction, UserError, Writer};
use reflow_env::{Location, PutMode, Request, StoreOp};
use reflow_types::{SubtaskId, Timestamp};

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

/// The sink.
#[derive(Clone, Copy, Debug)]
pub struct LineSink;

/// Writes lines.
pub struct LineWriter {
    subtask: SubtaskId,
    files: u64,
    lines: String,
}

impl Sink for LineSink {
    type Item = String;
    type Writer = LineWriter;

    fn writer(&self, context: &WriterContext) -> Result<LineWriter, UserError> {
        Ok(LineWriter { subtask: context.subtask, files: 0, lines: String::new() })
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

    fn commit(&self, transaction: &Transaction) -> Result<Request, UserError> {
        let name = std::str::from_utf8(&transaction.0)?;
        let (from, to) = (format!("{PENDING}{name}"), format!("{COMMITTED}{name}"));
        Ok(StoreOp::Rename { from: Location(from), to: Location(to) }.into())
    }
}
