//! The project's own commands, run as `cargo xtask NAME`: the checks of CI, and shortcuts for long commands.
//!
//! It uses only the standard library, because `cargo xtask` must build in seconds on a fresh machine. Each
//! command is a file, and [`tidy`] contains the rules that no other tool checks.

mod bench;
mod book;
mod ci;
mod dependencies;
mod dist;
mod docs;
mod flights;
mod kafka;
mod kubernetes;
mod manifests;
mod maven;
mod nexmark;
mod process;
mod publish;
mod pypi;
mod s3;
mod sim;
mod template;
mod tidy;
mod web;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND: the project's own commands

  ci      everything that must hold before a change lands, one step after the other:
          formatting, tidy, manifests, dependencies, book, clippy, packages, documentation, tests, simulation,
          injected faults, template, web, flights
  tidy    the rules that no other tool checks: which crate may use which, that the paths
          in ARCHITECTURE.md and docs/ exist, length and headers of files, forbidden words
  docs    writes docs/configuration.md from the options in crates/config
  book    builds docs/ as a book, and checks its links
  dependencies
          licences, bans and sources of third-party crates, and dependencies that are not used
  dist    builds the distribution and lays it out under target/dist/reflow
  flights the flights example against DuckDB, on processes that come, go and are killed
  nexmark the queries of the Nexmark example against DuckDB, in the same way
  kafka   the tests of the Kafka source against a real broker, which Maven fetches
  kubernetes
          the tests with a real API server of Kubernetes, which Go builds
  manifests
          the manifests for Kubernetes against the schemas of its API
  s3      runs a command, such as `cargo test`, with a server of S3 for tests
  new     makes a package with a job, outside this workspace: cargo xtask new PATH
  publish packages the crates for a registry: cargo xtask publish --dry-run
  bench   runs a benchmark: cargo xtask bench NAME [ARGUMENT]...
  web     checks the web interface: types, lints, tests, that web/dist is what web/ gives, in a browser
  sim     simulates whole clusters from seeds: cargo xtask sim [--seeds N] [--seed S]...

A first hour: `cargo xtask tidy` takes a second, `cargo test -p CRATE` tests one crate,
`cargo xtask ci` takes minutes and is what CI runs. Each command answers --help.
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    match run(&command, &rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask {command}: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// The reason for which a command has failed, as text.
pub(crate) type Failure = String;

fn run(command: &str, arguments: &[String]) -> Result<(), Failure> {
    let help = match command {
        "ci" => ci::HELP,
        "tidy" => tidy::HELP,
        "docs" => docs::HELP,
        "book" => book::HELP,
        "dependencies" => dependencies::HELP,
        "dist" => dist::HELP,
        "flights" => flights::HELP,
        "kafka" => kafka::HELP,
        "kubernetes" => kubernetes::HELP,
        "manifests" => manifests::HELP,
        "new" => template::HELP,
        "nexmark" => nexmark::HELP,
        "publish" => publish::HELP,
        "s3" => s3::HELP,
        "bench" => bench::HELP,
        "sim" => sim::HELP,
        "web" => web::HELP,
        _ => HELP,
    };
    // The arguments of a command that one of these runs belong to that command.
    let runs_a_command = ["s3", "kafka", "kubernetes"].contains(&command);
    let own = if runs_a_command { arguments.len().min(1) } else { arguments.len() };
    if arguments[..own]
        .iter()
        .take_while(|argument| *argument != "--")
        .any(|argument| argument == "--help" || argument == "-h")
    {
        print!("{help}");
        return Ok(());
    }
    match command {
        "ci" => no_arguments(arguments).and_then(|()| ci::run()),
        "tidy" => no_arguments(arguments).and_then(|()| tidy::run()),
        "docs" => no_arguments(arguments).and_then(|()| docs::write()),
        "book" => no_arguments(arguments).and_then(|()| book::build()),
        "dependencies" => no_arguments(arguments).and_then(|()| dependencies::check()),
        "dist" => dist::run(arguments),
        "flights" => no_arguments(arguments).and_then(|()| flights::run()),
        "nexmark" => no_arguments(arguments).and_then(|()| nexmark::run()),
        "kafka" => kafka::run(arguments),
        "kubernetes" => kubernetes::run(arguments),
        "manifests" => no_arguments(arguments).and_then(|()| manifests::check()),
        "new" => template::run(arguments),
        "publish" => publish::run(arguments),
        "s3" => s3::run(arguments),
        "bench" => bench::run(arguments),
        "sim" => sim::run(arguments),
        "web" => web::run(arguments),
        "" | "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        _ => Err(format!("no such command\n\n{HELP}")),
    }
}

fn no_arguments(arguments: &[String]) -> Result<(), Failure> {
    match arguments {
        [] => Ok(()),
        [first, ..] => Err(format!("unknown argument `{first}`; see --help")),
    }
}
