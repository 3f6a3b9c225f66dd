//! The simulator with injected faults, which are compiled in on purpose to check that it finds them.
//!
//! Code calls [`reflow_types::injected_fault::is_active`] at the place of each fault. One build contains all of
//! them: a wrapper around the compiler sets the cfg only for the workspace's crates, so that dependencies are
//! those of the normal build.

use crate::scenario::Scenario;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The name of a fault, and the runs that look for it.
type InjectedFault = (&'static str, &'static [Only]);

/// What each run with a fault has that few others have.
#[derive(Clone, Copy)]
pub enum Only {
    /// This kind of job.
    Job(&'static str),
    /// This scenario.
    Scenario(Scenario),
}

const DIRECTED: &[Only] = &[Only::Scenario(Scenario::DirectedRescales)];

/// All injected faults.
pub const ALL: [InjectedFault; 26] = [
    ("barrier_not_awaited", &[]),
    ("group_restored_twice", &[]),
    ("offset_after_barrier", &[]),
    ("commit_before_complete", &[]),
    ("group_owned_twice", &[]),
    ("parked_record_dropped", &[]),
    ("timer_lost_with_its_group", &[]),
    ("table_switched_before_the_barrier", &[]),
    ("leaving_commit_lost", &[]),
    ("event_time_kept_at_the_cut", &[]),
    ("change_not_rolled_back", &[]),
    ("one_cursor_for_two_old_owners", DIRECTED),
    ("idleness_in_wall_time", &[Only::Job("Idle")]),
    ("input_ends_while_windows_fire", &[]),
    ("late_record_taken_by_the_new_owner", &[]),
    ("buffered_records_overtaken", DIRECTED),
    ("forward_edge_rebalanced", &[]),
    (
        "given_up_checkpoint_blocks",
        &[Only::Scenario(Scenario::RareCheckpoints), Only::Scenario(Scenario::Savepoints)],
    ),
    ("windows_told_apart_by_their_end", &[]),
    ("watermark_of_a_leaving_subtask_counted", DIRECTED),
    ("stop_forgotten_after_a_restart", &[Only::Scenario(Scenario::Stops), Only::Scenario(Scenario::Steps)]),
    ("orders_of_a_deposed_leader_carried_out", &[Only::Scenario(Scenario::Successors)]),
    ("deposed_leader_goes_on", &[Only::Scenario(Scenario::Successors)]),
    ("job_without_epochs_begun_anew", &[Only::Scenario(Scenario::OutsideDeletions)]),
    ("deleted_checkpoint_not_missed", &[Only::Scenario(Scenario::OutsideDeletions)]),
    ("records_under_way_lost", &[Only::Job("OrderedAsyncCalls")]),
];

/// The number of seeds within which a fault must be found.
const SEEDS: &str = "300";

/// The simulator with injected faults.
pub struct FaultySimulator {
    simulator: PathBuf,
}

impl FaultySimulator {
    /// Builds it.
    ///
    /// # Errors
    /// If the build fails.
    pub fn build() -> Result<Self, String> {
        let target = target_directory()?;
        let own = target.join("injected-faults");
        fs::create_dir_all(&own).map_err(|error| error.to_string())?;
        let wrapper = write_wrapper(&own).map_err(|error| error.to_string())?;
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let mut build = Command::new(cargo);
        // The whole workspace is built, because the features of the simulator alone would build dependencies
        // again.
        build.args(["build", "--quiet", "--workspace", "--bin", "reflow-sim"]);
        build.env("CARGO_TARGET_DIR", &target).env("RUSTC_WORKSPACE_WRAPPER", &wrapper);
        if !build.status().map_err(|error| error.to_string())?.success() {
            return Err(
                "the build of the simulator with injected faults failed; see the compiler's messages above"
                    .to_owned(),
            );
        }
        // The next normal build replaces the simulator in the target directory.
        let simulator = own.join("reflow-sim");
        fs::copy(target.join("debug/reflow-sim"), &simulator).map_err(|error| error.to_string())?;
        Ok(Self { simulator })
    }

    /// Runs the simulator with a fault until it reports a violation, and returns the first line of the report.
    ///
    /// # Errors
    /// If no run reports a violation.
    pub fn look_for(&self, (name, runs): InjectedFault) -> Result<String, String> {
        let mut simulator = Command::new(&self.simulator);
        simulator.args(["--seeds", SEEDS, "--threads", "1", "--fail-fast", "--injected-fault", name]);
        for only in runs {
            match only {
                Only::Job(name) => simulator.args(["--job", name]),
                Only::Scenario(scenario) => simulator.args(["--scenario", &scenario.to_string()]),
            };
        }
        let run = simulator.output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&run.stderr);
        let found = said.lines().find(|line| line.starts_with("SIM_SEED="));
        found.map(str::to_owned).ok_or_else(|| format!("not found in {SEEDS} seeds"))
    }
}

/// Activates a fault of this build.
///
/// # Errors
/// If there is no such fault, or this build contains none.
pub fn activate(name: &str) -> Result<(), String> {
    let names = ALL.map(|(name, _)| name);
    if !names.contains(&name) {
        return Err(format!("there is no injected fault '{name}'; there are {}", names.join(", ")));
    }
    #[cfg(reflow_injected_faults)]
    {
        reflow_types::injected_fault::activate(name);
        Ok(())
    }
    #[cfg(not(reflow_injected_faults))]
    Err("this simulator was built without injected faults; --injected-faults builds one with them".to_owned())
}

/// The target directory of this program's build.
fn target_directory() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let target = program.ancestors().nth(2).ok_or("the simulator is not in a target directory of cargo")?;
    Ok(target.to_owned())
}

fn write_wrapper(target: &Path) -> std::io::Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let at = target.join("wrapper.sh");
    fs::write(&at, "#!/bin/sh\nexec \"$@\" --cfg reflow_injected_faults\n")?;
    fs::set_permissions(&at, fs::Permissions::from_mode(0o755))?;
    Ok(at)
}
