//! The input of decoding, which is not trusted.
//!
//! No input makes it panic, recurse without bound, or allocate much more memory than the input has bytes.

use crate::encoder::LONG;
use crate::{DecodeError, MAX_DEPTH, Reason};

/// Decodes values from the front of a slice.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
    depth: u32,
}

impl<'a> Decoder<'a> {
    /// Begins at the front of `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, depth: 0 }
    }

    /// The bytes that have not been taken yet.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes `len` bytes; `expected` names them in errors.
    #[inline]
    pub fn take(&mut self, len: usize, expected: &'static str) -> Result<&'a [u8], DecodeError> {
        match self.rest.split_at_checked(len) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(truncated(expected)),
        }
    }

    /// Takes an array.
    #[inline]
    pub fn array<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], DecodeError> {
        match self.rest.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(truncated(expected)),
        }
    }

    /// Takes an unsigned number.
    #[inline]
    pub fn varint(&mut self, expected: &'static str) -> Result<u64, DecodeError> {
        let Some((&first, rest)) = self.rest.split_first() else { return Err(truncated(expected)) };
        self.rest = rest;
        if first <= LONG {
            return Ok(u64::from(first));
        }
        let len = usize::from(first - LONG);
        if let Some(bytes) = rest.first_chunk::<8>() {
            self.rest = &rest[len..];
            return Ok(u64::from_le_bytes(*bytes) & (u64::MAX >> (64 - 8 * len)));
        }
        self.last_varint(len, expected)
    }

    /// A varint within the last eight bytes.
    #[inline(never)]
    fn last_varint(&mut self, len: usize, expected: &'static str) -> Result<u64, DecodeError> {
        let taken = self.take(len, expected)?;
        let mut bytes = [0; 8];
        bytes[..len].copy_from_slice(taken);
        Ok(u64::from_le_bytes(bytes))
    }

    /// Takes a signed number.
    #[inline]
    pub fn signed(&mut self, expected: &'static str) -> Result<i64, DecodeError> {
        let value = self.varint(expected)?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Takes the length of a collection whose elements have at least `min_bytes` bytes each. The elements can fit
    /// into the remaining bytes.
    #[inline]
    pub fn length(&mut self, min_bytes: usize) -> Result<usize, DecodeError> {
        let length = self.varint("a length")?;
        let left = self.rest.len();
        match usize::try_from(length) {
            Ok(length) if length <= left / min_bytes.max(1) => Ok(length),
            _ => Err(DecodeError::new(Reason::Length { length, left })),
        }
    }

    /// The capacity for `length` announced elements of `T`, limited so that it takes no more memory than there is
    /// input.
    #[inline]
    pub fn capacity<T>(&self, length: usize) -> usize {
        length.min(self.rest.len() / size_of::<T>().max(1))
    }

    /// Decodes the content of an indirection: a box, or the elements of a collection.
    #[inline]
    pub fn nested<T>(
        &mut self,
        content: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        if self.depth == MAX_DEPTH {
            return Err(DecodeError::new(Reason::TooDeep));
        }
        self.depth += 1;
        let content = content(self);
        self.depth -= 1;
        content
    }

    /// Checks that no bytes are left.
    #[inline]
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            bytes => Err(DecodeError::new(Reason::Excess { bytes })),
        }
    }
}

#[cold]
fn truncated(expected: &'static str) -> DecodeError {
    DecodeError::new(Reason::Truncated { expected })
}
