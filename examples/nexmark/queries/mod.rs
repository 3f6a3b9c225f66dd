//! The queries, each a function from streams to lines. `examples/nexmark/reference.py` has each in SQL.

mod joins;
mod stateless;
mod windows;
mod winning;

pub(crate) use joins::{q3, q8, q20};
pub(crate) use stateless::{q0, q1, q2, q13, q14};
pub(crate) use windows::{q5, q7, q11, q12, q18, q19};
pub(crate) use winning::{q4, q6};
