//! A reader's splits as bytes: on their way from the enumerator, to other readers, and into checkpoints.
//!
//! Their type is the source's, and nobody reads what a checkpoint holds of it before something has failed. So the first
//! splits are decoded again when they are encoded, and encoded again when they are decoded.

use bytes::Bytes;
use reflow_api::source::encode_split;
use reflow_network::sample;
use reflow_protocol::failure::Fault;
use reflow_types::roundtrip::ADVICE;
use serde::{Serialize, de::DeserializeOwned};

/// How many splits are tried.
const TRIED: usize = 64;

/// Encodes and decodes the splits of one reader.
pub(super) struct Splits {
    /// The source, for errors.
    operator: String,
    /// How many are still to be tried.
    left: usize,
}

impl Splits {
    pub(super) fn new(operator: &str) -> Self {
        Self { operator: operator.to_owned(), left: TRIED }
    }

    pub(super) fn encode<S: Serialize + DeserializeOwned>(&mut self, split: &S) -> Bytes {
        if self.is_next_tried()
            && let Err(error) = sample::round_trip(split)
        {
            self.refuse::<S>(&error.to_string());
        }
        encode_split(split)
    }

    pub(super) fn decode<S: Serialize + DeserializeOwned>(&mut self, bytes: &Bytes) -> S {
        let split = match postcard::from_bytes(bytes) {
            Ok(split) => split,
            Err(error) => self.refuse::<S>(&format!("it cannot be read back: {error}")),
        };
        if self.is_next_tried() && encode_split(&split) != bytes {
            self.refuse::<S>("its encoding is another one after it was read back");
        }
        split
    }

    fn is_next_tried(&mut self) -> bool {
        let next = self.left > 0;
        self.left = self.left.saturating_sub(1);
        next
    }

    /// The same would happen after each restart.
    fn refuse<S>(&self, why: &str) -> ! {
        let name = std::any::type_name::<S>();
        let lost = "does not survive the way to its reader and into checkpoints";
        crate::fail(
            Fault::Permanent,
            &self.operator,
            format!("a split of type {name} {lost}: {why}; {ADVICE}"),
        )
    }
}
