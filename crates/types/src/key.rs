//! Keys and their hash, which never changes.
//!
//! A key is *encoded* (fields in declared order, numbers fixed-width little-endian, enum variants by an explicit
//! tag, strings and byte strings length-prefixed, floats canonical) and the bytes are hashed by XXH3-64. The hash
//! determines the key group, and so where state is found after a restore. Therefore it must be the same in every
//! build, on every platform and in every release, which `std::hash` does not guarantee.

use crate::{Data, KeyHash};
use std::marker::PhantomData;
use std::sync::Arc;

pub use reflow_derive::Key;

/// The version of the encoding. Every savepoint has it, and a release with another encoding refuses the savepoint.
pub const ENCODING: u32 = 1;

/// A type by which a stream can be keyed. Derive it for structs and enums whose fields are keys.
///
/// ```
/// # extern crate reflow_types as reflow;
/// use reflow::Key;
/// #[derive(Clone, PartialEq, Eq, reflow::Data, Key)]
/// struct Seat { flight: String, row: u16 }
/// let a = Seat { flight: "UA1".into(), row: 7 };
/// assert_eq!(a.key_hash(), a.clone().key_hash());
/// ```
///
/// Implementors guarantee that equal keys have equal encodings and different keys different ones. `usize` and
/// `isize` are not keys, because their width depends on the machine.
///
/// A type of which only a part is the key implements the trait itself:
///
/// ```
/// # extern crate reflow_types as reflow;
/// use reflow::{Key, KeyWriter};
///
/// /// A word, whose case does not matter.
/// #[derive(Clone, reflow::Data)]
/// struct Word(String);
///
/// impl PartialEq for Word {
///     fn eq(&self, other: &Word) -> bool {
///         self.0.to_lowercase() == other.0.to_lowercase()
///     }
/// }
///
/// impl Eq for Word {}
///
/// impl Key for Word {
///     fn encode(&self, out: &mut KeyWriter) {
///         let word = self.0.to_lowercase();
///         out.write(&(word.len() as u64).to_le_bytes());
///         out.write(word.as_bytes());
///     }
/// }
///
/// assert_eq!(Word("Tea".to_owned()).key_hash(), Word("TEA".to_owned()).key_hash());
/// ```
#[diagnostic::on_unimplemented(
    message = "a stream cannot be keyed by `{Self}`, because it does not implement `Key`",
    label = "not a key",
    note = "keys are integers of a fixed width, `bool`, `char`, `String`, `Arc<str>`, `CanonicalF64`, and options, vectors, arrays, boxes and tuples of keys",
    note = "derive `Clone, PartialEq, Eq, reflow::Data, reflow::Key` for a type of your own",
    note = "use `u64` instead of `usize`, an owned `String` instead of `&str`, and `CanonicalF64` instead of a floating-point number"
)]
pub trait Key: Data + Clone + Eq {
    /// Appends the key's encoding.
    fn encode(&self, out: &mut KeyWriter);

    /// The hash of the encoding.
    #[inline]
    fn key_hash(&self) -> KeyHash {
        let mut out = KeyWriter::default();
        self.encode(&mut out);
        out.finish()
    }
}

/// Collects the encoding of one key: 64 bytes in place, more on the heap.
pub struct KeyWriter {
    inline: [u8; 64],
    len: usize,
    spilled: Vec<u8>,
}

impl Default for KeyWriter {
    fn default() -> Self {
        Self { inline: [0; 64], len: 0, spilled: Vec::new() }
    }
}

impl KeyWriter {
    /// Appends bytes as they are. For variable-length parts write the length first.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) {
        if self.spilled.is_empty() && self.len + bytes.len() <= self.inline.len() {
            self.inline[self.len..self.len + bytes.len()].copy_from_slice(bytes);
            self.len += bytes.len();
        } else {
            if self.spilled.is_empty() {
                self.spilled.extend_from_slice(&self.inline[..self.len]);
            }
            self.spilled.extend_from_slice(bytes);
        }
    }

    fn finish(&self) -> KeyHash {
        hash_bytes(if self.spilled.is_empty() { &self.inline[..self.len] } else { &self.spilled })
    }
}

/// XXH3-64 without a seed.
#[inline]
pub fn hash_bytes(bytes: &[u8]) -> KeyHash {
    KeyHash(xxhash_rust::xxh3::xxh3_64(bytes))
}

macro_rules! number_key {
    ($($t:ty),*) => {$(
        impl Key for $t {
            #[inline]
            fn encode(&self, out: &mut KeyWriter) {
                out.write(&self.to_le_bytes());
            }
            #[inline]
            fn key_hash(&self) -> KeyHash {
                hash_bytes(&self.to_le_bytes())
            }
        }
    )*};
}
number_key!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128);

impl Key for bool {
    fn encode(&self, out: &mut KeyWriter) {
        out.write(&[u8::from(*self)]);
    }
}

impl Key for char {
    fn encode(&self, out: &mut KeyWriter) {
        out.write(&u32::from(*self).to_le_bytes());
    }
}

impl Key for () {
    fn encode(&self, _: &mut KeyWriter) {}
}

/// A type without a value.
impl<T: ?Sized + Send + 'static> Key for PhantomData<T> {
    fn encode(&self, _: &mut KeyWriter) {}
}

macro_rules! text_key {
    ($($t:ty),*) => {$(
        impl Key for $t {
            fn encode(&self, out: &mut KeyWriter) {
                out.write(&(self.len() as u64).to_le_bytes());
                out.write(self.as_bytes());
            }
        }
    )*};
}
text_key!(String, Box<str>, Arc<str>);

#[cfg(feature = "uuid")]
impl Key for uuid::Uuid {
    fn encode(&self, out: &mut KeyWriter) {
        out.write(self.as_bytes());
    }
}

impl<T: Key> Key for Option<T> {
    fn encode(&self, out: &mut KeyWriter) {
        match self {
            None => out.write(&[0]),
            Some(value) => {
                out.write(&[1]);
                value.encode(out);
            }
        }
    }
}

impl<T: Key> Key for Vec<T> {
    fn encode(&self, out: &mut KeyWriter) {
        out.write(&(self.len() as u64).to_le_bytes());
        self.iter().for_each(|item| item.encode(out));
    }
}

/// As the elements one after another: the type has their number.
impl<T: Key, const N: usize> Key for [T; N] {
    fn encode(&self, out: &mut KeyWriter) {
        self.iter().for_each(|item| item.encode(out));
    }
}

impl<T: Key> Key for Box<T> {
    fn encode(&self, out: &mut KeyWriter) {
        (**self).encode(out);
    }
}

macro_rules! tuple_key {
    ($($name:ident . $index:tt),+) => {
        impl<$($name: Key),+> Key for ($($name,)+) {
            #[inline]
            fn encode(&self, out: &mut KeyWriter) {
                $(self.$index.encode(out);)+
            }
        }
    };
}
tuple_key!(A.0);
tuple_key!(A.0, B.1);
tuple_key!(A.0, B.1, C.2);
tuple_key!(A.0, B.1, C.2, D.3);
tuple_key!(A.0, B.1, C.2, D.3, E.4);
tuple_key!(A.0, B.1, C.2, D.3, E.4, F.5);
tuple_key!(A.0, B.1, C.2, D.3, E.4, F.5, G.6);
tuple_key!(A.0, B.1, C.2, D.3, E.4, F.5, G.6, H.7);
tuple_key!(A.0, B.1, C.2, D.3, E.4, F.5, G.6, H.7, I.8);
tuple_key!(A.0, B.1, C.2, D.3, E.4, F.5, G.6, H.7, I.8, J.9);
tuple_key!(A.0, B.1, C.2, D.3, E.4, F.5, G.6, H.7, I.8, J.9, K.10);
tuple_key!(A.0, B.1, C.2, D.3, E.4, F.5, G.6, H.7, I.8, J.9, K.10, L.11);

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, PartialEq, Eq, Data, Key)]
    enum Shape {
        Dot,
        Square(u32),
        Named { name: String, side: u16 },
    }

    fn encoded(key: &impl Key) -> Vec<u8> {
        let mut out = KeyWriter::default();
        key.encode(&mut out);
        if out.spilled.is_empty() { out.inline[..out.len].to_vec() } else { out.spilled }
    }

    #[test]
    fn encodings_are_as_documented() {
        assert_eq!(encoded(&7u32), [7, 0, 0, 0]);
        assert_eq!(encoded(&"ab".to_owned()), [2, 0, 0, 0, 0, 0, 0, 0, b'a', b'b']);
        let shared: Arc<str> = "ab".into();
        assert_eq!(encoded(&shared), encoded(&"ab".to_owned()));
        assert_eq!(encoded(&Some(1u8)), [1, 1]);
        assert_eq!(encoded(&[1u16, 2]), [1, 0, 2, 0]);
        assert_eq!(encoded(&Box::new(3u16)), [3, 0]);
        assert_eq!(encoded(&(1u8, 2u8, 3u8, 4u8, 5u8, true)), [1, 2, 3, 4, 5, 1]);
        assert_eq!(encoded(&Shape::Dot), [0, 0, 0, 0]);
        assert_eq!(encoded(&Shape::Square(3)), [1, 0, 0, 0, 3, 0, 0, 0]);
        let named = Shape::Named { name: "x".into(), side: 2 };
        assert_eq!(encoded(&named), [2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, b'x', 2, 0]);
    }

    #[test]
    fn long_keys_spill_and_hash_the_same_way() {
        for len in [0, 55, 56, 57, 64, 65, 1000] {
            let key = "k".repeat(len);
            assert_eq!(key.key_hash(), hash_bytes(&encoded(&key)));
            assert_eq!(encoded(&key).len(), len + 8);
        }
    }

    /// Pinned: a key's hash may never change between builds, platforms or releases.
    #[test]
    fn hashes_are_pinned() {
        assert_eq!(0u64.key_hash().0, 0xc77b_3abb_6f87_acd9);
        assert_eq!("hello".to_owned().key_hash(), hash_bytes(b"\x05\0\0\0\0\0\0\0hello"));
        assert_eq!(hash_bytes(b"").0, 0x2d06_8005_38d3_94c2);
    }
}
