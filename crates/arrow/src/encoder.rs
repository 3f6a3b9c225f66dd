//! Encoded rows to record batches of bounded size.

use crate::column::{Column, Size};
use crate::node::Node;
use crate::{ArrowError, Mapping, MappingOptions};
use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use reflow_data::{Data, Decoder};

/// Turns rows into a batch, one after the other.
///
/// ```
/// # extern crate reflow_data as reflow;
/// use reflow::data;
/// use reflow_arrow::{BatchEncoder, Mapping};
/// #[derive(data::Data)]
/// struct Reading { car: u64, speed: f64 }
///
/// let mapping = Mapping::of::<Reading>()?;
/// let mut encoder = BatchEncoder::new(&mapping);
/// for car in 0..3 {
///     encoder.push(&data::to_vec(&Reading { car, speed: 99.5 })?)?;
///     if encoder.is_full() {
///         let batch = encoder.finish()?; // write it
///     }
/// }
/// assert_eq!(encoder.finish()?.num_rows(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BatchEncoder {
    options: MappingOptions,
    arrow: SchemaRef,
    columns: Vec<(String, Column)>,
    rows: usize,
    size: Size,
    max_bytes: usize,
    /// The encoding of the last value.
    row: Vec<u8>,
}

impl BatchEncoder {
    /// The memory of a full batch, unless another is set. Columns of a few megabytes are compressed well, and many batches
    /// fit into memory.
    pub const MAX_BYTES: usize = 16 << 20;

    /// An encoder of rows of the mapping's schema.
    pub fn new(mapping: &Mapping) -> Self {
        let column = |name: &str, node: &Node| (name.to_owned(), Column::new(node, mapping.options));
        let columns = mapping.columns().map(|(name, node)| column(name, node)).collect();
        let (size, max_bytes) = (Size(0), Self::MAX_BYTES);
        let (options, arrow) = (mapping.options, mapping.arrow().clone());
        Self { options, arrow, columns, rows: 0, size, max_bytes, row: Vec::new() }
    }

    /// A batch is full when its columns take this many bytes. The last row may be beyond.
    #[must_use]
    pub fn max_bytes(self, max_bytes: usize) -> Self {
        Self { max_bytes, ..self }
    }

    /// Appends an encoded row, which must take all of `row`. On an error, nothing of it is appended.
    ///
    /// # Errors
    /// If the bytes are not a row of the schema, or a value is outside of what its column can hold.
    pub fn push(&mut self, row: &[u8]) -> Result<(), ArrowError> {
        let (size, options) = (self.size.0, self.options);
        let mut input = Decoder::new(row);
        let mut append = || {
            for (name, column) in &mut self.columns {
                column.push(&mut input, &mut self.size, options).map_err(|error| error.within(name))?;
            }
            Ok(input.finish()?)
        };
        let appended: Result<(), ArrowError> = append();
        match appended {
            Ok(()) => self.rows += 1,
            Err(_) => {
                self.columns.iter_mut().for_each(|(_, column)| column.truncate(self.rows));
                self.size = Size(size);
            }
        }
        appended
    }

    /// Appends a value, of whose type the mapping must be. On an error, nothing of it is appended.
    ///
    /// # Errors
    /// As [`push`](BatchEncoder::push), and if the value cannot be encoded.
    pub fn push_value<T: Data>(&mut self, value: &T) -> Result<(), ArrowError> {
        let mut row = std::mem::take(&mut self.row);
        row.clear();
        let pushed = match reflow_data::encode(value, &mut row) {
            Ok(()) => self.push(&row),
            Err(error) => Err(error.into()),
        };
        self.row = row;
        pushed
    }

    /// The number of rows of the batch so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether the batch should be [finished](BatchEncoder::finish).
    pub fn is_full(&self) -> bool {
        self.size.0 >= self.max_bytes
    }

    /// The batch. The next one begins.
    ///
    /// # Errors
    /// If Arrow refuses the columns, which would be an error of this crate.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let options = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        self.size = Size(0);
        let columns = self.columns.iter_mut().map(|(_, column)| column.finish(self.options));
        let columns = columns.collect::<Result<_, _>>()?;
        Ok(RecordBatch::try_new_with_options(self.arrow.clone(), columns, &options)?)
    }
}
