//! The migration of values, which translates bytes of an earlier build into bytes that this build can read.
//!
//! The following may change:
//!
//! - the order of fields; fields can be added with a default, and removed if an attribute names them;
//! - the order of variants; variants can be added, and removed if an attribute names them and no value is one;
//! - an integer type to a wider one with all of its values, `f32` to `f64`, `T` to `Option<T>`;
//! - a list, set or text type to another one, a map type to another one, and the names of types.
//!
//! Every other change is refused before anything is read, with the field and both types. Fields and variants are
//! matched by their names in the schema.

mod entries;
mod resolve;
mod translate;

pub use entries::IncompatibleEntries;

use crate::schema::Number;
use crate::{Data, DecodeError, Schema, Type};

/// Translates values of one schema to another.
///
/// ```
/// # extern crate reflow_data as reflow;
/// use reflow::{Data, Schema, data, migration};
/// mod before {
///     #[derive(reflow::Data)]
///     pub struct Car { pub id: u32, pub speed: f64, pub colour: String }
/// }
/// #[derive(Debug, PartialEq, Data)]
/// #[data(removed = "colour")]
/// struct Car { id: u64, #[data(default = 4)] wheels: u8, #[data(rename = "speed")] velocity: f64 }
///
/// let written = data::to_vec(&before::Car { id: 7, speed: 9.5, colour: "red".into() })?;
/// let car: Car = migration::decode(&written, &Schema::of::<before::Car>())?;
/// assert_eq!(car, Car { id: 7, wheels: 4, velocity: 9.5 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Migration {
    /// The writer's schema. Values that are only skipped or copied need no plan.
    writer: Schema,
    plans: Vec<Plan>,
    root: Step,
}

/// The translation of a struct or an enum.
#[derive(Clone, Debug)]
enum Plan {
    Struct(FieldsPlan),
    Enum {
        name: String,
        /// The translation of each variant, by the writer's tags.
        variants: Vec<VariantPlan>,
    },
}

#[derive(Clone, Debug)]
enum VariantPlan {
    /// The reader's tag, and the translation of the fields.
    Kept(u64, FieldsPlan),
    /// The variant was removed; it had this name.
    Removed(String),
}

#[derive(Clone, Debug, Default)]
struct FieldsPlan {
    /// The translation of the writer's fields, in order.
    written: Vec<Step>,
    /// The reader's fields, in order.
    read: Vec<Origin>,
}

/// The origin of a field of the reader.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    /// The writer's field at this position.
    Written(usize),
    /// The field was not written, and this is its encoded default.
    Default(Vec<u8>),
}

/// The translation of a value.
#[derive(Clone, Debug)]
enum Step {
    /// The value is copied.
    Copy(Type),
    /// The value is dropped.
    Drop(Type),
    /// The number becomes a wider one.
    Widen(Number, Number),
    /// The value becomes the content of an option.
    Some(Box<Step>),
    Option(Box<Step>),
    List(ListPlan),
    Array(Box<Step>, u64),
    Tuple(Vec<Step>),
    /// The value is translated by the plan at this position.
    Named(usize),
}

/// A list, or a map as a list of pairs.
#[derive(Clone, Debug)]
struct ListPlan {
    /// The translation of an element's parts.
    element: Vec<Step>,
    /// Whether the writer's and the reader's elements have no bytes of their own.
    empty: (bool, bool),
}

/// The error of a schema that cannot read data of another one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", place(path))]
pub struct Incompatible {
    /// The field, as `cars[].speed`; empty for the value itself.
    pub path: String,
    /// The problem, and what to do.
    pub problem: Problem,
}

fn place(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("field `{path}`: ") }
}

/// A difference between two schemas that no migration can bridge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The types differ.
    #[error("it was written as {was} and is {is} now, which cannot hold all of its values")]
    Type {
        /// The writer's.
        was: String,
        /// The reader's.
        is: String,
    },
    /// A field was not written.
    #[error(
        "`{name}: {is}` was not written; give it a default by `#[data(default)]`, or its former name by `#[data(rename = \"...\")]`"
    )]
    Added {
        /// The field.
        name: String,
        /// Its type.
        is: String,
    },
    /// A written field does not exist any more.
    #[error(
        "`{name}: {was}` was written and is not there any more; name it in `#[data(removed = \"{name}\")]` to drop its values"
    )]
    Removed {
        /// The field.
        name: String,
        /// Its type.
        was: String,
    },
    /// A variant does not exist any more.
    #[error(
        "the variant `{name}` may have been written and is not there any more; name it in `#[data(removed = \"{name}\")]` if there are no values of it"
    )]
    RemovedVariant {
        /// The variant.
        name: String,
    },
}

/// The error of bytes with another schema that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the variants say it")]
pub enum MigrationError {
    #[error(transparent)]
    Incompatible(#[from] Incompatible),
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Decodes a value that takes all of `bytes`, which were written by the schema `writer`.
///
/// # Errors
/// If a `T` cannot be read by the schema, or the bytes are not a value of the schema.
pub fn decode<T: Data>(bytes: &[u8], writer: &Schema) -> Result<T, MigrationError> {
    let reader = Schema::of::<T>();
    if writer.fingerprint() == reader.fingerprint() {
        return Ok(crate::decode(bytes)?);
    }
    let (mut input, mut out) = (bytes, Vec::new());
    Migration::new(writer, &reader)?.translate(&mut input, &mut out)?;
    crate::Decoder::new(input).finish()?;
    Ok(crate::decode(&out)?)
}

impl Migration {
    /// The migration of values of `writer`, which must be [valid](Schema::validate), to values of `reader`.
    ///
    /// # Errors
    /// If some values could not be migrated.
    pub fn new(writer: &Schema, reader: &Schema) -> Result<Self, Incompatible> {
        resolve::resolve(writer, reader)
    }

    /// Whether every value stays unchanged, because only names differ.
    pub fn is_identity(&self) -> bool {
        let unchanged = |plan: &Plan| {
            match plan {
            Plan::Struct(fields) => fields.is_identity(),
            Plan::Enum { variants, .. } => variants.iter().zip(0..).all(|(variant, tag)| {
                matches!(variant, VariantPlan::Kept(now, fields) if *now == tag && fields.is_identity())
            }),
        }
        };
        self.root.is_identity() && self.plans.iter().all(unchanged)
    }

    /// Takes a value of the writer's from the front of `input` and appends the reader's to `out`.
    ///
    /// # Errors
    /// If the bytes are not such a value, or it has a variant that was removed.
    pub fn translate(&self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        translate::translate(self, input, out)
    }
}

impl FieldsPlan {
    fn is_identity(&self) -> bool {
        let in_order = self.read.iter().enumerate().all(|(index, origin)| *origin == Origin::Written(index));
        in_order && self.read.len() == self.written.len() && self.written.iter().all(Step::is_identity)
    }
}

impl Step {
    fn is_identity(&self) -> bool {
        match self {
            Step::Copy(_) | Step::Named(_) => true, // a named one is looked at by itself
            Step::Drop(_) | Step::Widen(..) | Step::Some(_) => false,
            Step::Option(of) | Step::Array(of, _) => of.is_identity(),
            Step::List(list) => list.empty.0 == list.empty.1 && list.element.iter().all(Step::is_identity),
            Step::Tuple(of) => of.iter().all(Step::is_identity),
        }
    }
}
