//! Finds the counterpart of each part of the writer's schema in the reader's.

use super::{FieldsPlan, Incompatible, ListPlan, Migration, Origin, Plan, Problem, Step, VariantPlan};
use crate::schema::{Field, Number, Variant};
use crate::{Schema, Shape, Type};
use std::collections::BTreeMap;

pub(super) fn resolve(writer: &Schema, reader: &Schema) -> Result<Migration, Incompatible> {
    let known = BTreeMap::new();
    let mut resolver = Resolver { writer, reader, known, plans: Vec::new(), path: String::new() };
    let root = resolver.step(&writer.root, &reader.root)?;
    let plans = resolver.plans.into_iter().map(|plan| plan.expect("resolved before it is left")).collect();
    Ok(Migration { writer: writer.clone(), plans, root })
}

struct Resolver<'a> {
    writer: &'a Schema,
    reader: &'a Schema,
    /// The plans of pairs of named types, also of those that are being resolved.
    known: BTreeMap<(u32, u32), usize>,
    plans: Vec<Option<Plan>>,
    /// The path of the current type.
    path: String,
}

impl<'a> Resolver<'a> {
    fn step(&mut self, was: &'a Type, is: &'a Type) -> Result<Step, Incompatible> {
        Ok(match (was, is) {
            (Type::Named(was), Type::Named(is)) => Step::Named(self.named(*was, *is)?),
            (Type::Option(was), Type::Option(is)) => Step::Option(Box::new(self.step(was, is)?)),
            (was, Type::Option(is)) => {
                // Report the whole types, not the content of the option.
                let step = self.step(was, is);
                let whole = || self.incompatible(was, &Type::Option(is.clone()));
                Step::Some(Box::new(step.map_err(|error| match error.problem {
                    Problem::Type { .. } if error.path == self.path => whole(),
                    _ => error,
                })?))
            }
            (Type::Tuple(were), Type::Tuple(are)) if were.len() == are.len() => {
                let parts = were.iter().zip(are).enumerate();
                let step =
                    |(index, (was, is)): (usize, _)| self.within(&format!(".{index}"), |it| it.step(was, is));
                Step::Tuple(parts.map(step).collect::<Result<_, _>>()?)
            }
            (Type::Array(was, len), Type::Array(is, now)) if len == now => {
                Step::Array(Box::new(self.within("[]", |it| it.step(was, is))?), *len)
            }
            (Type::Map(key, value), Type::Map(key_now, value_now)) => {
                let key = self.within("[key]", |it| it.step(key, key_now))?;
                let value = self.within("[]", |it| it.step(value, value_now))?;
                let empty = (self.are_empty(self.writer, was), self.are_empty(self.reader, is));
                Step::List(ListPlan { element: vec![key, value], empty })
            }
            (Type::Logical(was_called, was), Type::Logical(is_called, is)) if was_called == is_called => {
                self.step(was, is)?
            }
            (Type::Number(was), Type::Number(is)) if was != is && was.fits_in(*is) => Step::Widen(*was, *is),
            (was, is) if was == is && !mentions_named(was) => Step::Copy(was.clone()),
            _ => match (element(was), element(is)) {
                (Some(was_of), Some(is_of)) => {
                    let step = self.within("[]", |it| it.step(was_of, is_of))?;
                    let empty = (self.writer.is_empty(was_of), self.reader.is_empty(is_of));
                    Step::List(ListPlan { element: vec![step], empty })
                }
                _ => return Err(self.incompatible(was, is)),
            },
        })
    }

    /// Whether the entries of a map have no bytes.
    fn are_empty(&self, schema: &Schema, map: &Type) -> bool {
        map.parts().into_iter().all(|part| schema.is_empty(part))
    }

    fn named(&mut self, was: u32, is: u32) -> Result<usize, Incompatible> {
        if let Some(plan) = self.known.get(&(was, is)) {
            return Ok(*plan);
        }
        let position = self.plans.len();
        self.known.insert((was, is), position);
        self.plans.push(None);
        let (writer, reader) = (self.writer.named(was), self.reader.named(is));
        let plan = match (&writer.shape, &reader.shape) {
            (Shape::Struct(were), Shape::Struct(are)) => {
                Plan::Struct(self.fields(were, are, &reader.removed)?)
            }
            (Shape::Enum(were), Shape::Enum(are)) => {
                let variant = |was| self.variant(was, are, &reader.removed);
                let variants = were.iter().map(variant).collect::<Result<_, _>>()?;
                Plan::Enum { name: writer.name.clone(), variants }
            }
            _ => return Err(self.incompatible(&Type::Named(was), &Type::Named(is))),
        };
        self.plans[position] = Some(plan);
        Ok(position)
    }

    fn variant(
        &mut self,
        was: &'a Variant,
        are: &'a [Variant],
        removed: &[String],
    ) -> Result<VariantPlan, Incompatible> {
        match are.iter().zip(0..).find(|(is, _)| is.name == was.name) {
            Some((is, tag)) => {
                let fields = |it: &mut Self| it.fields(&was.fields, &is.fields, &is.removed);
                Ok(VariantPlan::Kept(tag, self.within(&format!(".{}", is.name), fields)?))
            }
            None if removed.contains(&was.name) => Ok(VariantPlan::Removed(was.name.clone())),
            None => Err(self.problem(Problem::RemovedVariant { name: was.name.clone() })),
        }
    }

    fn fields(
        &mut self,
        were: &'a [Field],
        are: &'a [Field],
        removed: &[String],
    ) -> Result<FieldsPlan, Incompatible> {
        let mut plan = FieldsPlan::default();
        for was in were {
            let step = match are.iter().find(|is| is.name == was.name) {
                Some(is) => self.within(&format!(".{}", is.name), |it| it.step(&was.ty, &is.ty))?,
                None if removed.contains(&was.name) => Step::Drop(was.ty.clone()),
                None => {
                    let (name, was) = (was.name.clone(), self.writer.text_of(&was.ty));
                    return Err(self.problem(Problem::Removed { name, was }));
                }
            };
            plan.written.push(step);
        }
        for is in are {
            let written = were.iter().position(|was| was.name == is.name).map(Origin::Written);
            let default = || is.default.clone().map(Origin::Default);
            let Some(origin) = written.or_else(default) else {
                let (name, is) = (is.name.clone(), self.reader.text_of(&is.ty));
                return Err(self.problem(Problem::Added { name, is }));
            };
            plan.read.push(origin);
        }
        Ok(plan)
    }

    fn within<T>(&mut self, segment: &str, look: impl FnOnce(&mut Self) -> T) -> T {
        let len = self.path.len();
        let segment = if len == 0 { segment.trim_start_matches('.') } else { segment };
        self.path.push_str(segment);
        let found = look(self);
        self.path.truncate(len);
        found
    }

    fn incompatible(&self, was: &Type, is: &Type) -> Incompatible {
        let (was, is) = (self.writer.text_of(was), self.reader.text_of(is));
        self.problem(Problem::Type { was, is })
    }

    fn problem(&self, problem: Problem) -> Incompatible {
        Incompatible { path: self.path.clone(), problem }
    }
}

/// Whether the type contains a struct or an enum, whose positions are valid in one schema only.
fn mentions_named(ty: &Type) -> bool {
    matches!(ty, Type::Named(_)) || ty.parts().into_iter().any(mentions_named)
}

/// The type of a list's elements.
fn element(list: &Type) -> Option<&Type> {
    match list {
        Type::Bytes => Some(&Type::Number(Number::U8)),
        Type::List(of) => Some(of),
        _ => None,
    }
}

impl Number {
    /// Whether all values of this type are values of the other.
    fn fits_in(self, other: Number) -> bool {
        use Number::{F32, F64};
        match (self, other) {
            (F32, F64) => true,
            (F32 | F64, _) | (_, F32 | F64) => false,
            _ => {
                let ((signed, bits), (wide_signed, wide_bits)) = (self.integer(), other.integer());
                bits + u32::from(wide_signed && !signed) <= wide_bits && (wide_signed || !signed)
            }
        }
    }

    /// Whether an integer has a sign, and its bits.
    fn integer(self) -> (bool, u32) {
        match self {
            Number::U8 => (false, 8),
            Number::U16 => (false, 16),
            Number::U32 | Number::F32 => (false, 32),
            Number::U64 | Number::F64 => (false, 64),
            Number::U128 => (false, 128),
            Number::I8 => (true, 8),
            Number::I16 => (true, 16),
            Number::I32 => (true, 32),
            Number::I64 => (true, 64),
            Number::I128 => (true, 128),
        }
    }
}
