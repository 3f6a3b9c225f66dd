//! A part of a schema as a schema of its own, and schemas as the fields of one.

use crate::schema::Named;
use crate::{Field, Schema, Shape, Type, Variant};
use std::collections::BTreeMap;

impl Schema {
    /// The schema of a type that this schema mentions, with the types that it mentions itself, and no others.
    pub fn part(&self, root: &Type) -> Schema {
        let mut part = Part { of: self, positions: BTreeMap::new(), types: Vec::new() };
        let root = part.copy(root);
        let types = part.types.into_iter().map(|named| named.expect("copied before it is left"));
        Schema { types: types.collect(), root }
    }

    /// The schema of a struct with fields of these schemas, whose values are one behind the other.
    pub fn of_struct(name: &str, fields: &[(&str, &Schema)]) -> Schema {
        let mut types = vec![None]; // the struct's place
        let mut field = |(name, of): &(&str, &Schema)| {
            let mut part = Part { of, positions: BTreeMap::new(), types: std::mem::take(&mut types) };
            let ty = part.copy(&of.root);
            types = part.types;
            Field::new(name, ty, None)
        };
        let shape = Shape::Struct(fields.iter().map(&mut field).collect());
        types[0] = Some(Named { name: name.to_owned(), shape, removed: Vec::new() });
        let types = types.into_iter().map(|named| named.expect("copied before it is left"));
        Schema { types: types.collect(), root: Type::Named(0) }
    }
}

struct Part<'a> {
    of: &'a Schema,
    /// The new positions of types by their former ones.
    positions: BTreeMap<u32, u32>,
    /// The types; `None` while a type is being copied.
    types: Vec<Option<Named>>,
}

impl Part<'_> {
    fn copy(&mut self, ty: &Type) -> Type {
        let mut boxed = |of: &Type| Box::new(self.copy(of));
        match ty {
            Type::Option(of) => Type::Option(boxed(of)),
            Type::List(of) => Type::List(boxed(of)),
            Type::Array(of, len) => Type::Array(boxed(of), *len),
            Type::Map(key, value) => Type::Map(boxed(key), boxed(value)),
            Type::Logical(name, of) => Type::Logical(name.clone(), boxed(of)),
            Type::Tuple(of) => Type::Tuple(of.iter().map(|of| self.copy(of)).collect()),
            Type::Named(position) => Type::Named(self.named(*position)),
            Type::Unit | Type::Bool | Type::Char | Type::Number(_) | Type::String | Type::Bytes => ty.clone(),
        }
    }

    fn named(&mut self, position: u32) -> u32 {
        if let Some(known) = self.positions.get(&position) {
            return *known;
        }
        let now = self.types.len() as u32;
        self.positions.insert(position, now);
        self.types.push(None);
        let named = self.of.named(position);
        let shape = match &named.shape {
            Shape::Struct(fields) => Shape::Struct(self.fields(fields)),
            Shape::Enum(variants) => {
                Shape::Enum(variants.iter().map(|variant| self.variant(variant)).collect())
            }
        };
        let (name, removed) = (named.name.clone(), named.removed.clone());
        self.types[now as usize] = Some(Named { name, shape, removed });
        now
    }

    fn variant(&mut self, variant: &Variant) -> Variant {
        Variant { fields: self.fields(&variant.fields), ..variant.clone() }
    }

    fn fields(&mut self, fields: &[Field]) -> Vec<Field> {
        fields.iter().map(|field| Field { ty: self.copy(&field.ty), ..field.clone() }).collect()
    }
}
