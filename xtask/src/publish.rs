//! `cargo xtask publish --dry-run`: packages the crates as for a registry, in the order of their dependencies.

use crate::Failure;
use crate::process::{cargo, succeed, target_directory};

pub(crate) const HELP: &str = "\
cargo xtask publish --dry-run: packages all crates for a registry, and uploads none

In the order in which `cargo publish --workspace` uploads them. Asks the registry's index, and builds
each crate from its package alone, which takes minutes. CI only packages them.
";

/// Packages the crates and builds them from their packages.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    match arguments {
        [only] if only == "--dry-run" => run_cargo(&["publish", "--dry-run"]),
        _ => Err(format!("there is only --dry-run\n\n{HELP}")),
    }
}

/// Packages the crates without building them: their manifests are complete, and all their dependencies have versions.
/// What a build has fetched is enough, because asking the index for each crate takes longer than all the rest.
pub(crate) fn package() -> Result<(), Failure> {
    run_cargo(&["package", "--no-verify", "--offline", "--quiet"])
}

fn run_cargo(command: &[&str]) -> Result<(), Failure> {
    // Uncommitted changes are packaged, too: nothing is uploaded.
    let mut command = cargo(command.iter().copied().chain(["--workspace", "--allow-dirty"]));
    // Apart from the other artefacts, because cargo keeps those of a verification by their crate's name alone.
    succeed(command.env("CARGO_TARGET_DIR", target_directory().join("publish")))
}
