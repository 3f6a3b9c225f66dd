//! The schema and the encoding of values that cross an exchange or are kept in state.
//!
//! A type implements [`Data`] by `#[derive(Data)]`. The derive provides an encoding, which is the concatenation
//! of the fields, a [`Schema`], which names and describes the encoded fields, and the evolution rules in the
//! type's attributes. Bytes and a schema are enough for a readable [dump](Dump), and for the
//! [migration](Migration) of bytes of an earlier build. Attributes of serde have no effect. docs/design/data.md
//! has the decisions and the rejected alternatives.
//!
//! This crate does no I/O and does not know the engine. Reading order: [`mod@data`] (the trait), [`encoder`],
//! [`decoder`], [`error`], [`schema`], [`mod@dump`], [`migration`], `impls` (the types of `std` and of other crates).
#![warn(missing_docs)]

extern crate self as reflow; // the name in derived code

pub mod data;
pub mod decoder;
pub mod dump;
pub mod encoder;
pub mod error;
mod impls;
pub mod migration;
pub mod schema;
mod schema_part;

pub use data::{Adapter, Data, decode, decode_prefix, encode, encoded_len};
pub use decoder::Decoder;
pub use dump::Dump;
pub use encoder::{Buffer, Encoder, Length};
pub use error::{DecodeError, EncodeError, Reason};
pub use migration::{Incompatible, IncompatibleEntries, Migration};
pub use schema::{Field, Fingerprint, Number, Schema, SchemaBuilder, Shape, Type, Variant};

/// The deepest nesting of boxes, collections and other indirections in a value. Decoding is recursive, and
/// arbitrary bytes must not make a recursive type overflow the stack.
pub const MAX_DEPTH: u32 = 256;
