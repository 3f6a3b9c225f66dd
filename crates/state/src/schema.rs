//! The schema of a table's entries, which a savepoint contains, and the translation of entries with another
//! schema.

use crate::StateKey;
use crate::codec::Undecodable;
use reflow_types::Data;
use reflow_types::data::{Fingerprint, Migration, Schema};
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

    pub(crate) fn schema(&self) -> &Schema {
        &self.0.schema
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
        let value = Migration::of_entries(&writer, &self.0.schema).map_err(|error| error.to_string())?;
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
