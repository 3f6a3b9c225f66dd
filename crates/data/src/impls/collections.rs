//! Collections, which are encoded as a length and the elements.
//!
//! Hash maps and hash sets are written in their iteration order, which differs between processes, so equal ones
//! may have different bytes. Encoded values are never compared (keys have an encoding of their own), and sorting
//! would cost more than everything else.

use crate::data::{decode_element, encode_element};
use crate::{Buffer, Data, DecodeError, Decoder, Encoder, SchemaBuilder, Type};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, Hash};

impl<T: Data> Data for Vec<T> {
    const MIN_BYTES: usize = 1;

    #[inline]
    fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>) {
        out.length(self.len());
        out.nested(|out| T::encode_slice(self, out));
    }

    #[inline]
    fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let len = input.length(T::MIN_BYTES)?;
        input.nested(|input| T::decode_vec(len, input))
    }

    fn describe(schema: &mut SchemaBuilder) -> Type {
        T::describe_list(schema)
    }
}

impl<T: Data> Data for VecDeque<T> {
    const MIN_BYTES: usize = 1;

    fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>) {
        out.length(self.len());
        let (front, back) = self.as_slices();
        out.nested(|out| {
            T::encode_slice(front, out);
            T::encode_slice(back, out);
        });
    }

    fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Vec::decode_from(input).map(VecDeque::from)
    }

    fn describe(schema: &mut SchemaBuilder) -> Type {
        T::describe_list(schema)
    }
}

/// In the order of its array.
impl<T: Data + Ord> Data for BinaryHeap<T> {
    const MIN_BYTES: usize = 1;

    fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>) {
        out.length(self.len());
        out.nested(|out| T::encode_slice(self.as_slice(), out));
    }

    fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Vec::decode_from(input).map(BinaryHeap::from)
    }

    fn describe(schema: &mut SchemaBuilder) -> Type {
        T::describe_list(schema)
    }
}

impl<T: Data, const N: usize> Data for [T; N] {
    const MIN_BYTES: usize = N * T::MIN_BYTES;

    #[inline]
    fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>) {
        self.iter().for_each(|item| item.encode_into(out));
    }

    #[inline]
    fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let mut error = None;
        let items: [Option<T>; N] = std::array::from_fn(|index| {
            if error.is_some() {
                return None;
            }
            let item = T::decode_from(input).map_err(|error| error.in_element(index));
            item.inspect_err(|cause| error = Some(cause.clone())).ok()
        });
        match error {
            None => Ok(items.map(|item| item.expect("no element had an error"))),
            Some(error) => Err(error),
        }
    }

    fn describe(schema: &mut SchemaBuilder) -> Type {
        Type::Array(Box::new(T::describe(schema)), N as u64)
    }
}

macro_rules! set {
    ($name:ident<T $(, $hasher:ident)?>, $($bound:ident)+, $new:expr) => {
        impl<T: Data + $($bound +)+ $(, $hasher: BuildHasher + Default + Send + 'static)?> Data for $name<T $(, $hasher)?> {
            const MIN_BYTES: usize = 1;

            fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>) {
                out.length(self.len());
                out.nested(|out| self.iter().for_each(|item| encode_element(item, out)));
            }

            fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                let len = input.length(T::MIN_BYTES)?;
                let mut items: Self = $new(input.capacity::<T>(len));
                input.nested(|input| {
                    for index in 0..len {
                        items.insert(decode_element(index, input)?);
                    }
                    Ok(items)
                })
            }

            fn describe(schema: &mut SchemaBuilder) -> Type {
                T::describe_list(schema)
            }
        }
    };
}
set!(BTreeSet<T>, Ord, |_| BTreeSet::new());
set!(HashSet<T, S>, Hash Eq, |capacity| HashSet::with_capacity_and_hasher(capacity, S::default()));

macro_rules! map {
    ($name:ident<K, V $(, $hasher:ident)?>, $($bound:ident)+, $new:expr) => {
        impl<K: Data + $($bound +)+, V: Data $(, $hasher: BuildHasher + Default + Send + 'static)?> Data
            for $name<K, V $(, $hasher)?>
        {
            const MIN_BYTES: usize = 1;

            fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>) {
                out.length(self.len());
                out.nested(|out| {
                    for (key, value) in self {
                        key.encode_into(out);
                        value.encode_into(out);
                        if K::MIN_BYTES + V::MIN_BYTES == 0 {
                            out.bytes(&[0]); // as `encode_element` does
                        }
                    }
                });
            }

            fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                let len = input.length(K::MIN_BYTES + V::MIN_BYTES)?;
                let mut items: Self = $new(input.capacity::<(K, V)>(len));
                input.nested(|input| {
                    for index in 0..len {
                        let (key, value) = decode_element::<(K, V)>(index, input)?;
                        items.insert(key, value);
                    }
                    Ok(items)
                })
            }

            fn describe(schema: &mut SchemaBuilder) -> Type {
                let key = K::describe(schema);
                Type::Map(Box::new(key), Box::new(V::describe(schema)))
            }
        }
    };
}
map!(BTreeMap<K, V>, Ord, |_| BTreeMap::new());
map!(HashMap<K, V, S>, Hash Eq, |capacity| HashMap::with_capacity_and_hasher(capacity, S::default()));
