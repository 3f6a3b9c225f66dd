//! The types of `jiff` whose values have a fixed meaning: `Timestamp`, `SignedDuration`, `civil::Date`, `Time`,
//! `DateTime`. `Zoned` and `TimeZone` depend on a database that changes, and a `Span` depends on a reference
//! date, so programs should store their parts.

use crate::{Buffer, Data, DecodeError, Decoder, Encoder, SchemaBuilder, Type};
use jiff::civil::{Date, DateTime, Time};
use jiff::{SignedDuration, Timestamp};

/// Implements `Data` by a tuple of the type's parts.
macro_rules! parts {
    ($($t:ident as $parts:ty, $value:ident => $to:expr, $from:expr;)*) => {$(
        impl Data for $t {
            const MIN_BYTES: usize = <$parts>::MIN_BYTES;

            #[inline]
            fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>) {
                let $value = self;
                $to.encode_into(out);
            }

            #[inline]
            fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                let $value = <$parts>::decode_from(input)?;
                $from
            }

            fn describe(schema: &mut SchemaBuilder) -> Type {
                Type::Logical(stringify!($t).to_owned(), Box::new(<$parts>::describe(schema)))
            }
        }
    )*};
}
parts! {
    Timestamp as (i64, i32),
        value => (value.as_second(), value.subsec_nanosecond()),
        Timestamp::new(value.0, value.1).map_err(refused);
    SignedDuration as (i64, i32),
        value => (value.as_secs(), value.subsec_nanos()),
        duration(value.0, value.1);
    Date as (i16, i8, i8),
        value => (value.year(), value.month(), value.day()),
        Date::new(value.0, value.1, value.2).map_err(refused);
    Time as (i8, i8, i8, i32),
        value => (value.hour(), value.minute(), value.second(), value.subsec_nanosecond()),
        Time::new(value.0, value.1, value.2, value.3).map_err(refused);
    DateTime as (Date, Time),
        value => (value.date(), value.time()),
        Ok(DateTime::from_parts(value.0, value.1));
}

/// A duration of these parts. Parts with different signs, or too large ones, are refused, because `jiff` would
/// normalise them or panic.
fn duration(seconds: i64, nanos: i32) -> Result<SignedDuration, DecodeError> {
    let agree = seconds == 0 || nanos == 0 || (seconds < 0) == (nanos < 0);
    if agree && nanos.unsigned_abs() < 1_000_000_000 {
        Ok(SignedDuration::new(seconds, nanos))
    } else {
        Err(DecodeError::refused("seconds and nanoseconds that are none of one duration"))
    }
}

fn refused(error: jiff::Error) -> DecodeError {
    DecodeError::refused(error.to_string())
}
