//! `cargo xtask ci`: every check in turn, the quick ones first, up to the first that fails.

use std::process::Command;
use std::time::Instant;

use crate::process::{cargo, is_installed, succeed};
use crate::{Failure, docs, sim, tidy};

pub(crate) const HELP: &str = "\
cargo xtask ci: everything that must hold before a change lands

Prints each step with the time it took and stops at the first that fails. A step that needs
a tool which is not installed (cargo-deny, shellcheck) is skipped, and says so.
";

/// How many seeds the simulation smoke test runs; nightly runs take more.
const SMOKE_SEEDS: &str = "20";

struct Step {
    name: &'static str,
    check: fn() -> Result<(), Failure>,
}

const STEPS: &[Step] = &[
    Step { name: "format", check: || succeed(&mut cargo(["fmt", "--all", "--check"])) },
    Step { name: "tidy", check: tidy::run },
    Step { name: "scripts", check: scripts },
    Step { name: "dependencies", check: dependencies },
    Step {
        name: "clippy",
        check: || succeed(&mut cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])),
    },
    Step { name: "configuration page", check: docs::check },
    Step {
        name: "documentation",
        check: || {
            succeed(cargo(["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings"))
        },
    },
    Step {
        name: "tests",
        check: || succeed(&mut cargo(["test", "--workspace", "--lib", "--bins", "--tests", "--examples"])),
    },
    Step { name: "doc tests", check: || succeed(&mut cargo(["test", "--workspace", "--doc"])) },
    Step { name: "simulation", check: || sim::run(&["--seeds".to_owned(), SMOKE_SEEDS.to_owned()]) },
    Step { name: "canaries", check: sim::canaries },
];

#[expect(clippy::disallowed_methods, reason = "shows how long a step took; nothing is decided by it")]
pub(crate) fn run() -> Result<(), Failure> {
    let start = Instant::now();
    for (step, number) in STEPS.iter().zip(1..) {
        eprintln!("[{number}/{}] {}", STEPS.len(), step.name);
        let begin = Instant::now();
        (step.check)().map_err(|failure| format!("step {number}, {}, failed: {failure}", step.name))?;
        eprintln!("[{number}/{}] {}: ok, {:.1} s", STEPS.len(), step.name, begin.elapsed().as_secs_f64());
    }
    eprintln!("all {} steps passed in {:.1} s", STEPS.len(), start.elapsed().as_secs_f64());
    Ok(())
}

fn scripts() -> Result<(), Failure> {
    if !is_installed("shellcheck") {
        eprintln!("  skipped: shellcheck is not installed");
        return Ok(());
    }
    let mut command = Command::new("shellcheck");
    command.current_dir(crate::process::root()).args(["-x", "-P", "."]);
    for entry in
        std::fs::read_dir(crate::process::root().join("dist/bin")).map_err(|error| error.to_string())?
    {
        command.arg(entry.map_err(|error| error.to_string())?.path());
    }
    succeed(&mut command)
}

/// Licences, banned crates and sources. Advisories change without a change here and need the network, so
/// they are looked at by `cargo deny check advisories`, each night, and not before each change.
fn dependencies() -> Result<(), Failure> {
    if !is_installed("cargo-deny") {
        eprintln!("  skipped: cargo-deny is not installed; `cargo install cargo-deny`");
        return Ok(());
    }
    succeed(&mut cargo(["deny", "--log-level", "error", "check", "licenses", "bans", "sources"]))
}
