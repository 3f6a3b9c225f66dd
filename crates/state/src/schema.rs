//! The schema of a table's entries: what a savepoint says of itself, and what a restore makes of another one.

use crate::StateKey;
use crate::codec::Undecodable;
use reflow_types::Data;
use reflow_types::data::{Fingerprint, Migration, Schema, Type};
use std::sync::Arc;

/// What is in the entries of one table: a pair of key and value.
#[derive(Clone)]
pub(crate) struct EntrySchema(Arc<Content>);

struct Content {
    schema: Schema,
    fingerprint: Fingerprint,
}

impl EntrySchema {
    /// Of these types.
    pub(crate) fn of<K: StateKey, V: Data>() -> Self {
        let schema = Schema::of::<(K, V)>();
        let fingerprint = schema.fingerprint();
        Self(Arc::new(Content { schema, fingerprint }))
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// As a savepoint stores it.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(&self.0.schema).expect("a schema is plain data, which postcard can always encode")
    }

    /// What entries of a stored schema become; `None` if they are as they should be.
    ///
    /// # Errors
    /// If it is none, or some entries could not become what they should be.
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
            // It would hash to another key group, and records would not find it.
            return Err(format!("the type of the key was {writer} and is {} now", self.0.schema));
        }
        let value = Migration::new(&value, &value_now).map_err(|error| refused("value", &error))?;
        Ok(Some(EntryMigration { fingerprint, value }))
    }
}

/// What becomes of entries that were written with other types. Keys stay as they are.
pub(crate) struct EntryMigration {
    /// The writer's.
    pub(crate) fingerprint: Fingerprint,
    value: Migration,
}

impl EntryMigration {
    /// Takes a value of the writer's from the front of `bytes`.
    pub(crate) fn decode_value<V: Data>(&self, bytes: &mut &[u8]) -> Result<V, Undecodable> {
        let mut now = Vec::new();
        let translated = self.value.translate(bytes, &mut now);
        let value = translated.and_then(|()| reflow_types::data::decode(&now));
        value.map_err(|error| Undecodable::new("value", &error))
    }
}
