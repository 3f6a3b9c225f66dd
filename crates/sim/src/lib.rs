//! A whole cluster on one thread, from a seed.
//!
//! Everything that Reflow runs as a process is a state machine behind `reflow-env`; here they run with a
//! simulated clock, network and storage. From one number follow the workload, the shape of the cluster, every
//! latency and every fault, so that a failure found once can be run again and looked at.
//!
//! Reading order: [`world`] (processes, network, storage, time), [`faults`] (what goes wrong), [`trace`] (what
//! happened), [`rng`].

pub mod faults;
pub mod rng;
pub mod trace;
pub mod world;

pub use faults::{Count, FaultKind, Faults, Probe, Strikes};
pub use rng::Rng;
pub use trace::Trace;
pub use world::{Context, ProcessId, Program, Spawner, World};
