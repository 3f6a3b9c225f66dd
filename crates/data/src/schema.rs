//! The schema of a type: the names, types and nesting of its encoded fields.
//!
//! With a schema, encoded values can be read without the program that wrote them.

use crate::Data;
use serde::{Deserialize, Serialize};
use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The deepest nesting of types in a stored schema, without named types.
const MAX_NESTING: usize = 64;
/// The greatest length of an array whose elements have no bytes.
const MAX_EMPTY_ELEMENTS: u64 = 1 << 16;

/// The deepest nesting of structs and enums in a value that is read by its schema. Every recursive type contains
/// one. It is more than [`MAX_DEPTH`](crate::MAX_DEPTH), because types between one box and the next count, too.
pub(crate) const MAX_NAMED_DEPTH: u32 = 2 * crate::MAX_DEPTH;

/// Describes a type and all types in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// The structs and enums, in the order in which the type mentions them. They refer to each other by position,
    /// because types may be recursive.
    pub types: Vec<Named>,
    /// The type itself.
    pub root: Type,
}

/// A struct or an enum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Its name, without module and type arguments. For readers only: types may be renamed.
    pub name: String,
    /// Its content.
    pub shape: Shape,
    /// The names of fields, or of an enum's variants, that were removed.
    pub removed: Vec<String>,
}

/// The content of a struct or an enum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shape {
    /// Its fields, in encoded order.
    Struct(Vec<Field>),
    /// Its variants. A value is the variant's position and the variant's fields.
    Enum(Vec<Variant>),
}

/// A field of a struct or of a variant. Without names, fields are called `0`, `1` and so on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// The encoded default for data without the field.
    pub default: Option<Vec<u8>>,
}

/// A variant of an enum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// Its fields.
    pub fields: Vec<Field>,
    /// The names of fields that were removed.
    pub removed: Vec<String>,
}

/// A type, and how its values are encoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Type {
    /// Nothing.
    Unit,
    /// One byte, 0 or 1.
    Bool,
    /// A varint, a Unicode scalar value.
    Char,
    /// A number, see [`Number`].
    Number(Number),
    /// A length in bytes and UTF-8.
    String,
    /// A length and bytes.
    Bytes,
    /// One byte, 0 for none; then the value.
    Option(Box<Type>),
    /// A length and the elements. An element without bytes takes one.
    List(Box<Type>),
    /// This number of elements.
    Array(Box<Type>, u64),
    /// A length, and a key and a value for each entry. An entry without bytes takes one.
    Map(Box<Type>, Box<Type>),
    /// The elements in order.
    Tuple(Vec<Type>),
    /// A struct or enum: the position in [`Schema::types`].
    Named(u32),
    /// A type with a meaning beyond its encoding, such as a UUID.
    Logical(String, Box<Type>),
}

/// The types of numbers. Of 8 and 16 bits, of 128 bits, and floats are little-endian; all others are varints, signed ones
/// in zigzag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as in Rust")]
pub enum Number {
    U8,
    U16,
    U32,
    U64,
    U128,
    I8,
    I16,
    I32,
    I64,
    I128,
    F32,
    F64,
}

/// A hash of a schema. Types with the same fingerprint are encoded alike and have the same names of fields and variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The error of a stored schema that is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the schema is damaged: {0}")]
pub struct InvalidSchema(String);

impl Schema {
    /// The schema of `T`.
    pub fn of<T: Data>() -> Self {
        let mut builder = SchemaBuilder::default();
        let root = T::describe(&mut builder);
        let types = builder.types.into_iter().map(|named| named.expect("described before it is left"));
        Self { types: types.collect(), root }
    }

    /// The schema's hash. The names of types, defaults and removed names do not count, because they do not change
    /// the meaning of bytes.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut text = Text { schema: self, names: Names::Numbers, out: String::new() };
        text.type_of(&self.root);
        for named in &self.types {
            text.out.push(';');
            text.shape(&named.shape);
        }
        Fingerprint(xxhash_rust::xxh3::xxh3_64(text.out.as_bytes()))
    }

    /// The struct or enum at a position.
    pub(crate) fn named(&self, position: u32) -> &Named {
        &self.types[position as usize]
    }

    /// The text of a type, for messages.
    pub(crate) fn text_of(&self, ty: &Type) -> String {
        let mut text = Text { schema: self, names: Names::Names, out: String::new() };
        text.type_of(ty);
        text.out
    }

    /// Whether values of this type have no bytes.
    pub fn is_empty(&self, ty: &Type) -> bool {
        // Each named type once: a schema of a few kilobytes could mention them along 2^100 paths.
        let (mut open, mut seen) = (vec![ty], BTreeSet::new());
        while let Some(ty) = open.pop() {
            match ty {
                Type::Unit | Type::Array(_, 0) => {}
                Type::Array(..) | Type::Tuple(_) | Type::Logical(..) => open.extend(ty.parts()),
                Type::Named(position) => match &self.named(*position).shape {
                    Shape::Struct(fields) if seen.insert(*position) => {
                        open.extend(fields.iter().map(|field| &field.ty));
                    }
                    Shape::Struct(_) => {}
                    Shape::Enum(_) => return false,
                },
                _ => return false,
            }
        }
        true
    }

    /// Checks a stored schema. The other methods rely on its validity.
    ///
    /// # Errors
    /// If it refers to types that it does not have, or a value of it would be infinite.
    pub fn validate(&self) -> Result<(), InvalidSchema> {
        let mut types = vec![&self.root];
        types.extend(self.types.iter().flat_map(|named| named.shape.fields()).map(|field| &field.ty));
        types.into_iter().try_for_each(|ty| self.validate_type(ty, 0))?;
        let mut finite = vec![None; self.types.len()];
        (0..self.types.len()).try_for_each(|position| self.validate_finite(position, 0, &mut finite))?;
        types_of_arrays(self).try_for_each(|(of, len)| {
            let fits = len <= MAX_EMPTY_ELEMENTS || !self.is_empty(of);
            if fits { Ok(()) } else { Err(InvalidSchema(format!("an array of {len} empty elements"))) }
        })
    }

    fn validate_type(&self, ty: &Type, nesting: usize) -> Result<(), InvalidSchema> {
        if nesting == MAX_NESTING {
            return Err(InvalidSchema(format!("a type nests more than {MAX_NESTING} others")));
        }
        if let Type::Named(position) = ty
            && *position as usize >= self.types.len()
        {
            return Err(InvalidSchema(format!("there is no type number {position}")));
        }
        ty.parts().into_iter().try_for_each(|part| self.validate_type(part, nesting + 1))
    }

    /// A struct must not contain itself but for a list, a map, an option or an enum in between.
    /// `finite`: whether a struct is known to be finite; `Some(false)` while it is looked at.
    fn validate_finite(
        &self,
        position: usize,
        nesting: u32,
        finite: &mut [Option<bool>],
    ) -> Result<(), InvalidSchema> {
        if nesting == MAX_NAMED_DEPTH {
            return Err(InvalidSchema(format!("structs nest more than {MAX_NAMED_DEPTH} others")));
        }
        match finite[position] {
            Some(true) => return Ok(()),
            Some(false) => {
                let name = &self.types[position].name;
                return Err(InvalidSchema(format!("`{name}` contains itself")));
            }
            None => finite[position] = Some(false),
        }
        if let Shape::Struct(fields) = &self.types[position].shape {
            let mut open: Vec<&Type> = fields.iter().map(|field| &field.ty).collect();
            while let Some(ty) = open.pop() {
                match ty {
                    Type::Named(inner) => self.validate_finite(*inner as usize, nesting + 1, finite)?,
                    Type::Array(..) | Type::Tuple(_) | Type::Logical(..) => open.extend(ty.parts()),
                    _ => {}
                }
            }
        }
        finite[position] = Some(true);
        Ok(())
    }
}

fn types_of_arrays(schema: &Schema) -> impl Iterator<Item = (&Type, u64)> {
    let mut open = vec![&schema.root];
    open.extend(schema.types.iter().flat_map(|named| named.shape.fields()).map(|field| &field.ty));
    std::iter::from_fn(move || {
        let ty = open.pop()?;
        open.extend(ty.parts());
        Some(ty)
    })
    .filter_map(|ty| if let Type::Array(of, len) = ty { Some((&**of, *len)) } else { None })
}

impl Type {
    /// The parts of the type, without the content of named types.
    pub(crate) fn parts(&self) -> Vec<&Type> {
        match self {
            Type::Option(of) | Type::List(of) | Type::Array(of, _) | Type::Logical(_, of) => vec![of],
            Type::Map(key, value) => vec![key, value],
            Type::Tuple(of) => of.iter().collect(),
            _ => Vec::new(),
        }
    }
}

impl Shape {
    fn fields(&self) -> Vec<&Field> {
        match self {
            Shape::Struct(fields) => fields.iter().collect(),
            Shape::Enum(variants) => variants.iter().flat_map(|variant| &variant.fields).collect(),
        }
    }
}

impl Number {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Number::U8 => "u8",
            Number::U16 => "u16",
            Number::U32 => "u32",
            Number::U64 => "u64",
            Number::U128 => "u128",
            Number::I8 => "i8",
            Number::I16 => "i16",
            Number::I32 => "i32",
            Number::I64 => "i64",
            Number::I128 => "i128",
            Number::F32 => "f32",
            Number::F64 => "f64",
        }
    }
}

/// Collects the types that a type mentions.
#[derive(Default)]
pub struct SchemaBuilder {
    known: BTreeMap<TypeId, u32>,
    /// The types; `None` while a type is being described.
    types: Vec<Option<Named>>,
}

impl SchemaBuilder {
    /// A struct or an enum. `shape` is called to describe it when it is mentioned first.
    pub fn named<T: 'static>(
        &mut self,
        name: &str,
        removed: &[&str],
        shape: impl FnOnce(&mut Self) -> Shape,
    ) -> Type {
        let next = u32::try_from(self.types.len()).expect("a program has fewer types");
        let position = *self.known.entry(TypeId::of::<T>()).or_insert(next);
        if position == next {
            self.types.push(None);
            let shape = shape(self);
            let named = Named { name: name.to_owned(), shape, removed: strings(removed) };
            self.types[position as usize] = Some(named);
        }
        Type::Named(position)
    }
    /// A field of type `T`, with the encoding of its default.
    pub fn field<T: Data>(&mut self, name: &str, default: Option<Vec<u8>>) -> Field {
        Field::new(name, T::describe(self), default)
    }
}

impl Field {
    /// A field with the encoding of its default.
    pub fn new(name: &str, ty: Type, default: Option<Vec<u8>>) -> Self {
        Self { name: name.to_owned(), ty, default }
    }
}

impl Variant {
    /// A variant with these fields, without the removed ones.
    pub fn new(name: &str, fields: Vec<Field>, removed: &[&str]) -> Self {
        Self { name: name.to_owned(), fields, removed: strings(removed) }
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// The schema as it reads in Rust: the type, then the types that it mentions.
impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Text { schema: self, names: Names::Names, out: String::new() };
        if self.root != Type::Named(0) {
            text.type_of(&self.root);
            text.out.push_str(if self.types.is_empty() { "" } else { "; " });
        }
        for (position, named) in self.types.iter().enumerate() {
            text.out.push_str(if position == 0 { "" } else { "; " });
            text.out.push_str(&named.name);
            text.shape(&named.shape);
        }
        f.write_str(&text.out)
    }
}

/// The names of named types in messages.
enum Names {
    Names,
    Numbers,
}

struct Text<'a> {
    schema: &'a Schema,
    names: Names,
    out: String,
}

impl Text<'_> {
    fn type_of(&mut self, ty: &Type) {
        match ty {
            Type::Unit => self.out.push_str("()"),
            Type::Bool => self.out.push_str("bool"),
            Type::Char => self.out.push_str("char"),
            Type::Number(number) => self.out.push_str(number.name()),
            Type::String => self.out.push_str("String"),
            Type::Bytes => self.out.push_str("Bytes"),
            Type::Option(of) => self.generic("Option", &[of]),
            Type::List(of) => self.generic("List", &[of]),
            Type::Map(key, value) => self.generic("Map", &[key, value]),
            Type::Logical(name, of) => self.generic(name, &[of]),
            Type::Array(of, len) => {
                self.out.push('[');
                self.type_of(of);
                self.out.push_str(&format!("; {len}]"));
            }
            Type::Tuple(of) => {
                self.out.push('(');
                self.list(of.iter());
                self.out.push(')');
            }
            Type::Named(position) => match self.names {
                Names::Names => self.out.push_str(&self.schema.named(*position).name),
                Names::Numbers => self.out.push_str(&format!("#{position}")),
            },
        }
    }

    fn generic(&mut self, name: &str, of: &[&Type]) {
        self.out.push_str(name);
        self.out.push('<');
        self.list(of.iter().copied());
        self.out.push('>');
    }

    fn list<'t>(&mut self, of: impl Iterator<Item = &'t Type>) {
        for (index, ty) in of.enumerate() {
            self.out.push_str(if index == 0 { "" } else { ", " });
            self.type_of(ty);
        }
    }

    fn shape(&mut self, shape: &Shape) {
        match shape {
            Shape::Struct(fields) => self.fields(fields),
            Shape::Enum(variants) => {
                self.out.push_str(" (");
                for (index, variant) in variants.iter().enumerate() {
                    self.out.push_str(if index == 0 { "" } else { " | " });
                    self.out.push_str(&variant.name);
                    self.fields(&variant.fields);
                }
                self.out.push(')');
            }
        }
    }

    fn fields(&mut self, fields: &[Field]) {
        if fields.is_empty() {
            return;
        }
        self.out.push_str(" { ");
        for (index, field) in fields.iter().enumerate() {
            self.out.push_str(if index == 0 { "" } else { ", " });
            self.out.push_str(&field.name);
            self.out.push_str(": ");
            self.type_of(&field.ty);
        }
        self.out.push_str(" }");
    }
}
