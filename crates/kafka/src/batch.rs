//! Record batches, the unit in which Kafka stores and sends records (format 2).
//!
//! [`Batches`] goes through the bytes of a fetch without copying a record: a batch is checked and decompressed as a whole,
//! and its records are read in place. Batches of aborted transactions and control batches are left out.

use crate::compression::{Compression, CompressionError};
use bytes::{Buf, Bytes};
use std::collections::BTreeSet;

/// The bytes of a batch before the length, and with it.
const LENGTH_AT: usize = 8;
pub(crate) const PREFIX: usize = 12;
/// The bytes of a batch before its records.
pub(crate) const HEADER: usize = 61;
/// Where the checksum begins to count.
pub(crate) const CHECKED_FROM: usize = 21;
const ATTRIBUTE_CODEC: i16 = 0b111;
const ATTRIBUTE_LOG_APPEND_TIME: i16 = 1 << 3;
pub(crate) const ATTRIBUTE_TRANSACTIONAL: i16 = 1 << 4;
const ATTRIBUTE_CONTROL: i16 = 1 << 5;

/// Why the bytes of a partition cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BatchError {
    /// The checksum is another one.
    #[error("the batch at offset {0} is damaged: its checksum does not fit")]
    Checksum(i64),
    /// The format is older than Kafka 0.11.
    #[error(
        "the batch at offset {offset} has format {magic}, and only format 2 can be read, which Kafka writes since 0.11"
    )]
    Format {
        /// The offset of its first record.
        offset: i64,
        /// Its format.
        magic: i8,
    },
    /// The bytes end within a field, or a field is impossible.
    #[error("the batch at offset {0} is cut off or damaged")]
    Cut(i64),
    /// The records cannot be decompressed.
    #[error("the batch at offset {offset} cannot be decompressed: {source}")]
    Compression {
        /// The offset of its first record.
        offset: i64,
        /// The reason.
        source: CompressionError,
    },
}

/// A transaction that was aborted: the records of this producer from an offset on, up to the next marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aborted {
    /// The producer.
    pub producer: i64,
    /// The offset of its first record.
    pub first: i64,
}

/// The batches that a fetch of one partition has returned.
#[derive(Debug)]
pub(crate) struct Batches {
    bytes: Bytes,
    /// Transactions whose records have not begun, in descending order of their offsets.
    aborted: Vec<Aborted>,
    /// The producers whose records are left out until their marker.
    aborting: BTreeSet<i64>,
}

/// A batch that is being read.
#[derive(Debug)]
pub(crate) struct Batch {
    base_offset: i64,
    base_timestamp: i64,
    /// The time of all records, if the broker has set it.
    log_append_time: Option<i64>,
    records: Bytes,
    /// Where the next record begins.
    at: usize,
    left: u32,
}

/// A record, in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawRecord<'a> {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: Headers<'a>,
}

/// The headers of a record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    count: u32,
}

impl<'a> Headers<'a> {
    /// Their bytes, and how many there are.
    pub(crate) fn encoded(&self) -> (&'a [u8], u32) {
        (self.bytes, self.count)
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        self.count = self.count.checked_sub(1)?;
        let mut fields = Fields { bytes: self.bytes };
        let header = (fields.bytes()??, fields.bytes()?);
        self.bytes = fields.bytes;
        Some(header)
    }
}

impl Batches {
    pub(crate) fn new(bytes: Bytes, mut aborted: Vec<Aborted>) -> Self {
        aborted.sort_unstable_by_key(|aborted| std::cmp::Reverse(aborted.first));
        Self { bytes, aborted, aborting: BTreeSet::new() }
    }

    /// The offset behind the last whole batch, found by the headers alone.
    pub(crate) fn end(bytes: &Bytes) -> Option<i64> {
        let (mut rest, mut end) = (&bytes[..], None);
        while let Some(length) = whole_batch(rest) {
            let last_delta = rest.get(23..27).map(|mut field| field.get_i32())?;
            end = Some((&rest[..8]).get_i64().saturating_add(i64::from(last_delta) + 1));
            rest = &rest[length..];
        }
        end
    }

    /// How many bytes have not been read.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The next batch with records, and the offset behind the batches up to it. A batch that is cut off at the end of a
    /// fetch ends it, because it comes again with the next one.
    pub(crate) fn next(&mut self) -> Result<Option<(Option<Batch>, i64)>, BatchError> {
        let Some(length) = whole_batch(&self.bytes) else {
            self.bytes.clear();
            return Ok(None);
        };
        let bytes = self.bytes.split_to(length);
        let offset = (&bytes[..]).get_i64();
        let cut = BatchError::Cut(offset);
        let magic = bytes.get(16).copied().ok_or(BatchError::Cut(offset))? as i8;
        if magic != 2 {
            return Err(BatchError::Format { offset, magic });
        }
        if bytes.len() < HEADER {
            return Err(cut);
        }
        if crc32c::crc32c(&bytes[CHECKED_FROM..]) != (&bytes[17..]).get_u32() {
            return Err(BatchError::Checksum(offset));
        }
        let mut header = &bytes[CHECKED_FROM..HEADER];
        let attributes = header.get_i16();
        let last_delta = header.get_i32();
        let base_timestamp = header.get_i64();
        let max_timestamp = header.get_i64();
        let producer = header.get_i64();
        header.advance(6); // its epoch, and the first sequence number
        let left = u32::try_from(header.get_i32()).map_err(|_| cut)?;
        let end = offset.saturating_add(i64::from(last_delta) + 1);
        while let Some(aborted) = self.aborted.pop_if(|aborted| aborted.first < end) {
            self.aborting.insert(aborted.producer);
        }
        if attributes & ATTRIBUTE_CONTROL != 0 {
            // A marker ends the producer's transaction, whichever way.
            self.aborting.remove(&producer);
            return Ok(Some((None, end)));
        }
        if attributes & ATTRIBUTE_TRANSACTIONAL != 0 && self.aborting.contains(&producer) {
            return Ok(Some((None, end)));
        }
        let records = bytes.slice(HEADER..);
        let records = Compression::of(attributes & ATTRIBUTE_CODEC)
            .and_then(|codec| codec.decompress(records))
            .map_err(|source| BatchError::Compression { offset, source })?;
        let log_append_time = (attributes & ATTRIBUTE_LOG_APPEND_TIME != 0).then_some(max_timestamp);
        let batch = Batch { base_offset: offset, base_timestamp, log_append_time, records, at: 0, left };
        Ok(Some((Some(batch), end)))
    }
}

/// The length of the batch with which `bytes` begin, if it is there as a whole.
fn whole_batch(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(LENGTH_AT..PREFIX).map(|mut field| field.get_i32())?;
    let whole = PREFIX.checked_add(usize::try_from(length).ok()?)?;
    (whole <= bytes.len()).then_some(whole)
}

impl Batch {
    /// How many records have not been read.
    pub(crate) fn left(&self) -> u32 {
        self.left
    }

    /// The next record.
    pub(crate) fn next(&mut self) -> Result<Option<RawRecord<'_>>, BatchError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let cut = BatchError::Cut(self.base_offset);
        let mut fields = Fields { bytes: self.records.get(self.at..).unwrap_or_default() };
        let length = fields.varint().and_then(|length| usize::try_from(length).ok());
        let Some(length) = length.filter(|length| *length <= fields.bytes.len()) else { return Err(cut) };
        let begin = self.records.len() - fields.bytes.len();
        self.at = begin + length;
        let record = &self.records[begin..self.at];
        read_record(record, self.base_offset, self.base_timestamp, self.log_append_time).ok_or(cut).map(Some)
    }
}

fn read_record(record: &[u8], base: i64, base_time: i64, append_time: Option<i64>) -> Option<RawRecord<'_>> {
    let mut fields = Fields { bytes: record.get(1..)? }; // behind its attributes, of which there are none
    let timestamp = base_time.wrapping_add(fields.varint()?);
    let offset = base.wrapping_add(fields.varint()?);
    let key = fields.bytes()?;
    let value = fields.bytes()?;
    let count = u32::try_from(fields.varint()?).ok()?;
    let headers = Headers { bytes: fields.bytes, count };
    Some(RawRecord { offset, timestamp: append_time.unwrap_or(timestamp), key, value, headers })
}

/// Writes a number in zigzag encoding, seven bits in each byte.
#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, number: i64) {
    let mut zigzag = ((number << 1) ^ (number >> 63)) as u64;
    while zigzag >= 0x80 {
        out.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

/// Writes bytes behind their length.
#[inline]
pub(crate) fn put_field(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    put_varint(out, bytes.map_or(-1, |bytes| bytes.len() as i64));
    out.extend_from_slice(bytes.unwrap_or_default());
}

/// Reads the fields of a record.
struct Fields<'a> {
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    /// A number in zigzag encoding, seven bits in each byte.
    fn varint(&mut self) -> Option<i64> {
        let mut number = 0u64;
        for (index, byte) in self.bytes.iter().take(10).enumerate() {
            number |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.bytes = &self.bytes[index + 1..];
                return Some((number >> 1) as i64 ^ -((number & 1) as i64));
            }
        }
        None
    }

    /// Bytes behind their length, or `Some(None)` for null.
    fn bytes(&mut self) -> Option<Option<&'a [u8]>> {
        let Ok(length) = usize::try_from(self.varint()?) else { return Some(None) };
        let (field, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(Some(field))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    struct Made {
        base: i64,
        attributes: i16,
        producer: i64,
        values: Vec<&'static str>,
    }

    fn made(base: i64, values: &[&'static str]) -> Made {
        Made { base, attributes: 0, producer: -1, values: values.to_vec() }
    }

    fn transactional(base: i64, producer: i64, values: &[&'static str]) -> Made {
        Made { attributes: ATTRIBUTE_TRANSACTIONAL, producer, ..made(base, values) }
    }

    fn marker(base: i64, producer: i64) -> Made {
        let attributes = ATTRIBUTE_TRANSACTIONAL | ATTRIBUTE_CONTROL;
        Made { attributes, producer, ..made(base, &["marker"]) }
    }

    fn bytes(batches: &[Made]) -> Bytes {
        let mut out = Vec::new();
        for Made { base, attributes, producer, values } in batches {
            let mut records = Vec::new();
            for (delta, value) in values.iter().enumerate() {
                let mut record = vec![0];
                put_varint(&mut record, delta as i64);
                put_varint(&mut record, delta as i64);
                put_field(&mut record, None);
                put_field(&mut record, Some(value.as_bytes()));
                put_varint(&mut record, 2);
                put_field(&mut record, Some(b"h"));
                put_field(&mut record, None);
                put_field(&mut record, Some(b"h"));
                put_field(&mut record, Some(b"2"));
                put_varint(&mut records, record.len() as i64);
                records.extend(record);
            }
            let mut checked = Vec::new();
            checked.extend(attributes.to_be_bytes());
            checked.extend((values.len() as i32 - 1).to_be_bytes());
            checked.extend(1_000i64.to_be_bytes());
            checked.extend(9_000i64.to_be_bytes());
            checked.extend(producer.to_be_bytes());
            checked.extend([0; 6]);
            checked.extend((values.len() as i32).to_be_bytes());
            checked.extend(records);
            out.extend(base.to_be_bytes());
            out.extend((checked.len() as i32 + 9).to_be_bytes());
            out.extend([0, 0, 0, 0, 2]);
            out.extend(crc32c::crc32c(&checked).to_be_bytes());
            out.extend(checked);
        }
        out.into()
    }

    /// A batch with these values, of which the first has this offset.
    pub(crate) fn batch(base: i64, values: &[&'static str]) -> Bytes {
        bytes(&[made(base, values)])
    }

    /// The records as `offset@timestamp value`, and the offset behind them.
    fn read(bytes: Bytes, aborted: &[(i64, i64)]) -> Result<(Vec<String>, i64), BatchError> {
        let aborted = aborted.iter().map(|(producer, first)| Aborted { producer: *producer, first: *first });
        let mut batches = Batches::new(bytes, aborted.collect());
        let (mut found, mut behind) = (Vec::new(), 0);
        while let Some((batch, end)) = batches.next()? {
            behind = end;
            let Some(mut batch) = batch else { continue };
            while let Some(record) = batch.next()? {
                let value = String::from_utf8_lossy(record.value.unwrap());
                assert_eq!(record.key, None);
                assert_eq!(record.headers.collect::<Vec<_>>(), [(&b"h"[..], None), (b"h", Some(&b"2"[..]))]);
                found.push(format!("{}@{} {value}", record.offset, record.timestamp));
            }
        }
        Ok((found, behind))
    }

    #[test]
    fn records_are_read_up_to_the_batch_that_is_cut_off() {
        let all = bytes(&[made(7, &["a", "b"]), made(12, &["c"])]);
        let expected = ["7@1000 a", "8@1001 b", "12@1000 c"].map(str::to_owned).to_vec();
        assert_eq!(read(all.clone(), &[]), Ok((expected.clone(), 13)));
        assert_eq!(Batches::end(&all), Some(13));
        let cut = all.slice(..all.len() - 1);
        assert_eq!(read(cut.clone(), &[]), Ok((expected[..2].to_vec(), 9)));
        assert_eq!(Batches::end(&cut), Some(9));
        assert_eq!(Batches::end(&Bytes::new()), None);
        let appended = Made { attributes: ATTRIBUTE_LOG_APPEND_TIME, ..made(7, &["a"]) };
        assert_eq!(read(bytes(&[appended]), &[]), Ok((vec!["7@9000 a".to_owned()], 8)));
    }

    #[test]
    fn aborted_transactions_are_left_out() {
        let all = bytes(&[
            transactional(0, 1, &["no"]),
            transactional(1, 2, &["yes"]),
            transactional(2, 1, &["no"]),
            marker(3, 1),
            transactional(4, 1, &["yes"]),
            marker(5, 2),
            made(6, &["plain"]),
            transactional(7, 2, &["no"]),
            marker(8, 2),
        ]);
        let (found, behind) = read(all.clone(), &[(2, 7), (1, 0)]).unwrap();
        assert_eq!(found, ["1@1000 yes", "4@1000 yes", "6@1000 plain"]);
        assert_eq!(behind, 9, "markers have offsets");
        assert_eq!(read(all, &[]).unwrap().0.len(), 6, "none was aborted");
    }

    #[test]
    fn damage_is_found_and_names_the_offset() {
        let good = bytes(&[made(7, &["a"])]);
        for at in 0..good.len() {
            let mut bad = good.to_vec();
            bad[at] ^= 0x40;
            match read(bad.into(), &[]) {
                // The offset and the leader's epoch are not part of the checksum.
                Ok((found, _)) => assert!(at < 16 || found.is_empty(), "byte {at}: {found:?}"),
                Err(error) => assert!(error.to_string().contains("at offset 7"), "byte {at}: {error}"),
            }
        }
        let mut old = good.to_vec();
        old[16] = 1;
        assert_eq!(read(old.into(), &[]), Err(BatchError::Format { offset: 7, magic: 1 }));
    }
}
