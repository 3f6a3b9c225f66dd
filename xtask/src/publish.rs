//! `cargo xtask publish --dry-run`: packages the crates as for a registry, in the order of their dependencies.

use crate::Failure;
use crate::process::{cargo, succeed, target_directory};

pub(crate) const HELP: &str = "\
cargo xtask publish --dry-run [--no-verify]: packages all crates for a registry, and uploads none

In the order in which `cargo publish --workspace` uploads them. Builds each from its package alone,
which takes minutes; --no-verify leaves that out, as CI does. Asks the registry's index.
";

/// Packages the crates.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--dry-run"] => dry_run(&[]),
        ["--dry-run", "--no-verify"] => package(),
        _ => Err(format!("only `--dry-run`, and behind it `--no-verify`, are there\n\n{HELP}")),
    }
}

/// Packages the crates without building them: their manifests are complete, and they depend on nothing that is not
/// published.
pub(crate) fn package() -> Result<(), Failure> {
    dry_run(&["--no-verify", "--quiet"])
}

fn dry_run(more: &[&str]) -> Result<(), Failure> {
    // Uncommitted changes are packaged, too: nothing is uploaded.
    let arguments = ["publish", "--workspace", "--dry-run", "--allow-dirty"];
    let mut command = cargo(arguments.into_iter().chain(more.iter().copied()));
    // Apart from the other artefacts, because cargo keeps those of a verification by their crate's name alone.
    succeed(command.env("CARGO_TARGET_DIR", target_directory().join("publish")))
}
