//! `bytes::Bytes`.

use crate::{Buffer, Data, DecodeError, Decoder, Encoder, SchemaBuilder, Type};
use bytes::Bytes;

impl Data for Bytes {
    const MIN_BYTES: usize = 1;

    #[inline]
    fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>) {
        out.length(self.len());
        out.bytes(self);
    }

    #[inline]
    fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let len = input.length(1)?;
        Ok(Bytes::copy_from_slice(input.take(len, "bytes")?))
    }

    fn describe(_: &mut SchemaBuilder) -> Type {
        Type::Bytes
    }
}
