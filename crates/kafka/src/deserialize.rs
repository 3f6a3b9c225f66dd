//! How records of a topic become records of a stream.

use crate::batch::Headers;
use reflow_api::UserError;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

/// A record of a topic.
#[derive(Clone, Copy, Debug)]
pub struct KafkaRecord<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The offset in the partition.
    pub offset: i64,
    /// When it was created or, by the topic's configuration, appended: milliseconds since 1970.
    pub timestamp: i64,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value. A record without one deletes its key in a compacted topic.
    pub value: Option<&'a [u8]>,
    /// The headers: names and values.
    pub headers: Headers<'a>,
}

/// Makes records of a stream from records of a topic. A closure from [`KafkaRecord`] to `Result<Option<T>, UserError>` is
/// one, too.
///
/// ```
/// use reflow_api::UserError;
/// use reflow_kafka::{Deserializer, KafkaRecord, KafkaSource};
///
/// /// Numbers as eight bytes, with their keys.
/// #[derive(Clone)]
/// struct Numbers;
///
/// impl Deserializer for Numbers {
///     type Item = (String, u64);
///
///     fn deserialize(&mut self, record: &KafkaRecord<'_>) -> Result<Option<(String, u64)>, UserError> {
///         let Some(value) = record.value else { return Ok(None) }; // a key was deleted
///         let key = std::str::from_utf8(record.key.unwrap_or_default())?;
///         Ok(Some((key.to_owned(), u64::from_be_bytes(value.try_into()?))))
///     }
/// }
///
/// let numbers = KafkaSource::new("localhost:9092", ["numbers"], Numbers);
/// let headers = KafkaSource::new("localhost:9092", ["numbers"], |record: &KafkaRecord<'_>| {
///     Ok(Some((record.offset, record.headers.count() as u64)))
/// });
/// ```
pub trait Deserializer: Clone + Send + 'static {
    /// The type of the stream's records.
    type Item: Send + 'static;

    /// Makes a record, or none.
    ///
    /// # Errors
    /// If it cannot be read. The source adds topic, partition and offset.
    fn deserialize(&mut self, record: &KafkaRecord<'_>) -> Result<Option<Self::Item>, UserError>;
}

impl<T, F> Deserializer for F
where
    T: Send + 'static,
    F: Fn(&KafkaRecord<'_>) -> Result<Option<T>, UserError> + Clone + Send + 'static,
{
    type Item = T;

    fn deserialize(&mut self, record: &KafkaRecord<'_>) -> Result<Option<T>, UserError> {
        self(record)
    }
}

/// A JSON value. A record without a value is left out.
#[derive(Debug)]
pub struct Json<T>(PhantomData<fn() -> T>);

impl<T> Json<T> {
    /// For values of this type.
    #[must_use]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for Json<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Json<T> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<T: DeserializeOwned + Send + 'static> Deserializer for Json<T> {
    type Item = T;

    fn deserialize(&mut self, record: &KafkaRecord<'_>) -> Result<Option<T>, UserError> {
        Ok(record.value.map(serde_json::from_slice).transpose()?)
    }
}

/// The value as text. A record without a value is left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Text;

impl Deserializer for Text {
    type Item = String;

    fn deserialize(&mut self, record: &KafkaRecord<'_>) -> Result<Option<String>, UserError> {
        Ok(record.value.map(|value| std::str::from_utf8(value).map(str::to_owned)).transpose()?)
    }
}

/// Key and value as bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw;

impl Deserializer for Raw {
    type Item = (Option<Vec<u8>>, Option<Vec<u8>>);

    fn deserialize(&mut self, record: &KafkaRecord<'_>) -> Result<Option<Self::Item>, UserError> {
        Ok(Some((record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec))))
    }
}
