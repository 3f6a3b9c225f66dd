//! JSON to encoded values, by their schema: the reverse of a [dump](reflow_types::data::Dump).

use reflow_types::data::{Data, Encoder, Field, Number, Schema, Shape, Type};
use serde_json::{Map, Value};

/// The deepest nesting of types, as a bound on recursion.
const MAX_DEPTH: u32 = 256;

/// Why JSON is not a value of a type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}expected {expected}, found {found}", place(path))]
pub struct Mismatch {
    /// The field, as `cars[2].speed`; empty for the value itself.
    pub path: String,
    /// The type.
    pub expected: String,
    /// The JSON.
    pub found: String,
}

fn place(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("field `{}`: ", path.trim_start_matches('.')) }
}

/// Appends the encoding of a value.
///
/// # Errors
/// If it is not a value of the schema.
pub fn encode(schema: &Schema, value: &Value, out: &mut Vec<u8>) -> Result<(), Mismatch> {
    let mut writer = Writer { schema, out, path: String::new(), depth: 0 };
    writer.value(&schema.root, value)
}

struct Writer<'a> {
    schema: &'a Schema,
    out: &'a mut Vec<u8>,
    path: String,
    depth: u32,
}

impl Writer<'_> {
    fn value(&mut self, ty: &Type, value: &Value) -> Result<(), Mismatch> {
        if self.depth == MAX_DEPTH {
            return Err(self.mismatch("less nesting", value));
        }
        self.depth += 1;
        let done = self.value_of(ty, value);
        self.depth -= 1;
        done
    }

    fn value_of(&mut self, ty: &Type, value: &Value) -> Result<(), Mismatch> {
        match (ty, value) {
            (Type::Unit, Value::Null) => {}
            (Type::Bool, Value::Bool(value)) => self.put(value),
            (Type::Char, Value::String(text)) if text.chars().count() == 1 => {
                self.put(&text.chars().next().unwrap_or_default());
            }
            (Type::Number(number), value) => return self.number(*number, value),
            (Type::String, Value::String(text)) => self.put(text),
            (Type::Bytes, Value::String(text)) => {
                let bytes =
                    from_hexadecimal(text).ok_or_else(|| self.mismatch("bytes in hexadecimal", value))?;
                Encoder::new(self.out).length(bytes.len());
                self.out.extend_from_slice(&bytes);
            }
            (Type::Option(_), Value::Null) => self.out.push(0),
            (Type::Option(of), value) => {
                self.out.push(1);
                return self.value(of, value);
            }
            (Type::List(of), Value::Array(items)) => {
                Encoder::new(self.out).length(items.len());
                for (index, item) in items.iter().enumerate() {
                    self.element(&[of], &[item], index)?;
                }
            }
            (Type::Map(key, of), Value::Object(entries)) => {
                Encoder::new(self.out).length(entries.len());
                for (index, (name, value)) in entries.iter().enumerate() {
                    self.element(&[key, of], &[&name_as(key, name), value], index)?;
                }
            }
            (Type::Map(key, of), Value::Array(entries)) => {
                Encoder::new(self.out).length(entries.len());
                for (index, entry) in entries.iter().enumerate() {
                    let Some([name, value]) = entry.as_array().map(Vec::as_slice) else {
                        return Err(self.mismatch("a pair of key and value", entry));
                    };
                    self.element(&[key, of], &[name, value], index)?;
                }
            }
            (Type::Array(of, len), Value::Array(items)) if items.len() as u64 == *len => {
                return items
                    .iter()
                    .enumerate()
                    .try_for_each(|(i, item)| self.within(&format!("[{i}]"), of, item));
            }
            (Type::Tuple(types), Value::Array(items)) if items.len() == types.len() => {
                let parts = types.iter().zip(items).enumerate();
                return parts
                    .into_iter()
                    .try_for_each(|(i, (ty, item))| self.within(&format!(".{i}"), ty, item));
            }
            (Type::Logical(name, of), Value::String(text)) if name == "Uuid" && **of == uuid() => {
                let digits: String = text.chars().filter(|c| *c != '-').collect();
                let bytes = from_hexadecimal(&digits).filter(|bytes| bytes.len() == 16);
                let Some(bytes) = bytes else { return Err(self.mismatch("a UUID", value)) };
                self.out.extend(bytes);
            }
            (Type::Logical(_, of), value) => return self.value(of, value),
            (Type::Named(position), value) => {
                let schema = self.schema;
                let named = &schema.types[*position as usize];
                return match &named.shape {
                    Shape::Struct(fields) => self.fields(&named.name, fields, value),
                    Shape::Enum(variants) => {
                        let (name, content) = match value {
                            Value::String(name) => (name.as_str(), None),
                            Value::Object(map) if map.len() == 1 => {
                                let (name, content) = map.iter().next().expect("it has one");
                                (name.as_str(), Some(content))
                            }
                            value => {
                                return Err(self.mismatch(&format!("a variant of {}", named.name), value));
                            }
                        };
                        let found = variants.iter().position(|variant| variant.name == name);
                        let Some(tag) = found else {
                            return Err(self.mismatch(&format!("a variant of {}", named.name), value));
                        };
                        Encoder::new(self.out).varint(tag as u64);
                        let empty = Value::Object(Map::new());
                        self.fields(name, &variants[tag].fields, content.unwrap_or(&empty))
                    }
                };
            }
            (ty, value) => {
                let expected = self.schema.part(ty).to_string();
                return Err(self.mismatch(expected.split(';').next().unwrap_or_default(), value));
            }
        }
        Ok(())
    }

    /// The fields of a struct or variant, in the forms that a dump has.
    fn fields(&mut self, name: &str, fields: &[Field], value: &Value) -> Result<(), Mismatch> {
        let positional = fields.iter().enumerate().all(|(index, field)| field.name == index.to_string());
        match (fields, value) {
            ([], _) => Ok(()),
            ([field], value) if positional => self.value(&field.ty, value),
            (fields, Value::Array(items)) if positional && items.len() == fields.len() => fields
                .iter()
                .zip(items)
                .try_for_each(|(field, item)| self.within(&format!(".{}", field.name), &field.ty, item)),
            (fields, Value::Object(map)) if !positional => {
                if let Some((unknown, value)) =
                    map.iter().find(|(name, _)| !fields.iter().any(|f| f.name == **name))
                {
                    let known: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
                    self.path.push_str(&format!(".{unknown}"));
                    return Err(
                        self.mismatch(&format!("only the fields {} of {name}", known.join(", ")), value)
                    );
                }
                for field in fields {
                    let Some(value) = map.get(&field.name) else {
                        self.path.push_str(&format!(".{}", field.name));
                        return Err(Mismatch {
                            path: std::mem::take(&mut self.path),
                            expected: format!("a value of this field of {name}"),
                            found: "none".to_owned(),
                        });
                    };
                    self.within(&format!(".{}", field.name), &field.ty, value)?;
                }
                Ok(())
            }
            (_, value) => Err(self.mismatch(name, value)),
        }
    }

    /// An element of a list, or a pair of a map. One without bytes takes one.
    fn element(&mut self, types: &[&Type], values: &[&Value], index: usize) -> Result<(), Mismatch> {
        let before = self.out.len();
        for (ty, value) in types.iter().zip(values) {
            self.within(&format!("[{index}]"), ty, value)?;
        }
        if self.out.len() == before {
            self.out.push(0);
        }
        Ok(())
    }

    fn within(&mut self, part: &str, ty: &Type, value: &Value) -> Result<(), Mismatch> {
        let len = self.path.len();
        self.path.push_str(part);
        self.value(ty, value)?;
        self.path.truncate(len);
        Ok(())
    }

    fn number(&mut self, number: Number, value: &Value) -> Result<(), Mismatch> {
        let Value::Number(given) = value else {
            return Err(self.mismatch(&format!("{number:?}").to_lowercase(), value));
        };
        macro_rules! integer {
            ($t:ty) => {{
                let parsed = given.to_string().parse::<$t>();
                parsed.ok().map(|number| self.put(&number))
            }};
        }
        let written = match number {
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
            Number::F32 => given.as_f64().map(|number| self.put(&(number as f32))),
            Number::F64 => given.as_f64().map(|number| self.put(&number)),
        };
        written.ok_or_else(|| self.mismatch(&format!("{number:?}").to_lowercase(), value))
    }

    fn put(&mut self, value: &impl Data) {
        value.encode_into(&mut Encoder::new(self.out));
    }

    fn mismatch(&mut self, expected: &str, value: &Value) -> Mismatch {
        let mut found = value.to_string();
        if found.chars().count() > 60 {
            found = found.chars().take(60).collect::<String>() + "…";
        }
        Mismatch { path: std::mem::take(&mut self.path), expected: expected.to_owned(), found }
    }
}

/// The key of a map whose keys are names in JSON.
fn name_as(ty: &Type, name: &str) -> Value {
    match ty {
        Type::Number(_) | Type::Bool => {
            serde_json::from_str(name).unwrap_or_else(|_| Value::String(name.to_owned()))
        }
        Type::Logical(_, of) if matches!(**of, Type::Number(_)) => name_as(of, name),
        _ => Value::String(name.to_owned()),
    }
}

fn uuid() -> Type {
    Type::Array(Box::new(Type::Number(Number::U8)), 16)
}

fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let is_hexadecimal = digits.len().is_multiple_of(2) && digits.iter().all(u8::is_ascii_hexdigit);
    is_hexadecimal.then(|| digits.chunks(2).map(pair).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use reflow_types::data::{self, Dump};
    use std::collections::BTreeMap;

    #[derive(Clone, Debug, PartialEq, reflow::Data)]
    struct Order {
        id: u64,
        items: Vec<Item>,
        note: Option<String>,
        by_day: BTreeMap<i32, f64>,
        by_pair: BTreeMap<(u8, u8), bool>,
        raw: bytes::Bytes,
        nothing: Vec<()>,
    }

    #[derive(Clone, Debug, PartialEq, reflow::Data)]
    enum Item {
        Empty,
        Named { name: String, price: i64 },
        Pair(u16, char),
        One(f32),
    }

    fn order() -> Order {
        Order {
            id: u64::MAX,
            items: vec![
                Item::Empty,
                Item::Named { name: "tea".into(), price: -300 },
                Item::Pair(500, 'ß'),
                Item::One(0.5),
            ],
            note: Some("a \"quoted\" text".into()),
            by_day: [(-1, 1.5), (7, -0.25)].into(),
            by_pair: [((1, 2), true)].into(),
            raw: bytes::Bytes::from_static(&[0, 255, 16]),
            nothing: vec![(), ()],
        }
    }

    fn parsed<T: Data>(json: &str) -> Result<T, Mismatch> {
        let mut bytes = Vec::new();
        encode(&Schema::of::<T>(), &serde_json::from_str(json).expect("JSON"), &mut bytes)?;
        Ok(data::decode(&bytes).expect("an encoded value"))
    }

    #[test]
    fn what_is_dumped_is_read() {
        let (schema, bytes) = (Schema::of::<Order>(), data::to_vec(&order()).expect("it is shallow"));
        let json = serde_json::to_string(&Dump::new(&schema, &bytes)).expect("a dump");
        assert_eq!(parsed::<Order>(&json), Ok(order()));
    }

    #[test]
    fn a_mismatch_names_field_and_type() {
        let check = |json: &str, expected: &str| {
            let error = parsed::<Vec<Item>>(json).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(r#"[{"Named": {"name": "x", "price": "y"}}]"#, "field `[0].price`: expected i64, found \"y\"");
        check(
            r#"[{"Named": {"name": "x"}}]"#,
            "field `[0].price`: expected a value of this field of Named, found none",
        );
        check(
            r#"[{"Named": {"name": "x", "price": 1, "prize": 2}}]"#,
            "`[0].prize`: expected only the fields name, price",
        );
        check(r#"["Empty", "Full"]"#, "field `[1]`: expected a variant of Item, found \"Full\"");
        check(r#"[{"Pair": [70000, "x"]}]"#, "field `[0].0`: expected u16, found 70000");
        check("7", "expected List<Item>, found 7");
        assert_eq!(parsed::<u64>("1.5").unwrap_err().to_string(), "expected u64, found 1.5");
    }
}
