//! A whole cluster on one thread, from a seed.
//!
//! Everything that Reflow runs as a process is a state machine behind `reflow-env`; here they run with a
//! simulated clock, network and storage. From one number follow the workload, the shape of the cluster, every
//! latency and every fault, so that a failure found once can be run again and looked at.
//!
//! Reading order: [`world`] (processes, network, storage, time), [`faults`] (what may go wrong in it),
//! [`workload`] (jobs and what they must write), [`chaos`] (what is done to a cluster), [`cluster`] (a run),
//! [`check`] and [`watch`] (invariants), [`report`] (many runs), [`canary`] (that faults
//! are found), [`trace`] (what happened), [`rng`].

pub mod canary;
pub mod chaos;
pub mod check;
pub mod cluster;
pub mod faults;
pub mod report;
pub mod rng;
pub mod trace;
pub mod watch;
pub mod workload;
pub mod world;

pub use chaos::Chaos;
pub use cluster::{Cluster, Outcome};
pub use faults::{Count, FaultKind, Faults, Probe, Strikes};
pub use rng::Rng;
pub use trace::Trace;
pub use world::{Context, ProcessId, Program, Spawner, World};
