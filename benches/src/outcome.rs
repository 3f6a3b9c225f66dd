//! A sink that keeps only an exactly-once sum of its records, at hardly any cost per record.
//!
//! Each subtask commits one small file a checkpoint interval, as a file sink does; [`read`] adds the files up.

use crate::workloads::Outcome;
use bytes::Bytes;
use reflow::sink::{Prepared, WriterContext};
use reflow::store::{Location, PutMode, StoreOp};
use reflow::{Request, Sink, Timestamp, Transaction, UserError, Writer};
use std::marker::PhantomData;
use std::path::Path;
use std::{fs, io};

/// Folds records into an [`Outcome`] per subtask and checkpoint interval, and commits each as a file.
pub struct OutcomeSink<T> {
    directory: Location,
    fold: fn(&mut Outcome, T),
}

impl<T> OutcomeSink<T> {
    /// Writes below `directory` what `fold` makes of the records.
    pub fn new(directory: String, fold: fn(&mut Outcome, T)) -> Self {
        Self { directory: Location(directory), fold }
    }
}

impl<T> Clone for OutcomeSink<T> {
    fn clone(&self) -> Self {
        Self { directory: self.directory.clone(), fold: self.fold }
    }
}

impl<T: 'static> Sink for OutcomeSink<T> {
    type Item = T;
    type Writer = OutcomeWriter<T>;

    fn writer(&self, context: &WriterContext) -> Result<OutcomeWriter<T>, UserError> {
        Ok(OutcomeWriter {
            directory: self.directory.clone(),
            fold: self.fold,
            outcome: Outcome::default(),
            name: context.subtask.to_string(),
            files: 0,
            takes: PhantomData,
        })
    }
}

/// One subtask's share.
pub struct OutcomeWriter<T> {
    directory: Location,
    fold: fn(&mut Outcome, T),
    outcome: Outcome,
    name: String,
    files: u64,
    takes: PhantomData<fn(T)>,
}

impl<T: 'static> Writer for OutcomeWriter<T> {
    type Item = T;

    #[inline]
    fn write(&mut self, value: T, _: Timestamp) -> Result<(), UserError> {
        (self.fold)(&mut self.outcome, value);
        Ok(())
    }

    fn prepare(&mut self) -> Result<Option<Prepared>, UserError> {
        let outcome = std::mem::take(&mut self.outcome);
        if outcome.results == 0 {
            return Ok(None);
        }
        let name = format!("{}-{}", self.name, self.files);
        self.files += 1;
        let at = self.directory.join(".pending").join(&name);
        let body = Bytes::from(format!("{} {}", outcome.results, outcome.checksum));
        let requests = vec![StoreOp::Put { at, body, mode: PutMode::Overwrite }.into()];
        Ok(Some(Prepared { transaction: Transaction(Bytes::from(name)), requests, wait_for: Vec::new() }))
    }

    fn commit(&self, transaction: &Transaction) -> Result<Request, UserError> {
        let name = std::str::from_utf8(&transaction.0)?;
        Ok(StoreOp::Rename {
            from: self.directory.join(".pending").join(name),
            to: self.directory.join(name),
        }
        .into())
    }
}

/// Adds up the committed files below `directory`.
pub fn read(directory: &Path) -> io::Result<Outcome> {
    let mut sum = Outcome::default();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let text = fs::read_to_string(entry.path())?;
            let numbers: Vec<u64> = text.split(' ').filter_map(|number| number.parse().ok()).collect();
            let [results, checksum] = numbers[..] else {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{:?}: '{text}'", entry.path()),
                ));
            };
            sum.merge(Outcome { results, checksum });
        }
    }
    Ok(sum)
}
