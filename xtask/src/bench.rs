//! `cargo xtask bench NAME`: runs one benchmark, built with optimisation.

use crate::Failure;
use crate::maven;
use crate::process::{cargo, root, succeed};

pub(crate) const HELP: &str = "\
cargo xtask bench NAME [ARGUMENT]...: runs a benchmark

Prints a table and writes target/bench/NAME.json. The benchmarks are the files and directories
of benches/src/bin; docs/benchmarks.md says how they measure. Arguments go to the benchmark.
Where an argument names Flink (`rescale --way live,flink`), Apache Flink is fetched from Maven Central below the
target directory, the first time only: that needs Maven and a JDK (apt-get install maven default-jdk-headless).
";

/// Runs the benchmark that the first argument names.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let there = names()?;
    let [name, rest @ ..] = arguments else {
        return Err(format!("which benchmark? there are: {}", there.join(", ")));
    };
    if !there.contains(name) {
        return Err(format!("there is no benchmark `{name}`; there are: {}", there.join(", ")));
    }
    let rest = rest.strip_prefix(&["--".to_owned()]).unwrap_or(rest);
    // A benchmark starts other executables: jobs, loops and the command line, from beside its own.
    succeed(&mut cargo(["build", "--release", "--package", "reflow-benches", "--package", "reflow-cli"]))?;
    let benchmark = ["run", "--release", "--quiet", "--package", "reflow-benches", "--bin", name, "--"];
    let mut command = cargo(benchmark.into_iter().chain(rest.iter().map(String::as_str)));
    if rest.iter().any(|argument| argument.contains("flink")) {
        command.env(maven::FLINK, maven::build_flink()?);
    }
    succeed(&mut command)
}

fn names() -> Result<Vec<String>, Failure> {
    let directory = root().join("benches/src/bin");
    let unreadable = |error| format!("cannot read {}: {error}", directory.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_benchmark = path.is_dir() || path.extension().is_some_and(|extension| extension == "rs");
        if let (true, Some(name)) = (is_benchmark, path.file_stem()) {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}
