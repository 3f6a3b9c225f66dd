//! The job that a job function builds.

use reflow_api::Enumerator;
use reflow_graph::{GraphError, JobGraph};
use reflow_runtime::{BuildContext, Task};
use std::sync::Arc;

/// Creates the task of one subtask.
pub type TaskFactory = Box<dyn Fn(&mut BuildContext) -> Box<dyn Task> + Send>;

/// Creates a source's enumerator.
pub type EnumeratorFactory = Box<dyn Fn() -> Box<dyn Enumerator> + Send>;

/// A job: its graph and the factories of its tasks and enumerators.
pub struct Job {
    /// The graph.
    pub graph: Arc<JobGraph>,
    /// For each vertex, in the graph's order.
    pub factories: Vec<TaskFactory>,
    /// For each source: its operator's uid and its enumerator.
    pub enumerators: Vec<(String, EnumeratorFactory)>,
}

/// Why a job function has not built a job.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The graph cannot run.
    #[error("the job cannot be built: {0}")]
    Graph(#[from] GraphError),
    /// The job function returned an error.
    #[error("the job function failed: {0}")]
    Function(reflow_api::UserError),
}

impl Job {
    /// A hash of the graph, by which processes check that they have built the same one.
    pub fn fingerprint(&self) -> u64 {
        let graph = postcard::to_stdvec(self.graph.as_ref()).expect("a graph is plain data");
        reflow_types::key::hash_bytes(&graph).0
    }
}
