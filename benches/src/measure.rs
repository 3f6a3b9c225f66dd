//! Measurement of the CPU time of whole process trees, with interleaved contenders, and the report of a
//! benchmark.
//!
//! CPU time (user + system of all processes, divided by events) is what is compared, as wall time on a shared
//! machine says more about the neighbours. Contenders are interleaved (A B A B …), so that a slow minute
//! strikes all alike, and a report keeps minimum, median and maximum.

mod cpu;
mod instructions;
mod processes;
mod repeat;
mod report;

use std::{io, path::PathBuf, process::ExitStatus};

pub use cpu::{cpu_of_children, own_cpu, per_event_ns};
pub use instructions::instructions;
pub use processes::{figure, run_together};
pub use repeat::{Contender, Series, interleave};
pub use report::{Report, Summary, summary_table};

/// Why a measurement came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program could not be started at all.
    #[error("cannot start `{program}`: check that it is there and executable")]
    Start {
        /// The program's path or name.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A measured process failed.
    #[error("`{program}` failed ({status}): run it alone to see why")]
    Failed {
        /// The program's path or name.
        program: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// A process could not be waited for or its output not read.
    #[error("lost `{program}` while it ran")]
    Lost {
        /// The program's path or name.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A process did not print the figure that was asked of it.
    #[error("`{program}` printed `{output}` where a number was due")]
    NoFigure {
        /// The program's path or name.
        program: String,
        /// What it printed instead.
        output: String,
    },
    /// What a measuring tool wrote could not be read.
    #[error("cannot read what was measured from {}", path.display())]
    Read {
        /// The tool's output.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A report, or the place for a tool's output, could not be written.
    #[error("cannot write to {}: make room or choose another place", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}
