//! `cargo xtask docs`: the pages that are printed from code. The printing is a test of the crate that has
//! the facts, so that this crate depends on none; run as a test it fails if its page is out of date.

use crate::Failure;
use crate::process::{cargo, succeed};

pub(crate) const HELP: &str = "\
cargo xtask docs: writes docs/configuration.md from the options in crates/config/src/options

Run it after adding or changing an option; `cargo xtask ci` fails if the page is out of date.
";

const TEST: [&str; 6] = ["test", "--quiet", "--package", "reflow-config", "--test", "page"];

/// Writes the pages.
pub(crate) fn write() -> Result<(), Failure> {
    succeed(cargo(TEST).env("UPDATE_DOCS", "1"))
}
