//! The output of encoding.
//!
//! Integers of more than 16 bits are *varints*: below 248 one byte; above, a byte 247 + n and n bytes, little-endian,
//! n from 1 to 8. The first byte tells the length, so that decoding needs one load and no loop. Signed ones are mapped
//! to unsigned ones before that (zigzag), so that small negative numbers are short, too.

use crate::{EncodeError, MAX_DEPTH};

/// The first byte of a varint that is longer than one byte, less their number.
pub(crate) const LONG: u8 = 247;

/// Takes encoded bytes, or only counts them.
pub trait Buffer {
    /// Appends bytes.
    fn put(&mut self, bytes: &[u8]);
    /// Appends the first `len` bytes of an array, at least one. An append of fixed length and a cut are faster than an
    /// append of variable length.
    fn put_prefix(&mut self, bytes: [u8; 9], len: usize);
}

impl Buffer for Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    #[inline]
    fn put_prefix(&mut self, bytes: [u8; 9], len: usize) {
        let end = self.len() + len;
        self.extend_from_slice(&bytes);
        self.truncate(end);
    }
}

/// Counts encoded bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Length(pub usize);

impl Buffer for Length {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    #[inline]
    fn put_prefix(&mut self, _: [u8; 9], len: usize) {
        self.0 += len;
    }
}

/// Encodes one value into a buffer. Calls cannot fail; the first error is kept and returned at the end.
pub struct Encoder<'a, B> {
    out: &'a mut B,
    depth: u32,
    error: Option<EncodeError>,
}

impl<'a, B: Buffer> Encoder<'a, B> {
    /// Appends to `out`.
    #[inline]
    pub fn new(out: &'a mut B) -> Self {
        Self { out, depth: 0, error: None }
    }

    /// The first error. After one, the buffer's content is of no use.
    #[inline]
    pub fn finish(self) -> Result<(), EncodeError> {
        match self.error {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }

    /// Appends bytes as they are.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.out.put(bytes);
    }

    /// Appends an unsigned number.
    #[inline]
    pub fn varint(&mut self, value: u64) {
        if value <= u64::from(LONG) {
            self.out.put(&[value as u8]);
        } else {
            let len = 8 - value.leading_zeros() as usize / 8;
            let mut bytes = [0; 9];
            bytes[0] = LONG + len as u8;
            bytes[1..].copy_from_slice(&value.to_le_bytes());
            self.out.put_prefix(bytes, len + 1);
        }
    }

    /// Appends a signed number.
    #[inline]
    pub fn signed(&mut self, value: i64) {
        self.varint(((value << 1) ^ (value >> 63)) as u64);
    }

    /// Appends the length of a collection.
    #[inline]
    pub fn length(&mut self, length: usize) {
        self.varint(length as u64);
    }

    /// Encodes the content of an indirection: a box, or the elements of a collection.
    #[inline]
    pub fn nested(&mut self, content: impl FnOnce(&mut Self)) {
        if self.depth == MAX_DEPTH {
            return self.fail(EncodeError::TooDeep);
        }
        self.depth += 1;
        content(self);
        self.depth -= 1;
    }

    /// Reports that the value cannot be encoded.
    #[cold]
    pub fn fail(&mut self, error: EncodeError) {
        self.error.get_or_insert(error);
    }
}
