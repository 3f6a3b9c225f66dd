//! The tree that a value serializes to.

use serde::ser::{self, Serialize, Serializer};
use std::fmt::{self, Display};

/// A serialized value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tree {
    Nothing,
    Some(Box<Tree>),
    Bool(bool),
    Signed(i128),
    Unsigned(u128),
    /// The bits; all NaNs have the same.
    Float(u64),
    Char(char),
    Text(String),
    Bytes(Vec<u8>),
    Sequence(Vec<Tree>),
    Tuple(Vec<Tree>),
    Map(Vec<(Tree, Tree)>),
    Struct(Vec<(&'static str, Tree)>),
    Variant(&'static str, Box<Tree>),
    /// A field that was skipped.
    LeftOut,
}

impl Tree {
    pub(super) fn of<T: Serialize + ?Sized>(value: &T) -> Result<Tree, Refused> {
        value.serialize(Builder)
    }

    /// The first field that was skipped.
    pub(super) fn left_out(&self) -> Option<String> {
        let mut found = None;
        self.each_child(&mut |name, child| {
            if found.is_none() {
                found = match child {
                    Tree::LeftOut => Some(name.to_owned()),
                    child => child.left_out().map(|below| join(name, &below)),
                };
            }
        });
        found
    }

    /// Replaces positions in a path by the names of fields. Decoders to which a struct is a sequence report
    /// positions.
    pub(super) fn named(&self, path: &str) -> String {
        let next = path.strip_prefix('[').and_then(|path| path.split_once(']'));
        let Some((index, rest)) = next.and_then(|(index, rest)| Some((index.parse::<usize>().ok()?, rest)))
        else {
            return path.trim_start_matches('.').to_owned();
        };
        let (mut at, mut position) = (None, 0);
        self.each_child(&mut |name, child| {
            if position == index {
                at = Some(join(name, &child.named(rest)));
            }
            position += 1;
        });
        at.unwrap_or_else(|| path.to_owned())
    }

    fn each_child(&self, each: &mut dyn FnMut(&str, &Tree)) {
        match self {
            Tree::Some(value) => each("", value),
            Tree::Variant(name, value) => each(name, value),
            Tree::Sequence(items) => items.iter().for_each(|item| each("[]", item)),
            Tree::Tuple(items) => {
                items.iter().enumerate().for_each(|(index, item)| each(&index.to_string(), item));
            }
            Tree::Map(entries) => entries.iter().for_each(|(key, value)| {
                each("[]", key);
                each("[]", value);
            }),
            Tree::Struct(fields) => fields.iter().for_each(|(name, value)| each(name, value)),
            _ => {}
        }
    }

    /// The tree with the items of sequences and the entries of maps sorted.
    pub(super) fn without_order(self) -> Tree {
        let inner = |items: Vec<Tree>| items.into_iter().map(Tree::without_order).collect::<Vec<_>>();
        match self {
            Tree::Some(value) => Tree::Some(Box::new(value.without_order())),
            Tree::Variant(name, value) => Tree::Variant(name, Box::new(value.without_order())),
            Tree::Tuple(items) => Tree::Tuple(inner(items)),
            Tree::Sequence(items) => {
                let mut items = inner(items);
                items.sort_unstable();
                Tree::Sequence(items)
            }
            Tree::Map(entries) => {
                let entry = |(key, value): (Tree, Tree)| (key.without_order(), value.without_order());
                let mut entries: Vec<_> = entries.into_iter().map(entry).collect();
                entries.sort_unstable();
                Tree::Map(entries)
            }
            Tree::Struct(fields) => {
                Tree::Struct(fields.into_iter().map(|(name, value)| (name, value.without_order())).collect())
            }
            leaf => leaf,
        }
    }

    /// The first path at which the two differ, and both values there.
    pub(super) fn difference(&self, other: &Tree) -> Option<(String, String, String)> {
        if self == other {
            return None;
        }
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        self.each_child(&mut |name, child| ours.push((name.to_owned(), child.clone())));
        other.each_child(&mut |name, child| theirs.push((name.to_owned(), child.clone())));
        let alike = std::mem::discriminant(self) == std::mem::discriminant(other)
            && ours.len() == theirs.len()
            && ours.iter().zip(&theirs).all(|((ours, _), (theirs, _))| ours == theirs);
        let below = ours.iter().zip(&theirs).filter(|_| alike);
        let below = below.filter_map(|((name, ours), (_, theirs))| {
            let (path, was, is) = ours.difference(theirs)?;
            Some((join(name, &path), was, is))
        });
        let here = || Some((String::new(), self.to_string(), other.to_string()));
        below.into_iter().next().or_else(here)
    }
}

fn join(name: &str, below: &str) -> String {
    match (name, below) {
        ("", path) | (path, "") => path.to_owned(),
        (name, below) if below.starts_with('[') => format!("{name}{below}"),
        (name, below) => format!("{name}.{below}"),
    }
}

/// Short, for messages.
impl Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |f: &mut fmt::Formatter<'_>, count: usize, what| write!(f, "{count} {what}");
        match self {
            Tree::Nothing => f.write_str("nothing"),
            Tree::Some(value) => write!(f, "Some({value})"),
            Tree::Bool(value) => write!(f, "{value}"),
            Tree::Signed(value) => write!(f, "{value}"),
            Tree::Unsigned(value) => write!(f, "{value}"),
            Tree::Float(bits) => write!(f, "{}", f64::from_bits(*bits)),
            Tree::Char(value) => write!(f, "{value:?}"),
            Tree::Text(text) => match text.char_indices().nth(40) {
                Some((end, _)) => write!(f, "{:?} …", &text[..end]),
                None => write!(f, "{text:?}"),
            },
            Tree::Bytes(bytes) => count(f, bytes.len(), "bytes"),
            Tree::Sequence(items) | Tree::Tuple(items) => count(f, items.len(), "items"),
            Tree::Map(entries) => count(f, entries.len(), "entries"),
            Tree::Struct(fields) => count(f, fields.len(), "fields"),
            Tree::Variant(name, _) => f.write_str(name),
            Tree::LeftOut => f.write_str("left out"),
        }
    }
}

/// A value that cannot be serialized.
#[derive(Debug)]
pub(super) struct Refused;

impl Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value refuses to be serialized")
    }
}

impl std::error::Error for Refused {}

impl ser::Error for Refused {
    fn custom<T: Display>(_: T) -> Self {
        Refused
    }
}

struct Builder;

/// Collects the parts of a container.
struct Parts {
    variant: Option<&'static str>,
    kind: Kind,
    key: Option<Tree>,
    items: Vec<Tree>,
    entries: Vec<(Tree, Tree)>,
    fields: Vec<(&'static str, Tree)>,
}

enum Kind {
    Sequence,
    Tuple,
    Map,
    Struct,
}

impl Parts {
    fn of(kind: Kind, variant: Option<&'static str>) -> Result<Self, Refused> {
        let (items, entries, fields) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { variant, kind, key: None, items, entries, fields })
    }

    fn finish(self) -> Result<Tree, Refused> {
        let tree = match self.kind {
            Kind::Sequence => Tree::Sequence(self.items),
            Kind::Tuple => Tree::Tuple(self.items),
            Kind::Map => Tree::Map(self.entries),
            Kind::Struct => Tree::Struct(self.fields),
        };
        Ok(match self.variant {
            Some(variant) => Tree::Variant(variant, Box::new(tree)),
            None => tree,
        })
    }
}

macro_rules! leaves {
    ($($method:ident($type:ty) $value:ident => $tree:expr;)*) => {
        $(fn $method(self, $value: $type) -> Result<Tree, Refused> { Ok($tree) })*
    };
}

impl Serializer for Builder {
    type Ok = Tree;
    type Error = Refused;
    type SerializeSeq = Parts;
    type SerializeTuple = Parts;
    type SerializeTupleStruct = Parts;
    type SerializeTupleVariant = Parts;
    type SerializeMap = Parts;
    type SerializeStruct = Parts;
    type SerializeStructVariant = Parts;

    /// The same as in the codecs.
    fn is_human_readable(&self) -> bool {
        false
    }

    leaves! {
        serialize_bool(bool) v => Tree::Bool(v);
        serialize_i8(i8) v => Tree::Signed(v.into());
        serialize_i16(i16) v => Tree::Signed(v.into());
        serialize_i32(i32) v => Tree::Signed(v.into());
        serialize_i64(i64) v => Tree::Signed(v.into());
        serialize_i128(i128) v => Tree::Signed(v);
        serialize_u8(u8) v => Tree::Unsigned(v.into());
        serialize_u16(u16) v => Tree::Unsigned(v.into());
        serialize_u32(u32) v => Tree::Unsigned(v.into());
        serialize_u64(u64) v => Tree::Unsigned(v.into());
        serialize_u128(u128) v => Tree::Unsigned(v);
        serialize_f32(f32) v => float(v.into());
        serialize_f64(f64) v => float(v);
        serialize_char(char) v => Tree::Char(v);
        serialize_str(&str) v => Tree::Text(v.to_owned());
        serialize_bytes(&[u8]) v => Tree::Bytes(v.to_owned());
        serialize_unit_struct(&'static str) _v => Tree::Nothing;
    }

    fn serialize_none(self) -> Result<Tree, Refused> {
        Ok(Tree::Nothing)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Tree, Refused> {
        Ok(Tree::Some(Box::new(Tree::of(value)?)))
    }
    fn serialize_unit(self) -> Result<Tree, Refused> {
        Ok(Tree::Nothing)
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Tree, Refused> {
        Ok(Tree::Variant(variant, Box::new(Tree::Nothing)))
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Tree, Refused> {
        Tree::of(value)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Tree, Refused> {
        Ok(Tree::Variant(variant, Box::new(Tree::of(value)?)))
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Parts, Refused> {
        Parts::of(Kind::Sequence, None)
    }
    fn serialize_tuple(self, _: usize) -> Result<Parts, Refused> {
        Parts::of(Kind::Tuple, None)
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Parts, Refused> {
        Parts::of(Kind::Tuple, None)
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts, Refused> {
        Parts::of(Kind::Tuple, Some(variant))
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Parts, Refused> {
        Parts::of(Kind::Map, None)
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts, Refused> {
        Parts::of(Kind::Struct, None)
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts, Refused> {
        Parts::of(Kind::Struct, Some(variant))
    }
}

fn float(value: f64) -> Tree {
    Tree::Float(if value.is_nan() { f64::NAN } else { value }.to_bits())
}

macro_rules! items {
    ($($trait:ident::$method:ident),*) => {$(
        impl ser::$trait for Parts {
            type Ok = Tree;
            type Error = Refused;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
                self.items.push(Tree::of(value)?);
                Ok(())
            }
            fn end(self) -> Result<Tree, Refused> {
                self.finish()
            }
        }
    )*};
}

items!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);

macro_rules! fields {
    ($($trait:ident),*) => {$(
        impl ser::$trait for Parts {
            type Ok = Tree;
            type Error = Refused;
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Refused> {
                self.fields.push((name, Tree::of(value)?));
                Ok(())
            }
            fn skip_field(&mut self, name: &'static str) -> Result<(), Refused> {
                self.fields.push((name, Tree::LeftOut));
                Ok(())
            }
            fn end(self) -> Result<Tree, Refused> {
                self.finish()
            }
        }
    )*};
}

fields!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Parts {
    type Ok = Tree;
    type Error = Refused;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refused> {
        self.key = Some(Tree::of(key)?);
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        let key = self.key.take().ok_or(Refused)?;
        self.entries.push((key, Tree::of(value)?));
        Ok(())
    }
    fn end(self) -> Result<Tree, Refused> {
        self.finish()
    }
}
