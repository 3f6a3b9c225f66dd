//! How a [`Harness`] is set up, what a test takes in hand (its clock, its storage, the systems that it calls), and what
//! it looks at.

use super::Harness;
use crate::order::Order;
use crate::{ManualClock, MemoryStore, Peer};
use reflow_coordination::restore::UnclaimedState;
use reflow_protocol::failure::Failure;
use reflow_stream::StreamEnv;
use reflow_types::{Bounds, CheckpointId, MaxParallelism};

impl<'a> Harness<'a> {
    /// Replaces the job by another build, which later attempts run.
    ///
    /// ```
    /// # mod reflow {
    /// #     pub use reflow_stream::*;
    /// #     pub mod testing { pub use reflow_testkit::*; }
    /// # }
    /// use reflow::testing::Harness;
    ///
    /// /// Another build of the job, without one of its operators.
    /// fn upgrade<'a>(job: &mut Harness<'a>, build: impl Fn(&mut reflow::StreamEnv) + 'a) {
    ///     job.suspend();
    ///     job.kill();
    ///     job.rebuild(build);
    ///     job.drop_unclaimed_state();
    ///     job.start(1);
    ///     assert!(!job.is_finished());
    /// }
    /// ```
    ///
    /// # Panics
    /// If the job runs.
    pub fn rebuild(&mut self, function: impl Fn(&mut StreamEnv) + 'a) {
        assert!(self.attempt.is_none(), "the job runs already");
        self.function = Box::new(function);
        self.failures.clear();
    }

    /// Drops state of operators that the job does not have. By default such state is an error.
    pub fn drop_unclaimed_state(&mut self) {
        self.unclaimed_state = UnclaimedState::Drop;
    }

    /// Spreads the slots over this many executors, between which records are encoded. The default is one.
    ///
    /// ```
    /// # mod reflow {
    /// #     pub use reflow_stream::*;
    /// #     pub mod testing { pub use reflow_testkit::*; }
    /// # }
    /// use reflow::testing::Harness;
    ///
    /// /// Runs a job once in each order of a few, and expects no failure.
    /// fn in_several_orders(job: impl Fn(&mut reflow::StreamEnv)) {
    ///     for seed in 0..10 {
    ///         let mut job = Harness::new(&job).on_executors(2).max_parallelism(16).in_random_order(seed);
    ///         job.start(4);
    ///         assert_eq!(job.failures(), []);
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn on_executors(mut self, executors: usize) -> Self {
        self.sizes.executors = executors;
        self
    }

    /// Sets the bounds. The default is production's.
    #[doc(hidden)]
    #[must_use]
    pub fn with_bounds(mut self, bounds: Bounds) -> Self {
        self.sizes.bounds = bounds;
        self
    }

    /// Steps slots, frames and storage in an order drawn from `seed`, instead of in turn.
    #[must_use]
    pub fn in_random_order(mut self, seed: u64) -> Self {
        self.order = Order::random(seed);
        self
    }

    /// Adds a system outside the cluster. Calls of others panic.
    ///
    /// ```
    /// # mod reflow {
    /// #     pub use reflow_stream::*;
    /// #     pub mod testing { pub use reflow_testkit::*; }
    /// # }
    /// use reflow::testing::{Harness, Peer};
    ///
    /// /// The records that each subtask has read, in a job that calls another system.
    /// fn records_read(job: Harness<'_>, system: &Peer) -> Vec<u64> {
    ///     let mut job = job.with_peer(system);
    ///     job.start(2);
    ///     job.metrics().iter().map(|subtask| subtask.records_in).collect()
    /// }
    /// ```
    #[must_use]
    pub fn with_peer(mut self, peer: &Peer) -> Self {
        self.peers.push(peer.clone());
        self
    }

    /// The reader with this index gets its splits only when the test calls
    /// [`assign_late_splits`](Self::assign_late_splits), as if its executor started long after the others.
    #[doc(hidden)]
    #[must_use]
    pub fn with_late_reader(mut self, index: usize) -> Self {
        self.late_readers.insert(index);
        self
    }

    /// Assigns the splits of late readers, and runs the job until nothing more happens.
    #[doc(hidden)]
    pub fn assign_late_splits(&mut self) {
        for (slot, command) in std::mem::take(&mut self.held) {
            self.running().machines.slots[slot].port.send(command);
        }
        self.settle();
    }

    /// Sets the max parallelism of vertices that set none. The default is 128.
    #[must_use]
    pub fn max_parallelism(mut self, max: u32) -> Self {
        self.sizes.max_parallelism = MaxParallelism::new(max).expect("a max parallelism in range");
        self
    }

    /// The job's clock.
    pub fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// The job's storage.
    pub fn store(&self) -> &MemoryStore {
        &self.store
    }

    /// The job's storage, for injecting faults.
    ///
    /// ```
    /// # mod reflow {
    /// #     pub use reflow_stream::*;
    /// #     pub mod testing { pub use reflow_testkit::*; }
    /// # }
    /// use reflow::testing::Harness;
    /// use std::time::Duration;
    ///
    /// /// An object is lost, and the job restarts in the middle of its work.
    /// fn restart(job: &mut Harness<'_>, object: &str) {
    ///     assert!(job.store().below(object).next().is_some());
    ///     job.store_mut().remove(object);
    ///     job.clock().advance(Duration::from_secs(1));
    ///     job.steps(5);
    ///     job.kill();
    ///     job.forget_failures();
    ///     job.start(1);
    /// }
    /// ```
    pub fn store_mut(&mut self) -> &mut MemoryStore {
        &mut self.store
    }

    /// Lets storage answer nothing until it is released.
    ///
    /// ```
    /// # mod reflow {
    /// #     pub use reflow_stream::*;
    /// #     pub mod testing { pub use reflow_testkit::*; }
    /// # }
    /// use reflow::testing::Harness;
    /// use std::time::Duration;
    ///
    /// /// A checkpoint for whose storage the job has to wait.
    /// fn slow_checkpoint(job: &mut Harness<'_>) {
    ///     job.hold_storage();
    ///     assert!(!job.checkpoint());
    ///     job.release_storage();
    ///     job.advance(Duration::from_secs(1)); // timers fire on the way
    ///     assert!(job.checkpoint(), "{:?}", job.failed_checkpoints());
    /// }
    /// ```
    pub fn hold_storage(&mut self) {
        self.running().machines.storage_held = true;
    }

    /// Lets storage answer again.
    pub fn release_storage(&mut self) {
        self.running().machines.storage_held = false;
    }

    /// From the next start on, nothing that an executor sends arrives at another.
    #[doc(hidden)]
    pub fn hold_network(&mut self) {
        self.network_held = true;
    }

    /// The failures of subtasks.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// Forgets the failures of subtasks, for a test that lets the job go on after them.
    pub fn forget_failures(&mut self) {
        self.failures.clear();
    }

    /// The checkpoints that failed, with the reasons.
    pub fn failed_checkpoints(&self) -> &[(CheckpointId, String)] {
        &self.failed_checkpoints
    }
}
