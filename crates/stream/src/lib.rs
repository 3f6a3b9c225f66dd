//! The typed streaming interface, in which job functions are written.
//!
//! Operators are chained by type: `Stream<P>` contains a [`Pipeline`] whose type describes the chain, as with
//! iterator adaptors, so a chain costs as much as a hand-written loop. A chain ends where records go to another
//! task: at [`key_by`](Stream::key_by), [`rebalance`](Stream::rebalance), [`union`](Stream::union),
//! [`share`](Stream::share) and sinks. The result is a [`Job`]: a graph, and for each vertex the factory of its
//! tasks.
//!
//! Reading order: [`mod@env`], [`stream`], [`keyed`], [`connected`], [`async_calls`], [`windowed`], [`window_all`], [`joins`], [`sink`], [`aggregates`], [`pipeline`], [`job`].
#![warn(missing_docs)]

extern crate reflow_api as reflow; // the name in derived code

pub mod aggregates;
pub mod async_calls;
pub mod connected;
mod draft;
pub mod env;
mod event_time;
pub mod job;
pub mod joins;
pub mod keyed;
mod keyless;
mod partitioning;
pub mod pipeline;
mod shared;
pub mod sink;
pub mod stream;
pub mod window_all;
pub mod windowed;

pub use connected::{BroadcastConnectedStream, ConnectedKeyedStreams, ConnectedStreams};
pub use env::StreamEnv;
pub use job::{Job, JobError, TaskFactory};
pub use joins::{IntervalJoin, IntervalJoined, TemporalJoin};
pub use keyed::{KeyedInputs, KeyedStream};
pub use pipeline::{Fallible, Link, Pipeline};
pub use reflow_network::output::KeySelector;
pub use shared::SharedStream;
pub use sink::SinkHandle;
pub use stream::{BoxedStream, Stream};
pub use window_all::{AllRecords, WindowAll, WindowAllStream};
pub use windowed::{EvictingStream, WindowedStream};
