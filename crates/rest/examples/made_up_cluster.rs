//! The web interface over a made-up cluster: `cargo run -p reflow-rest --example made_up_cluster [PORT]`, 8081 if
//! none is given. For work on the page, without a job.

#[path = "../tests/rest/fixture.rs"]
mod fixture;

use std::sync::Arc;

use fixture::{FakeCluster, sharing_group};
use reflow_rest::{Access, Artifact, Limits, ServeError};
use reflow_types::{CheckpointId, SubtaskIndex, VertexId};
use reflow_view::RescaleId;
use reflow_view::{
    CheckpointOutcome, CheckpointView, ClusterView, ExceptionView, InputView, IoView, RescaleView,
    SubtaskView, TerminatedReason, TriggerCause, VertexView,
};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), ServeError> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(8081_u16);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("web interface on http://localhost:{port}");
    let cluster = Arc::new(FakeCluster::obedient(cluster()));
    let artifact = Artifact { sha256: "made-up".to_owned(), path: "/proc/self/exe".into() };
    reflow_rest::serve(
        listener,
        cluster,
        &artifact,
        Access::default(),
        Limits::default(),
        std::future::pending(),
    )
    .await
}

/// The tests' cluster with a larger job, whose names try to be markup.
fn cluster() -> ClusterView {
    let mut cluster = fixture::cluster();
    cluster.version = "0.1.0".to_owned();
    let mut ended = cluster.jobs[0].clone();
    let job = &mut cluster.jobs[0];
    job.name = "Flights <script>alert(1)</script>".to_owned();
    let pattern = job.vertices[1].clone();
    let shaped = |number, name: &str, inputs: &[u128], io| vertex(&pattern, number, name, inputs, io);
    job.vertices = vec![
        shaped(1, "Source: flights", &[], io(0.0, 48_210.0, 0.31, 0.22)),
        shaped(2, "Source: carriers", &[], io(0.0, 12.0, 0.01, 0.0)),
        shaped(3, "parse|drop cancelled|assign watermarks", &[1], io(48_210.0, 46_900.0, 0.88, 0.05)),
        shaped(4, "Mean delay per carrier and day", &[3, 2], io(46_912.0, 16.0, 0.47, 0.0)),
        shaped(5, "Busiest origin in 6 hours|top 1", &[3], io(46_900.0, 1.0, 0.93, 0.0)),
        shaped(6, "Sink: <b>committed files</b>", &[4, 5], io(17.0, 0.0, 0.02, 0.0)),
    ];
    job.exceptions = vec![ExceptionView {
        name: "TaskManagerLost".to_owned(),
        message:
            "the connection to 127.0.0.1:43449 was closed by the other side\n<img src=x onerror=alert(1)>"
                .to_owned(),
        at_ms: cluster.now_ms - 12_000,
        task_name: Some("Busiest origin in 6 hours -> top 1 (2/2)".to_owned()),
        endpoint: Some("127.0.0.1:43449".to_owned()),
        ..ExceptionView::default()
    }];
    job.rescales.history.insert(0, interrupted(cluster.now_ms));
    job.rescales.history.insert(0, under_way(cluster.now_ms));
    let checkpoints = job.checkpoints.as_mut().expect("the fixture's job has checkpoints");
    checkpoints.history.insert(0, failed_checkpoint().into());
    ended.id = reflow_types::JobId(7);
    ended.name = "an earlier one".to_owned();
    ended.status = reflow_view::JobStatus::Finished;
    ended.ended_at_ms = Some(cluster.now_ms - 90_000);
    cluster.jobs.push(ended);
    cluster
}

fn io(records_in_per_second: f64, records_out_per_second: f64, busy: f64, backpressured: f64) -> IoView {
    IoView {
        records_in_per_second,
        records_out_per_second,
        busy,
        backpressured,
        idle: 1.0 - busy - backpressured,
        ..IoView::default()
    }
}

fn vertex(pattern: &VertexView, number: u128, operators: &str, inputs: &[u128], io: IoView) -> VertexView {
    let input = |&from: &u128| InputView {
        from: VertexId(from),
        ship_strategy: "HASH".to_owned(),
        side_output: None,
    };
    let subtask = |(index, subtask): (u32, &SubtaskView)| SubtaskView {
        index: SubtaskIndex(index),
        io: IoView {
            records_in_per_second: io.records_in_per_second / 2.0,
            records_out_per_second: io.records_out_per_second / 2.0,
            ..io
        },
        ..subtask.clone()
    };
    VertexView {
        id: VertexId(number),
        operators: operators.split('|').map(str::to_owned).collect(),
        sharing_group: sharing_group(),
        inputs: inputs.iter().map(input).collect(),
        subtasks: (0..).zip(&pattern.subtasks).map(subtask).collect(),
        ..pattern.clone()
    }
}

fn failed_checkpoint() -> CheckpointView {
    let completed = fixture::checkpoint();
    let at_ms = completed.triggered_at_ms + 250;
    CheckpointView {
        id: CheckpointId(29),
        triggered_at_ms: completed.triggered_at_ms + 100,
        outcome: CheckpointOutcome::Failed { at_ms, reason: "no space left on /data/checkpoints".to_owned() },
        ..completed
    }
}

fn interrupted(now_ms: i64) -> RescaleView {
    RescaleView {
        id: RescaleId(3),
        cause: TriggerCause::RecoverableFailover,
        started_at_ms: now_ms - 9_000,
        ended: Some((now_ms - 8_640, TerminatedReason::JobFailoverRestarting)),
        ..fixture::scale_up()
    }
}

fn under_way(now_ms: i64) -> RescaleView {
    let mut rescale = fixture::scale_up();
    rescale.vertices[0].after = None;
    RescaleView { id: RescaleId(4), started_at_ms: now_ms - 120, ended: None, ..rescale }
}
