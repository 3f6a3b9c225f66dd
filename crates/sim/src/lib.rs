//! The simulator, which runs a whole cluster on one thread, from a seed.
//!
//! Every process of Reflow is a state machine behind `reflow-env`. Here they run with a simulated clock, network
//! and storage. The seed determines the workload, the shape of the cluster, every latency and every fault, so
//! that a failure can be reproduced and examined.
//!
//! Reading order: [`world`] (processes, network, storage, time), [`faults`] (what may go wrong), [`workload`]
//! (jobs and their expected output), [`scenario`] and [`chaos`] (what strikes a cluster), [`cluster`] (a run),
//! [`check`] with [`redone`], [`watch`], [`phase`], [`succession`], [`watermarks`] and [`liveness`] (invariants),
//! [`report`] and [`runs`] (many runs), [`simulation`] (tests of users' jobs), [`injected_faults`] (checks that faults are found), [`trace`] and
//! [`frame_text`] (the log of a run), [`watchdog`] (ends runs that hang), [`rng`].

extern crate reflow_types as reflow; // the name in derived code

pub mod chaos;
pub mod check;
pub mod cluster;
pub mod faults;
pub mod frame_text;
pub mod injected_faults;
pub mod leases;
pub mod liveness;
pub mod phase;
pub mod redone;
mod regions;
pub mod report;
pub mod rng;
pub mod runs;
pub mod scenario;
pub mod simulation;
pub mod succession;
pub mod trace;
pub mod watch;
pub mod watchdog;
pub mod watermarks;
pub mod workload;
pub mod world;

pub use chaos::Chaos;
pub use cluster::{Cluster, Outcome};
pub use faults::{Count, FaultKind, Faults, Probe, Strikes};
pub use rng::Rng;
pub use scenario::Scenario;
pub use simulation::{Committed, Fault, Simulation};
pub use trace::Trace;
pub use world::{Context, ProcessId, Program, Spawner, World};
