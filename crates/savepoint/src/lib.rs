//! Savepoints and checkpoints without their job: what they contain, read and changed by their schemas alone.
//!
//! A manifest has the operators of the job with the schema of each state, so nothing here knows the job's types, and no
//! executable of the job is needed. Reading is bounded in memory: a run is read in chunks, and an entry is given to the
//! caller before the next one is read.
//!
//! Requests to storage go through a function that waits for the answer ([`Requests`]), because these are commands of a
//! user and not processes of a job.
//!
//! Reading order: [`open`] (a savepoint at a location), [`entries`] (of a state by key), [`shape`] (the parts of an
//! entry), [`keys`] (the key group of an encoded key), [`mod@inspect`], [`mod@export`], [`mod@json`] (values from
//! JSON), [`columns`] (files of columns), [`mod@edit`], [`error`].
#![warn(missing_docs)]

#[cfg(test)]
extern crate reflow_types as reflow; // the name in derived code

pub mod columns;
pub mod edit;
pub mod entries;
pub mod error;
pub mod export;
pub mod inspect;
pub mod json;
pub mod keys;
pub mod open;
pub mod shape;

pub use columns::FileFormat;
pub use error::SavepointError;
pub use export::Export;
pub use inspect::{Counting, Report};
pub use open::{Requests, Savepoint};
pub use reflow_arrow::{MappingOptions, TimeUnit};
