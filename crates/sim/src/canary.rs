//! Canaries: faults that are built in on purpose, to see that the simulator finds them.
//!
//! The places ask [`reflow_types::canary::sings`]. The simulator with canaries is one build, in a target directory of
//! its own; a wrapper around the compiler sets the cfg for the workspace's crates only, so that what they depend on is
//! built as ever.

use crate::scenario::Scenario;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A canary, and the scenario that each of its runs has.
type Canary = (&'static str, Option<Scenario>);

/// The canaries there are.
pub const ALL: [Canary; 21] = [
    ("barrier_not_awaited", None),
    ("group_restored_twice", None),
    ("offset_after_barrier", None),
    ("commit_before_complete", None),
    ("group_owned_twice", None),
    ("parked_record_dropped", None),
    ("timer_lost_with_its_group", None),
    ("table_switched_before_the_barrier", None),
    ("leaving_commit_lost", None),
    ("event_time_kept_at_the_cut", None),
    ("change_not_rolled_back", None),
    ("one_cursor_for_two_old_owners", None),
    ("idleness_in_wall_time", None),
    ("input_ends_while_windows_fire", None),
    ("late_record_taken_by_the_new_owner", None),
    ("buffered_records_overtaken", None),
    ("forward_edge_rebalanced", None),
    ("given_up_checkpoint_blocks", None),
    ("windows_told_apart_by_their_end", None),
    ("deposed_leader_goes_on", Some(Scenario::Successors)),
    ("job_without_epochs_begun_anew", Some(Scenario::OutsideDeletions)),
];

/// Those of which it is not known yet in how many seeds they are found. That one of them is not found is printed, and
/// fails nothing.
pub const NEW: [&str; 9] = [
    "idleness_in_wall_time",
    "input_ends_while_windows_fire",
    "late_record_taken_by_the_new_owner",
    "buffered_records_overtaken",
    "forward_edge_rebalanced",
    "given_up_checkpoint_blocks",
    "windows_told_apart_by_their_end",
    "deposed_leader_goes_on",
    "job_without_epochs_begun_anew",
];

/// Within so many seeds a canary must be found.
const SEEDS: &str = "300";

/// The simulator with canaries.
pub struct Cage {
    simulator: PathBuf,
}

impl Cage {
    /// Builds it.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn build() -> Result<Self, String> {
        let target = target_directory()?.join("canary");
        fs::create_dir_all(&target).map_err(|error| error.to_string())?;
        let wrapper = write_wrapper(&target).map_err(|error| error.to_string())?;
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "reflow-sim", "--bin", "reflow-sim"]);
        build.env("CARGO_TARGET_DIR", &target).env("RUSTC_WORKSPACE_WRAPPER", &wrapper);
        if !build.status().map_err(|error| error.to_string())?.success() {
            return Err("the simulator cannot be built".to_owned());
        }
        Ok(Self { simulator: target.join("debug/reflow-sim") })
    }

    /// Runs the simulator with a canary until it finds something wrong: the first line that it says of it.
    ///
    /// # Errors
    /// If it finds nothing.
    pub fn sing(&self, (name, scenario): Canary) -> Result<String, String> {
        let mut simulator = Command::new(&self.simulator);
        simulator.args(["--seeds", SEEDS, "--fail-fast", "--canary", name]);
        if let Some(scenario) = scenario {
            simulator.args(["--scenario", &scenario.to_string()]);
        }
        let run = simulator.output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&run.stderr);
        let found = said.lines().find(|line| line.starts_with("SIM_SEED="));
        found.map(str::to_owned).ok_or_else(|| format!("not found in {SEEDS} seeds"))
    }
}

/// Lets a canary of this build sing.
///
/// # Errors
/// If there is no such canary, or this build has none.
pub fn release(name: &str) -> Result<(), String> {
    let names = ALL.map(|(name, _)| name);
    if !names.contains(&name) {
        return Err(format!("there is no canary '{name}': {}", names.join(", ")));
    }
    #[cfg(reflow_canary)]
    {
        reflow_types::canary::release(name);
        Ok(())
    }
    #[cfg(not(reflow_canary))]
    Err("this simulator was built without canaries; --canaries builds one with them".to_owned())
}

/// The target directory that this program was built into.
fn target_directory() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let target = program.ancestors().nth(2).ok_or("the simulator does not lie in a target directory")?;
    Ok(target.to_owned())
}

fn write_wrapper(target: &Path) -> std::io::Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let at = target.join("wrapper.sh");
    fs::write(&at, "#!/bin/sh\nexec \"$@\" --cfg reflow_canary\n")?;
    fs::set_permissions(&at, fs::Permissions::from_mode(0o755))?;
    Ok(at)
}
