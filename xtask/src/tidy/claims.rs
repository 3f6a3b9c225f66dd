//! Checks that code does not contain what ARCHITECTURE.md says is absent. Each claim names the code that it
//! concerns, the words that must not occur there, and the exceptions.

use std::path::Path;

use super::Finding;

struct Claim {
    /// Files below these paths are checked.
    scope: &'static [&'static str],
    /// The words that must not occur in code, as whole words or with their punctuation.
    absent: &'static [&'static str],
    /// Files and directories in which they may occur.
    except: &'static [&'static str],
    /// What to do instead.
    advice: &'static str,
}

const CLAIMS: &[Claim] = &[
    Claim {
        scope: &["crates/", "benches/", "examples/", "xtask/"],
        absent: &["unsafe "],
        except: &["crates/reflow/src/allocator.rs", "crates/state/src/prefetch.rs", "xtask/src/tidy/"],
        advice: "unsafe code is in two files only; ARCHITECTURE.md names them",
    },
    Claim {
        scope: &[
            "crates/types/src/",
            "crates/graph/src/",
            "crates/protocol/src/",
            "crates/coordination/src/",
            "crates/state/src/",
            "crates/network/src/",
            "crates/api/src/",
            "crates/runtime/src/",
            "crates/connectors/src/",
            "crates/kafka/src/",
            "crates/stream/src/",
            "crates/jobmanager/src/",
            "crates/taskmanager/src/",
            "crates/executor/src/",
        ],
        absent: &["async ", ".await"],
        except: &[
            "crates/connectors/src/socket_source/client.rs",
            "crates/jobmanager/src/handle.rs",
            "crates/kafka/src/client/",
        ],
        advice: "code that decides or runs records is a state machine; async belongs into crates/env/src/real and crates/rest",
    },
    Claim {
        scope: &["crates/coordination/src/"],
        absent: &["HashMap", "HashSet"],
        except: &[],
        advice: "the order of an unordered map differs between runs; use BTreeMap or BTreeSet, so that a seed repeats a run",
    },
    Claim {
        scope: &["crates/", "benches/"],
        absent: &["thread::sleep"],
        except: &["crates/cli/src/wait.rs", "benches/src/clock.rs"],
        advice: "wait for a condition, or advance the time by hand",
    },
];

/// Checks one Rust file.
pub(super) fn check(path: &Path, text: &str) -> Vec<Finding> {
    let is_in = |places: &[&str]| places.iter().any(|place| path.to_string_lossy().starts_with(place));
    let claims = CLAIMS.iter().filter(|claim| is_in(claim.scope) && !is_in(claim.except));
    let code = || text.lines().zip(1..).filter(|(line, _)| !line.trim_start().starts_with("//"));
    let found = claims.flat_map(|claim| {
        code().flat_map(move |(line, number)| {
            let present = claim.absent.iter().filter(move |absent| occurs(line, absent));
            present.map(move |absent| (number, absent.trim(), claim.advice))
        })
    });
    found
        .map(|(number, absent, advice)| Finding::at_line(path, number, format!("has `{absent}`: {advice}")))
        .collect()
}

/// Whether `absent` occurs in the line's code, not as the end of a longer word and not in a string literal.
fn occurs(line: &str, absent: &str) -> bool {
    line.split('"').step_by(2).any(|code| {
        code.match_indices(absent).any(|(at, _)| {
            let before = code[..at].chars().next_back();
            !before.is_some_and(|before| before.is_alphanumeric() || before == '_')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, text: &str, expected: usize) {
        let found = super::check(Path::new(path), text);
        assert_eq!(found.len(), expected, "{:?}", found.iter().map(Finding::to_string).collect::<Vec<_>>());
    }

    #[test]
    fn each_claim_has_its_scope() {
        check("crates/network/src/gate.rs", "    unsafe { read() }", 1);
        check("crates/state/src/prefetch.rs", "    unsafe { read() }", 0);
        check("crates/runtime/src/slot.rs", "async fn f() { g().await }", 2);
        check("crates/rest/src/server.rs", "async fn f() { g().await }", 0);
        check("crates/coordination/src/slots.rs", "use std::collections::HashMap;", 1);
        check("crates/state/src/table.rs", "use std::collections::HashMap;", 0);
        check("crates/cli/src/main.rs", "std::thread::sleep(time);", 1);
    }

    #[test]
    fn comments_and_texts_are_free() {
        check(
            "crates/runtime/src/slot.rs",
            "// No async here.\nlet text = \"async code\"; let my_async = 1;",
            0,
        );
    }
}
