//! A sink that writes files, exactly once.
//!
//! The records that a subtask writes between two checkpoints become a file. The file is stored under a hidden name
//! before the checkpoint can be complete, and moved to its final name when it is complete; any subtask may repeat
//! the move. So a listing of the directory contains only whole files, and each record is in exactly one of them.
//!
//! A file's name contains the time at which its subtask started to write, the subtask's id and a counter. Ids are
//! never reused within a job, and the time distinguishes jobs that write to the same directory.
//!
//! A file of up to 8 MiB is in memory until it is stored. If storing it fails, for example because the disk is
//! full, only the checkpoint fails, and the next one tries again. A larger file is uploaded in parts, which are
//! then no longer in memory; if one of them fails, the job restarts from its last checkpoint.
//!
//! Hidden files of a failed attempt are removed by the next one. A checkpoint records for each subtask how many
//! files it had prepared; files with higher numbers belong to no checkpoint that can be restored, because their
//! attempt has ended. A listing alone would not suffice, because other jobs may write to the same directory. Marks
//! next to the files keep those that savepoints name. Two things are not removed: files of an attempt that never
//! completed a checkpoint, and uploaded parts of a process that was killed, for which object stores have lifecycle
//! rules.

use crate::{ConnectorError, Format};
use bytes::Bytes;
use reflow_api::sink::{Prepared, WriterContext};
use reflow_api::{Io, Sink, Transaction, UserError, Writer};
use reflow_env::{Location, PutMode, Request, StoreError, StoreOp, StoreReply, Ticket};
use reflow_types::{Data, Timestamp, data};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::time::Duration;

/// Larger files are uploaded in parts of this size.
const PART_BYTES: usize = 8 << 20;
/// Parts that may be under way. Beyond that the writer accepts no more records.
const MAX_PARTS: usize = 4;
/// The directory of files until they are committed.
const PENDING: &str = ".pending";

/// Writes records to files in a directory. When a checkpoint is complete, a file appears for each subtask that
/// wrote records since the last one; its name begins with `part-`. Hidden files (`.pending/…`) are not part of the
/// output.
///
/// ```
/// use reflow_connectors::{Csv, FileSink, JsonLines, Lines};
///
/// let lines = FileSink::<String, _>::new("/data/words", Lines);
/// let table = FileSink::<(String, u64), _>::new("s3://bucket/counts", Csv::rows());
/// let json = FileSink::<Vec<u8>, _>::new("file:///data/blobs", JsonLines).extension("json");
/// ```
#[derive(Debug)]
pub struct FileSink<T, F> {
    directory: Location,
    format: F,
    extension: Option<String>,
    takes: PhantomData<fn(T)>,
}

impl<T, F: Format<T>> FileSink<T, F> {
    /// Writes below `directory`: an absolute path, or a URL such as `s3://bucket/prefix`. All TaskManagers must
    /// reach it.
    pub fn new(directory: impl Into<String>, format: F) -> Self {
        Self { directory: Location(directory.into()), format, extension: None, takes: PhantomData }
    }

    /// Sets the extension of the files' names instead of the format's, without the dot. Empty for none.
    #[must_use]
    pub fn extension(mut self, extension: impl Into<String>) -> Self {
        self.extension = Some(extension.into());
        self
    }
}

impl<T, F: Clone> Clone for FileSink<T, F> {
    fn clone(&self) -> Self {
        Self {
            directory: self.directory.clone(),
            format: self.format.clone(),
            extension: self.extension.clone(),
            takes: PhantomData,
        }
    }
}

impl<T: 'static, F: Format<T>> Sink for FileSink<T, F> {
    type Item = T;
    type Writer = FileWriter<T, F>;

    fn writer(&self, context: &WriterContext) -> Result<FileWriter<T, F>, UserError> {
        let extension = self.extension.as_deref().unwrap_or(self.format.extension());
        Ok(FileWriter {
            format: self.format.clone(),
            directory: self.directory.clone(),
            prefix: format!("part-{:x}-{}", context.opened.0, context.subtask),
            suffix: if extension.is_empty() { String::new() } else { format!(".{extension}") },
            files: 0,
            io: context.io.clone(),
            listing: None,
            buffer: Vec::new(),
            upload: None,
            takes: PhantomData,
        })
    }
}

/// The move of a file from its hidden to its final name.
#[derive(Debug, PartialEq, Eq, Data)]
struct Move {
    from: Location,
    to: Location,
}

/// Writes one subtask's files.
pub struct FileWriter<T, F> {
    format: F,
    directory: Location,
    prefix: String,
    suffix: String,
    /// The number of prepared files.
    files: u64,
    io: Io,
    /// The listing of the hidden files, by which those of former attempts are removed.
    listing: Option<Ticket>,
    /// Data that was written and is not yet on its way to storage.
    buffer: Vec<u8>,
    upload: Option<Upload>,
    takes: PhantomData<fn(T)>,
}

/// The parts of the current file that are on their way to storage.
struct Upload {
    id: u64,
    unanswered: Vec<Ticket>,
    failed: Option<StoreError>,
}

impl<T: 'static, F: Format<T>> Writer for FileWriter<T, F> {
    type Item = T;

    fn write(&mut self, value: T, _: Timestamp) -> Result<(), UserError> {
        self.format.encode(&value, &mut self.buffer)?;
        while self.buffer.len() > PART_BYTES {
            self.send_part()?;
        }
        Ok(())
    }

    fn has_room(&mut self) -> bool {
        let Some(upload) = &mut self.upload else { return true };
        upload.collect(&self.io);
        upload.unanswered.len() < MAX_PARTS
    }

    fn prepare(&mut self) -> Result<Option<Prepared>, UserError> {
        if self.buffer.is_empty() {
            return Ok(None);
        }
        let file = self.file();
        let at = file.from.clone();
        let body = Bytes::from(std::mem::take(&mut self.buffer));
        let (requests, wait_for) = match self.upload.take() {
            None => (vec![StoreOp::Put { at, body, mode: PutMode::Overwrite }.into()], Vec::new()),
            Some(mut upload) => {
                upload.send(&self.io, at, Part::Last(body))?;
                (Vec::new(), upload.unanswered)
            }
        };
        self.files += 1;
        self.format.begin_file();
        let transaction = data::to_vec(&file).expect("two names do not nest");
        Ok(Some(Prepared { transaction: Transaction(transaction.into()), requests, wait_for }))
    }

    fn commit(&self, transaction: &Transaction) -> Result<Request, UserError> {
        let Move { from, to } =
            data::decode(&transaction.0).map_err(|error| ConnectorError::Transaction(error.to_string()))?;
        Ok(StoreOp::Rename { from, to }.into())
    }

    /// No limit: the file is stored and stays, and a restart would only wait for storage instead.
    fn commit_time_limit(&self) -> Duration {
        Duration::MAX
    }

    fn trace(&self) -> Option<Bytes> {
        let trace = Trace { prefix: self.prefix.clone(), files: self.files };
        Some(data::to_vec(&trace).expect("a name and a number do not nest").into())
    }

    fn clean_up(&mut self, traces: &[Bytes]) -> bool {
        let pending = self.directory.join(PENDING);
        let Some(ticket) = self.listing else {
            self.listing = Some(self.io.submit(StoreOp::List { below: pending }));
            return false;
        };
        match self.io.take(ticket) {
            None => return false,
            Some(Ok(StoreReply::Objects(objects))) => {
                let names: Vec<&str> =
                    objects.iter().filter_map(|object| object.at.0.rsplit('/').next()).collect();
                for name in left_behind(traces, &names) {
                    self.io.submit_and_forget(StoreOp::Delete { at: pending.join(name) });
                }
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                tracing::warn!("cannot look for files that failed attempts have left in {pending}: {error}");
            }
        }
        self.listing = None;
        true
    }

    fn keep(&self) -> Option<Request> {
        let mark = format!("{}{KEPT}{}", self.prefix, self.files);
        let (at, mode) = (self.directory.join(PENDING).join(&mark), PutMode::Overwrite);
        Some(StoreOp::Put { at, body: Bytes::new(), mode }.into())
    }
}

/// The trace of a writer in a checkpoint.
#[derive(Data)]
struct Trace {
    prefix: String,
    /// The number of files that it had prepared.
    files: u64,
}

/// In the name of a mark, between a writer's prefix and the number of its files that a savepoint may name.
const KEPT: &str = ".kept-";

/// The hidden files of these writers that neither a checkpoint nor a savepoint names.
fn left_behind<'a>(traces: &[Bytes], names: &[&'a str]) -> Vec<&'a str> {
    let traces = traces.iter().filter_map(|trace| data::decode::<Trace>(trace).ok());
    let mut prepared: BTreeMap<String, u64> = traces.map(|trace| (trace.prefix, trace.files)).collect();
    for name in names {
        if let Some((prefix, files)) = name.split_once(KEPT)
            && let (Some(prepared), Ok(kept)) = (prepared.get_mut(prefix), files.parse::<u64>())
        {
            *prepared = kept.max(*prepared);
        }
    }
    let is_left = |name: &&str| {
        // part-<moment>-<subtask>-<number>.<extension>
        let Some((end, _)) = name.match_indices('-').nth(2) else { return false };
        let (prefix, number) = (&name[..end], name[end + 1..].split('.').next().unwrap_or_default());
        number.parse().is_ok_and(|number: u64| prepared.get(prefix).is_some_and(|files| number >= *files))
    };
    names.iter().copied().filter(is_left).collect()
}

impl<T, F> FileWriter<T, F> {
    /// The current file's names.
    fn file(&self) -> Move {
        let name = format!("{}-{}{}", self.prefix, self.files, self.suffix);
        Move { from: self.directory.join(PENDING).join(&name), to: self.directory.join(&name) }
    }

    /// Sends the first part of the buffer, which must be longer than that, because an upload must not end with an
    /// empty part.
    fn send_part(&mut self) -> Result<(), ConnectorError> {
        let at = self.file().from;
        let rest = self.buffer.split_off(PART_BYTES);
        let part = Bytes::from(std::mem::replace(&mut self.buffer, rest));
        let new = || Upload { id: self.io.new_upload(), unanswered: Vec::new(), failed: None };
        self.upload.get_or_insert_with(new).send(&self.io, at, Part::Next(part))
    }
}

/// A part of a file that is uploaded in parts.
enum Part {
    Next(Bytes),
    /// The file is complete with it.
    Last(Bytes),
}

impl Upload {
    fn send(&mut self, io: &Io, at: Location, part: Part) -> Result<(), ConnectorError> {
        self.collect(io);
        if let Some(source) = self.failed.take() {
            return Err(ConnectorError::Write { at, source });
        }
        let (part, last) = match part {
            Part::Next(part) => (part, false),
            Part::Last(part) => (part, true),
        };
        self.unanswered.push(io.submit(StoreOp::Upload { upload: self.id, at, part, last }));
        Ok(())
    }

    /// Takes the answers that have arrived.
    fn collect(&mut self, io: &Io) {
        self.unanswered.retain(|ticket| match io.take(*ticket) {
            None => true,
            Some(Ok(_)) => false,
            Some(Err(error)) => {
                self.failed.get_or_insert(error);
                false
            }
        });
    }
}

impl<T, F> Drop for FileWriter<T, F> {
    /// Cancels the upload of a file that will not be prepared.
    fn drop(&mut self) {
        if let Some(upload) = &self.upload {
            self.io.submit_and_forget(StoreOp::CancelUpload { upload: upload.id });
            upload.unanswered.iter().for_each(|ticket| self.io.forget(*ticket));
        }
    }
}

#[cfg(test)]
#[path = "file_sink_tests.rs"]
mod tests;
