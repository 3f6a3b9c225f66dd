//! `cargo xtask dist`: builds the distribution, as users unpack it.
//!
//! Each run replaces the files of the distribution and leaves the user's directories beside them (`lib/`, `log/`,
//! `checkpoints/`).

use std::fs;
use std::io;
use std::path::Path;

use crate::Failure;
use crate::process::{cargo, root, succeed, target_directory};

pub(crate) const HELP: &str = "\
cargo xtask dist [--symbols]: builds the distribution and lays it out under target/dist/reflow

  bin/                 the scripts of dist/bin and the `reflow` executable
  conf/                dist/conf
  lib/                 where a job's executable goes
  examples/streaming/  the examples as jobs
  monitoring/          dist/monitoring: alert rules of Prometheus, a dashboard of Grafana
  scaling/             dist/scaling: an example of a service that starts and stops TaskManagers
  LICENSE README.md

The executables are stripped, to an eighth of their size. With --symbols they keep symbols and
line tables, for profilers, debuggers and the names in a panic's backtrace.

Builds into CARGO_TARGET_DIR if it is set. lib/, log/ and checkpoints/ of an earlier run are kept.
";

/// The command line: its package and its executable.
const COMMAND_LINE: Executable = Executable { package: "reflow-cli", name: "reflow" };

/// The examples that the distribution holds.
const EXAMPLES: &[Executable] = &[
    Executable { package: "reflow-examples", name: "top_speed_windowing" },
    Executable { package: "reflow-examples", name: "flights" },
];

/// Whether executables keep their symbols.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Symbols {
    Stripped,
    Kept,
}

struct Executable {
    package: &'static str,
    name: &'static str,
}

/// Builds the executables and creates the distribution.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let symbols = match arguments {
        [] => Symbols::Stripped,
        [flag] if flag == "--symbols" => Symbols::Kept,
        _ => return Err(format!("unknown arguments: {}; there is only --symbols", arguments.join(" "))),
    };
    build(symbols)?;
    let home = root().join("target/dist/reflow");
    lay_out(&target_directory().join("release"), &home)
        .map_err(|error| format!("cannot lay out {}: {error}", home.display()))?;
    eprintln!("the distribution is in {}", home.display());
    Ok(())
}

fn executables() -> impl Iterator<Item = &'static Executable> {
    std::iter::once(&COMMAND_LINE).chain(EXAMPLES)
}

fn build(symbols: Symbols) -> Result<(), Failure> {
    let mut arguments = vec!["build", "--release"];
    if symbols == Symbols::Stripped {
        arguments.extend(["--config", "profile.release.strip=true"]);
    }
    for executable in executables() {
        arguments.extend(["--package", executable.package, "--bin", executable.name]);
    }
    succeed(&mut cargo(arguments))
}

/// The directories below `dist/` whose files are copied.
const COPIED: [&str; 10] = [
    "bin",
    "conf",
    "kubernetes",
    "kubernetes/autoscaler",
    "kubernetes/base",
    "kubernetes/external-metrics",
    "kubernetes/signals",
    "kubernetes/standby",
    "monitoring",
    "scaling",
];

/// Copies the executables in `built` and the files of the repository to `home`.
fn lay_out(built: &Path, home: &Path) -> io::Result<()> {
    for replaced in ["bin", "conf", "examples", "kubernetes", "monitoring", "scaling"] {
        remove(&home.join(replaced))?;
    }
    for directory in ["lib", "examples/streaming"] {
        fs::create_dir_all(home.join(directory))?;
    }
    for copied in COPIED {
        fs::create_dir_all(home.join(copied))?;
        copy_files(&root().join("dist").join(copied), &home.join(copied))?;
    }
    fs::copy(built.join(COMMAND_LINE.name), home.join("bin").join(COMMAND_LINE.name))?;
    for example in EXAMPLES {
        fs::copy(built.join(example.name), home.join("examples/streaming").join(example.name))?;
    }
    fs::copy(root().join("LICENSE"), home.join("LICENSE"))?;
    fs::copy(root().join("dist/README.md"), home.join("README.md"))?;
    Ok(())
}

/// Removes a directory if it exists.
fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Copies the files of a directory, with their permissions, without its directories.
fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_replaces_its_own_and_keeps_the_rest() {
        let directory = target_directory().join("tmp/dist");
        let (built, home) = (directory.join("release"), directory.join("reflow"));
        remove(&directory).unwrap();
        fs::create_dir_all(&built).unwrap();
        for executable in executables() {
            fs::write(built.join(executable.name), "old").unwrap();
        }
        lay_out(&built, &home).unwrap();
        fs::write(home.join("lib/job"), "a user's").unwrap();
        fs::write(home.join("bin/gone.sh"), "of an older release").unwrap();
        fs::write(built.join("reflow"), "new").unwrap();
        lay_out(&built, &home).unwrap();

        assert_eq!(fs::read_to_string(home.join("bin/reflow")).unwrap(), "new");
        assert_eq!(fs::read_to_string(home.join("lib/job")).unwrap(), "a user's");
        assert!(!home.join("bin/gone.sh").exists());
        for there in [
            "bin/taskmanager.sh",
            "conf/config.yaml",
            "kubernetes/Containerfile",
            "kubernetes/autoscaler/rights.yaml",
            "kubernetes/base/jobmanager.yaml",
            "monitoring/alerts.yml",
            "scaling/autoscale.py",
            "LICENSE",
            "README.md",
        ] {
            assert!(home.join(there).is_file(), "{there}");
        }
        assert!(home.join("examples/streaming").join(EXAMPLES[0].name).is_file());
    }
}
