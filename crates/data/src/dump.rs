//! Converts bytes into readable values, by their schema alone.
//!
//! A [`Dump`] is `Serialize`, so it can be written as JSON or in any other format of serde.

use crate::schema::{MAX_NAMED_DEPTH, Number, Variant};
use crate::{Data, DecodeError, Decoder, Field, Reason, Schema, Shape, Type};
use serde::ser::{Error as _, SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use std::cell::RefCell;

/// An encoded value with its schema.
///
/// A struct is serialized as a map, an enum as the variant's name or a map from it to its content, bytes and
/// UUIDs as hexadecimal text, and a map whose keys are neither texts nor integers as a list of pairs.
///
/// ```
/// # extern crate reflow_data as reflow;
/// use reflow::{Data, Dump, Schema, data};
/// #[derive(Data)]
/// enum Event { Start { car: u64 }, Stop }
/// let bytes = data::to_vec(&vec![Event::Start { car: 7 }, Event::Stop])?;
/// let dump = serde_json::to_string(&Dump::new(&Schema::of::<Vec<Event>>(), &bytes))?;
/// assert_eq!(dump, r#"[{"Start":{"car":7}},"Stop"]"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Dump<'a> {
    schema: &'a Schema,
    bytes: &'a [u8],
}

impl<'a> Dump<'a> {
    /// A dump of `bytes`, which must be one value of `schema`, which must be [valid](Schema::validate).
    pub fn new(schema: &'a Schema, bytes: &'a [u8]) -> Self {
        Self { schema, bytes }
    }
}

impl Serialize for Dump<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let input = RefCell::new(Decoder::new(self.bytes));
        let node = Node { schema: self.schema, ty: &self.schema.root, input: &input, depth: 0 };
        let done = node.serialize(serializer)?;
        input.borrow().finish().map_err(S::Error::custom)?;
        Ok(done)
    }
}

/// The next value. Serializing it takes its bytes, so it is serialized only once.
#[derive(Clone, Copy)]
struct Node<'a, 'b> {
    schema: &'a Schema,
    ty: &'a Type,
    input: &'a RefCell<Decoder<'b>>,
    /// The number of structs and enums around it.
    depth: u32,
}

impl<'a> Node<'a, '_> {
    fn of(&self, ty: &'a Type) -> Self {
        Self { ty, ..*self }
    }

    fn take<T: Data, E: serde::ser::Error>(&self) -> Result<T, E> {
        T::decode_from(&mut self.input.borrow_mut()).map_err(E::custom)
    }

    fn length<E: serde::ser::Error>(&self) -> Result<usize, E> {
        self.input.borrow_mut().length(1).map_err(E::custom)
    }

    /// Takes the byte of a list's element without bytes.
    fn end_element<E: serde::ser::Error>(&self, of: &[&Type]) -> Result<(), E> {
        if of.iter().all(|ty| self.schema.is_empty(ty)) {
            self.take::<u8, E>()?;
        }
        Ok(())
    }

    fn number<S: Serializer>(&self, number: Number, serializer: S) -> Result<S::Ok, S::Error> {
        match number {
            Number::U8 => serializer.serialize_u8(self.take()?),
            Number::U16 => serializer.serialize_u16(self.take()?),
            Number::U32 => serializer.serialize_u32(self.take()?),
            Number::U64 => serializer.serialize_u64(self.take()?),
            Number::U128 => serializer.serialize_u128(self.take()?),
            Number::I8 => serializer.serialize_i8(self.take()?),
            Number::I16 => serializer.serialize_i16(self.take()?),
            Number::I32 => serializer.serialize_i32(self.take()?),
            Number::I64 => serializer.serialize_i64(self.take()?),
            Number::I128 => serializer.serialize_i128(self.take()?),
            Number::F32 => serializer.serialize_f32(self.take()?),
            Number::F64 => serializer.serialize_f64(self.take()?),
        }
    }

    fn list<S: Serializer>(&self, of: &'a Type, serializer: S) -> Result<S::Ok, S::Error> {
        let len = self.length()?;
        let mut list = serializer.serialize_seq(None)?;
        for _ in 0..len {
            list.serialize_element(&self.of(of))?;
            self.end_element(&[of])?;
        }
        list.end()
    }

    fn map<S: Serializer>(&self, key: &'a Type, value: &'a Type, serializer: S) -> Result<S::Ok, S::Error> {
        let len = self.length()?;
        if is_name(key) {
            let mut map = serializer.serialize_map(None)?;
            for _ in 0..len {
                map.serialize_entry(&self.of(key), &self.of(value))?;
            }
            return map.end();
        }
        let mut list = serializer.serialize_seq(None)?;
        for _ in 0..len {
            list.serialize_element(&Sequence { node: self, types: &[key, value] })?;
            self.end_element(&[key, value])?;
        }
        list.end()
    }

    fn variant<S: Serializer>(
        &self,
        name: &str,
        variants: &'a [Variant],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let tag = self.input.borrow_mut().varint("an enum").map_err(S::Error::custom)?;
        let variant = usize::try_from(tag).ok().and_then(|tag| variants.get(tag));
        let Some(variant) = variant else {
            let reason = Reason::Variant { name: name.to_owned(), tag };
            return Err(S::Error::custom(DecodeError::new(reason)));
        };
        if variant.fields.is_empty() {
            return serializer.serialize_str(&variant.name);
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(&variant.name, &Fields { node: self, fields: &variant.fields })?;
        map.end()
    }
}

impl Serialize for Node<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.ty {
            Type::Unit => serializer.serialize_unit(),
            Type::Bool => serializer.serialize_bool(self.take()?),
            Type::Char => serializer.serialize_char(self.take()?),
            Type::Number(number) => self.number(*number, serializer),
            Type::String => serializer.serialize_str(&self.take::<String, S::Error>()?),
            Type::Bytes => serializer.serialize_str(&hexadecimal(&self.take::<Vec<u8>, S::Error>()?)),
            Type::Option(of) => match self.take::<Option<()>, S::Error>()? {
                None => serializer.serialize_none(),
                Some(()) => serializer.serialize_some(&self.of(of)),
            },
            Type::List(of) => self.list(of, serializer),
            Type::Array(of, len) => {
                let mut list = serializer.serialize_seq(None)?;
                for _ in 0..*len {
                    list.serialize_element(&self.of(of))?;
                }
                list.end()
            }
            Type::Map(key, value) => self.map(key, value, serializer),
            Type::Tuple(of) => {
                let types: Vec<&Type> = of.iter().collect();
                Sequence { node: self, types: &types }.serialize(serializer)
            }
            Type::Logical(name, of) => match (name.as_str(), &**of) {
                ("Uuid", Type::Array(of, 16)) if **of == Type::Number(Number::U8) => {
                    serializer.serialize_str(&uuid(self.take::<[u8; 16], S::Error>()?))
                }
                _ => self.of(of).serialize(serializer),
            },
            Type::Named(position) => {
                if self.depth == MAX_NAMED_DEPTH {
                    return Err(S::Error::custom(DecodeError::new(Reason::TooDeep)));
                }
                let (named, node) = (self.schema.named(*position), Self { depth: self.depth + 1, ..*self });
                match &named.shape {
                    Shape::Struct(fields) => Fields { node: &node, fields }.serialize(serializer),
                    Shape::Enum(variants) => node.variant(&named.name, variants, serializer),
                }
            }
        }
    }
}

/// A sequence of values.
struct Sequence<'a, 'b, 'c> {
    node: &'c Node<'a, 'b>,
    types: &'c [&'a Type],
}

impl Serialize for Sequence<'_, '_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.types.iter().map(|ty| self.node.of(ty)))
    }
}

/// The fields of a struct or a variant.
struct Fields<'a, 'b, 'c> {
    node: &'c Node<'a, 'b>,
    fields: &'a [Field],
}

impl Serialize for Fields<'_, '_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let positional = self.fields.iter().enumerate().all(|(index, field)| field.name == index.to_string());
        match self.fields {
            [] => serializer.serialize_map(Some(0))?.end(),
            [field] if positional => self.node.of(&field.ty).serialize(serializer),
            fields if positional => {
                serializer.collect_seq(fields.iter().map(|field| self.node.of(&field.ty)))
            }
            fields => {
                let entries = fields.iter().map(|field| (&field.name, self.node.of(&field.ty)));
                serializer.collect_map(entries)
            }
        }
    }
}

/// Whether the type can be a key in JSON.
fn is_name(ty: &Type) -> bool {
    match ty {
        Type::String | Type::Char | Type::Bool => true,
        Type::Number(number) => !matches!(number, Number::F32 | Number::F64),
        Type::Logical(name, _) => name == "Uuid",
        _ => false,
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn uuid(bytes: [u8; 16]) -> String {
    let groups = [&bytes[..4], &bytes[4..6], &bytes[6..8], &bytes[8..10], &bytes[10..]];
    groups.map(hexadecimal).join("-")
}
