//! The parts of an entry of a state by key, and how they look as JSON.

use reflow_graph::{DeclaredState, StateKind};
use reflow_types::data::{DecodeError, Dump, Schema, Shape, Type};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// How the entries of a state are composed.
pub struct EntryShape {
    key: Schema,
    /// What is behind the key of the stream in the key of an entry.
    scope: Option<(Scope, Schema)>,
    value: Schema,
    /// Whether the time from which its time to live counts is in front of the value.
    stamp: Option<Schema>,
}

/// What a scope is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The position in a list.
    Position,
    /// The key in a map.
    UserKey,
    /// The time of a timer, and a tag.
    Timer,
    /// A window.
    Window,
}

impl Scope {
    fn field(self) -> &'static str {
        match self {
            Scope::Position => "position",
            Scope::UserKey => "user_key",
            Scope::Timer => "timer",
            Scope::Window => "window",
        }
    }
}

impl EntryShape {
    /// The shape of a state's entries by their schema. `None` if it is not that of entries.
    pub fn of(state: &DeclaredState, schema: &Schema) -> Option<Self> {
        let (key, value) = schema.entry()?;
        let scope = match state.kind {
            StateKind::Value | StateKind::Aggregating => None,
            StateKind::List => Some(Scope::Position),
            StateKind::Map => Some(Scope::UserKey),
            StateKind::Timers => Some(Scope::Timer),
            StateKind::Windows => Some(Scope::Window),
        };
        // Windows also have state by the stream's key alone.
        let scoped = fields(&key, "Scoped", ["key", "scope"]).zip(scope);
        let (key, scope) = match scoped {
            Some(([key, of], scope)) => (key, Some((scope, of))),
            None => (key, None),
        };
        let declared = !matches!(state.kind, StateKind::Timers | StateKind::Windows);
        let (stamp, value) = if let Some([value]) = fields(&value, "Kept", ["value"]).filter(|_| declared) {
            (None, value)
        } else if let Some([stamp, of]) = fields(&value, "Stamped", ["stamp", "value"]).filter(|_| declared) {
            (Some(stamp), of)
        } else {
            (None, value)
        };
        Some(Self { key, scope, value, stamp })
    }

    /// The schema of the stream's keys.
    pub fn key(&self) -> &Schema {
        &self.key
    }

    /// The name of the part behind the key, and its schema.
    pub fn scope(&self) -> Option<(&'static str, &Schema)> {
        self.scope.as_ref().map(|(scope, of)| (scope.field(), of))
    }

    /// The schema of the time from which the time to live counts.
    pub fn stamp(&self) -> Option<&Schema> {
        self.stamp.as_ref()
    }

    /// The schema of the values.
    pub fn value(&self) -> &Schema {
        &self.value
    }

    /// Whether entries have a value. Timers have none.
    pub fn has_value(&self) -> bool {
        self.value.root != Type::Unit
    }

    /// The schema of an entry as a struct of key, scope, stamp and value.
    pub fn row(&self) -> Schema {
        let mut fields = vec![("key", &self.key)];
        fields.extend(self.scope());
        fields.extend(self.stamp.as_ref().map(|of| ("stamp", of)));
        if self.has_value() {
            fields.push(("value", &self.value));
        }
        Schema::of_struct("Entry", &fields)
    }

    /// The text of the types, for users.
    pub fn types(&self) -> String {
        let scope = self.scope.as_ref().map(|(_, of)| format!("{of} -> ")).unwrap_or_default();
        format!("{} -> {scope}{}", self.key, self.value)
    }

    /// Takes the key of an entry from the front of `bytes`.
    pub(crate) fn take_key<'b>(&self, bytes: &mut &'b [u8]) -> Result<EntryKey<'b>, DecodeError> {
        let all = *bytes;
        let key = self.key.take_value(bytes)?;
        let scope = match &self.scope {
            Some((_, of)) => of.take_value(bytes)?,
            None => &[],
        };
        Ok(EntryKey { key, scope, whole: &all[..all.len() - bytes.len()] })
    }

    /// Takes the value of an entry from the front of `bytes`.
    pub(crate) fn take_value<'b>(&self, bytes: &mut &'b [u8]) -> Result<EntryValue<'b>, DecodeError> {
        let stamp = match &self.stamp {
            Some(of) => of.take_value(bytes)?,
            None => &[],
        };
        Ok(EntryValue { stamp, value: self.value.take_value(bytes)? })
    }

    /// The entry as a line of JSON.
    pub fn line<'e>(&'e self, state: &'e str, entry: &'e Entry<'e>) -> Line<'e> {
        Line { shape: self, state, entry }
    }
}

/// The schemas of the fields of a struct, if the root is one of this name with these fields.
fn fields<const N: usize>(schema: &Schema, name: &str, names: [&str; N]) -> Option<[Schema; N]> {
    let Type::Named(position) = schema.root else { return None };
    let named = schema.types.get(position as usize)?;
    let Shape::Struct(fields) = &named.shape else { return None };
    let is_it = named.name == name && fields.iter().map(|field| field.name.as_str()).eq(names);
    let of = |at: usize| schema.part(&fields[at].ty);
    is_it.then(|| std::array::from_fn(of))
}

/// An encoded entry.
pub struct Entry<'e> {
    /// All of it.
    pub(crate) bytes: &'e [u8],
    pub(crate) key: EntryKey<'e>,
    pub(crate) value: EntryValue<'e>,
}

/// An encoded key of an entry.
#[derive(Clone, Copy)]
pub(crate) struct EntryKey<'e> {
    /// The key of the stream.
    pub(crate) key: &'e [u8],
    scope: &'e [u8],
    pub(crate) whole: &'e [u8],
}

/// An encoded value of an entry.
#[derive(Clone, Copy)]
pub(crate) struct EntryValue<'e> {
    stamp: &'e [u8],
    value: &'e [u8],
}

/// An entry as JSON: `{"state": …, "key": …, "value": …}`, with `position`, `user_key`, `timer` or `window` if the entry
/// has one, and with the `stamp` of its time to live.
pub struct Line<'e> {
    shape: &'e EntryShape,
    state: &'e str,
    entry: &'e Entry<'e>,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { shape, entry, .. } = self;
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("state", self.state)?;
        line.serialize_entry("key", &Dump::new(&shape.key, entry.key.key))?;
        if let Some((name, of)) = shape.scope() {
            line.serialize_entry(name, &Dump::new(of, entry.key.scope))?;
        }
        if let Some(of) = &shape.stamp {
            line.serialize_entry("stamp", &Dump::new(of, entry.value.stamp))?;
        }
        if shape.has_value() {
            line.serialize_entry("value", &Dump::new(&shape.value, entry.value.value))?;
        }
        line.end()
    }
}
