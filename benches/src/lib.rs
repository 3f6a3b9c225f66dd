//! The common parts of all benchmarks: workloads, plain loops for comparison, and the measurement of CPU time.
//!
//! A benchmark is a binary in `src/bin`. It takes its events from [`workloads`], compares the result with
//! [`workloads::Workload::expected`], interleaves the contenders with [`measure::interleave`] and publishes a
//! [`measure::Report`]. `docs/benchmarks.md` explains how to read the figures.

pub mod chaos;
pub mod clock;
pub mod cluster;
pub mod compared;
pub mod endurance;
pub mod flink;
pub mod loops;
pub mod measure;
pub mod outcome;
pub mod rescale;
pub mod rest;
pub mod rounds;
pub mod workloads;
