//! The job graph, which the job function builds, and the execution graph, which the scheduler derives from it for one
//! attempt. Both are plain values.
//!
//! There is no separate logical graph: operators are chained by their types while the job function runs
//! (`reflow-stream`), so it builds the job graph directly.

pub mod execution;
pub mod job;
pub mod regions;
pub mod state;

pub use execution::{ExecutionGraph, ExecutionVertex, Move, Subtask, subtask_name};
pub use job::{Edge, EdgeId, GraphError, JobGraph, Operator, Shipping, SideOutput, Vertex, VertexIndex};
pub use regions::{RegionIndex, Regions};
pub use state::{DeclaredList, DeclaredState, StateKind};
