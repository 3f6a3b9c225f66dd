//! What every benchmark is made of: the workloads, the plain loops that a job is compared with, and the
//! measuring of CPU time.
//!
//! A benchmark is a binary under `src/bin`. It takes its events from [`workloads`], checks what came out
//! against [`workloads::Workload::expected`], interleaves the contenders with [`measure::interleave`] and
//! publishes by [`measure::Report`]. `docs/benchmarks.md` says how the figures are read.

pub mod chaos;
pub mod clock;
pub mod cluster;
pub mod endurance;
pub mod loops;
pub mod measure;
pub mod outcome;
pub mod rescale;
pub mod rest;
pub mod rounds;
pub mod workloads;
