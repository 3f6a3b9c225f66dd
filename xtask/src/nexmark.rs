//! `cargo xtask nexmark`: compares the Nexmark example with an independent program.

use crate::Failure;
use crate::process::{build_as_for_tests, is_installed, root, succeed, target_directory};
use crate::pypi;
use std::process::Command;

pub(crate) const HELP: &str = "\
cargo xtask nexmark: compares the Nexmark example with DuckDB, line for line

Fetches DuckDB from the package index that pip is configured for; the first time only. Then runs
the queries of examples/nexmark on real processes, built in the profile of the tests: at
parallelism 1, at parallelism 3, and while TaskManagers are added, removed and killed. Needs
python3 with pip or venv.
";

/// How many events there are: enough for a run of a minute with changes of the cluster.
const EVENTS: &str = "100000";
/// As in examples/flights/fetch.sh.
const DUCKDB: &str = "duckdb==2.0.0";
/// The executables that are built.
const EXECUTABLES: [&str; 4] = ["reflow", "nexmark", "nexmark_events", "nexmark_check"];

/// Builds, computes what is expected, and compares.
pub(crate) fn run() -> Result<(), Failure> {
    if !is_installed("python3") {
        return Err("python3 is not installed, which runs DuckDB; on Debian: \
                    `apt-get install python3 python3-venv`"
            .to_owned());
    }
    let programs = pypi::install(DUCKDB)?;
    build_as_for_tests(EXECUTABLES.iter().flat_map(|name| ["--bin", name]))?;
    let executable = |name: &str| Command::new(target_directory().join("debug").join(name));
    let data = target_directory().join("nexmark");
    let (events, expected) = (data.join("events"), data.join("expected"));
    succeed(executable("nexmark_events").arg(EVENTS).arg(&events))?;
    // Where there is no venv, packages are beside the directory of programs, and python3 is the system's.
    let own = programs.join("python3");
    let mut python = Command::new(if own.exists() { own } else { "python3".into() });
    let packages = programs.parent().map(std::path::Path::to_owned).unwrap_or_default();
    let reference = root().join("examples/nexmark/reference.py");
    succeed(python.env("PYTHONPATH", packages).arg(reference).arg(&events).arg(&expected))?;
    let mut check = executable("nexmark_check");
    succeed(check.arg("--data").arg(&data).args(["--events", EVENTS]).current_dir(root()))
}
