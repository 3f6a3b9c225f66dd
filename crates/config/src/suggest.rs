//! Suggestions: the known key that is most similar to an unknown one.

use crate::options;

/// The least similarity (0 … 1) of a suggestion.
const LEAST_LIKENESS: f64 = 0.6;

/// The least similarity of a misspelled key.
const MISSPELLED_LIKENESS: f64 = 0.9;

/// The most similar known key: one that ends with `written` (`checkpointing.interval`), begins with it (`rest`), or
/// has the most similar spelling. Aliases are compared too, but the key itself is suggested.
pub(crate) fn nearest(written: &str) -> Option<&'static str> {
    let written = written.to_ascii_lowercase();
    let key_of = |name| options::find(name).map(|spec| spec.key);

    let part_of = |name: &&str| {
        let name = name.to_ascii_lowercase();
        name.strip_suffix(&written).is_some_and(|before| before.ends_with(['.', '-']))
            || name.strip_prefix(&written).is_some_and(|after| after.starts_with('.'))
    };
    if let Some(name) = names().find(part_of) {
        return key_of(name);
    }
    most_alike(&written)
        .filter(|(likeness, _)| *likeness >= LEAST_LIKENESS)
        .and_then(|(_, name)| key_of(name))
}

/// Whether `written` is most likely a misspelled known key, and not one of the many keys of Flink that have the
/// same prefix.
pub(crate) fn is_misspelled(written: &str) -> bool {
    most_alike(&written.to_ascii_lowercase()).is_some_and(|(likeness, _)| likeness >= MISSPELLED_LIKENESS)
}

/// The known name that is most similar to `written`, which is in lower case, with its similarity (0 … 1).
fn most_alike(written: &str) -> Option<(f64, &'static str)> {
    names()
        .map(|name| (strsim::normalized_damerau_levenshtein(&name.to_ascii_lowercase(), written), name))
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
}

/// Every key and alias.
fn names() -> impl Iterator<Item = &'static str> {
    options::all().flat_map(|spec| [spec.key].into_iter().chain(spec.aliases.iter().copied()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(written: &str, expected: Option<&str>) {
        assert_eq!(nearest(written), expected, "{written}");
    }

    #[test]
    fn suggestions() {
        check("heartbeat.timeot", Some("heartbeat.timeout"));
        check("taskmanager.numberoftaskslots", Some("taskmanager.numberOfTaskSlots"));
        check("execution.checkpointing.intervall", Some("execution.checkpointing.interval"));
        check("checkpointing.interval", Some("execution.checkpointing.interval"));
        check(
            "jobmanager.adaptive-scheduler.resource-wait-timeut",
            Some("jobmanager.adaptive-scheduler.submission.resource-wait-timeout"),
        );
        check("schedulermode", Some("scheduler-mode"));
        check("rest", Some("rest.port"));
        check("something.else.entirely", None);
    }
}
