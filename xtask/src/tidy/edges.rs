//! Checks the dependencies between crates, which go only to lower layers.
//!
//! The table is the architecture. A new edge is a decision, which must be made here in the same change, so that
//! it is visible in review. Dependencies of tests may also use `testkit`.

use std::path::Path;

use super::Finding;

/// The crates of the project that a crate may use.
enum May {
    /// These, by the names of their directories.
    Use(&'static [&'static str]),
    /// All crates, because it assembles them or is used only by developers.
    UseAnything,
}

use May::{Use, UseAnything};

/// Every directory with a Cargo.toml, from the lowest layer to the highest.
const TABLE: &[(&str, May)] = &[
    // 0: plain values, and the world behind traits
    ("crates/derive", Use(&[])),
    ("crates/data", Use(&["derive"])),
    ("crates/arrow", Use(&["data"])),
    ("crates/types", Use(&["derive", "data"])),
    ("crates/env", Use(&["types"])),
    // 1: what is decided, without I/O
    ("crates/config", Use(&["types"])),
    ("crates/graph", Use(&["types"])),
    ("crates/view", Use(&["types"])),
    ("crates/protocol", Use(&["types", "graph"])),
    ("crates/coordination", Use(&["types", "graph", "config", "view", "protocol"])),
    // 2: state, channels, what users write
    ("crates/state", Use(&["types", "derive", "env"])),
    ("crates/network", Use(&["types", "env", "graph", "protocol"])),
    ("crates/api", Use(&["types", "derive", "env", "graph", "state"])),
    ("crates/savepoint", Use(&["arrow", "types", "env", "graph", "protocol", "coordination", "state"])),
    // 3: slots and connectors
    ("crates/runtime", Use(&["types", "env", "graph", "protocol", "state", "network", "api"])),
    ("crates/connectors", Use(&["types", "derive", "env", "api"])),
    ("crates/kafka", Use(&["types", "env", "api"])),
    // 4: processes; jobmanager and taskmanager never use each other
    ("crates/stream", Use(&["types", "config", "graph", "state", "network", "api", "runtime"])),
    ("crates/schema", Use(&["types", "view"])),
    ("crates/rest", Use(&["types", "view", "schema"])),
    (
        "crates/jobmanager",
        Use(&["types", "env", "config", "graph", "view", "protocol", "coordination", "api"]),
    ),
    ("crates/taskmanager", Use(&["types", "env", "config", "protocol"])),
    ("crates/executor", Use(&["types", "env", "graph", "protocol", "network", "api", "runtime", "stream"])),
    ("crates/kubernetes", Use(&["types", "env", "coordination"])),
    ("crates/launch", Use(&["types", "env", "config", "taskmanager"])),
    // 5: tests of jobs. `reflow` has them behind its feature `testing`, so they never use it (but their own tests do).
    (
        "crates/testkit",
        Use(&[
            "types",
            "derive",
            "env",
            "graph",
            "protocol",
            "coordination",
            "state",
            "network",
            "api",
            "runtime",
            "stream",
        ]),
    ),
    (
        "crates/sim",
        Use(&[
            "types",
            "env",
            "config",
            "graph",
            "view",
            "protocol",
            "coordination",
            "api",
            "connectors",
            "stream",
            "jobmanager",
            "taskmanager",
            "executor",
            "testkit",
        ]),
    ),
    // 6: where the parts are put together
    ("crates/reflow", UseAnything),
    // no engine: it runs TaskManagers, whose executors are the executables of jobs
    ("crates/cli", Use(&["types", "env", "config", "view", "schema", "savepoint", "taskmanager", "launch"])),
    // for developers
    ("crates/book", UseAnything),
    ("examples", UseAnything),
    ("benches", UseAnything),
    ("fuzz", UseAnything),
    ("xtask", Use(&[])),
];

/// Checks one Cargo.toml.
pub(super) fn check(path: &Path, manifest: &str) -> Vec<Finding> {
    let Some(directory) = path.parent().and_then(Path::to_str) else { return Vec::new() };
    if directory.is_empty() {
        return Vec::new(); // the workspace's own
    }
    let Some((_, may)) = TABLE.iter().find(|(name, _)| *name == directory) else {
        let text = "not in the table of layers; add it to xtask/src/tidy/edges.rs";
        return vec![Finding::in_file(path, text)];
    };
    let allowed: &[&str] = match may {
        Use(allowed) => allowed,
        UseAnything => return Vec::new(),
    };
    let is_breach = |edge: &Edge| {
        let is_test_tool = edge.for_tests && edge.used == "testkit";
        let is_users_view = edge.for_tests
            && edge.used == "reflow"
            && ["crates/savepoint", "crates/testkit", "crates/sim"].contains(&directory);
        // The processes' tests with an API server read its objects.
        let is_api = edge.for_tests && edge.used == "kubernetes" && directory == "crates/cli";
        let is_itself = directory.strip_prefix("crates/") == Some(edge.used);
        !is_test_tool && !is_users_view && !is_api && !is_itself && !allowed.contains(&edge.used)
    };
    edges(manifest).filter(is_breach).map(|edge| breach(path, directory, &edge, allowed)).collect()
}

fn breach(path: &Path, directory: &str, edge: &Edge<'_>, allowed: &[&str]) -> Finding {
    let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
    let text = format!("{directory} may not use `{}`; of the project it may use: {allowed}", edge.used);
    Finding::at_line(path, edge.line, text)
}

/// One dependency on a crate of the project.
struct Edge<'a> {
    /// The directory of the crate that is used.
    used: &'a str,
    line: usize,
    for_tests: bool,
}

/// The dependencies on crates of the project. Reads the two forms that manifests here have: a line in a
/// table of dependencies, and a table of its own.
fn edges(manifest: &str) -> impl Iterator<Item = Edge<'_>> {
    let mut section = "";
    manifest.lines().zip(1..).filter_map(move |(line, number)| {
        let line = line.trim();
        let name = match line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(header) => {
                section = header;
                let (table, name) = header.rsplit_once('.')?;
                table.ends_with("dependencies").then_some(name)?
            }
            None if section.ends_with("dependencies") => line.split(['=', '.', ' ']).next()?,
            None => return None,
        };
        let used = if name == "reflow" { name } else { name.strip_prefix("reflow-")? };
        Some(Edge { used, line: number, for_tests: section.contains("dev-dependencies") })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_manifest(path: &str, manifest: &str, expected: &[&str]) {
        let findings = check(Path::new(path), manifest);
        let texts: Vec<_> = findings.iter().map(Finding::to_string).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn an_edge_down_is_fine() {
        let manifest = "[dependencies]\nreflow-types.workspace = true\nserde = { version = \"1\" }\n";
        check_manifest("crates/env/Cargo.toml", manifest, &[]);
    }

    #[test]
    fn an_edge_up_is_a_breach() {
        check_manifest(
            "crates/types/Cargo.toml",
            "[dependencies]\nreflow-env = { path = \"../env\" }\n",
            &[
                "crates/types/Cargo.toml:2: crates/types may not use `env`; of the project it may use: derive, data",
            ],
        );
        check_manifest(
            "xtask/Cargo.toml",
            "[dependencies.reflow]\nworkspace = true\n",
            &["xtask/Cargo.toml:1: xtask may not use `reflow`; of the project it may use: none"],
        );
        check_manifest(
            "crates/derive/Cargo.toml",
            "[target.'cfg(unix)'.dependencies]\nreflow-types.workspace = true\n",
            &[
                "crates/derive/Cargo.toml:2: crates/derive may not use `types`; of the project it may use: none",
            ],
        );
    }

    #[test]
    fn the_two_managers_never_use_each_other() {
        for (one, other) in [("jobmanager", "taskmanager"), ("taskmanager", "jobmanager")] {
            let manifest = format!("[dev-dependencies]\nreflow-{other}.workspace = true\n");
            assert_eq!(check(Path::new(&format!("crates/{one}/Cargo.toml")), &manifest).len(), 1);
        }
    }

    #[test]
    fn tests_may_use_the_testkit_and_the_crate_itself() {
        let manifest = "[dev-dependencies]\nreflow-testkit.workspace = true\nreflow-state.workspace = true\n";
        check_manifest("crates/state/Cargo.toml", manifest, &[]);
        let manifest = "[dependencies]\nreflow-testkit.workspace = true\n";
        assert_eq!(check(Path::new("crates/state/Cargo.toml"), manifest).len(), 1);
    }

    #[test]
    fn an_unknown_crate_has_to_be_placed() {
        check_manifest(
            "crates/common/Cargo.toml",
            "",
            &["crates/common/Cargo.toml: not in the table of layers; add it to xtask/src/tidy/edges.rs"],
        );
        check_manifest(
            "Cargo.toml",
            "[workspace.dependencies]\nreflow-types = { path = \"crates/types\" }\n",
            &[],
        );
    }

    #[test]
    fn the_table_is_acyclic() {
        for (place, (directory, may)) in TABLE.iter().enumerate() {
            let Use(used) = may else { continue };
            for name in *used {
                let below =
                    TABLE[..place].iter().any(|(other, _)| other.strip_prefix("crates/") == Some(*name));
                assert!(below, "{directory} may use `{name}`, which is not below it");
            }
        }
    }
}
