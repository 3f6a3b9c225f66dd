//! Pointers, which are encoded as the value that they point to. A value to which several pointers refer is
//! written for each of them.

use crate::{Buffer, Data, DecodeError, Decoder, Encoder, SchemaBuilder, Type};
use std::sync::Arc;

macro_rules! pointer {
    ($name:ident $(+ $bound:ident)?) => {
        impl<T: Data $(+ $bound)?> Data for $name<T> {
            const MIN_BYTES: usize = T::MIN_BYTES;

            #[inline]
            fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>) {
                out.nested(|out| (**self).encode_into(out));
            }

            #[inline]
            fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                input.nested(T::decode_from).map($name::new)
            }

            fn describe(schema: &mut SchemaBuilder) -> Type {
                T::describe(schema)
            }
        }
    };
}
pointer!(Box);
pointer!(Arc + Sync);

macro_rules! slice {
    ($name:ident $(+ $bound:ident)?) => {
        impl<T: Data $(+ $bound)?> Data for $name<[T]> {
            const MIN_BYTES: usize = 1;

            #[inline]
            fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>) {
                out.length(self.len());
                out.nested(|out| T::encode_slice(self, out));
            }

            #[inline]
            fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                Vec::<T>::decode_from(input).map(Into::into)
            }

            fn describe(schema: &mut SchemaBuilder) -> Type {
                T::describe_list(schema)
            }
        }
    };
}
slice!(Box);
slice!(Arc + Sync);
