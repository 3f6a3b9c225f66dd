//! `()`, `PhantomData`, `Option`, `Result`, `Duration`, `Reverse`.

use crate::data::{decode_field, no_variant};
use crate::{Buffer, Data, DecodeError, Decoder, Encoder, SchemaBuilder, Shape, Type, Variant};
use std::cmp::Reverse;
use std::marker::PhantomData;
use std::time::Duration;

impl Data for () {
    const MIN_BYTES: usize = 0;

    #[inline]
    fn encode_into<B: Buffer>(&self, _: &mut Encoder<'_, B>) {}

    #[inline]
    fn decode_from(_: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(())
    }

    fn describe(_: &mut SchemaBuilder) -> Type {
        Type::Unit
    }
}

/// A type without a value, so it has no bytes.
impl<T: ?Sized + Send + 'static> Data for PhantomData<T> {
    const MIN_BYTES: usize = 0;

    #[inline]
    fn encode_into<B: Buffer>(&self, _: &mut Encoder<'_, B>) {}

    #[inline]
    fn decode_from(_: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(PhantomData)
    }

    fn describe(_: &mut SchemaBuilder) -> Type {
        Type::Unit
    }
}

impl<T: Data> Data for Option<T> {
    const MIN_BYTES: usize = 1;

    #[inline]
    fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>) {
        match self {
            None => out.bytes(&[0]),
            Some(value) => {
                out.bytes(&[1]);
                value.encode_into(out);
            }
        }
    }

    #[inline]
    fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        match input.array::<1>("an option")?[0] {
            0 => Ok(None),
            1 => T::decode_from(input).map(Some),
            tag => Err(no_variant("Option", tag.into())),
        }
    }

    fn describe(schema: &mut SchemaBuilder) -> Type {
        Type::Option(Box::new(T::describe(schema)))
    }
}

impl<T: Data, E: Data> Data for Result<T, E> {
    const MIN_BYTES: usize = 1;

    #[inline]
    fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>) {
        match self {
            Ok(value) => {
                out.varint(0);
                value.encode_into(out);
            }
            Err(error) => {
                out.varint(1);
                error.encode_into(out);
            }
        }
    }

    #[inline]
    fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        match input.varint("Result")? {
            0 => decode_field("Ok", input).map(Ok),
            1 => decode_field("Err", input).map(Err),
            tag => Err(no_variant("Result", tag)),
        }
    }

    fn describe(schema: &mut SchemaBuilder) -> Type {
        schema.named::<Self>("Result", &[], |schema| {
            let ok = Variant::new("Ok", vec![schema.field::<T>("0", None)], &[]);
            Shape::Enum(vec![ok, Variant::new("Err", vec![schema.field::<E>("0", None)], &[])])
        })
    }
}

impl Data for Duration {
    const MIN_BYTES: usize = 2;

    #[inline]
    fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>) {
        out.varint(self.as_secs());
        out.varint(self.subsec_nanos().into());
    }

    #[inline]
    fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let seconds = input.varint("seconds")?;
        match u32::try_from(input.varint("nanoseconds")?) {
            Ok(nanos) if nanos < 1_000_000_000 => Ok(Duration::new(seconds, nanos)),
            _ => Err(DecodeError::refused("a second has fewer nanoseconds")),
        }
    }

    fn describe(schema: &mut SchemaBuilder) -> Type {
        schema.named::<Self>("Duration", &[], |schema| {
            Shape::Struct(vec![
                schema.field::<u64>("seconds", None),
                schema.field::<u32>("nanoseconds", None),
            ])
        })
    }
}

/// Encoded as its content, because only its order differs.
impl<T: Data> Data for Reverse<T> {
    const MIN_BYTES: usize = T::MIN_BYTES;

    #[inline]
    fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>) {
        self.0.encode_into(out);
    }

    #[inline]
    fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        T::decode_from(input).map(Reverse)
    }

    fn describe(schema: &mut SchemaBuilder) -> Type {
        T::describe(schema)
    }
}
