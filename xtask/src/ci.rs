//! `cargo xtask ci`: every check in turn, the quick ones first, up to the first that fails.
//!
//! Everything is built in the profile of the tests, so that a complete run takes about half an hour on two slow
//! cores: dependencies are checked once for clippy and the documentation, and compiled once for all other steps, which
//! also use the same features (`build_as_for_tests`). Steps that need an optimised build (benchmarks, the distribution,
//! thousands of simulated clusters) are separate commands: `cargo xtask bench`, `dist` and `sim`.

use std::process::Command;
use std::time::Instant;

use crate::process::{cargo, is_installed, root, succeed};
use crate::{
    Failure, book, dependencies, flights, kafka, kubernetes, manifests, publish, s3, sim, template, tidy, web,
};

pub(crate) const HELP: &str = "\
cargo xtask ci: everything that must hold before a change lands

Prints each step with the time it took and stops at the first that fails. A step that needs
a tool which is not installed (rustfmt, clippy, shellcheck; Python for S3; Node and Chromium
for the web interface; Java and Maven for Kafka; servers that `cargo xtask kubernetes` has built) is skipped, and says so. The steps dependencies, book and flights are
never left out: they need python3 and, the first time, a package index.
";

/// The seeds that each run of CI simulates.
const FIXED_SEEDS: &str = "40";
/// How long fresh seeds, which are derived from the commit, are simulated, in seconds.
const FRESH_SECONDS: &str = "100";

struct Step {
    name: &'static str,
    check: fn() -> Result<(), Failure>,
}

const STEPS: &[Step] = &[
    Step { name: "format", check: format },
    Step { name: "tidy", check: tidy::run },
    Step { name: "scripts", check: scripts },
    Step { name: "manifests", check: manifests::check },
    Step { name: "dependencies", check: dependencies::check },
    Step { name: "book", check: book::build },
    Step { name: "clippy", check: clippy },
    Step { name: "packages", check: publish::package },
    Step { name: "documentation", check: documentation },
    Step { name: "tests", check: tests },
    Step { name: "simulation", check: simulation },
    Step { name: "injected faults", check: sim::injected_faults },
    Step { name: "template", check: template::check },
    Step { name: "web", check: web },
    Step { name: "flights", check: flights::run },
    Step { name: "kafka", check: kafka::check },
    Step { name: "kubernetes", check: kubernetes::check },
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

fn format() -> Result<(), Failure> {
    if !is_installed("rustfmt") {
        return skip("rustfmt", "rustup component add rustfmt");
    }
    succeed(&mut cargo(["fmt", "--all", "--check"]))
}

fn clippy() -> Result<(), Failure> {
    if !is_installed("cargo-clippy") {
        return skip("clippy", "rustup component add clippy");
    }
    succeed(&mut cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

/// Documents private items too, because headers lead readers through the modules of their crate.
fn documentation() -> Result<(), Failure> {
    let flags = "-D warnings -A rustdoc::private_intra_doc_links";
    let arguments = ["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"];
    succeed(cargo(arguments).env("RUSTDOCFLAGS", flags))
}

/// Runs all suites, of documentation too, even if one fails, so that one run shows all failures. If an S3 server can be
/// installed, tests of storage and of whole clusters also use S3.
fn tests() -> Result<(), Failure> {
    let arguments = ["test", "--workspace", "--no-fail-fast"];
    if !s3::is_possible() {
        skip("python3", "apt-get install python3-venv; without it, the tests leave out S3")?;
        return succeed(&mut cargo(arguments));
    }
    let server = s3::Server::start()?;
    succeed(server.environment(&mut cargo(arguments)))
}

/// Simulates a few fixed seeds, and then fresh ones that no earlier commit has run. A violation prints its seed
/// and fails the step.
fn simulation() -> Result<(), Failure> {
    succeed(sim::simulator()?.args(["--seeds", FIXED_SEEDS]))?;
    let from = first_fresh_seed()?.to_string();
    eprintln!("  fresh seeds from {from} on");
    let fresh = ["--from", &from, "--seeds", "1000000", "--at-most", FRESH_SECONDS];
    succeed(sim::simulator()?.args(fresh)).map_err(|_| {
        "a fresh seed violates an invariant: its line above is the command that repeats it".to_owned()
    })
}

/// The first fresh seed, which is derived from the commit. Without git it is a number that was never used.
fn first_fresh_seed() -> Result<u64, Failure> {
    const OTHERWISE: u64 = 1 << 40;
    let head = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(root()).output();
    let Ok(head) = head.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()) else {
        return Ok(OTHERWISE);
    };
    match head.get(..12) {
        Some(digits) => u64::from_str_radix(digits, 16).map_err(|error| format!("commit {head}: {error}")),
        None => Ok(OTHERWISE),
    }
}

/// Checks the web interface if Node and a browser are installed. The tests of reflow-rest check without them that
/// the page is small and connects only to its server.
fn web() -> Result<(), Failure> {
    match web::missing_tool() {
        Some(missing) => {
            eprintln!("  skipped: {missing}");
            Ok(())
        }
        None => web::check(),
    }
}

/// Prints that a step was skipped because its tool is missing.
fn skip(tool: &str, remedy: &str) -> Result<(), Failure> {
    eprintln!("  skipped: {tool} is not installed; `{remedy}`");
    Ok(())
}

/// shellcheck on the scripts of the distribution and of CI.
fn scripts() -> Result<(), Failure> {
    if !is_installed("shellcheck") {
        return skip("shellcheck", "apt-get install shellcheck");
    }
    let mut command = Command::new("shellcheck");
    command.current_dir(root()).args(["-x", "-P", ".", ".ci/run"]);
    command.args(["examples/flights/fetch.sh", "examples/kafka/kafka.sh"]);
    for entry in std::fs::read_dir(root().join("dist/bin")).map_err(|error| error.to_string())? {
        command.arg(entry.map_err(|error| error.to_string())?.path());
    }
    succeed(&mut command)
}
