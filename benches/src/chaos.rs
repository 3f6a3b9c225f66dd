//! The parts of the benchmark `chaos`: a cluster of processes, the faults that strike it, and the check of the
//! output.
//!
//! Reading order: [`load`] (what the job reads), [`plan`] (which fault strikes when, pure), [`hosts`], [`system`] and [`processes`]
//! (the cluster that they strike), [`recovery`] (how long the job's output stays away), [`verdict`] (whether it is
//! exact).

pub mod hosts;
pub mod load;
pub mod plan;
pub mod processes;
pub mod recovery;
pub mod system;
pub mod verdict;
