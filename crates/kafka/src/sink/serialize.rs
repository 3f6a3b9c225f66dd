//! How records of a stream become records of a topic.

use super::record::ProducerRecord;
use crate::deserialize::{Json, Raw, Text};
use reflow_api::UserError;
use serde::Serialize;

/// Makes records of a topic from records of a stream. A closure from `&T` and [`ProducerRecord`] to `Result<(), UserError>`
/// is one, too.
///
/// ```
/// use reflow_api::UserError;
/// use reflow_kafka::{KafkaSink, ProducerRecord, Serializer};
///
/// /// Numbers as eight bytes, with their keys.
/// #[derive(Clone)]
/// struct Numbers;
///
/// impl Serializer<(String, u64)> for Numbers {
///     fn serialize(&mut self, (key, number): &(String, u64), record: &mut ProducerRecord) -> Result<(), UserError> {
///         record.set_key(key).set_value(number.to_be_bytes());
///         Ok(())
///     }
/// }
///
/// let numbers = KafkaSink::new("localhost:9092", "numbers", Numbers);
/// let events = KafkaSink::by_record("localhost:9092", |event: &(String, i64), record: &mut ProducerRecord| {
///     record.set_topic(&event.0).set_value(&event.0).set_timestamp(event.1).add_header("source", "web");
///     Ok(())
/// });
/// ```
pub trait Serializer<T>: Clone + Send + 'static {
    /// Sets the fields of an empty record, whose value is null.
    ///
    /// # Errors
    /// If the record cannot be written. The job fails.
    fn serialize(&mut self, item: &T, record: &mut ProducerRecord) -> Result<(), UserError>;

    /// The partition of a record, one of `count`, if it sets none itself. `None`: by its key.
    fn partition(&mut self, _item: &T, _record: &ProducerRecord, _count: u32) -> Option<u32> {
        None
    }
}

impl<T, F> Serializer<T> for F
where
    F: Fn(&T, &mut ProducerRecord) -> Result<(), UserError> + Clone + Send + 'static,
{
    fn serialize(&mut self, item: &T, record: &mut ProducerRecord) -> Result<(), UserError> {
        self(item, record)
    }
}

/// The record as JSON is the value.
impl<T: Serialize + 'static> Serializer<T> for Json<T> {
    fn serialize(&mut self, item: &T, record: &mut ProducerRecord) -> Result<(), UserError> {
        Ok(serde_json::to_writer(record.value_mut(), item)?)
    }
}

/// The record's text is the value.
impl<T: AsRef<str>> Serializer<T> for Text {
    fn serialize(&mut self, item: &T, record: &mut ProducerRecord) -> Result<(), UserError> {
        record.set_value(item.as_ref());
        Ok(())
    }
}

/// Key and value as bytes.
impl Serializer<(Option<Vec<u8>>, Option<Vec<u8>>)> for Raw {
    fn serialize(
        &mut self,
        (key, value): &(Option<Vec<u8>>, Option<Vec<u8>>),
        record: &mut ProducerRecord,
    ) -> Result<(), UserError> {
        if let Some(key) = key {
            record.set_key(key);
        }
        if let Some(value) = value {
            record.set_value(value);
        }
        Ok(())
    }
}

/// See [`KafkaSink::with_record`](super::KafkaSink::with_record).
#[derive(Clone, Debug)]
pub struct WithRecord<S, F>(pub(super) S, pub(super) F);

impl<T, S, F> Serializer<T> for WithRecord<S, F>
where
    S: Serializer<T>,
    F: Fn(&T, &mut ProducerRecord) + Clone + Send + 'static,
{
    fn serialize(&mut self, item: &T, record: &mut ProducerRecord) -> Result<(), UserError> {
        self.0.serialize(item, record)?;
        (self.1)(item, record);
        Ok(())
    }

    fn partition(&mut self, item: &T, record: &ProducerRecord, count: u32) -> Option<u32> {
        self.0.partition(item, record, count)
    }
}

/// See [`KafkaSink::partitioner`](super::KafkaSink::partitioner).
#[derive(Clone, Debug)]
pub struct WithPartitioner<S, F>(pub(super) S, pub(super) F);

impl<T, S, F> Serializer<T> for WithPartitioner<S, F>
where
    S: Serializer<T>,
    F: Fn(&T, u32) -> u32 + Clone + Send + 'static,
{
    fn serialize(&mut self, item: &T, record: &mut ProducerRecord) -> Result<(), UserError> {
        self.0.serialize(item, record)
    }

    fn partition(&mut self, item: &T, _: &ProducerRecord, count: u32) -> Option<u32> {
        Some((self.1)(item, count))
    }
}

/// The partition of a key, as Kafka's own producer chooses it: murmur2 of its bytes.
pub(super) fn partition_of(key: &[u8], count: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % count
}

fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ bytes.len() as u32;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(M);
        word = (word ^ (word >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ word;
    }
    for (index, byte) in rest.iter().enumerate() {
        hash ^= u32::from(*byte) << (8 * index);
    }
    if !rest.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of Kafka's own test (`UtilsTest.testMurmur2`).
    #[test]
    fn keys_are_hashed_as_by_kafkas_producer() {
        let cases: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, hash) in cases {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }
}
