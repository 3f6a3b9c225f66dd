//! What a task is made from: its place in the attempt, its channels, its restored state.

use reflow_api::Io;
use reflow_env::{Clock, Signal};
use reflow_graph::{EdgeId, ExecutionGraph, JobGraph, Shipping, VertexIndex};
use reflow_network::output::{KeySelector, Partitioner};
use reflow_network::{Gate, Hub, Output, Receiver, Sender};
use reflow_protocol::data::ChannelId;
use reflow_protocol::deployment::Attempt;
use reflow_protocol::snapshot::{Codec, Restore};
use reflow_types::{ExecutorId, JobId, KeyGroupSet, MIN_WATERMARK, MaxParallelism, SubtaskId, SubtaskIndex};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;

/// Everything that a task factory needs for one subtask.
pub struct BuildContext<'a> {
    /// The job.
    pub job: &'a JobGraph,
    /// Its id.
    pub job_id: JobId,
    /// The attempt's subtasks.
    pub graph: &'a ExecutionGraph,
    /// The attempt.
    pub attempt: Attempt,
    /// The vertex.
    pub vertex: VertexIndex,
    /// The subtask.
    pub subtask: SubtaskId,
    /// Its index.
    pub index: SubtaskIndex,
    /// The vertex's name, for messages.
    pub name: String,
    /// The number of key groups of the vertex (of a keyed one).
    pub max_parallelism: MaxParallelism,
    /// The key groups that the subtask owns, if its vertex is keyed.
    pub groups: Option<KeyGroupSet>,
    /// Where it runs.
    pub executor: ExecutorId,
    /// The signals of this executor's slots, by index.
    pub slots: &'a [Signal],
    /// The executor's channels.
    pub hub: &'a Hub,
    /// The slot's storage.
    pub io: Io,
    /// The slot's clock.
    pub clock: Arc<dyn Clock>,
    /// The state that it gets back.
    pub restore: Restore,
    /// In which codec that is.
    pub restore_codec: Codec,
}

impl BuildContext<'_> {
    /// The gate over all of the subtask's input channels.
    pub fn gate<T: DeserializeOwned + Send + 'static>(&self) -> Gate<T> {
        let mut receivers = Vec::new();
        for (edge, _) in self.job.inputs(self.vertex) {
            for sender in self.graph.senders(self.job, edge, self.index) {
                let id = ChannelId { edge, from: sender.id, to: self.subtask };
                receivers.push(if sender.slot.executor == self.executor {
                    Receiver::local(self.hub, id, self.own_signal())
                } else {
                    Receiver::remote(self.hub, id, self.own_signal(), sender.slot.executor)
                });
            }
        }
        Gate::new(receivers, self.restore.watermark.unwrap_or(MIN_WATERMARK))
    }

    /// The output on one edge. `key` and `copy` are used if the edge ships by hash or to all.
    pub fn output<T, F>(&self, edge: EdgeId, key: F, copy: Option<fn(&T) -> T>) -> Output<T, F>
    where
        T: Serialize + Send + 'static,
        F: KeySelector<T>,
    {
        let receivers = self.graph.receivers(self.job, edge, self.index);
        let sender = |receiver: &reflow_graph::Subtask| {
            let id = ChannelId { edge, from: self.subtask, to: receiver.id };
            if receiver.slot.executor == self.executor {
                let signal = self.slots[receiver.slot.index as usize].clone();
                Sender::local(self.hub, id, self.own_signal(), signal)
            } else {
                Sender::remote(self.hub, id, self.own_signal(), receiver.slot.executor)
            }
        };
        let senders = receivers.iter().map(sender).collect();
        let partitioner = match (self.graph.shipping(self.job, edge), copy) {
            (Shipping::Hash, _) => {
                let to = self.job.edges[usize::from(edge.0)].to;
                let table =
                    self.graph.vertex(to).table.clone().expect("a keyed vertex has an ownership table");
                Partitioner::Hash { key, table: Arc::new(table) }
            }
            (Shipping::Broadcast, Some(copy)) => Partitioner::Broadcast { copy },
            (Shipping::Forward, _) => Partitioner::Forward,
            // Each sender begins at another channel, so that few records do not all go to the first.
            _ => Partitioner::Rebalance { next: self.index.0 as usize % receivers.len() },
        };
        Output::new(senders, partitioner)
    }

    fn own_signal(&self) -> Signal {
        let own = &self.graph.vertex(self.vertex).subtasks[self.index.0 as usize];
        self.slots[own.slot.index as usize].clone()
    }
}
