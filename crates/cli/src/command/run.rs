//! The command `reflow run`, which replaces this process by the job's own executable.

use crate::args::Run;
use crate::client::distribution;
use crate::error::CliError;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

pub(crate) fn run(run: &Run) -> Result<(), CliError> {
    let lib = distribution().unwrap_or_default().join("lib");
    let program = lib.join(&run.name);
    let is_a_name = Path::new(&run.name).components().count() == 1;
    if !is_a_name || !program.is_file() {
        let there = names(&lib);
        return Err(CliError::NoExecutable { name: run.name.clone(), lib, there });
    }
    let cause = Command::new(&program).arg("run").args(&run.args).exec();
    Err(CliError::CannotRun { program, cause })
}

/// The files in `lib`, for the error text.
fn names(lib: &Path) -> String {
    let entries = std::fs::read_dir(lib).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    if names.is_empty() {
        "copy the job's executable there first".to_owned()
    } else {
        format!("the jobs there are {}", names.join(", "))
    }
}
