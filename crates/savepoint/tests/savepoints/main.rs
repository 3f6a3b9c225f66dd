//! Savepoints and checkpoints without their job: inspected and exported by their schemas, and changed. The contents are
//! compared with what the job knows.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod columns;
mod edited;
mod job;
mod large;
mod read;
mod store;
