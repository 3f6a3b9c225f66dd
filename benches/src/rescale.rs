//! The parts of the benchmark `rescale`: a job that records the delay of each output, and the evaluation of its
//! records.
//!
//! Reading order: [`schedule`] (which record is due when), [`source`] (reads it, open loop), [`log`] (each output with
//! its moment, written by the job and read here), [`gaps`] (the delays of an event, pure), [`verdict`] (whether the
//! output is exact), [`trap`] (a failure on demand).

pub mod gaps;
pub mod log;
pub mod schedule;
pub mod source;
pub mod trap;
pub mod verdict;
