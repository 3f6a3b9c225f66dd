//! Record batches to encoded rows.
//!
//! Columns are found by name, and other columns are ignored. A field can be read from a column of each type that has its
//! kind of value: an integer from integers of any width, a text from any of Arrow's texts, a time from any unit. Values
//! that the field cannot hold are errors.

use crate::cells::{Bytes, Clocks, Dates, Decimals, Floats, Integers, Ranges, Texts};
use crate::error::Cause;
use crate::node::{EnumNode, FieldNode, Node, Padding};
use crate::time::{self, Clock};
use crate::{ArrowError, Mapping, MappingOptions, decimal};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use reflow_data::{Data, Encoder, Number};
use std::collections::HashMap;

/// Turns the rows of a batch into encoded rows of the mapping's schema.
///
/// ```
/// # extern crate reflow_data as reflow;
/// use reflow::data;
/// use reflow_arrow::{BatchReader, Mapping, to_batch};
/// #[derive(Debug, PartialEq, data::Data)]
/// struct Reading { car: u64, speed: f64 }
///
/// let batch = to_batch(&[Reading { car: 7, speed: 99.5 }])?;
/// let mapping = Mapping::of::<Reading>()?;
/// let reader = BatchReader::new(&mapping, &batch)?;
/// let mut row = Vec::new();
/// reader.read(0, &mut row)?;
/// assert_eq!(data::decode::<Reading>(&row)?, Reading { car: 7, speed: 99.5 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BatchReader {
    root: Cells,
    rows: usize,
}

/// A column that is being read.
struct Cells {
    is_option: bool,
    nulls: Option<NullBuffer>,
    values: Values,
}

enum Values {
    Unit,
    /// The field has no column, and this default.
    Default(Vec<u8>),
    Bools(BooleanArray),
    Integers(Integers, Number),
    Floats(Floats, Number),
    /// Integers as text.
    Digits(Texts, Number),
    Texts(Texts),
    Chars(Texts),
    Json(Texts),
    Bytes(Bytes),
    FixedBytes(Bytes, usize),
    Clocks(Clocks, Clock),
    Dates(Dates),
    Decimals(Decimals),
    Lists(Ranges, Box<Cells>, Padding),
    /// Lists that must have this length.
    Arrays(Ranges, Box<Cells>, usize),
    Struct(Vec<(String, Cells)>),
    Names(Names),
    Variants(Names, Vec<Content>),
}

/// The column of a variant's content.
enum Content {
    None,
    Cells(Box<Cells>),
    /// The variant has content, but the batch has no column for it.
    Missing {
        expected: String,
    },
}

struct Names {
    texts: Texts,
    name: String,
    tags: HashMap<String, u64>,
}

impl BatchReader {
    /// A reader of the rows of a batch.
    ///
    /// # Errors
    /// If a column is missing or has a type that the field cannot be read from.
    pub fn new(mapping: &Mapping, batch: &RecordBatch) -> Result<Self, ArrowError> {
        let resolver = Resolver { options: mapping.options };
        let column = |name: &str| batch.column_by_name(name).cloned();
        let values = match &mapping.root {
            Node::Struct(fields) => Values::Struct(resolver.fields(fields, &column)?),
            root => {
                let name = crate::mapping::SINGLE;
                let field = FieldNode { name: name.to_owned(), node: root.clone(), default: None };
                Values::Struct(resolver.fields(std::slice::from_ref(&field), &column)?)
            }
        };
        Ok(Self { root: Cells { is_option: false, nulls: None, values }, rows: batch.num_rows() })
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Appends the encoding of a row. On an error, `out` is unchanged.
    ///
    /// # Errors
    /// If the row has a value that the type cannot hold.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn read(&self, row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        let start = out.len();
        let read = self.root.read(row, out);
        if read.is_err() {
            out.truncate(start);
        }
        read
    }
}

/// Finds the column of each part of a type.
struct Resolver {
    options: MappingOptions,
}

impl Resolver {
    fn cells(&self, node: &Node, array: &ArrayRef) -> Result<Cells, ArrowError> {
        let (node, is_option) = match node {
            Node::Option(of) => (&**of, true),
            node => (node, false),
        };
        // Of a dictionary, values can be null as well.
        let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0);
        Ok(Cells { is_option, nulls, values: self.values(node, array)? })
    }

    fn values(&self, node: &Node, array: &ArrayRef) -> Result<Values, ArrowError> {
        let mismatch = || {
            let expected = node.data_type(self.options).to_string();
            ArrowError::from(Cause::Type { found: array.data_type().to_string(), expected })
        };
        let values = match node {
            Node::Unit => Some(Values::Unit),
            Node::Bool => array.as_boolean_opt().cloned().map(Values::Bools),
            Node::Number(number @ Number::F32) => {
                let floats = Floats::of(array).filter(|floats| matches!(floats, Floats::F32(_)));
                floats.map(|floats| Values::Floats(floats, *number))
            }
            Node::Number(number @ Number::F64) => {
                Floats::of(array).map(|floats| Values::Floats(floats, *number))
            }
            Node::Number(number) => Integers::of(array).map(|integers| Values::Integers(integers, *number)),
            Node::Wide(number) => match Integers::of(array) {
                Some(integers) => Some(Values::Integers(integers, *number)),
                None => Texts::of(array).map(|texts| Values::Digits(texts, *number)),
            },
            Node::Char => Texts::of(array).map(Values::Chars),
            Node::String => Texts::of(array).map(Values::Texts),
            Node::Json => Texts::of(array).map(Values::Json),
            Node::Bytes => Bytes::of(array).map(Values::Bytes),
            Node::FixedBytes(len, _) => Bytes::of(array).map(|bytes| Values::FixedBytes(bytes, *len)),
            Node::Clock(clock) => {
                let clocks = Clocks::of(array, &node.data_type(self.options));
                clocks.map(|clocks| Values::Clocks(clocks, *clock))
            }
            Node::Date => Dates::of(array).map(Values::Dates),
            Node::Decimal => Decimals::of(array).map(Values::Decimals),
            Node::Option(_) => unreachable!("the content of an option is none"),
            Node::List(of, padding) | Node::Map(of, padding) => match Ranges::of(array) {
                Some((ranges, items)) => {
                    let item = self.item(of, &items, matches!(array.data_type(), DataType::Map(..)))?;
                    Some(Values::Lists(ranges, item, *padding))
                }
                None => None,
            },
            Node::Array(of, len) | Node::LongArray(of, len) => match Ranges::of(array) {
                Some((ranges, items)) => Some(Values::Arrays(ranges, self.item(of, &items, false)?, *len)),
                None => None,
            },
            Node::Struct(fields) => match array.as_struct_opt() {
                Some(array) => {
                    Some(Values::Struct(self.fields(fields, &|name| array.column_by_name(name).cloned())?))
                }
                None => None,
            },
            Node::Names(of) => names(of, array).map(Values::Names),
            Node::Variants(of, contents) => match array.as_struct_opt() {
                Some(array) => {
                    Some(self.variants(of, contents, &|name| array.column_by_name(name).cloned())?)
                }
                None => None,
            },
        };
        values.ok_or_else(mismatch)
    }

    /// The items of a list, or the entries of a map, whose fields are key and value by position.
    fn item(&self, node: &Node, items: &ArrayRef, is_map: bool) -> Result<Box<Cells>, ArrowError> {
        let cells = match (node, items.as_struct_opt()) {
            (Node::Struct(fields), Some(entries)) if is_map && fields.len() == entries.num_columns() => {
                let position = |name: &str| fields.iter().position(|field| field.name == name);
                let column = |name: &str| position(name).map(|at| entries.column(at).clone());
                let values = Values::Struct(self.fields(fields, &column).map_err(ArrowError::in_element)?);
                Cells { is_option: false, nulls: None, values }
            }
            _ => self.cells(node, items).map_err(ArrowError::in_element)?,
        };
        Ok(Box::new(cells))
    }

    fn fields(
        &self,
        fields: &[FieldNode],
        column: &dyn Fn(&str) -> Option<ArrayRef>,
    ) -> Result<Vec<(String, Cells)>, ArrowError> {
        let field = |field: &FieldNode| {
            let cells = match (column(&field.name), &field.default) {
                (Some(array), _) => self.cells(&field.node, &array).map_err(|e| e.within(&field.name))?,
                (None, Some(default)) => {
                    Cells { is_option: false, nulls: None, values: Values::Default(default.clone()) }
                }
                (None, None) => return Err(self.missing(&field.name, &field.node)),
            };
            Ok((field.name.clone(), cells))
        };
        fields.iter().map(field).collect()
    }

    fn missing(&self, name: &str, node: &Node) -> ArrowError {
        let expected = node.data_type(self.options).to_string();
        Cause::NoColumn { name: name.to_owned(), expected }.into()
    }

    fn variants(
        &self,
        of: &EnumNode,
        contents: &[Option<Node>],
        column: &dyn Fn(&str) -> Option<ArrayRef>,
    ) -> Result<Values, ArrowError> {
        let plain = Node::Names(of.clone());
        let tags = column(&of.tag).ok_or_else(|| self.missing(&of.tag, &plain))?;
        let mismatch = || {
            let expected = plain.data_type(self.options).to_string();
            ArrowError::from(Cause::Type { found: tags.data_type().to_string(), expected }).within(&of.tag)
        };
        let names = names(of, &tags).ok_or_else(mismatch)?;
        let content = |(name, node): (&String, &Option<Node>)| {
            Ok(match (node, column(name)) {
                (None, _) => Content::None,
                (Some(node), Some(array)) => {
                    Content::Cells(Box::new(self.cells(node, &array).map_err(|error| error.within(name))?))
                }
                (Some(node), None) => Content::Missing { expected: node.data_type(self.options).to_string() },
            })
        };
        let contents: Result<_, ArrowError> = of.variants.iter().zip(contents).map(content).collect();
        Ok(Values::Variants(names, contents?))
    }
}

fn names(of: &EnumNode, array: &ArrayRef) -> Option<Names> {
    let tags = of.variants.iter().cloned().zip(0..).collect();
    Some(Names { texts: Texts::of(array)?, name: of.name.clone(), tags })
}

impl Names {
    fn tag(&self, row: usize) -> Result<u64, Cause> {
        let name = self.texts.get(row);
        let expected = || format!("variant of `{}`", self.name);
        let tag = self.tags.get(name).copied();
        tag.ok_or_else(|| Cause::Value { row, value: format!("{name:?}"), expected: expected() })
    }
}

impl Cells {
    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    fn read(&self, row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        match (self.is_option, self.is_null(row)) {
            (true, true) => {
                out.push(0);
                return Ok(());
            }
            (true, false) => out.push(1),
            (false, true) => return Err(Cause::Null { row }.into()),
            (false, false) => {}
        }
        self.values.read(row, out)
    }
}

impl Values {
    fn read(&self, row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        let refused = |value: String, expected: &str| {
            ArrowError::from(Cause::Value { row, value, expected: expected.to_owned() })
        };
        match self {
            Values::Unit => {}
            Values::Default(default) => out.extend_from_slice(default),
            Values::Bools(values) => out.push(values.value(row).into()),
            Values::Integers(values, number) => {
                let value = values.get(row);
                let name = || format!("{number:?}").to_lowercase();
                put_integer(value, *number, out).ok_or_else(|| refused(value.to_string(), &name()))?;
            }
            Values::Floats(Floats::F32(values), Number::F32) => {
                values[row].encode_into(&mut Encoder::new(out))
            }
            Values::Floats(Floats::F32(values), _) => {
                f64::from(values[row]).encode_into(&mut Encoder::new(out))
            }
            Values::Floats(Floats::F64(values), _) => values[row].encode_into(&mut Encoder::new(out)),
            Values::Digits(texts, number) => {
                let text = texts.get(row);
                let put = match number {
                    Number::U128 => text.parse().ok().map(|value: u128| out.extend(value.to_le_bytes())),
                    _ => text.parse().ok().map(|value: i128| out.extend(value.to_le_bytes())),
                };
                put.ok_or_else(|| refused(format!("{text:?}"), &format!("{number:?}").to_lowercase()))?;
            }
            Values::Texts(texts) => put_bytes(texts.get(row).as_bytes(), out),
            Values::Chars(texts) => {
                let text = texts.get(row);
                let mut characters = text.chars();
                match (characters.next(), characters.next()) {
                    (Some(character), None) => character.encode_into(&mut Encoder::new(out)),
                    _ => return Err(refused(format!("{text:?}"), "single character")),
                }
            }
            Values::Json(texts) => {
                let value: serde_json::Value = serde_json::from_str(texts.get(row))
                    .map_err(|error| refused(texts.get(row).to_owned(), &format!("JSON ({error})")))?;
                reflow_data::encode(&value, out)?;
            }
            Values::Bytes(bytes) => put_bytes(bytes.get(row), out),
            Values::FixedBytes(bytes, len) => {
                let bytes = bytes.get(row);
                if bytes.len() != *len {
                    return Err(refused(format!("{} bytes", bytes.len()), &format!("array of {len} bytes")));
                }
                out.extend_from_slice(bytes);
            }
            Values::Clocks(clocks, clock) => {
                let nanos = clocks.nanos(row);
                let put = clock.put(nanos, &mut Encoder::new(out));
                put.ok_or_else(|| refused(format!("{nanos} ns"), &format!("{clock:?}")))?;
            }
            Values::Dates(dates) => {
                let days = dates.days(row);
                let put =
                    i32::try_from(days).ok().and_then(|days| time::put_days(days, &mut Encoder::new(out)));
                put.ok_or_else(|| refused(format!("day {days} from 1970"), "date of four digits"))?;
            }
            Values::Decimals(decimals) => {
                let mantissa = decimals.mantissas[row];
                let put = decimal::put(mantissa, decimals.scale, &mut Encoder::new(out));
                let value = || format!("{mantissa}e{}", -i32::from(decimals.scale));
                put.ok_or_else(|| {
                    refused(value(), "decimal of 96 bits with up to 28 digits behind the point")
                })?;
            }
            Values::Lists(ranges, item, padding) => {
                let range = ranges.get(row);
                Encoder::new(out).length(range.len());
                for at in range {
                    item.read(at, out).map_err(ArrowError::in_element)?;
                    if *padding == Padding::OneByte {
                        out.push(0);
                    }
                }
            }
            Values::Arrays(ranges, item, len) => {
                let mut range = ranges.get(row);
                if range.len() != *len {
                    return Err(refused(format!("a list of {}", range.len()), &format!("array of {len}")));
                }
                range.try_for_each(|at| item.read(at, out).map_err(ArrowError::in_element))?;
            }
            Values::Struct(fields) => {
                fields
                    .iter()
                    .try_for_each(|(name, cells)| cells.read(row, out).map_err(|e| e.within(name)))?;
            }
            Values::Names(names) => Encoder::new(out).varint(names.tag(row)?),
            Values::Variants(names, contents) => {
                let tag = names.tag(row)?;
                Encoder::new(out).varint(tag);
                let name = || names.texts.get(row).to_owned();
                match &contents[tag as usize] {
                    Content::None => {}
                    Content::Cells(cells) => cells.read(row, out).map_err(|error| error.within(&name()))?,
                    Content::Missing { expected } => {
                        return Err(Cause::NoColumn { name: name(), expected: expected.clone() }.into());
                    }
                }
            }
        }
        Ok(())
    }
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    Encoder::new(out).length(bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends an integer. `None` if the type does not have it.
fn put_integer(value: i128, number: Number, out: &mut Vec<u8>) -> Option<()> {
    macro_rules! integer {
        ($t:ty) => {
            <$t>::try_from(value).ok()?.encode_into(&mut Encoder::new(out))
        };
    }
    match number {
        Number::U8 => integer!(u8),
        Number::U16 => integer!(u16),
        Number::U32 => integer!(u32),
        Number::U64 => integer!(u64),
        Number::U128 => integer!(u128),
        Number::I8 => integer!(i8),
        Number::I16 => integer!(i16),
        Number::I32 => integer!(i32),
        Number::I64 => integer!(i64),
        Number::I128 => integer!(i128),
        Number::F32 | Number::F64 => return None,
    }
    Some(())
}
