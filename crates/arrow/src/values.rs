//! Values of a type to a batch, and back.

use crate::{ArrowError, BatchEncoder, BatchReader, Mapping};
use arrow_array::RecordBatch;
use reflow_data::Data;

/// One batch of these values, with the default options. For more values than fit into memory, use a [`BatchEncoder`].
///
/// ```
/// # extern crate reflow_data as reflow;
/// use reflow_arrow::{from_batch, to_batch};
/// #[derive(Debug, PartialEq, reflow::data::Data)]
/// enum Event { Start { car: u64 }, Moved(f64, f64), Stop }
///
/// let events = [Event::Start { car: 7 }, Event::Moved(1.5, -2.0), Event::Stop];
/// let batch = to_batch(&events)?;
/// let columns: Vec<_> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
/// assert_eq!(columns, ["value"]);
/// assert_eq!(from_batch::<Event>(&batch)?, events);
/// # Ok::<(), reflow_arrow::ArrowError>(())
/// ```
///
/// # Errors
/// If the type has no Arrow type, or a value is outside of what its column can hold.
pub fn to_batch<'v, T: Data>(values: impl IntoIterator<Item = &'v T>) -> Result<RecordBatch, ArrowError> {
    let mapping = Mapping::of::<T>()?;
    let mut encoder = BatchEncoder::new(&mapping);
    values.into_iter().try_for_each(|value| encoder.push_value(value))?;
    encoder.finish()
}

/// The rows of a batch as values. Its columns need not be those of [`to_batch`]: they are found by name, and cast where
/// no value changes.
///
/// # Errors
/// If a column is missing, or has another kind of value, or a value is outside of what its field can hold.
pub fn from_batch<T: Data>(batch: &RecordBatch) -> Result<Vec<T>, ArrowError> {
    let mapping = Mapping::of::<T>()?;
    let reader = BatchReader::new(&mapping, batch)?;
    let mut row = Vec::new();
    let mut value = |index| {
        row.clear();
        reader.read(index, &mut row)?;
        Ok(reflow_data::decode(&row)?)
    };
    (0..reader.rows()).map(&mut value).collect()
}
