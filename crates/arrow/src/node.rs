//! What is done with each part of a type: the schema's types, as Arrow sees them.
//!
//! A struct with one field without a name is its field. A part that has no bytes, such as `()`, has no column in a struct;
//! where something must show that it is there (in an option, a list or a map) it is a boolean, which is true.

use crate::error::Cause;
use crate::mapping::{MappingOptions, TimeUnit};
use crate::time::Clock;
use crate::{ArrowError, decimal};
use arrow_schema::{DataType, Field, Fields};
use reflow_data::schema::Named;
use reflow_data::{Number, Schema, Shape, Type, Variant};
use std::collections::HashMap;
use std::sync::Arc;

/// The most columns of a type, at all depths. Types that are not recursive can still be exponentially large.
const MAX_COLUMNS: usize = 10_000;
/// The deepest nesting of types, which bounds the recursion of everything that walks over columns.
const MAX_DEPTH: usize = 128;
/// The most slots of an array in one row. A longer one is a list, because a null array takes all of its slots.
const MAX_SLOTS: usize = 1 << 16;

/// A part of a type.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// Has no bytes.
    Unit,
    Bool,
    /// A number of at most 64 bits.
    Number(Number),
    /// A number of 128 bits, whose range no decimal of 38 digits has. Text.
    Wide(Number),
    Char,
    String,
    /// JSON, which is text in Arrow.
    Json,
    Bytes,
    /// This number of bytes.
    FixedBytes(usize, Meaning),
    Clock(Clock),
    Date,
    Decimal,
    /// The content is not an option itself.
    Option(Box<Node>),
    List(Box<Node>, Padding),
    /// An array of so many elements that it is a list in Arrow.
    LongArray(Box<Node>, usize),
    Array(Box<Node>, usize),
    /// A list of structs of two fields.
    Map(Box<Node>, Padding),
    Struct(Vec<FieldNode>),
    /// An enum without content.
    Names(EnumNode),
    /// An enum with content: a struct of the variant's name, and of a column for each variant with content.
    Variants(EnumNode, Vec<Option<Node>>),
}

/// A field of a struct that has bytes.
#[derive(Clone, Debug)]
pub(crate) struct FieldNode {
    pub(crate) name: String,
    pub(crate) node: Node,
    /// The encoded default for data without the field.
    pub(crate) default: Option<Vec<u8>>,
}

/// An enum.
#[derive(Clone, Debug)]
pub(crate) struct EnumNode {
    pub(crate) name: String,
    /// The name of the column with the variant's name.
    pub(crate) tag: String,
    /// The variants' names.
    pub(crate) variants: Arc<[String]>,
}

/// What bytes mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    Bytes,
    Uuid,
}

/// Whether an element of a list takes a byte because it has none of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Padding {
    None,
    OneByte,
}

impl Node {
    /// The field of this name in Arrow.
    pub(crate) fn field(&self, name: &str, options: MappingOptions) -> Field {
        let field = Field::new(name, self.data_type(options), matches!(self, Node::Option(_)));
        let extension = match self.content() {
            Node::Json => "arrow.json",
            Node::FixedBytes(_, Meaning::Uuid) => "arrow.uuid",
            _ => return field,
        };
        // Neither has parameters. Some readers want the key of the metadata nevertheless.
        let metadata = [("ARROW:extension:name", extension), ("ARROW:extension:metadata", "")];
        let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
        field.with_metadata(HashMap::from(metadata))
    }

    /// The content of an option, or the node itself.
    fn content(&self) -> &Node {
        if let Node::Option(of) = self { of } else { self }
    }

    pub(crate) fn data_type(&self, options: MappingOptions) -> DataType {
        let item = |of: &Node| Arc::new(of.field("item", options));
        match self {
            Node::Unit | Node::Bool => DataType::Boolean,
            Node::Number(number) => match number {
                Number::U8 => DataType::UInt8,
                Number::U16 => DataType::UInt16,
                Number::U32 => DataType::UInt32,
                Number::U64 => DataType::UInt64,
                Number::I8 => DataType::Int8,
                Number::I16 => DataType::Int16,
                Number::I32 => DataType::Int32,
                Number::I64 => DataType::Int64,
                Number::F32 => DataType::Float32,
                Number::F64 => DataType::Float64,
                Number::U128 | Number::I128 => DataType::Utf8,
            },
            Node::Wide(_) | Node::Char | Node::String | Node::Json => DataType::Utf8,
            Node::Bytes => DataType::Binary,
            Node::FixedBytes(len, _) => DataType::FixedSizeBinary(*len as i32),
            Node::Clock(clock) => clock.data_type(options.time_unit),
            Node::Date => DataType::Date32,
            Node::Decimal => DataType::Decimal128(decimal::PRECISION, options.decimal_scale as i8),
            Node::Option(of) => of.data_type(options),
            Node::List(of, _) | Node::LongArray(of, _) => DataType::List(item(of)),
            Node::Array(of, len) => DataType::FixedSizeList(item(of), *len as i32),
            Node::Map(entry, _) => DataType::Map(Arc::new(entry.field("entries", options)), false),
            Node::Struct(fields) => {
                DataType::Struct(fields.iter().map(|field| field.node.field(&field.name, options)).collect())
            }
            Node::Names(_) => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            Node::Variants(of, contents) => DataType::Struct(of.fields(contents, options)),
        }
    }

    /// The slots that a value takes in all columns outside of lists.
    fn slots(&self) -> usize {
        match self {
            Node::Option(of) => of.slots(),
            Node::Array(of, len) => len.saturating_mul(of.slots()),
            Node::Struct(fields) => {
                fields.iter().map(|field| field.node.slots()).fold(1, usize::saturating_add)
            }
            Node::Variants(_, contents) => {
                contents.iter().flatten().map(Node::slots).fold(2, usize::saturating_add)
            }
            Node::FixedBytes(len, _) => *len,
            _ => 1,
        }
    }
}

impl EnumNode {
    /// The fields of the struct.
    pub(crate) fn fields(&self, contents: &[Option<Node>], options: MappingOptions) -> Fields {
        let tag = Field::new(&self.tag, Node::Names(self.clone()).data_type(options), false);
        let content = |(name, node): (&String, &Option<Node>)| {
            node.as_ref().map(|node| node.field(name, options).with_nullable(true))
        };
        std::iter::once(tag).chain(self.variants.iter().zip(contents).filter_map(content)).collect()
    }
}

/// Makes nodes of a schema.
pub(crate) struct Resolver<'a> {
    schema: &'a Schema,
    /// The structs and enums around the current part.
    around: Vec<u32>,
    depth: usize,
    columns: usize,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(schema: &'a Schema) -> Self {
        Self { schema, around: Vec::new(), depth: 0, columns: 0 }
    }

    pub(crate) fn resolve(mut self) -> Result<Node, ArrowError> {
        self.node(&self.schema.root)
    }

    fn node(&mut self, ty: &'a Type) -> Result<Node, ArrowError> {
        self.columns += 1;
        if self.columns > MAX_COLUMNS {
            return Err(Cause::TooWide { most: MAX_COLUMNS }.into());
        }
        if self.depth == MAX_DEPTH {
            return Err(Cause::TooDeep { most: MAX_DEPTH }.into());
        }
        if self.schema.is_empty(ty) {
            return Ok(Node::Unit);
        }
        self.depth += 1;
        let node = self.node_of(ty)?;
        self.depth -= 1;
        if node.slots() > MAX_COLUMNS * 100 {
            return Err(Cause::TooWide { most: MAX_COLUMNS }.into());
        }
        Ok(node)
    }

    fn node_of(&mut self, ty: &'a Type) -> Result<Node, ArrowError> {
        Ok(match ty {
            Type::Unit => Node::Unit,
            Type::Bool => Node::Bool,
            Type::Char => Node::Char,
            Type::Number(number @ (Number::U128 | Number::I128)) => Node::Wide(*number),
            Type::Number(number) => Node::Number(*number),
            Type::String => Node::String,
            Type::Bytes => Node::Bytes,
            Type::Option(of) => match self.node(of)? {
                // Arrow has one null: an option in an option becomes a struct.
                node @ Node::Option(_) => {
                    let value = FieldNode { name: "value".to_owned(), node, default: None };
                    Node::Option(Box::new(Node::Struct(vec![value])))
                }
                node => Node::Option(Box::new(node)),
            },
            Type::List(of) => {
                let item = self.node(of).map_err(ArrowError::in_element)?;
                Node::List(Box::new(item), self.padding(&[of]))
            }
            Type::Array(of, len) => self.array(of, *len, Meaning::Bytes)?,
            Type::Map(key, value) => self.map(key, value)?,
            Type::Tuple(of) => {
                let names = (0..).map(|index| format!("f{index}"));
                Node::Struct(self.fields(names.zip(of).map(|(name, ty)| (name, ty, None)))?)
            }
            Type::Logical(name, of) => self.logical(name, of)?,
            Type::Named(position) => self.named(*position)?,
        })
    }

    fn padding(&self, parts: &[&Type]) -> Padding {
        if parts.iter().all(|part| self.schema.is_empty(part)) { Padding::OneByte } else { Padding::None }
    }

    fn array(&mut self, of: &'a Type, len: u64, meaning: Meaning) -> Result<Node, ArrowError> {
        let item = self.node(of).map_err(ArrowError::in_element)?;
        let len = usize::try_from(len).map_err(|_| Cause::TooLong)?;
        Ok(match item {
            Node::Number(Number::U8) if len <= MAX_SLOTS => Node::FixedBytes(len, meaning),
            item if len.saturating_mul(item.slots()) <= MAX_SLOTS => Node::Array(Box::new(item), len),
            item => Node::LongArray(Box::new(item), len),
        })
    }

    fn map(&mut self, key: &'a Type, value: &'a Type) -> Result<Node, ArrowError> {
        let padding = self.padding(&[key, value]);
        let field = |name: &str, node: Result<Node, ArrowError>| {
            let node = node.map_err(|error| error.within(name))?;
            Ok::<_, ArrowError>(FieldNode { name: name.to_owned(), node, default: None })
        };
        let (key, value) = (field("key", self.node(key))?, field("value", self.node(value))?);
        let is_optional = matches!(key.node, Node::Option(_));
        let entry = Box::new(Node::Struct(vec![key, value]));
        // A key of a map in Arrow cannot be null.
        Ok(if is_optional { Node::List(entry, padding) } else { Node::Map(entry, padding) })
    }

    fn fields(
        &mut self,
        fields: impl Iterator<Item = (String, &'a Type, Option<&'a Vec<u8>>)>,
    ) -> Result<Vec<FieldNode>, ArrowError> {
        let mut nodes = Vec::new();
        for (name, ty, default) in fields {
            if !self.schema.is_empty(ty) {
                let node = self.node(ty).map_err(|error| error.within(&name))?;
                nodes.push(FieldNode { name, node, default: default.cloned() });
            }
        }
        Ok(nodes)
    }

    /// A type with a meaning. One that is encoded in another way than it should be is only what it is encoded as.
    fn logical(&mut self, name: &str, of: &'a Type) -> Result<Node, ArrowError> {
        let meaning = match (name, of) {
            ("Uuid", Type::Array(byte, 16)) if **byte == Type::Number(Number::U8) => {
                return self.array(byte, 16, Meaning::Uuid);
            }
            ("Timestamp", of) if is_tuple(of, &[Number::I64, Number::I32]) => Node::Clock(Clock::Timestamp),
            ("SignedDuration", of) if is_tuple(of, &[Number::I64, Number::I32]) => {
                Node::Clock(Clock::SignedDuration)
            }
            ("Date", of) if is_date(of) => Node::Date,
            ("Time", of) if is_time(of) => Node::Clock(Clock::Time),
            ("DateTime", Type::Tuple(parts)) => match parts.as_slice() {
                [Type::Logical(date, days), Type::Logical(time, clock)]
                    if date == "Date" && is_date(days) && time == "Time" && is_time(clock) =>
                {
                    Node::Clock(Clock::DateTime)
                }
                _ => return self.node(of),
            },
            ("Decimal", Type::Named(position)) => {
                let fields = [("mantissa", Number::I128), ("scale", Number::U32)];
                if !is_struct(&self.schema.types[*position as usize], &fields) {
                    return self.node(of);
                }
                Node::Decimal
            }
            _ => return self.node(of),
        };
        Ok(meaning)
    }

    fn named(&mut self, position: u32) -> Result<Node, ArrowError> {
        let named = &self.schema.types[position as usize];
        if is_json(named) {
            return Ok(Node::Json);
        }
        if named.name == "Duration"
            && is_struct(named, &[("seconds", Number::U64), ("nanoseconds", Number::U32)])
        {
            return Ok(Node::Clock(Clock::Duration));
        }
        if self.around.contains(&position) {
            return Err(Cause::Recursive { name: named.name.clone() }.into());
        }
        self.around.push(position);
        let node = match &named.shape {
            Shape::Struct(fields) => self.content(fields),
            Shape::Enum(variants) => self.variants(&named.name, variants),
        };
        self.around.pop();
        node
    }

    /// The fields of a struct or of a variant.
    fn content(&mut self, fields: &'a [reflow_data::Field]) -> Result<Node, ArrowError> {
        let has_names = fields.iter().enumerate().any(|(index, field)| field.name != index.to_string());
        match fields {
            [field] if !has_names => self.node(&field.ty),
            fields => {
                let name = |name: &str| if has_names { name.to_owned() } else { format!("f{name}") };
                let fields =
                    fields.iter().map(|field| (name(&field.name), &field.ty, field.default.as_ref()));
                Ok(Node::Struct(self.fields(fields)?))
            }
        }
    }

    fn variants(&mut self, name: &str, variants: &'a [Variant]) -> Result<Node, ArrowError> {
        if variants.is_empty() {
            return Err(Cause::NoVariants { name: name.to_owned() }.into());
        }
        let mut contents = Vec::new();
        for variant in variants {
            let is_empty = variant.fields.iter().all(|field| self.schema.is_empty(&field.ty));
            let content = if is_empty { None } else { Some(self.content(&variant.fields)) };
            contents.push(content.transpose().map_err(|error| error.within(&variant.name))?);
        }
        // SQL ignores the case of names.
        let mut tag = "variant".to_owned();
        while variants.iter().any(|variant| variant.name.eq_ignore_ascii_case(&tag)) {
            tag.push('_');
        }
        let names = variants.iter().map(|variant| variant.name.clone()).collect();
        let node = EnumNode { name: name.to_owned(), tag, variants: names };
        let is_plain = contents.iter().all(Option::is_none);
        Ok(if is_plain { Node::Names(node) } else { Node::Variants(node, contents) })
    }
}

fn is_tuple(ty: &Type, numbers: &[Number]) -> bool {
    let Type::Tuple(parts) = ty else { return false };
    parts.iter().eq(numbers.iter().map(|number| Type::Number(*number)).collect::<Vec<_>>().iter())
}

fn is_date(ty: &Type) -> bool {
    is_tuple(ty, &[Number::I16, Number::I8, Number::I8])
}

fn is_time(ty: &Type) -> bool {
    is_tuple(ty, &[Number::I8, Number::I8, Number::I8, Number::I32])
}

fn is_struct(named: &Named, fields: &[(&str, Number)]) -> bool {
    let Shape::Struct(of) = &named.shape else { return false };
    let is_field = |(field, (name, number)): (&reflow_data::Field, &(&str, Number))| {
        field.name == *name && field.ty == Type::Number(*number)
    };
    of.len() == fields.len() && of.iter().zip(fields).all(is_field)
}

/// Whether this is `serde_json::Value`.
fn is_json(named: &Named) -> bool {
    let Shape::Enum(variants) = &named.shape else { return false };
    let names = variants.iter().map(|variant| variant.name.as_str());
    named.name == "Json"
        && names.eq(["Null", "False", "True", "Unsigned", "Signed", "Float", "String", "Array", "Object"])
}

impl TimeUnit {
    pub(crate) fn arrow(self) -> arrow_schema::TimeUnit {
        match self {
            TimeUnit::Nanoseconds => arrow_schema::TimeUnit::Nanosecond,
            TimeUnit::Microseconds => arrow_schema::TimeUnit::Microsecond,
        }
    }
}
