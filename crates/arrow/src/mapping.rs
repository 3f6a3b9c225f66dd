//! The Arrow schema of a type.

use crate::ArrowError;
use crate::node::{Node, Resolver};
use arrow_schema::SchemaRef;
use reflow_data::{Data, Schema};
use std::sync::Arc;

/// The column of a type that is neither a struct nor a tuple.
pub(crate) const SINGLE: &str = "value";

/// How a type looks in Arrow.
///
/// ```
/// # extern crate reflow_data as reflow;
/// use reflow_arrow::Mapping;
/// #[derive(reflow::data::Data)]
/// struct Reading { car: u64, speed: Option<f64>, tags: Vec<String> }
///
/// let mapping = Mapping::of::<Reading>()?;
/// let columns: Vec<String> = mapping.arrow().fields().iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect();
/// assert_eq!(columns, ["car UInt64", "speed Float64", "tags List(non-null Utf8)"]);
/// # Ok::<(), reflow_arrow::ArrowError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mapping {
    pub(crate) options: MappingOptions,
    pub(crate) root: Node,
    arrow: SchemaRef,
}

/// What a user can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappingOptions {
    /// The unit of timestamps, times and durations.
    pub time_unit: TimeUnit,
    /// The digits of decimals behind the point, at most 28. Decimals have 38 digits. A decimal with more digits behind the
    /// point is an error.
    pub decimal_scale: u8,
}

/// The unit of timestamps, times and durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Exact. Reaches 292 years back and forth from 1970; a time beyond is an error.
    Nanoseconds,
    /// Reaches all times of `jiff`. What is below a microsecond is dropped.
    Microseconds,
}

impl Default for MappingOptions {
    /// Nanoseconds, and Flink's `DECIMAL(38, 18)`.
    fn default() -> Self {
        Self { time_unit: TimeUnit::Nanoseconds, decimal_scale: 18 }
    }
}

impl Mapping {
    /// The mapping of a type.
    ///
    /// # Errors
    /// If the type contains itself, has no values, or has too many columns.
    pub fn of<T: Data>() -> Result<Self, ArrowError> {
        Self::new(&Schema::of::<T>(), MappingOptions::default())
    }

    /// The mapping of a schema, which must be [valid](Schema::validate).
    ///
    /// # Errors
    /// As [`Mapping::of`].
    pub fn new(schema: &Schema, options: MappingOptions) -> Result<Self, ArrowError> {
        let root = Resolver::new(schema).resolve()?;
        let mut mapping = Self { options, root, arrow: Arc::new(arrow_schema::Schema::empty()) };
        let fields: Vec<_> = mapping.columns().map(|(name, node)| node.field(name, options)).collect();
        mapping.arrow = Arc::new(arrow_schema::Schema::new(fields));
        Ok(mapping)
    }

    /// The Arrow schema: a column for each field of a struct or a tuple. Other types have one column, `value`.
    pub fn arrow(&self) -> &SchemaRef {
        &self.arrow
    }

    /// The columns by name.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (&str, &Node)> {
        let (fields, single): (&[_], _) = match &self.root {
            Node::Struct(fields) => (fields, None),
            root => (&[], Some((SINGLE, root))),
        };
        fields.iter().map(|field| (field.name.as_str(), &field.node)).chain(single)
    }
}
