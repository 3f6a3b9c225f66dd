//! Timestamps of records that functions emit.

use reflow_types::Timestamp;

/// A record was not emitted, because its timestamp is not after the watermark that has been passed on, so it would be late.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::{Context, LateTimestamp};
///
/// /// Emits a record at the beginning of its hour, or not at all if that is late.
/// fn at_the_hour(context: &mut impl Context<u64, u64, String>, record: String) {
///     let hour = context.timestamp() - context.timestamp() % 3_600_000;
///     let emitted: Result<(), LateTimestamp> = context.emit_at(hour, record);
///     if let Err(late) = emitted {
///         eprintln!("{late}");
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a record with timestamp {time} would be late, because the watermark {watermark} has been passed on: give it a later \
     timestamp, or emit it by `emit_late_at`"
)]
pub struct LateTimestamp {
    /// The record's timestamp.
    pub time: Timestamp,
    /// The watermark.
    pub watermark: Timestamp,
}

impl LateTimestamp {
    /// Checks a timestamp.
    pub(crate) fn check(time: Timestamp, watermark: Timestamp) -> Result<(), Self> {
        if time > watermark { Ok(()) } else { Err(Self { time, watermark }) }
    }
}
