//! `cargo xtask sim`: the simulator, built with optimisation.

use crate::Failure;
use crate::process::{cargo, succeed};

pub(crate) const HELP: &str = "\
cargo xtask sim [ARGUMENT]...: simulates whole clusters from seeds

  --seeds N         runs N seeds, from 1 or from --from on
  --seed S          runs one seed with its trace; SIM_SEED=S, as a violation prints it, does the same
  --job NAME        runs only this kind of job
  --scenario NAME   gives each run this scenario, even if its weight is 0
  --at-most SECONDS begins no more runs after that time
  --injected-faults        builds the simulator with known faults, and fails unless each is found

Everything else goes to the simulator: cargo xtask sim -- --help lists it.
";

/// Runs the simulator with `arguments`.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    if arguments.iter().any(|argument| argument == "--injected-faults") {
        return injected_faults();
    }
    let arguments = arguments.strip_prefix(&["--".to_owned()]).unwrap_or(arguments);
    let simulator = ["run", "--release", "--quiet", "--package", "reflow-sim", "--"];
    succeed(&mut cargo(simulator.into_iter().chain(arguments.iter().map(String::as_str))))
}

/// Checks that the simulator finds the faults that it compiles in on purpose.
pub(crate) fn injected_faults() -> Result<(), Failure> {
    let simulator = ["run", "--quiet", "--package", "reflow-sim", "--", "--injected-faults"];
    succeed(&mut cargo(simulator))
}
