//! Numbers, `bool`, `char`.

use crate::schema::Number;
use crate::{Buffer, Data, DecodeError, Decoder, Encoder, Reason, SchemaBuilder, Type};

/// Lists of bytes are copied as a whole.
impl Data for u8 {
    const MIN_BYTES: usize = 1;

    #[inline]
    fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>) {
        out.bytes(&[*self]);
    }

    #[inline]
    fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(input.array::<1>("u8")?[0])
    }

    fn describe(_: &mut SchemaBuilder) -> Type {
        Type::Number(Number::U8)
    }

    #[inline]
    fn encode_slice<B: Buffer>(items: &[u8], out: &mut Encoder<'_, B>) {
        out.bytes(items);
    }

    #[inline]
    fn decode_vec(len: usize, input: &mut Decoder<'_>) -> Result<Vec<u8>, DecodeError> {
        Ok(input.take(len, "bytes")?.to_vec())
    }

    fn describe_list(_: &mut SchemaBuilder) -> Type {
        Type::Bytes
    }
}

macro_rules! fixed {
    ($($t:ident $number:ident),*) => {$(
        impl Data for $t {
            const MIN_BYTES: usize = size_of::<$t>();

            #[inline]
            fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>) {
                out.bytes(&self.to_le_bytes());
            }

            #[inline]
            fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                Ok($t::from_le_bytes(input.array(stringify!($t))?))
            }

            fn describe(_: &mut SchemaBuilder) -> Type {
                Type::Number(Number::$number)
            }
        }
    )*};
}
fixed!(i8 I8, u16 U16, i16 I16, u128 U128, i128 I128, f32 F32, f64 F64);

macro_rules! varint {
    ($($t:ident $encode:ident as $wide:ident, $number:ident;)*) => {$(
        impl Data for $t {
            const MIN_BYTES: usize = 1;

            #[inline]
            fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>) {
                out.$encode(*self as $wide);
            }

            #[inline]
            fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                let value = input.$encode(stringify!($t))?;
                $t::try_from(value).map_err(|_| out_of_range(stringify!($t), value.into()))
            }

            fn describe(_: &mut SchemaBuilder) -> Type {
                Type::Number(Number::$number)
            }
        }
    )*};
}
// The range of `usize` is that of the reading machine, but the schema describes the written number.
varint! {
    u32 varint as u64, U32;
    u64 varint as u64, U64;
    usize varint as u64, U64;
    i32 signed as i64, I32;
    i64 signed as i64, I64;
    isize signed as i64, I64;
}

#[cold]
fn out_of_range(expected: &'static str, value: i128) -> DecodeError {
    DecodeError::new(Reason::OutOfRange { expected, value })
}

impl Data for bool {
    const MIN_BYTES: usize = 1;

    #[inline]
    fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>) {
        out.bytes(&[u8::from(*self)]);
    }

    #[inline]
    fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        match input.array::<1>("bool")?[0] {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(out_of_range("bool", other.into())),
        }
    }

    fn describe(_: &mut SchemaBuilder) -> Type {
        Type::Bool
    }
}

impl Data for char {
    const MIN_BYTES: usize = 1;

    #[inline]
    fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>) {
        out.varint(u64::from(u32::from(*self)));
    }

    #[inline]
    fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let value = input.varint("char")?;
        let scalar = u32::try_from(value).ok().and_then(char::from_u32);
        scalar.ok_or_else(|| out_of_range("char", value.into()))
    }

    fn describe(_: &mut SchemaBuilder) -> Type {
        Type::Char
    }
}
