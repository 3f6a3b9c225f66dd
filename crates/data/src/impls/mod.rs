//! Implementations for types of `std` and, if their features are enabled, of other crates.

mod bytes;
mod collections;
#[cfg(feature = "decimal")]
mod decimal;
#[cfg(feature = "jiff")]
mod jiff;
#[cfg(feature = "json")]
mod json;
mod numbers;
mod pointers;
mod text;
mod tuples;
#[cfg(feature = "uuid")]
mod uuid;
mod wrappers;

pub(crate) use text::decode_str;
