//! Decodes splits, which are bytes in messages and in checkpoints.

use bytes::Bytes;
use reflow_api::source;
use reflow_protocol::failure::Fault;
use reflow_types::Data;

/// Decodes a split of the source `operator`. An error fails the job permanently, because it would occur again
/// after each restart.
pub(super) fn decode<S: Data>(operator: &str, bytes: &Bytes) -> S {
    source::decode_split(bytes).unwrap_or_else(|error| {
        let text = format!("a split cannot be read; is it from a build with another type? {error}");
        crate::fail(Fault::Permanent, operator, text)
    })
}
