//! A manifest for tests of what its objects are.

use reflow_coordination::manifest::{self, Lineage, Manifest, OwnedRuns, SegmentRuns, VertexState};
use reflow_protocol::snapshot::{RunRef, StateFormat};
use reflow_types::{CheckpointId, JobId, KeyGroupSet, MaxParallelism, SubtaskId, VertexId};

/// A checkpoint of one run in each of these objects, which end at byte 10.
pub(crate) fn checkpoint_of(objects: &[&str]) -> Manifest {
    let run = |object: &&str| RunRef { object: (*object).into(), table: 0, segment: 0, offset: 4, len: 6 };
    let runs = objects.iter().map(run).collect();
    let keyed = OwnedRuns {
        groups: KeyGroupSet::all(MaxParallelism::DEFAULT),
        segments: vec![SegmentRuns { segment: 0, table: 0, runs }],
    };
    let vertex = VertexState {
        vertex: VertexId(1),
        name: "count".into(),
        operators: vec![],
        max_parallelism: MaxParallelism::DEFAULT,
        table: None,
        taken_in: CheckpointId(1),
        watermark: 0,
        keyed: vec![keyed],
        operator: vec![],
    };
    Manifest {
        checkpoint: CheckpointId(7),
        job: JobId(1),
        job_name: "job".into(),
        format: StateFormat::Checkpoint,
        key_encoding: 1,
        build: "b".into(),
        triggered_at: 0,
        next_subtask: SubtaskId(1),
        vertices: vec![vertex],
        enumerators: vec![],
        lineage: Lineage::default(),
        ending: None,
        version: manifest::wire::FORMAT,
    }
}
