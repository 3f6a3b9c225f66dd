//! Carries out a migration, value by value.

use super::{FieldsPlan, ListPlan, Migration, Origin, Plan, Step, VariantPlan};
use crate::schema::{MAX_NAMED_DEPTH, Number};
use crate::{Data, DecodeError, Decoder, Encoder, Reason, Schema, Shape, Type};

pub(super) fn translate(
    migration: &Migration,
    bytes: &mut &[u8],
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let mut input = Decoder::new(bytes);
    Translator { migration, depth: 0 }.step(&migration.root, &mut input, out)?;
    *bytes = input.rest();
    Ok(())
}

#[derive(Clone, Copy)]
struct Translator<'a> {
    migration: &'a Migration,
    /// The number of structs and enums around the value.
    depth: u32,
}

impl Translator<'_> {
    fn step(self, step: &Step, input: &mut Decoder<'_>, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        match step {
            Step::Copy(ty) => {
                let before = input.rest();
                pass_over(&self.migration.writer, ty, self.depth, input)?;
                out.extend_from_slice(&before[..before.len() - input.rest().len()]);
            }
            Step::Drop(ty) => pass_over(&self.migration.writer, ty, self.depth, input)?,
            Step::Widen(from, to) => widen(*from, *to, input, out)?,
            Step::Some(of) => {
                out.push(1);
                self.step(of, input, out)?;
            }
            Step::Option(of) => match Option::<()>::decode_from(input)? {
                None => out.push(0),
                Some(()) => {
                    out.push(1);
                    self.step(of, input, out)?;
                }
            },
            Step::List(list) => self.list(list, input, out)?,
            Step::Array(of, len) => (0..*len).try_for_each(|_| self.step(of, input, out))?,
            Step::Tuple(of) => of.iter().try_for_each(|of| self.step(of, input, out))?,
            Step::Named(position) => {
                let inner = Self { depth: deeper(self.depth)?, ..self };
                inner.plan(&self.migration.plans[*position], input, out)?;
            }
        }
        Ok(())
    }

    fn list(self, list: &ListPlan, input: &mut Decoder<'_>, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let len = input.length(1)?;
        Encoder::new(out).length(len);
        for _ in 0..len {
            list.element.iter().try_for_each(|of| self.step(of, input, out))?;
            if list.empty.0 {
                input.array::<1>("an element")?;
            }
            if list.empty.1 {
                out.push(0);
            }
        }
        Ok(())
    }

    fn plan(self, plan: &Plan, input: &mut Decoder<'_>, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        match plan {
            Plan::Struct(fields) => self.fields(fields, input, out),
            Plan::Enum { name, variants } => {
                let tag = input.varint("an enum")?;
                match usize::try_from(tag).ok().and_then(|tag| variants.get(tag)) {
                    Some(VariantPlan::Kept(tag, fields)) => {
                        Encoder::new(out).varint(*tag);
                        self.fields(fields, input, out)
                    }
                    Some(VariantPlan::Removed(variant)) => Err(DecodeError::refused(format!(
                        "a `{name}` is `{variant}`, which was removed: put the variant back"
                    ))),
                    None => Err(DecodeError::new(Reason::Variant { name: name.clone(), tag })),
                }
            }
        }
    }

    fn fields(
        self,
        plan: &FieldsPlan,
        input: &mut Decoder<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        let mut written = Vec::new();
        let mut ends = Vec::with_capacity(plan.written.len());
        for step in &plan.written {
            self.step(step, input, &mut written)?;
            ends.push(written.len());
        }
        for origin in &plan.read {
            match origin {
                Origin::Written(index) => {
                    let start = index.checked_sub(1).map_or(0, |before| ends[before]);
                    out.extend_from_slice(&written[start..ends[*index]]);
                }
                Origin::Default(bytes) => out.extend_from_slice(bytes),
            }
        }
        Ok(())
    }
}

impl Schema {
    /// Takes a value of this schema, which must be [valid](Schema::validate), from the front of `bytes`. Returns its bytes.
    ///
    /// # Errors
    /// If the bytes are not such a value.
    pub fn take_value<'a>(&self, bytes: &mut &'a [u8]) -> Result<&'a [u8], DecodeError> {
        let (all, mut input) = (*bytes, Decoder::new(bytes));
        pass_over(self, &self.root, 0, &mut input)?;
        *bytes = input.rest();
        Ok(&all[..all.len() - bytes.len()])
    }
}

fn deeper(depth: u32) -> Result<u32, DecodeError> {
    if depth == MAX_NAMED_DEPTH { Err(DecodeError::new(Reason::TooDeep)) } else { Ok(depth + 1) }
}

/// Takes a value and drops it.
fn pass_over(schema: &Schema, ty: &Type, depth: u32, input: &mut Decoder<'_>) -> Result<(), DecodeError> {
    let each = |types: &[&Type], input: &mut Decoder<'_>| {
        types.iter().try_for_each(|ty| pass_over(schema, ty, depth, input))
    };
    match ty {
        Type::Unit => Ok(()),
        Type::Bool => bool::decode_from(input).map(drop),
        Type::Char => char::decode_from(input).map(drop),
        Type::Number(number) => Value::read(*number, input).map(drop),
        Type::String => crate::impls::decode_str(input).map(drop),
        Type::Bytes => input.length(1).and_then(|len| input.take(len, "bytes")).map(drop),
        Type::Option(of) => match Option::<()>::decode_from(input)? {
            None => Ok(()),
            Some(()) => each(&[of], input),
        },
        Type::List(_) | Type::Map(..) => {
            let (len, parts) = (input.length(1)?, ty.parts());
            let empty = parts.iter().all(|part| schema.is_empty(part));
            (0..len).try_for_each(|_| {
                each(&parts, input)?;
                if empty { input.array::<1>("an element").map(drop) } else { Ok(()) }
            })
        }
        Type::Array(of, len) => (0..*len).try_for_each(|_| each(&[of], input)),
        Type::Tuple(_) | Type::Logical(..) => each(&ty.parts(), input),
        Type::Named(position) => {
            let (named, depth) = (schema.named(*position), deeper(depth)?);
            let fields = match &named.shape {
                Shape::Struct(fields) => fields,
                Shape::Enum(variants) => {
                    let tag = input.varint("an enum")?;
                    let variant = usize::try_from(tag).ok().and_then(|tag| variants.get(tag));
                    let name = || named.name.clone();
                    &variant.ok_or_else(|| DecodeError::new(Reason::Variant { name: name(), tag }))?.fields
                }
            };
            fields.iter().try_for_each(|field| pass_over(schema, &field.ty, depth, input))
        }
    }
}

fn widen(from: Number, to: Number, input: &mut Decoder<'_>, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    Value::read(from, input)?.write(to, out);
    Ok(())
}

/// A number of any type.
enum Value {
    Unsigned(u128),
    Signed(i128),
    Float(f64),
}

impl Value {
    fn read(number: Number, input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(match number {
            Number::U8 => Value::Unsigned(u8::decode_from(input)?.into()),
            Number::U16 => Value::Unsigned(u16::decode_from(input)?.into()),
            Number::U32 => Value::Unsigned(u32::decode_from(input)?.into()),
            Number::U64 => Value::Unsigned(u64::decode_from(input)?.into()),
            Number::U128 => Value::Unsigned(u128::decode_from(input)?),
            Number::I8 => Value::Signed(i8::decode_from(input)?.into()),
            Number::I16 => Value::Signed(i16::decode_from(input)?.into()),
            Number::I32 => Value::Signed(i32::decode_from(input)?.into()),
            Number::I64 => Value::Signed(i64::decode_from(input)?.into()),
            Number::I128 => Value::Signed(i128::decode_from(input)?),
            Number::F32 => Value::Float(f32::decode_from(input)?.into()),
            Number::F64 => Value::Float(f64::decode_from(input)?),
        })
    }

    /// Writes the number as a type that has all values of the type that it was read as.
    fn write(self, number: Number, out: &mut Vec<u8>) {
        let out = &mut Encoder::new(out);
        match (self, number) {
            (Value::Float(value), _) => value.encode_into(out),
            (Value::Unsigned(value), Number::U16) => (value as u16).encode_into(out),
            (Value::Unsigned(value), Number::U32 | Number::U64) => (value as u64).encode_into(out),
            (Value::Unsigned(value), Number::U128) => value.encode_into(out),
            (Value::Unsigned(value), _) => Value::Signed(value as i128).write_signed(number, out),
            (value @ Value::Signed(_), _) => value.write_signed(number, out),
        }
    }

    fn write_signed(self, number: Number, out: &mut Encoder<'_, Vec<u8>>) {
        let Value::Signed(value) = self else { return };
        match number {
            Number::I16 => (value as i16).encode_into(out),
            Number::I32 | Number::I64 => (value as i64).encode_into(out),
            _ => value.encode_into(out),
        }
    }
}
