//! `cargo xtask docs`: the pages that are printed from code. The printing is a test of the crate that has
//! the facts, so that this crate depends on none; run as a test it fails if its page is out of date.

use crate::Failure;
use crate::process::{cargo, succeed};

pub(crate) const HELP: &str = "\
cargo xtask docs: writes the pages that are printed from code

docs/configuration.md from the options in crates/config/src/options, and docs/openapi.json from
the types in crates/schema. Run it after changing one of these; `cargo xtask ci` fails if a page
is out of date. After a change of docs/openapi.json run `cargo xtask web --accept`, too.
";

const TESTS: [[&str; 6]; 2] = [
    ["test", "--quiet", "--package", "reflow-config", "--test", "page"],
    ["test", "--quiet", "--package", "reflow-schema", "--test", "document"],
];

/// Writes the pages.
pub(crate) fn write() -> Result<(), Failure> {
    TESTS.iter().try_for_each(|test| succeed(cargo(*test).env("UPDATE_DOCS", "1")))
}
