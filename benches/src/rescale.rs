//! What `rescale` is made of: a job whose every output says how late it is, and what is read from that.
//!
//! Reading order: [`schedule`] (which record is due when), [`source`] (reads it, open loop), [`log`] (each output with
//! its moment, written by the job and read here), [`gaps`] (the delays of an event, pure), [`verdict`] (whether the
//! output is exact).

pub mod gaps;
pub mod log;
pub mod schedule;
pub mod source;
pub mod verdict;
