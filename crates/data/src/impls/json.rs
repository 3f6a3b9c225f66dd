//! `serde_json::Value`, as an enum of its kinds: its text would not always return the same float.

use crate::data::{decode_element, no_variant};
use crate::{Buffer, Data, DecodeError, Decoder, Encoder, SchemaBuilder, Shape, Type, Variant};
use serde_json::{Map, Number, Value};

/// The variants' names, by their positions.
const VARIANTS: [&str; 9] =
    ["Null", "False", "True", "Unsigned", "Signed", "Float", "String", "Array", "Object"];

impl Data for Value {
    const MIN_BYTES: usize = 1;

    fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>) {
        match self {
            Value::Null => out.varint(0),
            Value::Bool(value) => out.varint(if *value { 2 } else { 1 }),
            Value::Number(number) => {
                if let Some(value) = number.as_u64() {
                    out.varint(3);
                    value.encode_into(out);
                } else if let Some(value) = number.as_i64() {
                    out.varint(4);
                    value.encode_into(out);
                } else {
                    // Without the feature `arbitrary_precision` of serde_json there is nothing else.
                    out.varint(5);
                    number.as_f64().unwrap_or(f64::NAN).encode_into(out);
                }
            }
            Value::String(value) => {
                out.varint(6);
                value.encode_into(out);
            }
            Value::Array(items) => {
                out.varint(7);
                items.encode_into(out);
            }
            Value::Object(entries) => {
                out.varint(8);
                out.length(entries.len());
                out.nested(|out| {
                    for (key, value) in entries {
                        key.encode_into(out);
                        value.encode_into(out);
                    }
                });
            }
        }
    }

    fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(match input.varint("a JSON value")? {
            0 => Value::Null,
            1 => Value::Bool(false),
            2 => Value::Bool(true),
            3 => Value::Number(u64::decode_from(input)?.into()),
            4 => Value::Number(i64::decode_from(input)?.into()),
            5 => {
                let number = Number::from_f64(f64::decode_from(input)?);
                Value::Number(number.ok_or_else(|| DecodeError::refused("JSON has no such float"))?)
            }
            6 => Value::String(String::decode_from(input)?),
            7 => Value::Array(Vec::decode_from(input)?),
            8 => {
                let len = input.length(2)?;
                input.nested(|input| {
                    let mut entries = Map::new();
                    for index in 0..len {
                        let (key, value) = decode_element::<(String, Value)>(index, input)?;
                        entries.insert(key, value);
                    }
                    Ok(Value::Object(entries))
                })?
            }
            tag => return Err(no_variant("Json", tag)),
        })
    }

    fn describe(schema: &mut SchemaBuilder) -> Type {
        schema.named::<Self>("Json", &[], |schema| {
            let fields = |name: &str, schema: &mut SchemaBuilder| match name {
                "Unsigned" => vec![schema.field::<u64>("0", None)],
                "Signed" => vec![schema.field::<i64>("0", None)],
                "Float" => vec![schema.field::<f64>("0", None)],
                "String" => vec![schema.field::<String>("0", None)],
                "Array" => vec![schema.field::<Vec<Value>>("0", None)],
                "Object" => vec![schema.field::<std::collections::BTreeMap<String, Value>>("0", None)],
                _ => Vec::new(),
            };
            let variant = |name| Variant::new(name, fields(name, schema), &[]);
            Shape::Enum(VARIANTS.into_iter().map(variant).collect())
        })
    }
}
