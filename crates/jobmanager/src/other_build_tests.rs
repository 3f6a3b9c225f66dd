//! Another build of a job takes over, whose state may have other types.

use super::*;
use reflow_coordination::manifest::{OwnedRuns, SegmentRuns, VertexState};
use reflow_graph::{DeclaredState, Operator, StateKind, Vertex};
use reflow_protocol::snapshot::RunRef;
use reflow_types::data::Schema;
use reflow_types::{Data, KeyGroupSet, MaxParallelism, OwnershipTable};

/// A checkpoint of format 5, which has no schemas: that of an empty list of vertices is encoded as the list of their
/// operators is.
fn complete_without_schemas(checkpoint: u64, build: &str) -> Bytes {
    let mut bytes = complete(checkpoint, build).to_vec();
    // The empty list of vertices whose state was taken over, which version 5 does not have.
    bytes.remove(bytes.len() - 5);
    bytes[8..10].copy_from_slice(&5u16.to_le_bytes());
    let end = bytes.len() - 4;
    let checksum = crc32fast::hash(&bytes[..end]).to_le_bytes();
    bytes[end..].copy_from_slice(&checksum);
    bytes.into()
}

/// A graph of one keyed operator, whose state for each key is a `V`.
fn graph_with_state<V: Data>() -> Arc<JobGraph> {
    let state = DeclaredState {
        table: 0,
        name: "total".into(),
        kind: StateKind::Value,
        time_to_live: None,
        schema: Some(Schema::of::<(u64, V)>()),
    };
    let operator =
        Operator { uid: "sum".into(), name: "Sum".into(), states: vec![state], ..Operator::default() };
    let vertex = Vertex {
        id: VertexId::of_uid("sum"),
        name: "Sum".into(),
        operators: vec![operator],
        parallelism: None,
        max_parallelism: None,
        slot_sharing_group: "default".into(),
        source: false,
        keyed: true,
    };
    Arc::new(JobGraph { name: "job".into(), vertices: vec![vertex], ..JobGraph::default() })
}

#[test]
fn another_build_resumes_if_the_types_of_its_state_fit() {
    let mut written = manifest(1, "other", StateFormat::Checkpoint);
    let graph = graph_with_state::<u32>();
    let max = MaxParallelism::DEFAULT;
    let run = RunRef { object: "/c/o".into(), table: 0, segment: 0, offset: 0, len: 9 };
    written.vertices = vec![VertexState {
        vertex: graph.vertices[0].id,
        name: "Sum".into(),
        operators: graph.vertices[0].operators.clone(),
        max_parallelism: max,
        table: Some(OwnershipTable::initial(max, 1)),
        taken_in: CheckpointId(1),
        watermark: 0,
        keyed: vec![OwnedRuns {
            groups: KeyGroupSet::all(max),
            segments: vec![SegmentRuns { segment: 0, table: 0, runs: vec![run] }],
        }],
        operator: Vec::new(),
    }];
    let bytes = manifest::encode(&Decision::Complete(Box::new(written)));
    let with = |graph: &Arc<JobGraph>| Claimant { graph: graph.clone(), ..claimant(2) };
    for graph in [&graph, &graph_with_state::<u64>()] {
        let resumed = claim(with(graph), &mut begun(&[(1, bytes.clone())])).unwrap();
        assert_eq!(latest(&resumed), Some(1));
    }
    let mut store = begun(&[(1, bytes)]);
    let refused = claim(with(&graph_with_state::<String>()), &mut store).unwrap_err();
    let text = refused.to_string();
    let expected =
        ["chk-1", "state 'total' of operator 'sum'", "written as u32 and is String now", "--fresh"];
    assert!(matches!(refused, LeadershipError::Incompatible { .. }), "{refused:?}");
    assert!(expected.iter().all(|part| text.contains(part)), "{text}");
    let text = claim(claimant(2), &mut store).unwrap_err().to_string();
    assert!(text.contains("state of operators that the job does not have: 'sum'"), "{text}");
    // Nothing was taken over, so the build that wrote it resumes.
    assert_eq!(latest(&claim(with(&graph), &mut store).unwrap()), Some(1));
}

#[test]
fn another_build_is_refused_unless_allowed_if_the_types_of_state_are_not_known() {
    let mut store = begun(&[(1, complete_without_schemas(1, "other"))]);
    let error = claim(claimant(2), &mut store).unwrap_err();
    assert!(
        matches!(error, LeadershipError::OtherBuild { .. })
            && error.to_string().contains("--allow-other-build")
    );
    assert!(claim(Claimant { allow_other_build: true, ..claimant(2) }, &mut store).is_ok());
}
