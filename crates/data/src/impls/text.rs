//! Texts, which are encoded as a length in bytes and UTF-8.

use crate::{Buffer, Data, DecodeError, Decoder, Encoder, Reason, SchemaBuilder, Type};
use std::borrow::Cow;
use std::sync::Arc;

/// Takes a text.
#[inline]
pub(crate) fn decode_str<'a>(input: &mut Decoder<'a>) -> Result<&'a str, DecodeError> {
    let len = input.length(1)?;
    std::str::from_utf8(input.take(len, "a text")?).map_err(|_| DecodeError::new(Reason::NotUtf8))
}

macro_rules! text {
    ($($t:ty),*) => {$(
        impl Data for $t {
            const MIN_BYTES: usize = 1;

            #[inline]
            fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>) {
                out.length(self.len());
                out.bytes(self.as_bytes());
            }

            #[inline]
            fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                decode_str(input).map(|text| text.to_owned().into())
            }

            fn describe(_: &mut SchemaBuilder) -> Type {
                Type::String
            }
        }
    )*};
}
text!(String, Box<str>, Cow<'static, str>);

impl Data for Arc<str> {
    const MIN_BYTES: usize = 1;

    #[inline]
    fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>) {
        out.length(self.len());
        out.bytes(self.as_bytes());
    }

    #[inline]
    fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        decode_str(input).map(Arc::from)
    }

    fn describe(_: &mut SchemaBuilder) -> Type {
        Type::String
    }
}
