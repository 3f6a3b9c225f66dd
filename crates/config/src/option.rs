//! Entries of the table: [`Spec`], an option as data, and [`ConfigOption`], an option with the type of its value.
//!
//! The macro `section!` of [`options`](crate::options) declares them and turns the doc comment of each into its
//! description, so that rustdoc and the reference page have the same text.

use std::marker::PhantomData;

use crate::choice;
use crate::duration;
use crate::value::{Kind, OptionType, Value};

/// The value of an option that is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// No value; the getter returns `None`.
    Absent,
    /// A text, which is parsed like a text that a user sets.
    Text(&'static str),
    /// The value of the option with this key.
    SameAs(&'static str),
    /// A directory of this name in the distribution (beside `conf/`), or, without a distribution, in
    /// Reflow's directory under the system's temporary one.
    InHome(&'static str),
    /// The system's temporary directory.
    TemporaryDirectory,
}

/// Which values of a duration switch the option off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Off {
    /// Every value is a duration.
    Never,
    /// 0 switches it off.
    AtZero,
    /// A negative value, such as `-1`, switches it off.
    WhenNegative,
}

/// An option as data.
///
/// # Invariants
/// - `key` and `aliases` occur once in the whole table.
/// - Every default is a valid value, and an option whose type is not optional has one.
/// - No `SameAs` names an option whose default is `SameAs`.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// The key, Flink's where Flink has one.
    pub key: &'static str,
    /// Older or Flink-specific keys that mean the same.
    pub aliases: &'static [&'static str],
    /// The type of the value.
    pub kind: Kind,
    /// Whether it may have no value; `none` unsets it.
    pub optional: bool,
    /// Which values of a duration switch the option off.
    pub off: Off,
    pub default: Default,
    /// The default with `scheduler-mode: reactive`, where it differs.
    pub reactive_default: Option<Default>,
    /// Whether the value must never be shown.
    pub secret: bool,
    /// What it does, in Markdown.
    pub doc: &'static str,
}

impl Spec {
    /// Parses `text` as a value of the option; `None` if it is not valid.
    pub(crate) fn parse(&self, text: &str) -> Option<Value> {
        let text = text.trim();
        let is_a_choice = matches!(self.kind, Kind::Choice(names) if choice::find(names, text).is_some());
        let says_none = text.is_empty() || (text.eq_ignore_ascii_case("none") && !is_a_choice);
        if self.optional && says_none {
            return Some(Value::None);
        }
        match (self.off, text.strip_prefix('-')) {
            (Off::WhenNegative, Some(positive)) => duration::parse(positive).map(|_| Value::None),
            (Off::AtZero, _) => match self.kind.parse(text)? {
                Value::Duration(duration) if duration.is_zero() => Some(Value::None),
                value => Some(value),
            },
            _ => self.kind.parse(text),
        }
    }

    /// What [`Spec::parse`] accepts, for error texts.
    pub(crate) fn expected(&self) -> String {
        let or = match self.off {
            Off::Never => "",
            Off::AtZero => ", or `0` for none",
            Off::WhenNegative => ", or `-1` for no limit",
        };
        format!("{}{or}", self.kind.expected())
    }
}

/// An option whose value has type `T`.
#[derive(Debug)]
pub struct ConfigOption<T> {
    spec: Spec,
    value: PhantomData<fn() -> T>,
}

impl<T> ConfigOption<T> {
    /// The option as data.
    pub const fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The option's key.
    pub const fn key(&self) -> &'static str {
        self.spec.key
    }
}

/// Declares an option. The methods below set its other properties.
pub(crate) const fn option<T: OptionType>(key: &'static str) -> ConfigOption<T> {
    let spec = Spec {
        key,
        aliases: &[],
        kind: T::KIND,
        optional: T::OPTIONAL,
        off: Off::Never,
        default: Default::Absent,
        reactive_default: None,
        secret: false,
        doc: "",
    };
    ConfigOption { spec, value: PhantomData }
}

impl<T> ConfigOption<T> {
    pub(crate) const fn default(mut self, text: &'static str) -> Self {
        self.spec.default = Default::Text(text);
        self
    }

    pub(crate) const fn default_from(mut self, default: Default) -> Self {
        self.spec.default = default;
        self
    }

    pub(crate) const fn in_reactive_mode(mut self, text: &'static str) -> Self {
        self.spec.reactive_default = Some(Default::Text(text));
        self
    }

    pub(crate) const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.spec.aliases = aliases;
        self
    }

    pub(crate) const fn off(mut self, off: Off) -> Self {
        self.spec.off = off;
        self
    }

    pub(crate) const fn between(mut self, min: i64, max: i64) -> Self {
        self.spec.kind = Kind::Int { min, max };
        self
    }

    pub(crate) const fn between_floats(mut self, min: f64, max: f64) -> Self {
        self.spec.kind = Kind::Float { min, max };
        self
    }

    pub(crate) const fn secret(mut self) -> Self {
        self.spec.secret = true;
        self
    }

    pub(crate) const fn doc(mut self, doc: &'static str) -> Self {
        self.spec.doc = doc;
        self
    }
}
