//! Reflow's crate for jobs, which grow and shrink with their cluster.
//!
//! A job is a function that builds streams. [`main!`] turns it into an executable, which can run the job in one
//! process (`JOB run`), be the job's JobManager (`JOB jobmanager`), or run tasks for a TaskManager.
//!
//! ```no_run
//! use reflow::prelude::*;
//!
//! #[derive(clap::Args)]
//! struct Options {
//!     /// How many numbers are counted.
//!     #[arg(long, default_value_t = 1_000)]
//!     numbers: u64,
//! }
//!
//! fn count(env: &mut StreamEnv, options: Options) -> JobResult {
//!     env.source("numbers", Generator::new(|index| index).count(options.numbers))
//!         .key_by(|number| number % 10)
//!         .reduce(|a, b| a + b)
//!         .sink("out", Print::stdout());
//!     Ok(())
//! }
//!
//! reflow::main!(count);
//! ```
#![warn(missing_docs)]

mod allocator;
pub mod args;
pub mod collect;
pub mod job_function;
#[doc(hidden)]
pub mod launch;
#[cfg(feature = "testing")]
pub mod testing;

pub use args::Args;
pub use clap;
pub use collect::{CollectError, execute_and_collect};
pub use job_function::JobFunction;
pub use reflow_api::async_calls;
pub use reflow_api::io;
pub use reflow_api::metrics;
pub use reflow_api::operator_state;
pub use reflow_api::sink;
pub use reflow_api::source;
pub use reflow_api::states;
pub use reflow_api::{
    Aggregate, AsyncCalls, AsyncFunction, BroadcastProcessFunction, CallTicket, CoProcessFunction, Context,
    Either, Emit, Enumerator, EnumeratorContext, Failed, Input, Io, JoinContext, LateTimestamp,
    MergeableAggregate, OnError, Opened, OutputTag, Polled, ProcessFunction, ProcessJoinFunction, Reader,
    Retry, RuntimeContext, Sink, Source, States, TimeBound, TimeDomain, Transaction, TryAggregate,
    UnkeyedCoProcessFunction, UnkeyedContext, UnkeyedProcessFunction, UserError, Watermarks, Writer, window,
};
#[cfg(feature = "arrow")]
pub use reflow_arrow as arrow;
pub use reflow_connectors as connectors;
pub use reflow_env::store;
pub use reflow_env::{Answer, Call, CallError, Client, Request, RequestError};
#[cfg(feature = "kafka")]
pub use reflow_kafka as kafka;
pub use reflow_stream::{
    BoxedStream, BroadcastConnectedStream, ConnectedKeyedStreams, ConnectedStreams, KeySelector, KeyedInputs,
    KeyedStream, Pipeline, SharedStream, SinkHandle, Stream, StreamEnv, WindowAllStream, WindowedStream,
};
pub use reflow_types::{
    Adapter, Attempt, BadParameter, CanonicalF64, CheckpointId, Data, Instant, JobId, JobParameters, Key,
    KeyWriter, MAX_WATERMARK, MIN_WATERMARK, NO_TIMESTAMP, SubtaskId, SubtaskIndex, Timestamp, data,
};

/// The result of a job function.
pub type JobResult = Result<(), UserError>;

/// The items that most jobs need.
pub mod prelude {
    pub use crate::connectors::{
        collection::Collection, file_sink::FileSink, file_sink::RollingPolicy, file_source::FileSource,
        generator::Generator, print::Print, socket_source::SocketSource,
    };
    pub use crate::states::{
        AggregatingState, Expiring, ListState, MapState, ReducingState, SortedMapState, States, TimeToLive,
        ValueState,
    };
    pub use crate::window::{
        CoGroup, CountEvictor, CountTrigger, DeltaTrigger, Elements, EventTimeTrigger, GlobalWindows,
        PurgingTrigger, SessionWindows, SlidingWindows, TimeEvictor, TumblingWindows, Window, WindowContext,
        WindowFunction, Windowed,
    };
    pub use crate::{
        Aggregate, Args, AsyncCalls, AsyncFunction, BoxedStream, BroadcastProcessFunction, CoProcessFunction,
        Context, Data, Either, Failed, Input, JobParameters, JobResult, JoinContext, Key, MergeableAggregate,
        OnError, Opened, OutputTag, ProcessFunction, ProcessJoinFunction, Retry, RuntimeContext,
        SharedStream, Stream, StreamEnv, TimeBound, TimeDomain, Timestamp, TryAggregate,
        UnkeyedCoProcessFunction, UnkeyedContext, UnkeyedProcessFunction, UserError, Watermarks, clap,
    };
    pub use std::time::Duration;
}

/// Turns a job function into an executable.
///
/// A job is a function with a name, because each process of the job calls it: a closure is refused.
///
/// ```compile_fail
/// reflow::main!(|env: &mut reflow::StreamEnv| Ok(()));
/// ```
#[macro_export]
macro_rules! main {
    ($job:path) => {
        fn main() -> ::std::process::ExitCode {
            // Cargo sets the name for executables, but not for documentation tests.
            $crate::launch::main(::core::option_env!("CARGO_BIN_NAME").unwrap_or("job"), $job)
        }
    };
    ($($other:tt)*) => {
        ::core::compile_error!(
            "reflow::main! takes the path of a job function, such as `reflow::main!(job);` for \
             `fn job(env: &mut StreamEnv) -> JobResult`; a closure must become such a function"
        );
    };
}
