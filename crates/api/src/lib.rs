//! The traits that users and connectors implement: sources, sinks, functions, windows.
//!
//! This crate runs nothing. `reflow-runtime` runs implementations of these traits, and `reflow-stream` combines
//! them into a job.
//!
//! Reading order: [`watermarks`], [`source`], [`sink`], [`io`] (storage for both), [`function`]
//! (aggregates and process functions), [`states`] (what they keep for each key), [`unkeyed`] (process functions without
//! a key), [`operator_state`] (what they keep), [`async_calls`] (functions that call other systems), [`co_process`] and [`broadcast`] (those with two inputs), [`join`],
//! [`output_tag`] (their side outputs),
//! [`runtime_context`] (their context), [`opened`] (what they hold
//! while they are open), [`metrics`] (what they count and measure), [`window`].
#![warn(missing_docs)]

extern crate self as reflow; // the name in derived code

pub mod async_calls;
pub mod broadcast;
pub mod co_process;
pub mod function;
pub mod io;
pub mod join;
pub mod late;
pub mod metrics;
pub mod opened;
pub mod operator_state;
pub mod output_tag;
pub mod runtime_context;
pub mod sink;
pub mod source;
pub mod states;
pub mod unkeyed;
pub mod watermarks;
pub mod window;

pub use async_calls::{AsyncCalls, AsyncFunction, Retry};
pub use broadcast::BroadcastProcessFunction;
pub use co_process::{CoProcessFunction, Either, Input, UnkeyedCoProcessFunction};
#[doc(hidden)]
pub use function::Outputs;
pub use function::{
    Aggregate, Context, Failed, MergeableAggregate, OnError, ProcessFunction, TimeDomain, TryAggregate,
};
pub use io::{CallTicket, Io};
pub use join::{JoinContext, ProcessJoinFunction, TimeBound};
pub use late::LateTimestamp;
pub use opened::Opened;
pub use output_tag::OutputTag;
pub use reflow_env::{CallError, Client};
pub use reflow_types::{Data, JobParameters, Key, KeyWriter, data};
pub use runtime_context::RuntimeContext;
pub use sink::{Sink, Transaction, Writer};
pub use source::{Emit, Enumerator, EnumeratorContext, Polled, Reader, Source};
pub use states::States;
pub use unkeyed::{UnkeyedContext, UnkeyedProcessFunction};
pub use watermarks::{Alignment, Watermarks};

/// An error of user code. The runtime adds the operator, the subtask and the record's position.
pub type UserError = Box<dyn std::error::Error + Send + Sync>;
