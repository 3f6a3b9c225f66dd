//! `uuid::Uuid`, as its 16 bytes.

use crate::{Buffer, Data, DecodeError, Decoder, Encoder, SchemaBuilder, Type};
use uuid::Uuid;

impl Data for Uuid {
    const MIN_BYTES: usize = 16;

    #[inline]
    fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>) {
        out.bytes(self.as_bytes());
    }

    #[inline]
    fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        input.array("a UUID").map(Uuid::from_bytes)
    }

    fn describe(schema: &mut SchemaBuilder) -> Type {
        Type::Logical("Uuid".to_owned(), Box::new(<[u8; 16]>::describe(schema)))
    }
}
