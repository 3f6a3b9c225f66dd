//! A column that is being written: takes one value after the other from their encoding.
//!
//! A column of a struct, a list or an enum has columns of its own. Slots of values that are not there are filled, because
//! Arrow's columns of a struct have the same length.

mod leaf;

use crate::error::Cause;
use crate::node::{FieldNode, Node, Padding};
use crate::time::{self, Clock};
use crate::{ArrowError, MappingOptions, decimal};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DurationMicrosecondArray,
    DurationNanosecondArray, FixedSizeBinaryArray, FixedSizeListArray, ListArray, MapArray, StringArray,
    StructArray, Time64MicrosecondArray, Time64NanosecondArray, TimestampMicrosecondArray,
    TimestampNanosecondArray,
};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer, NullBufferBuilder, ScalarBuffer};
use arrow_schema::DataType;
pub(crate) use leaf::Size;
use leaf::{Names, Numbers, Ragged, TextOf, take, taken_offsets};
use reflow_data::{Data, Decoder};
use std::sync::Arc;

/// A column that is being written.
pub(crate) struct Column {
    data_type: DataType,
    presence: Presence,
    values: Values,
}

/// When a value is there.
enum Presence {
    Always,
    /// If the byte in front of it is 1.
    Option(NullBufferBuilder),
    /// If the enum has this variant.
    Variant(NullBufferBuilder),
}

enum Values {
    Units(usize),
    Bools(BooleanBufferBuilder),
    Numbers(Numbers),
    Texts(TextOf, Ragged),
    Bytes(Ragged),
    FixedBytes(Vec<u8>, usize),
    Clocks(Clock, Vec<i64>),
    Dates(Vec<i32>),
    Decimals(Vec<i128>),
    List {
        offsets: Vec<i32>,
        item: Box<Column>,
        padding: Padding,
    },
    /// Arrays that are lists in Arrow.
    LongArray {
        offsets: Vec<i32>,
        item: Box<Column>,
        len: usize,
    },
    Array {
        count: usize,
        item: Box<Column>,
        len: usize,
    },
    Struct {
        count: usize,
        fields: Vec<(String, Column)>,
    },
    Names(Names),
    Variants {
        names: Names,
        contents: Vec<Option<Column>>,
    },
}

impl Column {
    pub(crate) fn new(node: &Node, options: MappingOptions) -> Self {
        match node {
            Node::Option(of) => {
                let presence = Presence::Option(NullBufferBuilder::new(0));
                Self { presence, ..Self::new(of, options) }
            }
            node => {
                let values = Values::new(node, options);
                Self { data_type: node.data_type(options), presence: Presence::Always, values }
            }
        }
    }

    /// The content of a variant.
    fn of_variant(node: &Node, options: MappingOptions) -> Self {
        let column = Self::new(node, options);
        match column.presence {
            Presence::Always => Self { presence: Presence::Variant(NullBufferBuilder::new(0)), ..column },
            _ => column,
        }
    }

    /// Takes the next value.
    #[inline]
    pub(crate) fn push(
        &mut self,
        input: &mut Decoder<'_>,
        size: &mut Size,
        options: MappingOptions,
    ) -> Result<(), ArrowError> {
        match &mut self.presence {
            Presence::Always => {}
            Presence::Option(nulls) => match Option::<()>::decode_from(input)? {
                Some(()) => nulls.append_non_null(),
                None => {
                    nulls.append_null();
                    return Ok(self.values.push_nothing(size)?);
                }
            },
            Presence::Variant(nulls) => nulls.append_non_null(),
        }
        self.values.push(input, size, options)
    }

    /// Fills the slot of a value that is not there.
    fn push_nothing(&mut self, size: &mut Size) -> Result<(), Cause> {
        match &mut self.presence {
            Presence::Always => {}
            Presence::Option(nulls) | Presence::Variant(nulls) => nulls.append_null(),
        }
        self.values.push_nothing(size)
    }

    /// Drops the values from `len` on.
    pub(crate) fn truncate(&mut self, len: usize) {
        match &mut self.presence {
            Presence::Always => {}
            Presence::Option(nulls) | Presence::Variant(nulls) => {
                if nulls.len() > len {
                    nulls.truncate(len);
                }
            }
        }
        self.values.truncate(len);
    }

    /// The column, which is empty afterwards.
    pub(crate) fn finish(&mut self, options: MappingOptions) -> Result<ArrayRef, arrow_schema::ArrowError> {
        let nulls = match &mut self.presence {
            Presence::Always => None,
            Presence::Option(nulls) | Presence::Variant(nulls) => nulls.finish(),
        };
        self.values.finish(&self.data_type, nulls, options)
    }
}

impl Values {
    fn new(node: &Node, options: MappingOptions) -> Self {
        let item = |of: &Node| Box::new(Column::new(of, options));
        match node {
            Node::Unit => Values::Units(0),
            Node::Bool => Values::Bools(BooleanBufferBuilder::new(0)),
            Node::Number(number) => Values::Numbers(Numbers::new(*number)),
            Node::Wide(number) => Values::Texts(TextOf::Wide(*number), Ragged::new()),
            Node::Char => Values::Texts(TextOf::Char, Ragged::new()),
            Node::String => Values::Texts(TextOf::String, Ragged::new()),
            Node::Json => Values::Texts(TextOf::Json, Ragged::new()),
            Node::Bytes => Values::Bytes(Ragged::new()),
            Node::FixedBytes(len, _) => Values::FixedBytes(Vec::new(), *len),
            Node::Clock(clock) => Values::Clocks(*clock, Vec::new()),
            Node::Date => Values::Dates(Vec::new()),
            Node::Decimal => Values::Decimals(Vec::new()),
            Node::Option(_) => unreachable!("an option is a column's presence"),
            Node::List(of, padding) | Node::Map(of, padding) => {
                Values::List { offsets: vec![0], item: item(of), padding: *padding }
            }
            Node::LongArray(of, len) => Values::LongArray { offsets: vec![0], item: item(of), len: *len },
            Node::Array(of, len) => Values::Array { count: 0, item: item(of), len: *len },
            Node::Struct(fields) => {
                let field = |field: &FieldNode| (field.name.clone(), Column::new(&field.node, options));
                Values::Struct { count: 0, fields: fields.iter().map(field).collect() }
            }
            Node::Names(of) => Values::Names(Names::new(of)),
            Node::Variants(of, contents) => {
                let content =
                    |node: &Option<Node>| node.as_ref().map(|node| Column::of_variant(node, options));
                Values::Variants { names: Names::new(of), contents: contents.iter().map(content).collect() }
            }
        }
    }

    fn push(
        &mut self,
        input: &mut Decoder<'_>,
        size: &mut Size,
        options: MappingOptions,
    ) -> Result<(), ArrowError> {
        let bytes = match self {
            Values::Units(count) => {
                *count += 1;
                1
            }
            Values::Bools(values) => {
                values.append(bool::decode_from(input)?);
                1
            }
            Values::Numbers(values) => values.push(input)?,
            Values::Texts(of, values) => {
                of.append(input, &mut values.bytes)?;
                values.end()?
            }
            Values::Bytes(values) => {
                let len = input.length(1)?;
                values.bytes.extend_from_slice(input.take(len, "bytes")?);
                values.end()?
            }
            Values::FixedBytes(values, len) => {
                values.extend_from_slice(input.take(*len, "bytes")?);
                *len
            }
            Values::Clocks(clock, values) => {
                values.push(options.time_unit.count(clock.take(input)?)?);
                size_of::<i64>()
            }
            Values::Dates(values) => {
                values.push(time::take_days(input)?);
                size_of::<i32>()
            }
            Values::Decimals(values) => {
                values.push(decimal::rescaled(decimal::take(input)?, options.decimal_scale)?);
                size_of::<i128>()
            }
            Values::List { offsets, item, padding } => {
                let len = input.length(1)?;
                push_items(item, len, *padding, input, size, options)?;
                end_list(offsets, len)?
            }
            Values::LongArray { offsets, item, len } => {
                push_items(item, *len, Padding::None, input, size, options)?;
                end_list(offsets, *len)?
            }
            Values::Array { count, item, len } => {
                push_items(item, *len, Padding::None, input, size, options)?;
                *count += 1;
                0
            }
            Values::Struct { count, fields } => {
                for (name, column) in fields {
                    column.push(input, size, options).map_err(|error| error.within(name))?;
                }
                *count += 1;
                0
            }
            Values::Names(names) => {
                names.push(input)?;
                size_of::<i32>()
            }
            Values::Variants { names, contents } => {
                let tag = names.push(input)?;
                for (at, column) in contents.iter_mut().enumerate() {
                    match column {
                        Some(column) if at == tag => {
                            column
                                .push(input, size, options)
                                .map_err(|e| e.within(&names.of.variants[at]))?;
                        }
                        Some(column) => column.push_nothing(size)?,
                        None => {}
                    }
                }
                size_of::<i32>()
            }
        };
        Ok(size.add(bytes)?)
    }

    fn push_nothing(&mut self, size: &mut Size) -> Result<(), Cause> {
        let bytes = match self {
            Values::Units(count) => {
                *count += 1;
                1
            }
            Values::Bools(values) => {
                values.append(false);
                1
            }
            Values::Numbers(values) => values.push_nothing(),
            Values::Texts(_, values) | Values::Bytes(values) => values.end()?,
            Values::FixedBytes(values, len) => {
                values.resize(values.len() + *len, 0);
                *len
            }
            Values::Clocks(_, values) => {
                values.push(0);
                size_of::<i64>()
            }
            Values::Dates(values) => {
                values.push(0);
                size_of::<i32>()
            }
            Values::Decimals(values) => {
                values.push(0);
                size_of::<i128>()
            }
            Values::List { offsets, .. } | Values::LongArray { offsets, .. } => end_list(offsets, 0)?,
            Values::Array { count, item, len } => {
                (0..*len).try_for_each(|_| item.push_nothing(size))?;
                *count += 1;
                0
            }
            Values::Struct { count, fields } => {
                fields.iter_mut().try_for_each(|(_, column)| column.push_nothing(size))?;
                *count += 1;
                0
            }
            Values::Names(names) => {
                names.tags.push(0);
                size_of::<i32>()
            }
            Values::Variants { names, contents } => {
                names.tags.push(0);
                contents.iter_mut().flatten().try_for_each(|column| column.push_nothing(size))?;
                size_of::<i32>()
            }
        };
        size.add(bytes)
    }

    fn truncate(&mut self, len: usize) {
        match self {
            Values::Units(count) => *count = len.min(*count),
            Values::Bools(values) => values.truncate(len),
            Values::Numbers(values) => values.truncate(len),
            Values::Texts(_, values) | Values::Bytes(values) => values.truncate(len),
            Values::FixedBytes(values, width) => values.truncate(len * *width),
            Values::Clocks(_, values) => values.truncate(len),
            Values::Dates(values) => values.truncate(len),
            Values::Decimals(values) => values.truncate(len),
            Values::List { offsets, item, .. } | Values::LongArray { offsets, item, .. } => {
                offsets.truncate(len + 1);
                item.truncate(offsets.last().copied().unwrap_or_default() as usize);
            }
            Values::Array { count, item, len: width } => {
                *count = len.min(*count);
                item.truncate(*count * *width);
            }
            Values::Struct { count, fields } => {
                *count = len.min(*count);
                fields.iter_mut().for_each(|(_, column)| column.truncate(len));
            }
            Values::Names(names) => names.tags.truncate(len),
            Values::Variants { names, contents } => {
                names.tags.truncate(len);
                contents.iter_mut().flatten().for_each(|column| column.truncate(len));
            }
        }
    }

    fn finish(
        &mut self,
        data_type: &DataType,
        nulls: Option<NullBuffer>,
        options: MappingOptions,
    ) -> Result<ArrayRef, arrow_schema::ArrowError> {
        Ok(match self {
            Values::Units(count) => {
                let mut values = BooleanBufferBuilder::new(*count);
                values.append_n(std::mem::take(count), true);
                Arc::new(BooleanArray::new(values.finish(), nulls))
            }
            Values::Bools(values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Numbers(values) => values.finish(nulls)?,
            Values::Texts(_, values) => {
                let (offsets, bytes) = values.take();
                Arc::new(StringArray::try_new(offsets, bytes, nulls)?)
            }
            Values::Bytes(values) => {
                let (offsets, bytes) = values.take();
                Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?)
            }
            Values::FixedBytes(values, len) => {
                let bytes = Buffer::from_vec(std::mem::take(values));
                Arc::new(FixedSizeBinaryArray::try_new(*len as i32, bytes, nulls)?)
            }
            Values::Clocks(_, values) => clocks(data_type, take(values), nulls)?,
            Values::Dates(values) => Arc::new(Date32Array::try_new(take(values), nulls)?),
            Values::Decimals(values) => Arc::new(
                Decimal128Array::try_new(take(values), nulls)?
                    .with_precision_and_scale(decimal::PRECISION, options.decimal_scale as i8)?,
            ),
            Values::List { offsets, item, .. } | Values::LongArray { offsets, item, .. } => {
                let (offsets, items) = (taken_offsets(offsets), item.finish(options)?);
                match data_type {
                    DataType::Map(entries, is_sorted) => {
                        let items = items
                            .as_any()
                            .downcast_ref::<StructArray>()
                            .expect("entries are structs")
                            .clone();
                        Arc::new(MapArray::try_new(entries.clone(), offsets, items, nulls, *is_sorted)?)
                    }
                    DataType::List(field) => {
                        Arc::new(ListArray::try_new(field.clone(), offsets, items, nulls)?)
                    }
                    _ => unreachable!("lists are lists or maps"),
                }
            }
            Values::Array { count, item, len } => {
                let DataType::FixedSizeList(field, _) = data_type else { unreachable!("an array's type") };
                let (count, items) = (std::mem::take(count), item.finish(options)?);
                let len = *len as i32;
                Arc::new(FixedSizeListArray::try_new_with_length(field.clone(), len, items, nulls, count)?)
            }
            Values::Struct { count, fields } => {
                let columns = fields.iter_mut().map(|(_, column)| column.finish(options));
                structs(data_type, columns.collect::<Result<_, _>>()?, nulls, std::mem::take(count))?
            }
            Values::Names(names) => names.finish(nulls)?,
            Values::Variants { names, contents } => {
                let count = names.tags.len();
                let columns = std::iter::once(names.finish(None));
                let columns =
                    columns.chain(contents.iter_mut().flatten().map(|column| column.finish(options)));
                structs(data_type, columns.collect::<Result<_, _>>()?, nulls, count)?
            }
        })
    }
}

fn push_items(
    item: &mut Column,
    len: usize,
    padding: Padding,
    input: &mut Decoder<'_>,
    size: &mut Size,
    options: MappingOptions,
) -> Result<(), ArrowError> {
    for _ in 0..len {
        item.push(input, size, options).map_err(ArrowError::in_element)?;
        if padding == Padding::OneByte {
            input.array::<1>("an element")?;
        }
    }
    Ok(())
}

/// Ends a list. Returns the bytes of its offset.
fn end_list(offsets: &mut Vec<i32>, len: usize) -> Result<usize, Cause> {
    let last = offsets.last().copied().unwrap_or_default();
    let end = i32::try_from(len).ok().and_then(|len| last.checked_add(len)).ok_or(Cause::TooLong)?;
    offsets.push(end);
    Ok(size_of::<i32>())
}

fn structs(
    data_type: &DataType,
    columns: Vec<ArrayRef>,
    nulls: Option<NullBuffer>,
    count: usize,
) -> Result<ArrayRef, arrow_schema::ArrowError> {
    let DataType::Struct(fields) = data_type else { unreachable!("a struct's type") };
    Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, count)?))
}

fn clocks(
    data_type: &DataType,
    values: ScalarBuffer<i64>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, arrow_schema::ArrowError> {
    use arrow_schema::TimeUnit::Nanosecond;
    Ok(match data_type {
        DataType::Timestamp(Nanosecond, zone) => {
            Arc::new(TimestampNanosecondArray::try_new(values, nulls)?.with_timezone_opt(zone.clone()))
        }
        DataType::Timestamp(_, zone) => {
            Arc::new(TimestampMicrosecondArray::try_new(values, nulls)?.with_timezone_opt(zone.clone()))
        }
        DataType::Time64(Nanosecond) => Arc::new(Time64NanosecondArray::try_new(values, nulls)?),
        DataType::Time64(_) => Arc::new(Time64MicrosecondArray::try_new(values, nulls)?),
        DataType::Duration(Nanosecond) => Arc::new(DurationNanosecondArray::try_new(values, nulls)?),
        _ => Arc::new(DurationMicrosecondArray::try_new(values, nulls)?),
    })
}
