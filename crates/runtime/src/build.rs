//! The build context of a task: its place in the attempt, its channels and its restored state.

use crate::rescale::Preparation;
use crate::wiring::Wiring;
use reflow_api::Io;
use reflow_env::Clock;
use reflow_graph::EdgeId;
use reflow_network::output::KeySelector;
use reflow_network::{Bandwidth, Gate, Output, OutputEdge};
use reflow_protocol::deployment::Attempt;
use reflow_protocol::snapshot::{AfterBarrier, FirstCheckpoint, Restore};
use reflow_types::{Bounds, CheckpointId, Data, JobId, MIN_WATERMARK, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// The state that a subtask restores.
pub struct Restored {
    /// The subtask's state.
    pub state: Restore,
    /// What the first checkpoint contains.
    pub first_checkpoint: FirstCheckpoint,
    /// The checkpoint to which the state belongs.
    pub checkpoint: Option<CheckpointId>,
    /// What sources do after the restore: other than `Continue` if the job ends with that checkpoint, so that
    /// only its end is left.
    pub then: AfterBarrier,
}

/// Everything that a task factory needs to build one subtask.
pub struct BuildContext {
    /// The subtask's place in the graph.
    pub wiring: Wiring,
    pub job_id: JobId,
    pub attempt: Attempt,
    /// The slot's storage.
    pub io: Io,
    /// The slot's clock.
    pub clock: Arc<dyn Clock>,
    /// The state to restore.
    pub restored: Restored,
    /// Whether state outlives the attempt, so that the next one can roll it back to the last checkpoint in place.
    pub from_local: bool,
    /// Bounds on steps, queues and messages.
    pub bounds: Bounds,
    /// The time between latency markers of a source; `None`: it sends none.
    pub latency_interval: Option<Duration>,
    /// The bandwidth with which state is read for a live rescale, shared by all slots; `None`: without a bound.
    pub prefetch_bandwidth: Option<Bandwidth>,
    /// Set if a live rescale adds the subtask, which then begins at the cut.
    pub added: Option<Preparation>,
}

impl BuildContext {
    /// The gate over all of the subtask's input channels.
    pub fn gate<T: Data>(&self) -> Gate<T> {
        let all_new = |(id, receiver): (_, Option<_>)| (id, receiver.expect("no channel is there yet"));
        let receivers = self.wiring.inputs(|_| false).into_iter().map(all_new).collect();
        Gate::new(receivers, self.watermark(), self.bounds)
    }

    /// The watermark with which the subtask begins.
    pub(crate) fn watermark(&self) -> Timestamp {
        self.restored.state.watermark.unwrap_or(MIN_WATERMARK)
    }

    /// The output on one edge. `key` is used if the edge ships by hash, `copy` if it broadcasts.
    pub fn output<T, F>(&self, edge: EdgeId, key: F, copy: Option<fn(&T) -> T>) -> Output<T, F>
    where
        T: Data,
        F: KeySelector<T>,
    {
        let routes = self.wiring.outputs(edge, |_| false);
        let edge = OutputEdge { vertex: self.wiring.name().to_owned(), id: edge, bounds: self.bounds };
        Output::new(edge, routes, key, copy)
    }
}
