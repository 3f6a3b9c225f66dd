//! Injected faults, which are compiled in on purpose to check that the simulator finds them.
//!
//! Code calls [`reflow_types::injected_fault::is_active`] at the place of each fault. A simulator that is built with
//! the feature `injected-faults`, as the tests are, contains all of them. Without an active one it is like any other.

use crate::scenario::Scenario;
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

const ADOPTION: &[Only] = &[Only::Scenario(Scenario::Adoption)];
const PIPELINES: &[Only] = &[Only::Job("Pipelines"), Only::Scenario(Scenario::UserFailures)];
const STANDBY: &[Only] = &[Only::Scenario(Scenario::Standby)];
const DIRECTED: &[Only] = &[Only::Scenario(Scenario::DirectedRescales)];

/// All injected faults.
pub const ALL: [InjectedFault; 36] = [
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
    (
        "adoption_during_a_cut",
        &[Only::Scenario(Scenario::Adoption), Only::Scenario(Scenario::DirectedRescales)],
    ),
    ("assignments_of_the_former_leader_forgotten", ADOPTION),
    ("attempt_of_another_checkpoint_adopted", &[Only::Scenario(Scenario::Overtaken)]),
    ("records_under_way_lost", &[Only::Job("OrderedAsyncCalls")]),
    ("region_restarted_from_an_older_checkpoint", PIPELINES),
    ("enumerators_of_all_regions_restored", PIPELINES),
    ("lease_claimed_while_it_is_renewed", STANDBY),
    ("released_lease_kept", STANDBY),
    ("leader_stays_after_its_hand_over", STANDBY),
    ("enumerators_of_an_absent_region_taken", PIPELINES),
    ("checkpoint_with_an_absent_region", PIPELINES),
];

/// The number of seeds within which a fault must be found.
const SEEDS: &str = "300";

/// Runs this program with a fault until it reports a violation, and returns the first line of the report.
///
/// # Errors
/// If no run reports a violation.
pub fn look_for((name, runs): InjectedFault) -> Result<String, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut simulator = Command::new(program);
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

/// Activates a fault of this build.
///
/// # Errors
/// If there is no such fault, or this build contains none.
pub fn activate(name: &str) -> Result<(), String> {
    let names = ALL.map(|(name, _)| name);
    if !names.contains(&name) {
        return Err(format!("there is no injected fault '{name}'; there are {}", names.join(", ")));
    }
    check_built_in()?;
    #[cfg(feature = "injected-faults")]
    reflow_types::injected_fault::activate(name);
    Ok(())
}

/// Checks that this program contains injected faults.
///
/// # Errors
/// If it was built without.
pub fn check_built_in() -> Result<(), String> {
    if cfg!(feature = "injected-faults") {
        return Ok(());
    }
    Err("this simulator was built without injected faults; `cargo xtask sim --injected-faults` builds one with them"
        .to_owned())
}
