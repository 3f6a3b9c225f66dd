//! What a job consists of: the job graph that the job function builds, and the execution graph that the
//! scheduler makes of it for one attempt. Pure values.
//!
//! There is no separate logical graph: operators are chained by their types while the job function runs
//! (`reflow-stream`), so what it builds is the job graph already.

pub mod execution;
pub mod job;

pub use execution::{ExecutionGraph, ExecutionVertex, Move, Subtask};
pub use job::{Edge, EdgeId, GraphError, JobGraph, Operator, Shipping, Vertex, VertexIndex};
