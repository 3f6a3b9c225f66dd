//! `rust_decimal::Decimal`, as its mantissa and scale. A negative zero becomes zero, to which it is equal.

use crate::{Buffer, Data, DecodeError, Decoder, Encoder, SchemaBuilder, Shape, Type};
use rust_decimal::Decimal;

impl Data for Decimal {
    const MIN_BYTES: usize = 17;

    #[inline]
    fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>) {
        self.mantissa().encode_into(out);
        self.scale().encode_into(out);
    }

    #[inline]
    fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let mantissa = i128::decode_from(input)?;
        let decimal = Decimal::try_from_i128_with_scale(mantissa, u32::decode_from(input)?);
        decimal.map_err(|error| DecodeError::refused(error.to_string()))
    }

    fn describe(schema: &mut SchemaBuilder) -> Type {
        let named = schema.named::<Self>("Decimal", &[], |schema| {
            Shape::Struct(vec![schema.field::<i128>("mantissa", None), schema.field::<u32>("scale", None)])
        });
        Type::Logical("Decimal".to_owned(), Box::new(named))
    }
}
