//! The types of options: how a text is parsed, and which Rust type a getter returns.
//!
//! [`Kind`] is the type as data, for parsing and for the reference page. [`OptionType`] connects it with the Rust
//! type, so that `ConfigOption<Duration>::get` returns a [`Duration`] and no option can be read with the wrong
//! type.

use std::path::PathBuf;
use std::time::Duration;

use crate::choice::{self, Choice};
use crate::duration;
use crate::memory::{self, MemorySize};

/// The type of an option's value.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number within bounds, both included.
    Int {
        /// The smallest value allowed.
        min: i64,
        /// The largest value allowed.
        max: i64,
    },
    /// A number with a fraction, within bounds, both included.
    Float {
        /// The smallest value allowed.
        min: f64,
        /// The largest value allowed.
        max: f64,
    },
    /// A length of time.
    Duration,
    /// An amount of memory.
    Memory,
    /// One of the names; each inner list has the names of one variant.
    Choice(&'static [&'static [&'static str]]),
    /// Any text.
    Text,
    /// A path of the local file system.
    Path,
    /// Texts, separated by `;` or `,`, or a YAML sequence.
    List,
}

/// A value of one of the [`Kind`]s, or the absence of one.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Not set, and without a default; or switched off by `none`.
    None,
    /// Of [`Kind::Bool`].
    Bool(bool),
    /// Of [`Kind::Int`].
    Int(i64),
    /// Of [`Kind::Float`].
    Float(f64),
    /// Of [`Kind::Duration`].
    Duration(Duration),
    /// Of [`Kind::Memory`].
    Memory(MemorySize),
    /// Of [`Kind::Choice`]: the index of the variant.
    Choice(usize),
    /// Of [`Kind::Text`] and [`Kind::Path`].
    Text(String),
    /// Of [`Kind::List`].
    List(Vec<String>),
}

impl Kind {
    /// Parses `text`; `None` if it is not a value of this type.
    pub fn parse(&self, text: &str) -> Option<Value> {
        let text = text.trim();
        match *self {
            Kind::Bool => match text.to_ascii_lowercase().as_str() {
                "true" => Some(Value::Bool(true)),
                "false" => Some(Value::Bool(false)),
                _ => None,
            },
            Kind::Int { min, max } => {
                let number: i64 = text.parse().ok()?;
                (min..=max).contains(&number).then_some(Value::Int(number))
            }
            Kind::Float { min, max } => {
                let number: f64 = text.parse().ok()?;
                (min..=max).contains(&number).then_some(Value::Float(number))
            }
            Kind::Duration => duration::parse(text).map(Value::Duration),
            Kind::Memory => MemorySize::parse(text).map(Value::Memory),
            Kind::Choice(names) => choice::find(names, text).map(Value::Choice),
            Kind::Text | Kind::Path => (!text.is_empty()).then(|| Value::Text(text.to_owned())),
            Kind::List => {
                let items = text.split([';', ',']).map(str::trim).filter(|item| !item.is_empty());
                Some(Value::List(items.map(str::to_owned).collect()))
            }
        }
    }

    /// A description of valid values, for error texts.
    pub fn expected(&self) -> String {
        match *self {
            Kind::Bool => "`true` or `false`".to_owned(),
            Kind::Int { min, max } if max >= i64::from(u32::MAX) => {
                format!("a whole number of at least {min}")
            }
            Kind::Int { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Float { min, max } if max == f64::INFINITY => format!("a number of at least {min}"),
            Kind::Float { min, max } => format!("a number from {min} to {max}"),
            Kind::Duration => duration::EXPECTED.to_owned(),
            Kind::Memory => memory::EXPECTED.to_owned(),
            Kind::Choice(names) => {
                let names: Vec<_> = names.iter().flat_map(|of_one| of_one.iter()).collect();
                match names.as_slice() {
                    [only] => format!("`{only}`"),
                    names => {
                        let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
                        format!("one of {}", quoted.join(", "))
                    }
                }
            }
            Kind::Text => "a text".to_owned(),
            Kind::Path => "a path".to_owned(),
            Kind::List => "a list, separated by `;`".to_owned(),
        }
    }

    /// The type's name on the reference page.
    pub fn name(&self) -> String {
        match *self {
            Kind::Bool => "boolean".to_owned(),
            Kind::Int { min, max } if max >= i64::from(u32::MAX) => format!("integer ≥ {min}"),
            Kind::Int { min, max } => format!("integer {min} … {max}"),
            Kind::Float { min, max } if max == f64::INFINITY => format!("number ≥ {min}"),
            Kind::Float { min, max } => format!("number {min} … {max}"),
            Kind::Duration => "duration".to_owned(),
            Kind::Memory => "memory size".to_owned(),
            Kind::Choice(names) => {
                let first: Vec<_> = names.iter().map(|of_one| format!("`{}`", of_one[0])).collect();
                first.join(", ")
            }
            Kind::Text => "text".to_owned(),
            Kind::Path => "path".to_owned(),
            Kind::List => "list".to_owned(),
        }
    }
}

/// A Rust type that an option can have.
///
/// Implementors promise that [`from_value`](OptionType::from_value) accepts every value that [`Kind::parse`] of
/// their [`KIND`](OptionType::KIND) returns, and [`Value::None`] if and only if [`OPTIONAL`](OptionType::OPTIONAL).
pub trait OptionType: Sized {
    /// How its texts are parsed.
    const KIND: Kind;
    /// Whether an option of this type may have no value.
    const OPTIONAL: bool = false;
    /// The checked value as this type.
    fn from_value(value: &Value) -> Option<Self>;
}

/// Implements [`OptionType`] for the type of one variant of [`Value`].
macro_rules! option_type {
    ($($type:ty: $kind:expr, $pattern:pat => $value:expr;)+) => {
        $(impl OptionType for $type {
            const KIND: Kind = $kind;
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    $pattern => $value,
                    _ => None,
                }
            }
        })+
    };
}

option_type! {
    bool: Kind::Bool, Value::Bool(value) => Some(*value);
    u16: Kind::Int { min: 0, max: u16::MAX as i64 }, Value::Int(value) => u16::try_from(*value).ok();
    u32: Kind::Int { min: 0, max: u32::MAX as i64 }, Value::Int(value) => u32::try_from(*value).ok();
    f64: Kind::Float { min: 0.0, max: f64::INFINITY }, Value::Float(value) => Some(*value);
    Duration: Kind::Duration, Value::Duration(value) => Some(*value);
    MemorySize: Kind::Memory, Value::Memory(value) => Some(*value);
    String: Kind::Text, Value::Text(value) => Some(value.clone());
    PathBuf: Kind::Path, Value::Text(value) => Some(PathBuf::from(value));
    Vec<String>: Kind::List, Value::List(value) => Some(value.clone());
}

impl<T: OptionType> OptionType for Option<T> {
    const KIND: Kind = T::KIND;
    const OPTIONAL: bool = true;
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::None => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl<C: Choice> OptionType for C {
    const KIND: Kind = Kind::Choice(C::NAMES);
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Choice(index) => C::VARIANTS.get(*index).copied(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::SchedulerMode;

    #[track_caller]
    fn check(kind: Kind, text: &str, expected: Option<Value>) {
        assert_eq!(kind.parse(text), expected, "{text} as {kind:?}");
    }

    #[test]
    fn texts_as_values() {
        check(Kind::Bool, "TRUE", Some(Value::Bool(true)));
        check(Kind::Bool, "yes", None);
        check(Kind::Int { min: 1, max: 32768 }, "32768", Some(Value::Int(32768)));
        check(Kind::Int { min: 1, max: 32768 }, "0", None);
        check(Kind::Int { min: 1, max: 32768 }, "32769", None);
        check(Kind::Int { min: 1, max: 32768 }, "4.5", None);
        check(Kind::Float { min: 0.0, max: 1.0 }, "0.1", Some(Value::Float(0.1)));
        check(Kind::Float { min: 0.0, max: 1.0 }, "NaN", None);
        check(Kind::Choice(SchedulerMode::NAMES), "REACTIVE", Some(Value::Choice(0)));
        check(Kind::Text, " ", None);
        check(Kind::List, "a; b,c;", Some(Value::List(vec!["a".into(), "b".into(), "c".into()])));
    }

    #[test]
    fn expectations_name_the_bounds() {
        assert_eq!(Kind::Int { min: 1, max: 32768 }.expected(), "a whole number from 1 to 32768");
        assert_eq!(Kind::Choice(SchedulerMode::NAMES).expected(), "`reactive`");
    }
}
