//! Checks the watermark of a vertex in a complete checkpoint, which must be the lowest of the remaining subtasks.
//!
//! A subtask that a live rescale has removed still acknowledges checkpoints, with its watermark at the cut. If
//! that counted, an attempt that is restored from such a checkpoint would accept late records.

use reflow_coordination::manifest::Manifest;
use reflow_graph::{ExecutionGraph, Subtask};
use reflow_protocol::deployment::Attempt;
use reflow_protocol::rescale::Preparation;
use reflow_types::{CheckpointId, GraphVersion, SubtaskId, Timestamp};
use std::collections::BTreeMap;

/// The acknowledged watermarks of the newest attempt.
#[derive(Debug, Default)]
pub struct Watermarks {
    attempt: Option<Attempt>,
    /// The graph that is in effect.
    graph: Option<ExecutionGraph>,
    prepared: BTreeMap<GraphVersion, ExecutionGraph>,
    /// The last cut, with the version of the next graph.
    cut: Option<(CheckpointId, GraphVersion)>,
    acknowledged: BTreeMap<CheckpointId, BTreeMap<SubtaskId, Timestamp>>,
}

impl Watermarks {
    /// An attempt was deployed.
    pub fn deployed(&mut self, attempt: Attempt, graph: &ExecutionGraph) {
        if self.attempt < Some(attempt) {
            *self = Self { attempt: Some(attempt), graph: Some(graph.clone()), ..Self::default() };
        }
    }

    /// Regions of an attempt were deployed again, with this graph.
    pub fn restarted(&mut self, attempt: Attempt, graph: &ExecutionGraph) {
        if self.attempt == Some(attempt) {
            (self.graph, self.cut) = (Some(graph.clone()), None);
        }
    }

    /// A graph was prepared.
    pub fn prepared(&mut self, preparation: &Preparation) {
        if self.attempt == Some(preparation.attempt) {
            self.prepared.insert(preparation.version, preparation.graph.clone());
        }
    }

    /// The checkpoint of a cut was triggered.
    pub fn cut(&mut self, attempt: Attempt, checkpoint: CheckpointId, version: GraphVersion) {
        if self.attempt == Some(attempt) {
            self.cut = Some((checkpoint, version));
        }
    }

    /// A subtask has acknowledged a checkpoint.
    pub fn acknowledged(
        &mut self,
        attempt: Attempt,
        subtask: SubtaskId,
        checkpoint: CheckpointId,
        at: Timestamp,
    ) {
        if self.attempt == Some(attempt) {
            self.acknowledged.entry(checkpoint).or_default().insert(subtask, at);
        }
    }

    /// A checkpoint is complete. Returns the violation of its watermarks, if any.
    pub fn complete(&mut self, manifest: &Manifest) -> Option<String> {
        let checkpoint = manifest.checkpoint;
        if self.attempt.map(|attempt| attempt.epoch) != Some(manifest.lineage.epoch) {
            return None;
        }
        let acknowledged = self.acknowledged.remove(&checkpoint)?;
        self.acknowledged.retain(|later, _| *later > checkpoint);
        // The checkpoint of the cut is one of the graph before. Whether it completes or fails, the next one begins only
        // after the other graph is in effect.
        if let Some((_, version)) = self.cut.take_if(|(cut, _)| *cut < checkpoint) {
            self.graph = self.prepared.remove(&version);
        }
        self.too_low(manifest, &acknowledged)
    }

    fn too_low(&self, manifest: &Manifest, acknowledged: &BTreeMap<SubtaskId, Timestamp>) -> Option<String> {
        let (checkpoint, graph) = (manifest.checkpoint, self.graph.as_ref()?);
        manifest.vertices.iter().zip(&graph.vertices).find_map(|(vertex, deployed)| {
            deployed.table.as_ref()?;
            let of = |subtask: &Subtask| acknowledged.get(&subtask.id).copied();
            let lowest = deployed.subtasks.iter().map(of).min()??;
            (vertex.watermark < lowest).then(|| {
                let (vertex, found) = (vertex.vertex, vertex.watermark);
                format!(
                    "checkpoint {checkpoint}: the watermark of vertex {vertex} is {found}, but its subtasks are at {lowest}"
                )
            })
        })
    }
}
