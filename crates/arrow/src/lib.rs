//! Arrow for types that are `Data`: schemas, and record batches from encoded rows and back.
//!
//! Everything goes by the [`Schema`](reflow_data::Schema) of a type, so it also works for state in a savepoint, without
//! the program that wrote it. A [`Mapping`] decides which Arrow type each part of a schema has; docs/design/arrow.md has
//! the table and the rejected alternatives. A [`BatchEncoder`] turns rows into columns, in batches of bounded size, and a
//! [`BatchReader`] turns them back. [`to_batch`] and [`from_batch`] do that for values.
//!
//! This crate does no I/O and does not know the engine. Reading order: [`mod@mapping`], `node` (what is done with each
//! part of a type), `column` and [`mod@encoder`] (rows to columns), `cells` and [`mod@reader`] (columns to rows), `time`,
//! `decimal`, [`values`] (typed), [`error`].
#![warn(missing_docs)]

mod cells;
mod column;
mod decimal;
pub mod encoder;
pub mod error;
pub mod mapping;
mod node;
pub mod reader;
mod time;
pub mod values;

pub use arrow_array::{self, RecordBatch};
pub use arrow_schema;
pub use encoder::BatchEncoder;
pub use error::{ArrowError, Cause, Path};
pub use mapping::{Mapping, MappingOptions, TimeUnit};
pub use reader::BatchReader;
pub use values::{from_batch, to_batch};
