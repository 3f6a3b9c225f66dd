//! The mapping of types to Arrow: which columns they have, which values come back, and what is refused.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

extern crate reflow_data as reflow; // the name in derived code

mod any_schema;
mod columns;
mod foreign;
mod refused;
mod round_trip;
