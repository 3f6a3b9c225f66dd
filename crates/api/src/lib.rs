//! What users and connectors write against: sources, sinks, functions, windows.
//!
//! Nothing here runs anything. `reflow-runtime` runs what implements these traits, `reflow-stream` puts it
//! together into a job.
//!
//! Reading order: [`data`] (what flows), [`watermarks`], [`source`], [`sink`], [`io`] (storage for both),
//! [`function`] (aggregates and process functions), [`window`].

pub mod data;
pub mod function;
pub mod io;
pub mod sink;
pub mod source;
pub mod watermarks;
pub mod window;

pub use data::Data;
pub use function::{Aggregate, Context, ProcessFunction, TimeDomain};
pub use io::Io;
pub use sink::{Sink, Transaction, Writer};
pub use source::{Emit, Enumerator, EnumeratorPoll, Polled, Reader, Source};
pub use watermarks::Watermarks;

/// What user code may fail with; the runtime adds the operator, the subtask and the record's position.
pub type UserError = Box<dyn std::error::Error + Send + Sync>;
