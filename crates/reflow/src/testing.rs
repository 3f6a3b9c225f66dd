//! Tests of jobs, with the feature `testing`.
//!
//! - [`OperatorHarness`] runs one operator, or a few, on the test's own thread; [`Harness`] runs a whole job. The test
//!   gives records, event time and processing time, and crashes and rescales the job.
//! - [`Simulation`] runs a job on simulated clusters with faults, each from a seed, and checks what was committed. A run
//!   that fails is shrunk, and reported with how to repeat it.
//!
//! `docs/jobs/testing.md` shows how to use them.

pub use reflow_protocol::failure::Failure;
pub use reflow_sim::simulation::{Committed, Fault, Inputs, Outputs, Simulation};
pub use reflow_testkit::{
    Collect, Feed, Harness, ManualClock, MemoryStore, OperatorHarness, Peer, PeerError, TimedFeed,
};
