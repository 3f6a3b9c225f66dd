//! Record batches as a sink writes them.

use super::record::Encoded;
use crate::batch::{ATTRIBUTE_TRANSACTIONAL, BatchError, Batches, CHECKED_FROM, HEADER, PREFIX};
use crate::client::Producer;
use crate::compression::Compression;
use bytes::Bytes;

/// The first capacity of a batch. Most partitions of a wide topic get few records between two barriers.
const CAPACITY: usize = 4 << 10;

/// A batch that is being filled.
#[derive(Debug, Default)]
pub(super) struct BatchBuilder {
    /// The header, which is written at the end, and the records.
    bytes: Vec<u8>,
    count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    scratch: Vec<u8>,
}

/// The producer of a batch, and the number of its first record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbered {
    pub(super) producer: Producer,
    pub(super) sequence: i32,
    pub(super) is_transactional: bool,
}

impl BatchBuilder {
    pub(super) fn append(&mut self, timestamp: i64, record: Encoded<'_>) {
        if self.count == 0 {
            self.bytes.reserve(CAPACITY.max(HEADER + record.bound()));
            self.bytes.resize(HEADER, 0);
            (self.base_timestamp, self.max_timestamp) = (timestamp, timestamp);
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let delta = timestamp.wrapping_sub(self.base_timestamp);
        record.write(&mut self.bytes, &mut self.scratch, delta, i64::from(self.count));
        self.count += 1;
    }

    /// The length of its bytes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The number of its records.
    pub(super) fn count(&self) -> i32 {
        self.count
    }

    /// The bytes of the batch.
    pub(super) fn finish(mut self, compression: Compression, numbered: Numbered) -> Bytes {
        if compression != Compression::None {
            let compressed = compression.compress(&self.bytes[HEADER..]);
            self.bytes.truncate(HEADER);
            self.bytes.extend_from_slice(&compressed);
        }
        let Numbered { producer, sequence, is_transactional } = numbered;
        let attributes = compression.number() | if is_transactional { ATTRIBUTE_TRANSACTIONAL } else { 0 };
        let mut header = Vec::with_capacity(HEADER);
        header.extend([0; 8]); // the first offset, which the broker knows
        header.extend(((self.bytes.len() - PREFIX) as i32).to_be_bytes());
        header.extend((-1i32).to_be_bytes()); // the leader's epoch, which it knows, too
        header.push(2);
        header.extend([0; 4]); // the checksum
        header.extend(attributes.to_be_bytes());
        header.extend((self.count - 1).to_be_bytes());
        header.extend(self.base_timestamp.to_be_bytes());
        header.extend(self.max_timestamp.to_be_bytes());
        header.extend(producer.id.to_be_bytes());
        header.extend(producer.epoch.to_be_bytes());
        header.extend(sequence.to_be_bytes());
        header.extend(self.count.to_be_bytes());
        self.bytes[..HEADER].copy_from_slice(&header);
        let checksum = crc32c::crc32c(&self.bytes[CHECKED_FROM..]);
        self.bytes[CHECKED_FROM - 4..CHECKED_FROM].copy_from_slice(&checksum.to_be_bytes());
        self.bytes.into()
    }

    /// The records of a finished batch in two batches.
    pub(super) fn halves(batch: Bytes) -> Result<[Self; 2], BatchError> {
        let mut halves = [Self::default(), Self::default()];
        let mut batches = Batches::new(batch, Vec::new());
        while let Some((found, _)) = batches.next()? {
            let Some(mut found) = found else { continue };
            let first = found.left().div_ceil(2);
            let mut read = 0;
            while let Some(record) = found.next()? {
                let headers = record.headers.encoded();
                let encoded = Encoded { key: record.key, value: record.value, headers };
                halves[usize::from(read >= first)].append(record.timestamp, encoded);
                read += 1;
            }
        }
        Ok(halves)
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::ProducerRecord;
    use super::*;

    fn builder(count: i64) -> BatchBuilder {
        let mut builder = BatchBuilder::default();
        for number in 0..count {
            let mut record = ProducerRecord::default();
            record.add_header("h", "1").add_header("h", "");
            if number % 3 > 0 {
                record.set_key(number.to_string());
            }
            if number % 2 > 0 {
                record.set_value("v".repeat(number as usize));
            }
            builder.append(1_000 - number, record.encoded());
        }
        builder
    }

    /// What a reader finds: offset, timestamp, key, length of the value, number of headers.
    type Found = (i64, i64, Option<String>, Option<usize>, usize);

    fn read(batch: Bytes) -> Vec<Found> {
        let mut batches = Batches::new(batch, Vec::new());
        let (found, end) = batches.next().unwrap().unwrap();
        let mut found = found.unwrap();
        let mut records = Vec::new();
        while let Some(record) = found.next().unwrap() {
            let key = record.key.map(|key| String::from_utf8(key.to_vec()).unwrap());
            let value = record.value.map(<[u8]>::len);
            records.push((record.offset, record.timestamp, key, value, record.headers.count()));
        }
        assert_eq!(end as usize, records.len());
        assert!(batches.next().unwrap().is_none());
        records
    }

    fn expected(numbers: std::ops::Range<i64>) -> Vec<Found> {
        let first = numbers.start;
        let record = |number: i64| {
            let key = (number % 3 > 0).then(|| number.to_string());
            let value = (number % 2 > 0).then_some(number as usize);
            (number - first, 1_000 - number, key, value, 2)
        };
        numbers.map(record).collect()
    }

    const NUMBERED: Numbered =
        Numbered { producer: Producer { id: 7, epoch: 3 }, sequence: 9, is_transactional: true };

    #[test]
    fn readers_find_what_was_written_with_each_codec() {
        use Compression::{Gzip, Lz4, None, Snappy, Zstd};
        for codec in [None, Gzip, Snappy, Lz4, Zstd] {
            for count in [1, 2, 300] {
                let batch = builder(count).finish(codec, NUMBERED);
                assert_eq!(batch[43..57], [0, 0, 0, 0, 0, 0, 0, 7, 0, 3, 0, 0, 0, 9], "{codec:?}");
                assert_eq!(read(batch), expected(0..count), "{codec:?}");
            }
        }
    }

    #[test]
    fn halves_have_all_records_in_their_order() {
        let batch = builder(301).finish(Compression::Zstd, NUMBERED);
        let [first, second] = BatchBuilder::halves(batch).unwrap();
        assert_eq!((first.count(), second.count()), (151, 150));
        assert_eq!(read(first.finish(Compression::None, NUMBERED)), expected(0..151));
        assert_eq!(read(second.finish(Compression::None, NUMBERED)), expected(151..301));
    }
}
