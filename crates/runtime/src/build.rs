//! What a task is made from: its place in the attempt, its channels, its restored state.

use crate::rescale::Preparation;
use crate::wiring::Wiring;
use reflow_api::Io;
use reflow_env::Clock;
use reflow_graph::EdgeId;
use reflow_network::output::KeySelector;
use reflow_network::{Gate, Output, OutputEdge};
use reflow_protocol::deployment::Attempt;
use reflow_protocol::snapshot::{AfterBarrier, Codec, Restore};
use reflow_types::{Bounds, CheckpointId, Data, JobId, KeyGroupSet, MIN_WATERMARK, MaxParallelism};
use std::sync::Arc;

/// Everything that a task factory needs for one subtask. A list without rules of its own, which the parts of the task take
/// apart as they are made: hence its many open fields.
pub struct BuildContext {
    /// Its place in the attempt's graph.
    pub wiring: Wiring,
    /// The job's id.
    pub job_id: JobId,
    /// The attempt.
    pub attempt: Attempt,
    /// The vertex's name, for messages.
    pub name: String,
    /// The number of key groups of the vertex (of a keyed one).
    pub max_parallelism: MaxParallelism,
    /// The key groups that the subtask owns, if its vertex is keyed.
    pub groups: Option<KeyGroupSet>,
    /// The slot's storage.
    pub io: Io,
    /// The slot's clock.
    pub clock: Arc<dyn Clock>,
    /// The state that it gets back.
    pub restore: Restore,
    /// In which codec that is.
    pub restore_codec: Codec,
    /// The checkpoint that it belongs to.
    pub checkpoint: Option<CheckpointId>,
    /// What sources do: other than `Continue` if the job ends with that checkpoint, and only its end is left.
    pub then: AfterBarrier,
    /// Whether state is to outlive the attempt, for the next one to go back to the last checkpoint in place.
    pub from_local: bool,
    /// How much of something is done, kept or sent at a time.
    pub bounds: Bounds,
    /// The subtask comes with a live rescale: it begins at the cut.
    pub added: Option<Preparation>,
}

impl BuildContext {
    /// The gate over all of the subtask's input channels.
    pub fn gate<T: Data>(&self) -> Gate<T> {
        let all_new = |(id, receiver): (_, Option<_>)| (id, receiver.expect("no channel is there yet"));
        let receivers = self.wiring.inputs(|_| false).into_iter().map(all_new).collect();
        Gate::new(receivers, self.restore.watermark.unwrap_or(MIN_WATERMARK), self.bounds)
    }

    /// The output on one edge. `key` and `copy` are used if the edge ships by hash or to all.
    pub fn output<T, F>(&self, edge: EdgeId, key: F, copy: Option<fn(&T) -> T>) -> Output<T, F>
    where
        T: Data,
        F: KeySelector<T>,
    {
        let routes = self.wiring.outputs(edge, |_| false);
        let edge = OutputEdge { vertex: self.name.clone(), id: edge, bounds: self.bounds };
        Output::new(edge, routes, key, copy)
    }
}
