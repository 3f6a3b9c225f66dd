//! A reader's splits as bytes: on their way from the enumerator, to other readers, and into checkpoints.

use bytes::Bytes;
use reflow_api::source;
use reflow_protocol::failure::Fault;
use reflow_types::Data;

/// Decodes a split of the source `operator`. Ends the task for good if it is none: the same would happen after each
/// restart.
pub(super) fn decode<S: Data>(operator: &str, bytes: &Bytes) -> S {
    source::decode_split(bytes).unwrap_or_else(|error| {
        let text = format!("a split cannot be read; is it from a build with another type? {error}");
        crate::fail(Fault::Permanent, operator, text)
    })
}
