//! Label selectors of Kubernetes: `job_name=orders,team in (a, b),!draft`.

use std::collections::BTreeMap;

/// Requirements on labels, all of which must hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selector(Vec<Requirement>);

#[derive(Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, PartialEq, Eq)]
enum Test {
    Exists,
    DoesNotExist,
    In(Vec<String>),
    NotIn(Vec<String>),
}

impl Selector {
    /// Parses a selector. An empty one selects everything.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self(Vec::new()));
        }
        split(text).map(Requirement::parse).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn selects(&self, labels: &BTreeMap<&str, String>) -> bool {
        self.0.iter().all(|requirement| {
            let value = labels.get(requirement.key.as_str());
            match &requirement.test {
                Test::Exists => value.is_some(),
                Test::DoesNotExist => value.is_none(),
                Test::In(values) => value.is_some_and(|value| values.contains(value)),
                Test::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            }
        })
    }
}

/// The parts between commas that are not in parentheses.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut open = false;
    text.split(move |c| {
        open = match c {
            '(' => true,
            ')' => false,
            _ => open,
        };
        c == ',' && !open
    })
}

impl Requirement {
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (key, test) = if let Some(key) = text.strip_prefix('!') {
            (key, Test::DoesNotExist)
        } else if let Some((key, value)) = text.split_once("!=") {
            (key, Test::NotIn(vec![value_of(value)?]))
        } else if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
            (key, Test::In(vec![value_of(value)?]))
        } else if let Some((head, values)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
            let values = values.split(',').map(value_of).collect::<Result<_, _>>()?;
            match head.trim_end().rsplit_once(char::is_whitespace) {
                Some((key, "in")) => (key, Test::In(values)),
                Some((key, "notin")) => (key, Test::NotIn(values)),
                _ => return Err(format!("'{text}' has neither 'in' nor 'notin'")),
            }
        } else {
            (text, Test::Exists)
        };
        let key = key.trim();
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        if key.is_empty() || !key.chars().all(allowed) {
            return Err(format!("'{key}' is no key of a label"));
        }
        Ok(Self { key: key.to_owned(), test })
    }
}

fn value_of(text: &str) -> Result<String, String> {
    let text = text.trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.len() > 63 || !text.chars().all(allowed) {
        return Err(format!("'{text}' is no value of a label"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(selector: &str, expected: bool) {
        let labels = [("job_name", "orders".to_owned()), ("team", "a".to_owned())].into();
        assert_eq!(Selector::parse(selector).unwrap().selects(&labels), expected, "{selector}");
    }

    #[test]
    fn requirements_are_those_of_kubernetes() {
        for selected in [
            "",
            "job_name=orders",
            "job_name == orders , team",
            "team in (a, b),job_name!=x",
            "other!=x",
            "!other",
            "other notin (x,y)",
        ] {
            check(selected, true);
        }
        for not in
            ["job_name=x", "team notin (a)", "other", "!team", "other=", "other in (x)", "team=a,other"]
        {
            check(not, false);
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for wrong in ["=a", "a b", "a=b c", "a in b", "a of (b)", "a>1", ",", "a,", "a=(b)"] {
            assert!(Selector::parse(wrong).is_err(), "{wrong}");
        }
    }
}
