//! The schema of a table's entries, which a savepoint contains, and the translation of entries with another
//! schema.

use crate::StateKey;
use crate::codec::Undecodable;
use reflow_types::Data;
use reflow_types::data::{Fingerprint, Migration, Schema, Type};
use std::sync::Arc;

/// The schema of the entries of one table: a pair of key and value.
#[derive(Clone)]
pub(crate) struct EntrySchema(Arc<Content>);

struct Content {
    schema: Schema,
    fingerprint: Fingerprint,
}

impl EntrySchema {
    /// The schema of entries with these types.
    pub(crate) fn of<K: StateKey, V: Data>() -> Self {
        let schema = Schema::of::<(K, V)>();
        let fingerprint = schema.fingerprint();
        Self(Arc::new(Content { schema, fingerprint }))
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// Encodes the schema for a savepoint.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(&self.0.schema).expect("a schema is plain data, which postcard can always encode")
    }

    /// The translation of entries with a stored schema into this one; `None` if the two are the same.
    ///
    /// # Errors
    /// If the bytes are not a schema of a table, or some entries could not be translated.
    pub(crate) fn migrate_from(&self, stored: &[u8]) -> Result<Option<EntryMigration>, String> {
        let writer: Schema = postcard::from_bytes(stored).map_err(|error| error.to_string())?;
        writer.validate().map_err(|error| error.to_string())?;
        let fingerprint = writer.fingerprint();
        if fingerprint == self.fingerprint() {
            return Ok(None);
        }
        let parts = |schema: &Schema| match &schema.root {
            Type::Tuple(parts) if parts.len() == 2 => {
                let part = |root: &Type| Schema { types: schema.types.clone(), root: root.clone() };
                Ok((part(&parts[0]), part(&parts[1])))
            }
            _ => Err("the schema is not that of a table".to_owned()),
        };
        let (key, value) = parts(&writer)?;
        let (key_now, value_now) = parts(&self.0.schema)?;
        let refused = |part: &str, error: &dyn std::fmt::Display| format!("{part}: {error}");
        let key = Migration::new(&key, &key_now).map_err(|error| refused("key", &error))?;
        if !key.is_identity() {
            // A translated key would have another hash, and records would not find its entry.
            return Err(format!("the type of the key was {writer} and is {} now", self.0.schema));
        }
        let value = Migration::new(&value, &value_now).map_err(|error| refused("value", &error))?;
        Ok(Some(EntryMigration { fingerprint, value }))
    }
}

/// The translation of entries that were written with other types. Keys are not translated.
pub(crate) struct EntryMigration {
    /// The fingerprint of the writer's schema.
    pub(crate) fingerprint: Fingerprint,
    value: Migration,
}

impl EntryMigration {
    /// Takes a value with the writer's schema from the front of `bytes` and translates it.
    pub(crate) fn decode_value<V: Data>(&self, bytes: &mut &[u8]) -> Result<V, Undecodable> {
        let mut now = Vec::new();
        let translated = self.value.translate(bytes, &mut now);
        let value = translated.and_then(|()| reflow_types::data::decode(&now));
        value.map_err(|error| Undecodable::new("value", &error))
    }
}
