//! Canaries: faults that are compiled in on purpose, to see that the simulator finds them.
//!
//! The places ask `cfg!(reflow_canary = "name")`. Each canary is a build of its own, in a target directory of its
//! own; a wrapper around the compiler sets the cfg for the workspace's crates only, so that what they depend on is
//! built once for all.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The canaries there are.
pub const NAMES: [&str; 4] =
    ["barrier_not_awaited", "group_restored_twice", "offset_after_barrier", "commit_before_complete"];

/// Within so many seeds a canary must be found.
const SEEDS: &str = "300";

/// Builds the simulator with a canary and runs it until it finds something wrong: the first line that it says of it.
///
/// # Errors
/// If it cannot be built, or finds nothing.
pub fn sing(name: &str) -> Result<String, String> {
    let target = target_directory()?.join("canary");
    fs::create_dir_all(&target).map_err(|error| error.to_string())?;
    let wrapper = write_wrapper(&target, name).map_err(|error| error.to_string())?;
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--package", "reflow-sim", "--bin", "reflow-sim"]);
    build.env("CARGO_TARGET_DIR", &target).env("RUSTC_WORKSPACE_WRAPPER", &wrapper);
    if !build.status().map_err(|error| error.to_string())?.success() {
        return Err("the simulator cannot be built".to_owned());
    }
    let mut simulator = Command::new(target.join("debug/reflow-sim"));
    let run =
        simulator.args(["--seeds", SEEDS, "--fail-fast"]).output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&run.stderr);
    let found = said.lines().find(|line| line.starts_with("SIM_SEED="));
    found.map(str::to_owned).ok_or_else(|| format!("not found in {SEEDS} seeds"))
}

/// The target directory that this program was built into.
fn target_directory() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let target = program.ancestors().nth(2).ok_or("the simulator does not lie in a target directory")?;
    Ok(target.to_owned())
}

fn write_wrapper(target: &Path, name: &str) -> std::io::Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let at = target.join(format!("{name}.sh"));
    fs::write(&at, format!("#!/bin/sh\nexec \"$@\" --cfg 'reflow_canary=\"{name}\"'\n"))?;
    fs::set_permissions(&at, fs::Permissions::from_mode(0o755))?;
    Ok(at)
}
