//! Whatever crosses an exchange or is kept in state: its schema and its encoding.
//!
//! A type implements [`Data`], by `#[derive(Data)]`. The derive gives it three things that agree with one another:
//! an encoding, which is the concatenation of its fields; a [`Schema`], which names and describes what is in these
//! bytes; and the evolution rules in its attributes. From bytes and a schema alone come readable [dumps](Dump) and the
//! [migration](Migration) of bytes that an earlier build wrote. serde's attributes have no effect here. Decisions and
//! rejected alternatives: docs/design/data.md.
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

pub use data::{Adapter, Data, decode, decode_prefix, encode, encoded_len};
pub use decoder::Decoder;
pub use dump::Dump;
pub use encoder::{Buffer, Encoder, Length};
pub use error::{DecodeError, EncodeError, Reason};
pub use migration::{Incompatible, Migration};
pub use schema::{Field, Fingerprint, Schema, SchemaBuilder, Shape, Type, Variant};

/// How many boxes, collections and other indirections a value may nest. Decoding is recursive, and a recursive type
/// must not overflow the stack on bytes that nobody wrote.
pub const MAX_DEPTH: u32 = 256;
