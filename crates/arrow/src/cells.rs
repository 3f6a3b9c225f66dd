//! The columns that a field can be read from: each kind of value, in any of Arrow's layouts for it.

use crate::time;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowDictionaryKeyType, Date32Type, Date64Type, Decimal128Type, DurationMicrosecondType,
    DurationMillisecondType, DurationNanosecondType, DurationSecondType, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BinaryArray, BinaryViewArray, FixedSizeBinaryArray,
    LargeBinaryArray, LargeStringArray, PrimitiveArray, StringArray, StringViewArray,
};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, TimeUnit};

/// Integers.
pub(crate) enum Integers {
    U8(ScalarBuffer<u8>),
    U16(ScalarBuffer<u16>),
    U32(ScalarBuffer<u32>),
    U64(ScalarBuffer<u64>),
    I8(ScalarBuffer<i8>),
    I16(ScalarBuffer<i16>),
    I32(ScalarBuffer<i32>),
    I64(ScalarBuffer<i64>),
    /// Decimals without digits behind the point.
    I128(ScalarBuffer<i128>),
}

fn values<T: ArrowPrimitiveType>(array: &ArrayRef) -> ScalarBuffer<T::Native> {
    array.as_primitive::<T>().values().clone()
}

impl Integers {
    pub(crate) fn of(array: &ArrayRef) -> Option<Self> {
        Some(match array.data_type() {
            DataType::UInt8 => Integers::U8(values::<UInt8Type>(array)),
            DataType::UInt16 => Integers::U16(values::<UInt16Type>(array)),
            DataType::UInt32 => Integers::U32(values::<UInt32Type>(array)),
            DataType::UInt64 => Integers::U64(values::<UInt64Type>(array)),
            DataType::Int8 => Integers::I8(values::<Int8Type>(array)),
            DataType::Int16 => Integers::I16(values::<Int16Type>(array)),
            DataType::Int32 => Integers::I32(values::<Int32Type>(array)),
            DataType::Int64 => Integers::I64(values::<Int64Type>(array)),
            DataType::Decimal128(_, 0) => Integers::I128(values::<Decimal128Type>(array)),
            _ => return None,
        })
    }

    pub(crate) fn get(&self, row: usize) -> i128 {
        match self {
            Integers::U8(values) => values[row].into(),
            Integers::U16(values) => values[row].into(),
            Integers::U32(values) => values[row].into(),
            Integers::U64(values) => values[row].into(),
            Integers::I8(values) => values[row].into(),
            Integers::I16(values) => values[row].into(),
            Integers::I32(values) => values[row].into(),
            Integers::I64(values) => values[row].into(),
            Integers::I128(values) => values[row],
        }
    }
}

/// Floats. A column of `f64` has no values of `f32`, which would lose digits.
pub(crate) enum Floats {
    F32(ScalarBuffer<f32>),
    F64(ScalarBuffer<f64>),
}

impl Floats {
    pub(crate) fn of(array: &ArrayRef) -> Option<Self> {
        match array.data_type() {
            DataType::Float32 => Some(Floats::F32(values::<Float32Type>(array))),
            DataType::Float64 => Some(Floats::F64(values::<Float64Type>(array))),
            _ => None,
        }
    }
}

/// Texts.
pub(crate) enum Texts {
    Short(StringArray),
    Long(LargeStringArray),
    View(StringViewArray),
    /// Positions in other texts.
    Dictionary(Integers, Box<Texts>),
}

impl Texts {
    pub(crate) fn of(array: &ArrayRef) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Utf8 => Texts::Short(array.as_string::<i32>().clone()),
            DataType::LargeUtf8 => Texts::Long(array.as_string::<i64>().clone()),
            DataType::Utf8View => Texts::View(array.as_string_view().clone()),
            DataType::Dictionary(key, _) => match **key {
                DataType::UInt8 => dictionary::<UInt8Type>(array)?,
                DataType::UInt16 => dictionary::<UInt16Type>(array)?,
                DataType::UInt32 => dictionary::<UInt32Type>(array)?,
                DataType::UInt64 => dictionary::<UInt64Type>(array)?,
                DataType::Int8 => dictionary::<Int8Type>(array)?,
                DataType::Int16 => dictionary::<Int16Type>(array)?,
                DataType::Int32 => dictionary::<Int32Type>(array)?,
                DataType::Int64 => dictionary::<Int64Type>(array)?,
                _ => return None,
            },
            _ => return None,
        })
    }

    pub(crate) fn get(&self, row: usize) -> &str {
        match self {
            Texts::Short(texts) => texts.value(row),
            Texts::Long(texts) => texts.value(row),
            Texts::View(texts) => texts.value(row),
            Texts::Dictionary(keys, texts) => texts.get(keys.get(row) as usize),
        }
    }
}

fn dictionary<K: ArrowDictionaryKeyType>(array: &ArrayRef) -> Option<Texts> {
    let array = array.as_dictionary::<K>();
    let keys: ArrayRef = std::sync::Arc::new(array.keys().clone());
    Some(Texts::Dictionary(Integers::of(&keys)?, Box::new(Texts::of(array.values())?)))
}

/// Bytes.
pub(crate) enum Bytes {
    Short(BinaryArray),
    Long(LargeBinaryArray),
    View(BinaryViewArray),
    Fixed(FixedSizeBinaryArray),
}

impl Bytes {
    pub(crate) fn of(array: &ArrayRef) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Binary => Bytes::Short(array.as_binary::<i32>().clone()),
            DataType::LargeBinary => Bytes::Long(array.as_binary::<i64>().clone()),
            DataType::BinaryView => Bytes::View(array.as_binary_view().clone()),
            DataType::FixedSizeBinary(_) => Bytes::Fixed(array.as_fixed_size_binary().clone()),
            _ => return None,
        })
    }

    pub(crate) fn get(&self, row: usize) -> &[u8] {
        match self {
            Bytes::Short(bytes) => bytes.value(row),
            Bytes::Long(bytes) => bytes.value(row),
            Bytes::View(bytes) => bytes.value(row),
            Bytes::Fixed(bytes) => bytes.value(row),
        }
    }
}

/// The ranges of lists and maps in their items.
pub(crate) enum Ranges {
    Short(OffsetBuffer<i32>),
    Long(OffsetBuffer<i64>),
    Fixed(usize),
}

impl Ranges {
    /// The ranges and the items.
    pub(crate) fn of(array: &ArrayRef) -> Option<(Self, ArrayRef)> {
        Some(match array.data_type() {
            DataType::List(_) => {
                let lists = array.as_list::<i32>();
                (Ranges::Short(lists.offsets().clone()), lists.values().clone())
            }
            DataType::LargeList(_) => {
                let lists = array.as_list::<i64>();
                (Ranges::Long(lists.offsets().clone()), lists.values().clone())
            }
            DataType::Map(..) => {
                let maps = array.as_map();
                (Ranges::Short(maps.offsets().clone()), std::sync::Arc::new(maps.entries().clone()))
            }
            DataType::FixedSizeList(_, len) => {
                (Ranges::Fixed(*len as usize), array.as_fixed_size_list().values().clone())
            }
            _ => return None,
        })
    }

    pub(crate) fn get(&self, row: usize) -> std::ops::Range<usize> {
        match self {
            Ranges::Short(offsets) => offsets[row] as usize..offsets[row + 1] as usize,
            Ranges::Long(offsets) => offsets[row] as usize..offsets[row + 1] as usize,
            Ranges::Fixed(len) => row * len..(row + 1) * len,
        }
    }
}

/// Times and durations.
pub(crate) struct Clocks {
    counts: Integers,
    nanos_per_count: i128,
}

impl Clocks {
    /// The clocks of an array that has the same kind as `like`: both are instants, or both durations, and so on.
    pub(crate) fn of(array: &ArrayRef, like: &DataType) -> Option<Self> {
        let has_same_kind = match (array.data_type(), like) {
            (DataType::Timestamp(_, zone), DataType::Timestamp(_, like)) => zone.is_some() == like.is_some(),
            (DataType::Time32(_) | DataType::Time64(_), DataType::Time64(_)) => true,
            (DataType::Duration(_), DataType::Duration(_)) => true,
            _ => false,
        };
        if !has_same_kind {
            return None;
        }
        let (counts, unit) = match array.data_type() {
            DataType::Timestamp(unit, _) => (
                Integers::I64(match unit {
                    TimeUnit::Second => values::<TimestampSecondType>(array),
                    TimeUnit::Millisecond => values::<TimestampMillisecondType>(array),
                    TimeUnit::Microsecond => values::<TimestampMicrosecondType>(array),
                    TimeUnit::Nanosecond => values::<TimestampNanosecondType>(array),
                }),
                unit,
            ),
            DataType::Duration(unit) => (
                Integers::I64(match unit {
                    TimeUnit::Second => values::<DurationSecondType>(array),
                    TimeUnit::Millisecond => values::<DurationMillisecondType>(array),
                    TimeUnit::Microsecond => values::<DurationMicrosecondType>(array),
                    TimeUnit::Nanosecond => values::<DurationNanosecondType>(array),
                }),
                unit,
            ),
            DataType::Time32(unit @ TimeUnit::Second) => {
                (Integers::I32(values::<Time32SecondType>(array)), unit)
            }
            DataType::Time32(unit) => (Integers::I32(values::<Time32MillisecondType>(array)), unit),
            DataType::Time64(unit @ TimeUnit::Microsecond) => {
                (Integers::I64(values::<Time64MicrosecondType>(array)), unit)
            }
            DataType::Time64(unit) => (Integers::I64(values::<Time64NanosecondType>(array)), unit),
            _ => return None,
        };
        Some(Self { counts, nanos_per_count: time::nanos_per(*unit) })
    }

    pub(crate) fn nanos(&self, row: usize) -> i128 {
        self.counts.get(row) * self.nanos_per_count
    }
}

/// Days since 1970.
pub(crate) enum Dates {
    Days(ScalarBuffer<i32>),
    Milliseconds(ScalarBuffer<i64>),
}

impl Dates {
    pub(crate) fn of(array: &ArrayRef) -> Option<Self> {
        match array.data_type() {
            DataType::Date32 => Some(Dates::Days(values::<Date32Type>(array))),
            DataType::Date64 => Some(Dates::Milliseconds(values::<Date64Type>(array))),
            _ => None,
        }
    }

    pub(crate) fn days(&self, row: usize) -> i64 {
        match self {
            Dates::Days(days) => days[row].into(),
            Dates::Milliseconds(counts) => counts[row].div_euclid(86_400_000),
        }
    }
}

/// Decimals of one scale.
pub(crate) struct Decimals {
    pub(crate) mantissas: ScalarBuffer<i128>,
    pub(crate) scale: i8,
}

impl Decimals {
    pub(crate) fn of(array: &ArrayRef) -> Option<Self> {
        let DataType::Decimal128(_, scale) = array.data_type() else { return None };
        let mantissas = PrimitiveArray::<Decimal128Type>::values(array.as_primitive()).clone();
        Some(Self { mantissas, scale: *scale })
    }
}
