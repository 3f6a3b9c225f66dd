//! The typed streaming interface: what a job function is written in.
//!
//! Operators are chained by type: `Stream<P>` carries a [`Pipeline`] whose type says what it does, as an iterator
//! adaptor does, so that a chain costs what the loop costs. A stream ends its chain where records change their
//! task: at [`key_by`](Stream::key_by), [`rebalance`](Stream::rebalance), [`union`](Stream::union),
//! [`share`](Stream::share) and sinks. What is built is a [`Job`]: a graph, and for each vertex the factory of its
//! tasks.
//!
//! Reading order: [`mod@env`], [`stream`], [`keyed`], [`windowed`], [`pipeline`], [`job`].

pub mod env;
pub mod job;
pub mod keyed;
pub mod pipeline;
pub mod stream;
pub mod windowed;

pub use env::StreamEnv;
pub use job::{Job, JobError, TaskFactory};
pub use keyed::KeyedStream;
pub use pipeline::{Link, Pipeline};
pub use stream::{SharedStream, SinkHandle, Stream};
pub use windowed::WindowedStream;
