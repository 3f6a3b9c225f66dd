//! The content of an operator's states as files of columns: Parquet, or Arrow's own format.
//!
//! Each state is a file, because its rows have columns of their own: `key`; `position`, `user_key`, `timer` or `window`;
//! `stamp`; `value`. A list without a key has the column `item`. Memory is bounded: batches by the bytes of their columns,
//! and what Parquet holds back until the end of a row group.

use crate::error::SavepointError;
use crate::export::{self, Export, StateWriter};
use crate::open::Savepoint;
use crate::shape::{Entry, EntryShape};
use arrow_ipc::writer::FileWriter;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use reflow_arrow::{ArrowError, BatchEncoder, Mapping, MappingOptions, RecordBatch};
use reflow_types::data::Schema;
use std::io::{self, Write};

/// The bytes of a row group of Parquet that are in memory before they are written.
const ROW_GROUP: usize = 64 << 20;

/// The format of files of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// Parquet, compressed with Snappy.
    Parquet,
    /// Arrow IPC, also called Feather: as in memory, not compressed.
    Arrow,
}

/// A file that is being written.
pub type OutputFile = Box<dyn Write + Send>;

/// Writes the states of an operator, each to a file, which `create` creates for the state's name. States without entries
/// have none. Calls `progress` with the number of rows now and then. Returns the files, as names of states with their
/// numbers of rows.
///
/// # Errors
/// If the operator or the state does not exist, a type has no columns, a value does not fit into its column, or state
/// cannot be read. Then the last file that was created is not complete.
pub fn export_columns(
    savepoint: &Savepoint<'_>,
    export: &Export,
    format: FileFormat,
    options: MappingOptions,
    create: &mut dyn FnMut(&str) -> io::Result<OutputFile>,
    progress: &mut dyn FnMut(u64),
) -> Result<Vec<(String, u64)>, SavepointError> {
    let mut files = Files { format, options, create, current: None, written: Vec::new() };
    export::write(savepoint, export, &mut files, progress)?;
    Ok(files.written)
}

struct Files<'c> {
    format: FileFormat,
    options: MappingOptions,
    create: &'c mut dyn FnMut(&str) -> io::Result<OutputFile>,
    current: Option<StateFile>,
    written: Vec<(String, u64)>,
}

/// The file of a state.
struct StateFile {
    encoder: BatchEncoder,
    file: FormatWriter,
    rows: u64,
}

enum FormatWriter {
    Parquet(Box<ArrowWriter<OutputFile>>),
    Arrow(Box<FileWriter<OutputFile>>),
}

impl FormatWriter {
    fn new(format: FileFormat, file: OutputFile, mapping: &Mapping) -> Result<Self, FileError> {
        Ok(match format {
            FileFormat::Parquet => {
                let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
                FormatWriter::Parquet(Box::new(ArrowWriter::try_new(
                    file,
                    mapping.arrow().clone(),
                    Some(properties),
                )?))
            }
            FileFormat::Arrow => FormatWriter::Arrow(Box::new(FileWriter::try_new(file, mapping.arrow())?)),
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), FileError> {
        match self {
            FormatWriter::Parquet(writer) => {
                writer.write(batch)?;
                if writer.in_progress_size() >= ROW_GROUP {
                    writer.flush()?;
                }
            }
            FormatWriter::Arrow(writer) => writer.write(batch)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<(), FileError> {
        match self {
            FormatWriter::Parquet(writer) => writer.into_inner()?.flush()?,
            FormatWriter::Arrow(mut writer) => {
                writer.finish()?;
                writer.into_inner()?.flush()?;
            }
        }
        Ok(())
    }
}

type FileError = Box<dyn std::error::Error + Send + Sync>;

impl StateFile {
    fn push(&mut self, state: &str, row: &[u8]) -> Result<(), SavepointError> {
        let columns = |error| SavepointError::Columns { state: state.to_owned(), error };
        self.encoder.push(row).map_err(columns)?;
        self.rows += 1;
        if self.encoder.is_full() { self.write(state) } else { Ok(()) }
    }

    fn write(&mut self, state: &str) -> Result<(), SavepointError> {
        let batch = self.encoder.finish();
        let batch = batch.map_err(|error| SavepointError::Columns { state: state.to_owned(), error })?;
        self.file.write(&batch).map_err(|cause| SavepointError::File { state: state.to_owned(), cause })
    }
}

impl Files<'_> {
    fn push(&mut self, state: &str, row: &[u8]) -> Result<(), SavepointError> {
        self.current.as_mut().expect("a state has begun").push(state, row)
    }
}

impl StateWriter for Files<'_> {
    fn begin(&mut self, state: &str, row: &dyn Fn() -> Schema) -> Result<(), SavepointError> {
        let columns = |error: ArrowError| SavepointError::Columns { state: state.to_owned(), error };
        let mapping = Mapping::new(&row(), self.options).map_err(columns)?;
        let failed = |cause: FileError| SavepointError::File { state: state.to_owned(), cause };
        let file = (self.create)(state).map_err(|error| failed(error.into()))?;
        let file = FormatWriter::new(self.format, file, &mapping).map_err(failed)?;
        self.current = Some(StateFile { encoder: BatchEncoder::new(&mapping), file, rows: 0 });
        Ok(())
    }

    fn entry(&mut self, state: &str, _: &EntryShape, entry: &Entry<'_>) -> Result<(), SavepointError> {
        self.push(state, entry.bytes)
    }

    fn item(&mut self, state: &str, _: &Schema, item: &[u8]) -> Result<(), SavepointError> {
        self.push(state, item)
    }

    fn end(&mut self, state: &str) -> Result<(), SavepointError> {
        let mut file = self.current.take().expect("a state has begun");
        if file.encoder.rows() > 0 {
            file.write(state)?;
        }
        self.written.push((state.to_owned(), file.rows));
        file.file.finish().map_err(|cause| SavepointError::File { state: state.to_owned(), cause })
    }
}
