//! Defaults of options that are not set: those of the table, which can depend on reactive mode and other options.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::Entry;
use crate::option::{Default, Spec};
use crate::options::{self, SCHEDULER_MODE};
use crate::source::Source;
use crate::value::Value;

/// Sets the defaults of all options that are not set, in the order that [`Default::SameAs`] needs.
pub(crate) fn fill_in(entries: &mut BTreeMap<&'static str, Entry>, home: Option<&Path>) {
    let mode = entries.get(SCHEDULER_MODE.key()).map(|entry| &entry.value);
    let is_reactive = mode.is_some_and(|mode| *mode != Value::None);
    let default_of = |spec: &Spec| match spec.reactive_default {
        Some(default) if is_reactive => default,
        _ => spec.default,
    };
    let (copies, plain): (Vec<&Spec>, Vec<&Spec>) =
        options::all().partition(|spec| matches!(default_of(spec), Default::SameAs(_)));
    for spec in plain.into_iter().chain(copies) {
        if entries.contains_key(spec.key) {
            continue;
        }
        let text = match default_of(spec) {
            Default::Absent => String::new(),
            Default::Text(text) => text.to_owned(),
            Default::SameAs(other) => entries[other].text.clone(),
            Default::InHome(name) => in_home(home, name),
            Default::TemporaryDirectory => std::env::temp_dir().display().to_string(),
        };
        let value = spec.parse(&text).expect("a default is a valid value, as a test of the table checks");
        entries.insert(spec.key, Entry { value, text, source: Source::Default });
    }
}

/// The directory `name` of the distribution; without a distribution, in a directory of this user in the temporary
/// directory.
fn in_home(home: Option<&Path>, name: &str) -> String {
    let user = || std::env::var("USER").unwrap_or_else(|_| "user".to_owned());
    let home = home.map_or_else(|| std::env::temp_dir().join(format!("reflow-{}", user())), Path::to_owned);
    home.join(name).display().to_string()
}
