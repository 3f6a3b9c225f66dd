//! A record for a topic, as a serializer fills it in.

use crate::batch::{put_field, put_varint};

/// A record for a topic. A serializer sets its value and, if it likes, its key, headers, timestamp, topic and partition.
///
/// One record is used for all, so setting fields allocates nothing after the first ones.
#[derive(Debug, Default)]
pub struct ProducerRecord {
    topic: String,
    key: Vec<u8>,
    value: Vec<u8>,
    has_key: bool,
    has_value: bool,
    partition: Option<u32>,
    timestamp: Option<i64>,
    headers: Vec<u8>,
    header_count: u32,
}

impl ProducerRecord {
    /// The topic, instead of that of the sink.
    pub fn set_topic(&mut self, topic: &str) -> &mut Self {
        self.topic.clear();
        self.topic.push_str(topic);
        self
    }

    /// The partition. Otherwise the partitioner chooses it, or the key as in Kafka's own producer. Records without a key fill
    /// one batch after the other.
    pub fn set_partition(&mut self, partition: u32) -> &mut Self {
        self.partition = Some(partition);
        self
    }

    /// The key.
    pub fn set_key(&mut self, key: impl AsRef<[u8]>) -> &mut Self {
        self.key_mut().extend_from_slice(key.as_ref());
        self
    }

    /// The key's bytes, to be written. It is not null any more.
    pub fn key_mut(&mut self) -> &mut Vec<u8> {
        self.has_key = true;
        self.key.clear();
        &mut self.key
    }

    /// The value.
    pub fn set_value(&mut self, value: impl AsRef<[u8]>) -> &mut Self {
        self.value_mut().extend_from_slice(value.as_ref());
        self
    }

    /// The value's bytes, to be written. It is not null any more.
    pub fn value_mut(&mut self) -> &mut Vec<u8> {
        self.has_value = true;
        self.value.clear();
        &mut self.value
    }

    /// Makes the value null. In a compacted topic, such a record deletes its key (a tombstone).
    pub fn clear_value(&mut self) -> &mut Self {
        self.has_value = false;
        self.value.clear();
        self
    }

    /// Adds a header. Several may have the same name.
    pub fn add_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> &mut Self {
        put_field(&mut self.headers, Some(name.as_bytes()));
        put_field(&mut self.headers, Some(value.as_ref()));
        self.header_count += 1;
        self
    }

    /// Its timestamp, in milliseconds since 1970. Otherwise it is the record's event time or, if there is none, the time at
    /// which it is written.
    pub fn set_timestamp(&mut self, timestamp: i64) -> &mut Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// The key, if it is not null.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.has_key.then_some(&self.key)
    }

    /// The value, if it is not null.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        self.has_value.then_some(&self.value)
    }

    pub(super) fn topic(&self) -> Option<&str> {
        (!self.topic.is_empty()).then_some(&self.topic)
    }

    pub(super) fn partition(&self) -> Option<u32> {
        self.partition
    }

    pub(super) fn timestamp(&self) -> Option<i64> {
        self.timestamp
    }

    pub(super) fn encoded(&self) -> Encoded<'_> {
        let headers = (&self.headers[..], self.header_count);
        Encoded { key: self.key(), value: self.value(), headers }
    }

    pub(super) fn clear(&mut self) {
        self.topic.clear();
        self.key.clear();
        self.value.clear();
        self.headers.clear();
        (self.has_key, self.has_value, self.header_count) = (false, false, 0);
        (self.partition, self.timestamp) = (None, None);
    }
}

/// The fields of a record that are written as they are.
#[derive(Clone, Copy)]
pub(super) struct Encoded<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    /// The headers, and how many there are.
    pub(super) headers: (&'a [u8], u32),
}

impl Encoded<'_> {
    /// The length of its bytes in a batch, with a little more for the numbers before them.
    pub(super) fn bound(&self) -> usize {
        const NUMBERS: usize = 40;
        let field = |field: Option<&[u8]>| field.map_or(0, <[u8]>::len);
        NUMBERS + field(self.key) + field(self.value) + self.headers.0.len()
    }

    /// Writes it behind the differences of its timestamp and offset to those of the batch. Its length comes first, so
    /// `scratch` takes the fields before the key.
    pub(super) fn write(&self, out: &mut Vec<u8>, scratch: &mut Vec<u8>, timestamp: i64, offset: i64) {
        scratch.clear();
        scratch.push(0); // no attributes
        put_varint(scratch, timestamp);
        put_varint(scratch, offset);
        let begin = scratch.len();
        let (headers, count) = self.headers;
        put_varint(scratch, length_of(self.key));
        put_varint(scratch, length_of(self.value));
        put_varint(scratch, i64::from(count));
        let bytes = |field: Option<&[u8]>| field.map_or(0, <[u8]>::len);
        let length = scratch.len() + bytes(self.key) + bytes(self.value) + headers.len();
        put_varint(out, length as i64);
        out.extend_from_slice(&scratch[..begin]);
        put_field(out, self.key);
        put_field(out, self.value);
        put_varint(out, i64::from(count));
        out.extend_from_slice(headers);
    }
}

fn length_of(field: Option<&[u8]>) -> i64 {
    field.map_or(-1, |bytes| bytes.len() as i64)
}
