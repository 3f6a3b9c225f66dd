//! The table of all options, a file for each section of the reference page.
//!
//! A new option is one entry in a section; the loader, the getter, the suggestions and the page are derived from
//! it. Run `cargo xtask docs` afterwards, which writes `docs/configuration.md`.

mod autoscaler;
mod checkpoints;
mod job;
mod logs;
mod network;
mod restart;
mod scheduler;
mod section;
mod storage;
mod taskmanager;
mod web;

pub use autoscaler::*;
pub use checkpoints::*;
pub use job::*;
pub use logs::*;
pub use network::*;
pub use restart::*;
pub use scheduler::*;
pub use section::Section;
pub use storage::*;
pub use taskmanager::*;
pub use web::*;

use crate::option::Spec;

/// All options, in reading order.
pub static SECTIONS: &[&Section] = &[
    &scheduler::SECTION,
    &autoscaler::SECTION,
    &job::SECTION,
    &checkpoints::SECTION,
    &restart::SECTION,
    &taskmanager::SECTION,
    &network::SECTION,
    &web::SECTION,
    &storage::SECTION,
    &logs::SECTION,
];

/// All options, in reading order.
pub fn all() -> impl Iterator<Item = &'static Spec> {
    SECTIONS.iter().flat_map(|section| section.options.iter().copied())
}

/// The option that `key` names, by its key or an alias.
pub fn find(key: &str) -> Option<&'static Spec> {
    all().find(|spec| spec.key == key || spec.aliases.contains(&key))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::option::{Default, Off};
    use crate::unsupported;
    use crate::value::Kind;

    #[test]
    fn keys_are_unique() {
        let mut seen = BTreeSet::new();
        for spec in all() {
            for key in [spec.key].iter().chain(spec.aliases) {
                assert!(seen.insert(*key), "`{key}` occurs twice");
                assert!(
                    unsupported::find(key).is_none_or(|entry| entry.key != *key),
                    "`{key}` is an option and unsupported"
                );
            }
        }
    }

    #[test]
    fn defaults_fit_their_options() {
        for spec in all() {
            let defaults = [Some(spec.default), spec.reactive_default];
            for default in defaults.into_iter().flatten() {
                match default {
                    Default::Absent => assert!(spec.optional, "`{}` needs a default", spec.key),
                    Default::Text(text) => {
                        let off = matches!((spec.off, text), (Off::WhenNegative, "-1"));
                        assert!(off || spec.kind.parse(text).is_some(), "`{}`: default `{text}`", spec.key);
                    }
                    Default::SameAs(other) => {
                        let other = find(other).expect("the other option exists");
                        assert!(!matches!(other.default, Default::SameAs(_)), "`{}`: a chain", spec.key);
                    }
                    Default::InHome(_) | Default::TemporaryDirectory => {
                        assert!(matches!(spec.kind, Kind::Path | Kind::Text | Kind::List), "`{}`", spec.key);
                    }
                }
            }
        }
    }

    #[test]
    fn only_durations_switch_off_by_a_value() {
        for spec in all().filter(|spec| spec.off != Off::Never) {
            assert!(matches!(spec.kind, Kind::Duration) && spec.optional, "`{}`", spec.key);
        }
    }
}
