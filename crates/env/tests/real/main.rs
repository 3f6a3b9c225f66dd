//! The real driver on real sockets, files and children, through the border of a process: outputs go in, inputs
//! come back.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod calls;
mod children;
mod connections;
mod garbage;
#[cfg(feature = "tls")]
mod https;
mod probe;
mod slots;
mod storage;
#[cfg(feature = "tls")]
mod tls;
