//! The wiring of a subtask: its place in an execution graph and the channels that follow from it.

use reflow_env::Signal;
use reflow_graph::{EdgeId, ExecutionGraph, JobGraph, Shipping, Subtask, VertexIndex};
use reflow_network::{Channels, Hub, LocalChannelId, Partitioner, Receiver, Routes, Sender};
use reflow_protocol::data::ChannelId;
use reflow_types::{
    Data, ExecutorId, GraphVersion, KeyGroupSet, MaxParallelism, OwnershipTable, SubtaskId, SubtaskIndex,
    injected_fault,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A subtask's place in a graph.
#[derive(Clone)]
pub struct Wiring {
    pub job: Arc<JobGraph>,
    /// The attempt's subtasks.
    pub graph: Arc<ExecutionGraph>,
    pub version: GraphVersion,
    pub vertex: VertexIndex,
    pub subtask: SubtaskId,
    pub index: SubtaskIndex,
    /// The executor that runs it.
    pub executor: ExecutorId,
    /// The signals of this executor's slots, by index.
    pub slots: Arc<[Signal]>,
    /// The executor's channels.
    pub hub: Hub,
}

/// The place of a subtask among those of its vertex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub index: SubtaskIndex,
    /// The number of subtasks of its vertex.
    pub parallelism: u32,
}

impl Wiring {
    /// The name of the vertex, for messages.
    pub fn name(&self) -> &str {
        &self.job.vertex(self.vertex).name
    }

    /// The number of key groups of the vertex; the default if it is not keyed.
    pub fn max_parallelism(&self) -> MaxParallelism {
        let table = self.graph.vertex(self.vertex).table.as_ref();
        table.map_or(MaxParallelism::DEFAULT, OwnershipTable::max_parallelism)
    }

    /// The key groups that the subtask owns, if its vertex is keyed.
    pub fn groups(&self) -> Option<KeyGroupSet> {
        self.graph.vertex(self.vertex).table.as_ref().map(|table| table.groups_of(self.index))
    }

    /// The parallelism of the vertex.
    pub fn parallelism(&self) -> u32 {
        self.graph.vertex(self.vertex).parallelism()
    }

    /// Whether the vertex has the same subtasks in another graph.
    pub fn has_same_subtasks(&self, other: &Wiring) -> bool {
        let ids = |wiring: &Wiring| -> BTreeSet<SubtaskId> {
            wiring.graph.vertex(wiring.vertex).subtasks.iter().map(|subtask| subtask.id).collect()
        };
        ids(self) == ids(other)
    }

    /// The subtask's place among those of the vertex.
    pub fn place(&self) -> Place {
        Place { index: self.index, parallelism: self.parallelism() }
    }

    /// All input channels of the subtask, without a receiver if `has` is true for them.
    pub fn inputs<T: Data>(&self, has: impl Fn(ChannelId) -> bool) -> Channels<T> {
        let mut channels = Vec::new();
        for (edge, _) in self.job.inputs(self.vertex) {
            for sender in self.graph.senders(&self.job, edge, self.index) {
                let id = ChannelId { edge, from: sender.id, to: self.subtask };
                channels.push((id, (!has(id)).then(|| self.receiver(id, &sender))));
            }
        }
        channels
    }

    fn receiver<T: Data>(&self, id: ChannelId, sender: &Subtask) -> Receiver<T> {
        if sender.slot.executor == self.executor {
            Receiver::local(&self.hub, self.local(id), self.own_signal())
        } else {
            Receiver::remote(&self.hub, id, self.own_signal(), sender.slot.executor)
        }
    }

    /// The subtask's channels on one edge, without a sender if `has` is true for them, and their partitioner.
    pub fn outputs<T: Data>(&self, edge: EdgeId, has: impl Fn(ChannelId) -> bool) -> Routes<T> {
        let receivers = self.graph.receivers(&self.job, edge, self.index);
        let channel = |receiver: &Subtask| {
            let id = ChannelId { edge, from: self.subtask, to: receiver.id };
            (id, (!has(id)).then(|| self.sender(id, receiver)))
        };
        let channels = receivers.iter().map(channel).collect();
        let partitioner = match self.job.edges[usize::from(edge.0)].shipping {
            Shipping::Hash => {
                let to = self.job.edges[usize::from(edge.0)].to;
                let table = self.graph.vertex(to).table.clone();
                Partitioner::Hash(Arc::new(table.expect("a keyed vertex has an ownership table")))
            }
            Shipping::Broadcast => Partitioner::Broadcast,
            Shipping::Custom => Partitioner::Custom,
            Shipping::Shuffle => Partitioner::Shuffle { random: self.subtask.0 },
            // Every subtask has a channel, because one without would never end.
            Shipping::Global => Partitioner::Forward,
            Shipping::Forward if !injected_fault::is_active("forward_edge_rebalanced") => {
                Partitioner::Forward
            }
            // Each sender begins with another channel, so that a small number of records does not go to the first
            // receiver only.
            Shipping::Rebalance | Shipping::Rescale | Shipping::Forward => {
                Partitioner::Rebalance { next: self.index.0 as usize % receivers.len() }
            }
        };
        Routes { channels, partitioner }
    }

    fn sender<T: Data>(&self, id: ChannelId, receiver: &Subtask) -> Sender<T> {
        if receiver.slot.executor == self.executor {
            let signal = self.slots[receiver.slot.index as usize].clone();
            Sender::local(&self.hub, self.local(id), self.own_signal(), signal)
        } else {
            Sender::remote(&self.hub, id, self.own_signal(), receiver.slot.executor)
        }
    }

    fn local(&self, channel: ChannelId) -> LocalChannelId {
        LocalChannelId { channel, since: self.version }
    }

    fn own_signal(&self) -> Signal {
        let own = &self.graph.vertex(self.vertex).subtasks[self.index.0 as usize];
        self.slots[own.slot.index as usize].clone()
    }
}
