//! An estimate of the encoded length of records, for the credit in bytes.
//!
//! Within a process nothing is encoded, so the length of a record is not known: a `String` is 24 bytes with a
//! pointer. Its encoded length is a good measure and needs no method on users' types, but computing it for every
//! record would cost more than passing the record on. Therefore:
//!
//! - A type that owns no memory (`needs_drop` is false) counts with its size.
//! - Of other types, one record in 16 is measured as long as records are short; the others count like the last
//!   measured one. Long records are measured each, because that costs little beside them.

use reflow_types::Data;
use std::marker::PhantomData;

/// The number of records that count like the last measured one.
const SAMPLED: u32 = 15;
/// The encoded length from which a record is long.
const LONG: u64 = 1024;

/// The estimated length of the records of one edge.
pub(crate) struct RecordSize<T> {
    bytes: u64,
    until_next: u32,
    of: PhantomData<fn(&T)>,
}

impl<T> Default for RecordSize<T> {
    fn default() -> Self {
        Self { bytes: size_of::<T>() as u64, until_next: 0, of: PhantomData }
    }
}

impl<T: Data> RecordSize<T> {
    /// The estimated length of this record.
    #[inline]
    pub(crate) fn of(&mut self, value: &T) -> u64 {
        if std::mem::needs_drop::<T>() {
            match self.until_next.checked_sub(1) {
                Some(left) => self.until_next = left,
                None => self.look(value),
            }
        }
        self.bytes
    }

    /// The estimated length of the last record.
    pub(crate) fn last(&self) -> u64 {
        self.bytes.max(1)
    }

    #[inline(never)]
    fn look(&mut self, value: &T) {
        let bytes = reflow_types::data::encoded_len(value) as u64;
        // A record occupies at least its own size in a batch.
        self.bytes = bytes.max(size_of::<T>() as u64);
        self.until_next = if bytes >= LONG { 0 } else { SAMPLED };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_records_are_noticed_and_short_ones_cost_little() {
        let mut plain = RecordSize::<(u64, u32)>::default();
        assert_eq!(plain.of(&(1, 2)), 16);
        let mut size = RecordSize::<String>::default();
        assert_eq!(size.of(&"x".repeat(100)), 101);
        let long = "x".repeat(5_000);
        let seen = (0..16).map(|_| size.of(&long)).filter(|bytes| *bytes > 5_000).count();
        assert_eq!(seen, 1, "found at the next look");
        assert_eq!(size.of(&"x".repeat(9_000)), 9_003, "from then on each is looked at");
        assert_eq!(size.of(&String::new()), 24);
    }
}
