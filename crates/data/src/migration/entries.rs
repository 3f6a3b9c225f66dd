//! The migration of the entries of a table by key, which are pairs of key and value.

use super::{Incompatible, Migration};
use crate::{Schema, Type};

/// The error of entries that another build cannot read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IncompatibleEntries {
    /// A schema is not that of a pair.
    #[error("the schema is not that of a table")]
    NotEntries,
    /// Keys cannot be read.
    #[error("key: {0}")]
    Key(Incompatible),
    /// Keys could be read, but they would have another hash, so that records would not find their entries.
    #[error(
        "the type of the key was {was} and is {is} now, so records would not find their entries: fields and variants of \
         a key keep their order and their types"
    )]
    KeyChanged {
        /// The writer's type.
        was: String,
        /// The reader's type.
        is: String,
    },
    /// Values cannot be read.
    #[error("value: {0}")]
    Value(Incompatible),
}

impl Migration {
    /// The migration of the values of a table by key, from entries of `writer` to entries of `reader`. Keys stay as they
    /// are.
    ///
    /// # Errors
    /// If the type of the keys has changed, or some values could not be migrated.
    pub fn of_entries(writer: &Schema, reader: &Schema) -> Result<Self, IncompatibleEntries> {
        let (key, value) = writer.entry().ok_or(IncompatibleEntries::NotEntries)?;
        let (key_now, value_now) = reader.entry().ok_or(IncompatibleEntries::NotEntries)?;
        if !Migration::new(&key, &key_now).map_err(IncompatibleEntries::Key)?.is_identity() {
            return Err(IncompatibleEntries::KeyChanged { was: key.to_string(), is: key_now.to_string() });
        }
        Migration::new(&value, &value_now).map_err(IncompatibleEntries::Value)
    }
}

impl Schema {
    /// The schemas of key and value, if this is the schema of the entries of a table.
    pub fn entry(&self) -> Option<(Schema, Schema)> {
        let Type::Tuple(parts) = &self.root else { return None };
        match parts.as_slice() {
            [key, value] => Some((self.part(key), self.part(value))),
            _ => None,
        }
    }
}
