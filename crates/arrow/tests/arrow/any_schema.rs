//! Schemas and values of all kinds, from a seed.

use reflow_data::schema::Named;
use reflow_data::{Data, Encoder, Field, Number, Schema, Shape, Type, Variant};

/// Numbers from a seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// An integer of few or of many digits, or the least or the greatest of its type.
    fn integer(&mut self, bits: u32) -> i128 {
        let wide = i128::from(self.next()) << 64 | i128::from(self.next());
        let greatest = i128::MAX >> (128 - bits);
        match self.below(5) {
            0 => greatest,
            1 => -greatest - 1,
            2 => 0,
            3 => (wide >> (128 - bits)) >> self.below(bits as usize),
            _ => wide >> (128 - bits),
        }
    }
}

const NUMBERS: [Number; 12] = [
    Number::U8,
    Number::U16,
    Number::U32,
    Number::U64,
    Number::U128,
    Number::I8,
    Number::I16,
    Number::I32,
    Number::I64,
    Number::I128,
    Number::F32,
    Number::F64,
];

/// A schema without recursive types.
pub(crate) fn schema(random: &mut Random) -> Schema {
    let mut types = Vec::new();
    let root = any_type(random, 4, &mut types);
    let schema = Schema { types, root };
    schema.validate().expect("a valid schema");
    schema
}

fn any_type(random: &mut Random, depth: usize, types: &mut Vec<Named>) -> Type {
    let mut inner = |random: &mut Random| Box::new(any_type(random, depth - 1, types));
    match random.below(if depth == 0 { 9 } else { 19 }) {
        0 => Type::Unit,
        1 => Type::Bool,
        2 => Type::Char,
        3 | 4 => Type::Number(NUMBERS[random.below(12)]),
        5 => Type::String,
        6 => Type::Bytes,
        7 => logical(random),
        8 => Type::Array(Box::new(Type::Number(Number::U8)), random.below(4) as u64),
        9 | 10 => Type::Option(inner(random)),
        11 | 12 => Type::List(inner(random)),
        13 => Type::Array(inner(random), random.below(4) as u64),
        14 => Type::Map(inner(random), inner(random)),
        15 => Type::Tuple((0..random.below(4)).map(|_| *inner(random)).collect()),
        _ => named(random, depth, types),
    }
}

fn logical(random: &mut Random) -> Type {
    let tuple =
        |numbers: &[Number]| Type::Tuple(numbers.iter().map(|number| Type::Number(*number)).collect());
    let date = || logical_of("Date", tuple(&[Number::I16, Number::I8, Number::I8]));
    let time = || logical_of("Time", tuple(&[Number::I8, Number::I8, Number::I8, Number::I32]));
    match random.below(7) {
        0 => logical_of("Uuid", Type::Array(Box::new(Type::Number(Number::U8)), 16)),
        1 => logical_of("Timestamp", tuple(&[Number::I64, Number::I32])),
        2 => logical_of("SignedDuration", tuple(&[Number::I64, Number::I32])),
        3 => date(),
        4 => time(),
        5 => logical_of("DateTime", Type::Tuple(vec![date(), time()])),
        // A meaning that nobody knows.
        _ => logical_of("Celsius", Type::Number(Number::F32)),
    }
}

fn logical_of(name: &str, of: Type) -> Type {
    Type::Logical(name.to_owned(), Box::new(of))
}

fn named(random: &mut Random, depth: usize, types: &mut Vec<Named>) -> Type {
    let fields = |random: &mut Random, types: &mut Vec<Named>| {
        let (has_names, count) = (random.below(2) == 0, random.below(4));
        let mut field = |index: usize| {
            let name = if has_names { format!("field_{index}") } else { index.to_string() };
            Field::new(&name, any_type(random, depth - 1, types), None)
        };
        (0..count).map(&mut field).collect::<Vec<_>>()
    };
    let shape = if random.below(2) == 0 {
        Shape::Struct(fields(random, types))
    } else {
        let count = random.below(3) + 1;
        let variant = |index: usize| Variant::new(&format!("Variant{index}"), fields(random, types), &[]);
        Shape::Enum((0..count).map(variant).collect())
    };
    types.push(Named { name: format!("Type{}", types.len()), shape, removed: Vec::new() });
    Type::Named(types.len() as u32 - 1)
}

/// Appends a value of the type.
pub(crate) fn value(random: &mut Random, schema: &Schema, ty: &Type, out: &mut Vec<u8>) {
    match ty {
        Type::Unit => {}
        Type::Bool => put(random.below(2) == 0, out),
        Type::Char => put(['a', 'ß', '\0', '𝄞', '"'][random.below(5)], out),
        Type::Number(number) => match number {
            Number::U8 => put(random.integer(8) as u8, out),
            Number::U16 => put(random.integer(16) as u16, out),
            Number::U32 => put(random.integer(32) as u32, out),
            Number::U64 => put(random.integer(64) as u64, out),
            Number::U128 => put(random.integer(128) as u128, out),
            Number::I8 => put(random.integer(8) as i8, out),
            Number::I16 => put(random.integer(16) as i16, out),
            Number::I32 => put(random.integer(32) as i32, out),
            Number::I64 => put(random.integer(64) as i64, out),
            Number::I128 => put(random.integer(128), out),
            // Any bits: also NaN with a payload, infinities and a negative zero.
            Number::F32 => put(f32::from_bits(random.integer(32) as u32), out),
            Number::F64 => put(f64::from_bits(random.integer(64) as u64), out),
        },
        Type::String => put("äb\0c".repeat(random.below(4)), out),
        Type::Bytes => put([0u8, 255, 1].repeat(random.below(4)), out),
        Type::Option(of) => {
            let is_there = random.below(3) > 0;
            put(is_there, out);
            if is_there {
                value(random, schema, of, out);
            }
        }
        Type::List(_) | Type::Map(..) => {
            let parts: &[&Type] = match ty {
                Type::Map(key, value) => &[&**key, &**value],
                Type::List(of) => &[&**of],
                _ => &[],
            };
            let len = random.below(4);
            Encoder::new(out).length(len);
            for _ in 0..len {
                parts.iter().for_each(|part| value(random, schema, part, out));
                if parts.iter().all(|part| schema.is_empty(part)) {
                    out.push(0);
                }
            }
        }
        Type::Array(of, len) => (0..*len).for_each(|_| value(random, schema, of, out)),
        Type::Tuple(of) => of.iter().for_each(|of| value(random, schema, of, out)),
        Type::Logical(name, of) => match name.as_str() {
            "Timestamp" | "SignedDuration" => {
                let nanos = (random.integer(64) as i64).clamp(-9_000_000_000_000_000_000, i64::MAX);
                put((nanos / 1_000_000_000, (nanos % 1_000_000_000) as i32), out);
            }
            "Date" => put(date(random), out),
            "Time" => put(time(random), out),
            "DateTime" => put((date(random), time(random)), out),
            _ => value(random, schema, of, out),
        },
        Type::Named(position) => {
            let fields = match &schema.types[*position as usize].shape {
                Shape::Struct(fields) => fields,
                Shape::Enum(variants) => {
                    let tag = random.below(variants.len());
                    Encoder::new(out).varint(tag as u64);
                    &variants[tag].fields
                }
            };
            fields.iter().for_each(|field| value(random, schema, &field.ty, out));
        }
    }
}

fn put(value: impl Data, out: &mut Vec<u8>) {
    value.encode_into(&mut Encoder::new(out));
}

/// A date that nanoseconds reach.
fn date(random: &mut Random) -> (i16, i8, i8) {
    (1700 + random.below(500) as i16, 1 + random.below(12) as i8, 1 + random.below(28) as i8)
}

fn time(random: &mut Random) -> (i8, i8, i8, i32) {
    let mut part = |end: usize| random.below(end);
    (part(24) as i8, part(60) as i8, part(60) as i8, part(1_000_000_000) as i32)
}
