//! A whole cluster on one thread, from a seed.
//!
//! Everything that Reflow runs as a process is a state machine behind `reflow-env`; here they run with a
//! simulated clock, network and storage. From one number follow the workload, the shape of the cluster, every
//! latency and every fault, so that a failure found once can be run again and looked at.
//!
//! Reading order: [`world`] (processes, network, storage, time), [`faults`] (what may go wrong in it),
//! [`workload`] (jobs and what they must write), [`scenario`] and [`chaos`] (what is done to a cluster), [`cluster`] (a
//! run), [`check`] with [`redone`], [`watch`], [`phase`], [`succession`], [`watermarks`] and [`liveness`] (invariants), [`report`] and [`runs`] (many runs), [`injected_faults`] (that faults
//! are found), [`trace`] and [`frame_text`] (what happened), [`watchdog`] (that a run ends), [`rng`].

pub mod chaos;
pub mod check;
pub mod cluster;
pub mod faults;
pub mod frame_text;
pub mod injected_faults;
pub mod liveness;
pub mod phase;
pub mod redone;
pub mod report;
pub mod rng;
pub mod runs;
pub mod scenario;
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
pub use trace::Trace;
pub use world::{Context, ProcessId, Program, Spawner, World};
