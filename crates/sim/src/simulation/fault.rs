//! The faults that may strike a simulated job.

use crate::chaos::Trouble;
use crate::faults::Faults;
use crate::rng::Rng;
use std::time::Duration;

/// A kind of fault.
///
/// ```
/// # mod reflow {
/// #     pub use reflow_stream::*;
/// #     pub mod testing { pub use reflow_sim::simulation::*; }
/// # }
/// use reflow::testing::{Fault, Inputs, Outputs, Simulation};
///
/// /// Only the loss of processes.
/// fn losses<I: Inputs, O: Outputs>(simulation: Simulation<I, O>) -> Simulation<I, O> {
///     simulation.faults([Fault::KilledExecutor, Fault::LostTaskManager, Fault::LostJobManager])
/// }
///
/// /// All but the loss of the JobManager.
/// fn without_failover<I: Inputs, O: Outputs>(simulation: Simulation<I, O>) -> Simulation<I, O> {
///     simulation.faults(Fault::ALL.into_iter().filter(|fault| *fault != Fault::LostJobManager))
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The job is rescaled live: a TaskManager starts, stops or is drained, or a user limits the parallelism.
    Rescale,
    /// A task executor is killed: the job continues from its last checkpoint.
    KilledExecutor,
    /// A TaskManager is lost with its executors.
    LostTaskManager,
    /// The JobManager is killed or stopped, and started again.
    LostJobManager,
    /// Requests to storage take seconds.
    SlowStorage,
    /// Requests to storage fail, with or without effect.
    FailingStorage,
    /// Messages between processes take up to a second.
    SlowNetwork,
    /// Two machines cannot reach each other.
    Partition,
    /// A process is frozen for seconds.
    FrozenProcess,
}

impl Fault {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Rescale,
        Self::KilledExecutor,
        Self::LostTaskManager,
        Self::LostJobManager,
        Self::SlowStorage,
        Self::FailingStorage,
        Self::SlowNetwork,
        Self::Partition,
        Self::FrozenProcess,
    ];

    /// A trouble of this kind, in a cluster of at most this parallelism.
    pub(super) fn trouble(self, rng: &mut Rng, most_parallelism: u64) -> Trouble {
        let mut millis = |most: u64| Duration::from_millis(rng.skewed(10..=most));
        match self {
            Self::Rescale => match rng.within(0..=5) {
                0..2 => Trouble::StartTaskManager,
                2 => Trouble::StopTaskManager,
                3 => Trouble::DrainTaskManager { force: false },
                _ => Trouble::Require { upper: rng.within(1..=most_parallelism) as u32 },
            },
            Self::KilledExecutor => Trouble::KillExecutor,
            Self::LostTaskManager => Trouble::KillTaskManager,
            Self::LostJobManager => {
                let down = millis(3_000);
                match rng.chance(0.7) {
                    true => Trouble::KillJobManager { down },
                    false => Trouble::StopJobManager { down },
                }
            }
            Self::SlowStorage => disturb(Faults { store_slow: 0.5, ..Faults::default() }, millis(5_000)),
            Self::FailingStorage => {
                let faults = Faults { store_error: 0.3, store_error_although_done: 0.3, ..Faults::default() };
                disturb(faults, millis(5_000))
            }
            Self::SlowNetwork => disturb(Faults { frame_slow: 0.05, ..Faults::default() }, millis(5_000)),
            Self::Partition => Trouble::Partition { lasts: millis(10_000) },
            Self::FrozenProcess => Trouble::Freeze { lasts: millis(5_000) },
        }
    }
}

fn disturb(faults: Faults, lasts: Duration) -> Trouble {
    Trouble::Disturb { faults, lasts }
}
