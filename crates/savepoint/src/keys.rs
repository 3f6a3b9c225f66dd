//! The hash of an encoded key, by its schema alone.
//!
//! A key is hashed in an encoding of its own ([`reflow_types::key`]), which follows from the value: the parts in order,
//! numbers with a fixed width, lengths of 64 bits, enum tags of 32 bits. So it can be made from the value's bytes and its
//! schema, unless a type implements `Key` in another way. Callers compare the key group with that of the block in which
//! the key was found, which tells.

use reflow_types::data::{Data, DecodeError, Decoder, Number, Schema, Shape, Type};
use reflow_types::{KeyHash, key};

/// The hash of the key that is encoded in `bytes`; `None` if keys of this type have none.
pub fn hash(schema: &Schema, bytes: &[u8]) -> Option<KeyHash> {
    let mut canonical = Vec::new();
    let mut writer = Writer { schema, input: Decoder::new(bytes), out: &mut canonical };
    writer.write(&schema.root).ok()??;
    Some(key::hash_bytes(&canonical))
}

struct Writer<'a, 'b> {
    schema: &'a Schema,
    input: Decoder<'b>,
    out: &'a mut Vec<u8>,
}

impl Writer<'_, '_> {
    /// Appends the next value. `None` if no key has this type.
    fn write(&mut self, ty: &Type) -> Result<Option<()>, DecodeError> {
        match ty {
            Type::Unit => {}
            Type::Bool => self.out.push(u8::from(bool::decode_from(&mut self.input)?)),
            Type::Char => {
                let character = char::decode_from(&mut self.input)?;
                self.push(&u32::from(character).to_le_bytes());
            }
            Type::Number(number) => self.number(*number)?,
            Type::String => {
                let text = String::decode_from(&mut self.input)?;
                self.push(&(text.len() as u64).to_le_bytes());
                self.push(text.as_bytes());
            }
            Type::Option(of) => match Option::<()>::decode_from(&mut self.input)? {
                None => self.out.push(0),
                Some(()) => {
                    self.out.push(1);
                    return self.write(of);
                }
            },
            Type::List(of) => {
                let len = self.input.length(1)?;
                self.push(&(len as u64).to_le_bytes());
                for _ in 0..len {
                    if self.write(of)?.is_none() {
                        return Ok(None);
                    }
                }
            }
            Type::Tuple(of) => return self.all(of.iter()),
            Type::Array(of, len) => return self.all((0..*len).map(|_| &**of)),
            Type::Logical(_, of) => return self.write(of),
            Type::Named(position) => {
                let schema = self.schema;
                let Some(named) = schema.types.get(*position as usize) else { return Ok(None) };
                let fields = match &named.shape {
                    Shape::Struct(fields) => fields,
                    Shape::Enum(variants) => {
                        let tag = self.input.varint("an enum")?;
                        let Some(variant) = variants.get(tag as usize) else { return Ok(None) };
                        self.push(&(tag as u32).to_le_bytes());
                        &variant.fields
                    }
                };
                return self.all(fields.iter().map(|field| &field.ty));
            }
            Type::Bytes | Type::Map(..) => return Ok(None),
        }
        Ok(Some(()))
    }

    fn all<'t>(&mut self, types: impl Iterator<Item = &'t Type>) -> Result<Option<()>, DecodeError> {
        for ty in types {
            if self.write(ty)?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }

    fn push(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn number(&mut self, number: Number) -> Result<(), DecodeError> {
        macro_rules! fixed {
            ($t:ty) => {{
                let value = <$t>::decode_from(&mut self.input)?;
                self.push(&value.to_le_bytes())
            }};
        }
        match number {
            Number::U8 => fixed!(u8),
            Number::U16 => fixed!(u16),
            Number::U32 => fixed!(u32),
            Number::U64 => fixed!(u64),
            Number::U128 => fixed!(u128),
            Number::I8 => fixed!(i8),
            Number::I16 => fixed!(i16),
            Number::I32 => fixed!(i32),
            Number::I64 => fixed!(i64),
            Number::I128 => fixed!(i128),
            Number::F32 => fixed!(f32),
            Number::F64 => fixed!(f64),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reflow_types::{CanonicalF64, Key, data};

    #[derive(Clone, PartialEq, Eq, reflow::Data, Key)]
    enum Place {
        Nowhere,
        Seat { row: u16, name: Option<String> },
        Codes(Vec<(i64, char)>),
    }

    fn check<K: Key>(key: K) {
        let bytes = data::to_vec(&key).expect("it is shallow");
        assert_eq!(hash(&Schema::of::<K>(), &bytes), Some(key.key_hash()));
    }

    #[test]
    fn hashes_are_those_of_the_keys_themselves() {
        (0..300u64).for_each(check);
        [i64::MIN, -1, 0, 1 << 40].into_iter().for_each(check);
        check(7u32);
        check(u128::MAX);
        check("Zürich".to_owned());
        check((1u8, true, 'ß', ()));
        check(Some(vec![String::new(), "a".repeat(300)]));
        check(Place::Nowhere);
        check(Place::Seat { row: 500, name: Some("x".into()) });
        check(Place::Codes(vec![(-5, 'a'), (1 << 50, 'b')]));
        check(CanonicalF64::new(1.5));
    }

    #[test]
    fn what_is_no_key_has_no_hash() {
        assert_eq!(hash(&Schema::of::<bytes::Bytes>(), &[0]), None);
        assert_eq!(hash(&Schema::of::<u64>(), &[]), None);
    }
}
