//! Decimals: of a scale of their own in `rust_decimal`, of one scale for all in a column.

use crate::error::Cause;
use reflow_data::{Data, DecodeError, Decoder, Encoder};

/// The digits of a decimal in Arrow, the most that 128 bits hold.
pub(crate) const PRECISION: u8 = 38;
/// The largest scale and mantissa of `rust_decimal`.
const MAX_SCALE: u32 = 28;
const MAX_MANTISSA: u128 = (1 << 96) - 1;

/// Takes a decimal, as its mantissa and scale.
pub(crate) fn take(input: &mut Decoder<'_>) -> Result<(i128, u32), DecodeError> {
    let (mantissa, scale) = <(i128, u32)>::decode_from(input)?;
    if scale > MAX_SCALE || mantissa.unsigned_abs() > MAX_MANTISSA {
        return Err(DecodeError::refused(format!(
            "{mantissa} with {scale} digits behind the point is no decimal"
        )));
    }
    Ok((mantissa, scale))
}

/// The same decimal with another scale, of at most 38 digits.
pub(crate) fn rescaled((mantissa, scale): (i128, u32), to: u8) -> Result<i128, Cause> {
    let refused = || Cause::Decimal { value: text(mantissa, scale), scale: to };
    let same = if scale <= u32::from(to) {
        mantissa.checked_mul(10i128.pow(u32::from(to) - scale))
    } else {
        let dropped = 10i128.pow(scale - u32::from(to));
        (mantissa % dropped == 0).then_some(mantissa / dropped)
    };
    same.filter(|same| same.unsigned_abs() < 10u128.pow(PRECISION.into())).ok_or_else(refused)
}

/// Appends the decimal with the smallest scale. `None` if no `rust_decimal` has its digits.
pub(crate) fn put(mut mantissa: i128, scale: i8, out: &mut Encoder<'_, Vec<u8>>) -> Option<()> {
    let mut scale = i32::from(scale);
    while scale < 0 {
        (mantissa, scale) = (mantissa.checked_mul(10)?, scale + 1);
    }
    while scale > 0 && mantissa % 10 == 0 {
        (mantissa, scale) = (mantissa / 10, scale - 1);
    }
    let scale = scale as u32;
    if scale > MAX_SCALE || mantissa.unsigned_abs() > MAX_MANTISSA {
        return None;
    }
    (mantissa, scale).encode_into(out);
    Some(())
}

fn text(mantissa: i128, scale: u32) -> String {
    let digits = format!("{:0>width$}", mantissa.unsigned_abs(), width = scale as usize + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale as usize);
    let sign = if mantissa < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}
