//! Files of columns: what they contain is what lines of JSON say.

use crate::job::Job;
use crate::store::{Store, exported, of};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use reflow_arrow::{BatchReader, Mapping, MappingOptions, RecordBatch};
use reflow_graph::DeclaredList;
use reflow_savepoint::columns::{FileFormat, OutputFile, export_columns};
use reflow_savepoint::shape::EntryShape;
use reflow_savepoint::{Export, Savepoint, SavepointError};
use reflow_types::data::{Dump, Schema};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

/// A file in memory.
#[derive(Clone, Default)]
pub(crate) struct MemoryFile(Arc<Mutex<Vec<u8>>>);

impl Write for MemoryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The files of an export by state, and the number of rows that it says they have.
pub(crate) fn files(
    store: &Store<'_>,
    at: &str,
    wanted: &Export,
    format: FileFormat,
) -> Result<BTreeMap<String, (Vec<RecordBatch>, u64)>, SavepointError> {
    let requests = |op| store.request(op);
    let savepoint = Savepoint::open(at, &requests)?;
    let mut files: BTreeMap<String, MemoryFile> = BTreeMap::new();
    let mut create = |state: &str| {
        let file = MemoryFile::default();
        assert!(files.insert(state.to_owned(), file.clone()).is_none(), "{state} twice");
        Ok(Box::new(file) as OutputFile)
    };
    let options = MappingOptions::default();
    let written = export_columns(&savepoint, wanted, format, options, &mut create, &mut |_| {})?;
    let batches = |state: &str| {
        let file = Bytes::from(std::mem::take(&mut *files[state].0.lock().unwrap()));
        match format {
            FileFormat::Parquet => {
                let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
                reader.collect::<Result<Vec<_>, _>>().unwrap()
            }
            FileFormat::Arrow => {
                let reader = arrow_ipc::reader::FileReader::try_new(io::Cursor::new(file), None).unwrap();
                reader.collect::<Result<Vec<_>, _>>().unwrap()
            }
        }
    };
    Ok(written.into_iter().map(|(state, rows)| (state.clone(), (batches(&state), rows))).collect())
}

/// The schema of a state's rows.
fn row_schema(store: &Store<'_>, at: &str, uid: &str, state: &str) -> Schema {
    let requests = |op| store.request(op);
    let savepoint = Savepoint::open(at, &requests).unwrap();
    let mut operators = savepoint.manifest.vertices.iter().flat_map(|vertex| &vertex.operators);
    let operator = operators.find(|operator| operator.uid == uid).unwrap();
    let list = operator.lists.iter().find(|list| DeclaredList::display_name(&list.name) == state);
    if let Some(list) = list {
        return Schema::of_struct("Item", &[("item", list.schema.as_ref().unwrap())]);
    }
    let state = operator.states.iter().find(|declared| declared.name == state).unwrap();
    EntryShape::of(state, state.schema.as_ref().unwrap()).unwrap().row()
}

/// The rows of batches as JSON, sorted by their text.
fn lines(schema: &Schema, state: &str, batches: &[RecordBatch]) -> Vec<Value> {
    let mapping = Mapping::new(schema, MappingOptions::default()).unwrap();
    let mut lines = Vec::new();
    for batch in batches {
        let reader = BatchReader::new(&mapping, batch).unwrap();
        for row in 0..reader.rows() {
            let mut bytes = Vec::new();
            reader.read(row, &mut bytes).unwrap();
            let mut line = serde_json::to_value(Dump::new(schema, &bytes)).unwrap();
            line["state"] = Value::from(state);
            lines.push(line);
        }
    }
    lines.sort_by_key(Value::to_string);
    lines
}

#[test]
fn every_kind_of_state_has_the_rows_of_its_lines() {
    let mut job = Job::fed();
    let at = job.harness.savepoint().expect("a savepoint");
    let store = Store::of(&job);
    for uid in ["each", "windows", "ruled", "waiting"] {
        let lines_of_all = exported(&store, &at, &of(uid, &[])).unwrap();
        let states: BTreeSet<&str> = lines_of_all.iter().filter_map(|line| line["state"].as_str()).collect();
        assert!(!states.is_empty(), "{uid}");
        for format in [FileFormat::Parquet, FileFormat::Arrow] {
            let files =
                files(&store, &at, &of(uid, &[]), format).unwrap_or_else(|error| panic!("{uid}: {error}"));
            assert_eq!(files.keys().map(String::as_str).collect::<BTreeSet<_>>(), states, "{uid}");
            for (state, (batches, rows)) in files {
                let expected = exported(&store, &at, &of(uid, &[&state])).unwrap();
                let written = lines(&row_schema(&store, &at, uid, &state), &state, &batches);
                assert_eq!(Value::from(written), Value::from(expected.clone()), "{uid} {state} {format:?}");
                assert_eq!(rows, expected.len() as u64);
            }
        }
    }
}

#[test]
fn columns_are_named_as_in_lines_and_keys_are_selected() {
    let mut job = Job::fed();
    let at = job.harness.savepoint().expect("a savepoint");
    let store = Store::of(&job);
    let wanted = Export { keys: vec![Value::from("a")], ..of("each", &["counts", "recent"]) };
    let files = files(&store, &at, &wanted, FileFormat::Parquet).unwrap();
    let columns = |state: &str| {
        let schema = files[state].0[0].schema();
        schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>()
    };
    assert_eq!(columns("counts"), ["key", "user_key", "value"]);
    assert_eq!(columns("recent"), ["key", "stamp", "value"]);
    assert_eq!((files["counts"].1, files["recent"].1), (1, 1));
}

#[test]
fn files_that_cannot_be_written_are_errors_that_name_the_state() {
    let mut job = Job::fed();
    let at = job.harness.savepoint().expect("a savepoint");
    let store = Store::of(&job);
    let requests = |op| store.request(op);
    let savepoint = Savepoint::open(&at, &requests).unwrap();
    let mut create = |_: &str| Err(io::Error::from(io::ErrorKind::AlreadyExists));
    let options = MappingOptions::default();
    let wanted = of("each", &["total"]);
    let error = export_columns(&savepoint, &wanted, FileFormat::Arrow, options, &mut create, &mut |_| {});
    assert_eq!(error.unwrap_err().to_string(), "state 'total': cannot write its file: entity already exists");
}
