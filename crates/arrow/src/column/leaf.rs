//! The innermost parts of a column that is being written: numbers, texts, bytes and the names of variants.

use crate::error::Cause;
use crate::node::EnumNode;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{ArrayRef, DictionaryArray, PrimitiveArray, StringArray};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use reflow_data::{Data, DecodeError, Decoder, Number, Reason};
use std::sync::Arc;

/// The most bytes of a batch, so that 32 bits can count them.
const MAX_BYTES: usize = i32::MAX as usize;

/// What is encoded where Arrow has text.
#[derive(Clone, Copy)]
pub(super) enum TextOf {
    String,
    Char,
    Wide(Number),
    Json,
}

/// Values of different lengths, one behind the other.
pub(super) struct Ragged {
    ends: Vec<i32>,
    pub(super) bytes: Vec<u8>,
}

/// The variants of an enum, by position.
pub(super) struct Names {
    pub(super) of: EnumNode,
    pub(super) tags: Vec<i32>,
}

macro_rules! numbers {
    ($($number:ident $native:ident $arrow:ident;)*) => {
        pub(super) enum Numbers {
            $($number(Vec<$native>),)*
        }

        impl Numbers {
            pub(super) fn new(number: Number) -> Self {
                match number {
                    $(Number::$number => Numbers::$number(Vec::new()),)*
                    Number::U128 | Number::I128 => unreachable!("such numbers are texts"),
                }
            }

            #[inline]
            pub(super) fn push(&mut self, input: &mut Decoder<'_>) -> Result<usize, DecodeError> {
                match self {
                    $(Numbers::$number(values) => {
                        values.push($native::decode_from(input)?);
                        Ok(size_of::<$native>())
                    })*
                }
            }

            pub(super) fn push_nothing(&mut self) -> usize {
                match self {
                    $(Numbers::$number(values) => {
                        values.push(Default::default());
                        size_of::<$native>()
                    })*
                }
            }

            pub(super) fn truncate(&mut self, len: usize) {
                match self {
                    $(Numbers::$number(values) => values.truncate(len),)*
                }
            }

            pub(super) fn finish(&mut self, nulls: Option<NullBuffer>) -> Result<ArrayRef, arrow_schema::ArrowError> {
                Ok(match self {
                    $(Numbers::$number(values) => {
                        Arc::new(PrimitiveArray::<$arrow>::try_new(take(values), nulls)?)
                    })*
                })
            }
        }
    };
}
numbers! {
    U8 u8 UInt8Type;
    U16 u16 UInt16Type;
    U32 u32 UInt32Type;
    U64 u64 UInt64Type;
    I8 i8 Int8Type;
    I16 i16 Int16Type;
    I32 i32 Int32Type;
    I64 i64 Int64Type;
    F32 f32 Float32Type;
    F64 f64 Float64Type;
}

pub(super) fn take<T: arrow_buffer::ArrowNativeType>(values: &mut Vec<T>) -> ScalarBuffer<T> {
    std::mem::take(values).into()
}

pub(super) fn taken_offsets(offsets: &mut Vec<i32>) -> OffsetBuffer<i32> {
    OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(offsets, vec![0])))
}

impl Ragged {
    pub(super) fn new() -> Self {
        Self { ends: vec![0], bytes: Vec::new() }
    }

    /// Ends a value, whose bytes were appended. Returns their number and that of their offset.
    pub(super) fn end(&mut self) -> Result<usize, Cause> {
        let end = i32::try_from(self.bytes.len()).map_err(|_| Cause::TooLong)?;
        let len = end - self.ends.last().copied().unwrap_or_default();
        self.ends.push(end);
        Ok(len as usize + size_of::<i32>())
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.ends.truncate(len + 1);
        self.bytes.truncate(self.ends.last().copied().unwrap_or_default() as usize);
    }

    pub(super) fn take(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        (taken_offsets(&mut self.ends), Buffer::from_vec(std::mem::take(&mut self.bytes)))
    }
}

impl TextOf {
    /// Appends the text of the next value.
    pub(super) fn append(self, input: &mut Decoder<'_>, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        match self {
            TextOf::String => {
                let len = input.length(1)?;
                let text = std::str::from_utf8(input.take(len, "a text")?);
                out.extend_from_slice(text.map_err(|_| DecodeError::new(Reason::NotUtf8))?.as_bytes());
            }
            TextOf::Char => {
                out.extend_from_slice(char::decode_from(input)?.encode_utf8(&mut [0; 4]).as_bytes());
            }
            TextOf::Wide(Number::I128) => {
                out.extend_from_slice(i128::decode_from(input)?.to_string().as_bytes());
            }
            TextOf::Wide(_) => out.extend_from_slice(u128::decode_from(input)?.to_string().as_bytes()),
            TextOf::Json => {
                let value = serde_json::Value::decode_from(input)?;
                serde_json::to_writer(out, &value)
                    .map_err(|error| DecodeError::refused(error.to_string()))?;
            }
        }
        Ok(())
    }
}

impl Names {
    pub(super) fn new(of: &EnumNode) -> Self {
        Self { of: of.clone(), tags: Vec::new() }
    }

    pub(super) fn push(&mut self, input: &mut Decoder<'_>) -> Result<usize, DecodeError> {
        let tag = input.varint("an enum")?;
        if tag >= self.of.variants.len() as u64 {
            return Err(DecodeError::new(Reason::Variant { name: self.of.name.clone(), tag }));
        }
        self.tags.push(tag as i32);
        Ok(tag as usize)
    }

    pub(super) fn finish(&mut self, nulls: Option<NullBuffer>) -> Result<ArrayRef, arrow_schema::ArrowError> {
        let names = StringArray::from_iter_values(self.of.variants.iter());
        let tags = PrimitiveArray::<Int32Type>::try_new(take(&mut self.tags), nulls)?;
        Ok(Arc::new(DictionaryArray::try_new(tags, Arc::new(names))?))
    }
}

/// The bytes of memory that a batch takes.
pub(crate) struct Size(pub(crate) usize);

impl Size {
    #[inline]
    pub(super) fn add(&mut self, bytes: usize) -> Result<(), Cause> {
        self.0 += bytes;
        if self.0 > MAX_BYTES { Err(Cause::TooLong) } else { Ok(()) }
    }
}
