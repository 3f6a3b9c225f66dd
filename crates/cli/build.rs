//! Puts the commit into the version, if this is built from a repository with git.

use std::path::Path;
use std::process::Command;

fn main() {
    let release = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    println!("cargo::rerun-if-env-changed=REFLOW_COMMIT");
    let commit = std::env::var("REFLOW_COMMIT").ok().filter(|commit| !commit.is_empty()).or_else(commit);
    let version = commit.map_or_else(|| release.clone(), |commit| format!("{release} ({commit})"));
    println!("cargo::rustc-env=REFLOW_VERSION={version}");
}

/// The commit that is checked out here. A package from a registry has none, also below another project's repository.
fn commit() -> Option<String> {
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if !Path::new(&top).join("crates/cli/build.rs").is_file() {
        return None;
    }
    // The branch's own file changes with each commit, HEAD with a checkout.
    let head = git(&["rev-parse", "--git-path", "HEAD"])?;
    let branch =
        git(&["symbolic-ref", "-q", "HEAD"]).and_then(|branch| git(&["rev-parse", "--git-path", &branch]));
    for file in [Some(head), branch].into_iter().flatten() {
        if Path::new(&file).exists() {
            println!("cargo::rerun-if-changed={file}");
        }
    }
    git(&["rev-parse", "--short=9", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
