//! `cargo xtask sim`: runs the simulator, built with optimisation.

use crate::Failure;
use crate::process::{build_as_for_tests, cargo, root, succeed, target_directory};
use std::process::Command;

pub(crate) const HELP: &str = "\
cargo xtask sim [ARGUMENT]...: simulates whole clusters from seeds

  --seeds N         runs N seeds, from 1 or from --from on
  --seed S          runs one seed with its trace; SIM_SEED=S, as a violation prints it, does the same
  --job NAME        runs only this kind of job
  --scenario NAME   gives each run this scenario, even if its weight is 0
  --at-most SECONDS begins no more runs after that time
  --threads N       simulates N clusters at once; by default as many as there are cores
  --injected-faults activates one known fault after the other, and fails unless each is found; with
                    --injected-fault NAME it tries this one alone

Everything else goes to the simulator: cargo xtask sim -- --help lists it.
";

/// Runs the simulator with `arguments`.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    if arguments.iter().any(|argument| argument == "--injected-faults") {
        return succeed(simulator()?.args(arguments));
    }
    let arguments = arguments.strip_prefix(&["--".to_owned()]).unwrap_or(arguments);
    let simulator = ["run", "--release", "--quiet", "--package", "reflow-sim", "--"];
    succeed(&mut cargo(simulator.into_iter().chain(arguments.iter().map(String::as_str))))
}

/// Checks that the simulator finds the faults that are compiled in on purpose.
pub(crate) fn injected_faults() -> Result<(), Failure> {
    succeed(simulator()?.arg("--injected-faults"))
}

/// The simulator in the profile of the tests, which contains injected faults.
pub(crate) fn simulator() -> Result<Command, Failure> {
    build_as_for_tests(["--bin", "reflow-sim"])?;
    let mut simulator = Command::new(target_directory().join("debug/reflow-sim"));
    simulator.current_dir(root());
    Ok(simulator)
}
