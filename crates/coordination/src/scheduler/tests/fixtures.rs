//! A job, settings and events for tests of the scheduler.

use crate::checkpoint;
use crate::event::Event;
use crate::requirements::SchedulerMode;
use crate::restart::{self, Failover, LostExecutorRestart};
use crate::scheduler::Settings;
use crate::transition::Waits;
use reflow_graph::{DeclaredList, Edge, JobGraph, Operator, RegionIndex, Shipping, Vertex, VertexIndex};
use reflow_protocol::deployment::{Attempt, Deployment};
use reflow_protocol::failure::{Failure, Fault};
use reflow_protocol::report::{SubtaskEvent, SubtaskReport};
use reflow_types::{ExecutorId, MaxParallelism, SubtaskId, VertexId};
use std::collections::BTreeSet;
use std::time::Duration;

/// A job of a source, a keyed vertex and a sink, in one slot sharing group.
pub(super) fn job() -> JobGraph {
    let vertex = |id: u128, name: &str| Vertex {
        id: VertexId(id),
        name: name.into(),
        operators: vec![Operator {
            uid: name.into(),
            name: name.into(),
            lists: ["splits", "rules"].map(|name| DeclaredList { name: name.into(), schema: None }).into(),
            ..Operator::default()
        }],
        parallelism: None,
        max_parallelism: None,
        slot_sharing_group: "default".into(),
        source: name == "source",
        keyed: name == "count",
    };
    let edge = |from, to, shipping| Edge {
        from: VertexIndex(from),
        to: VertexIndex(to),
        shipping,
        side_output: None,
    };
    JobGraph {
        name: "job".into(),
        vertices: vec![vertex(1, "source"), vertex(2, "count"), vertex(3, "sink")],
        edges: vec![edge(0, 1, Shipping::Hash), edge(1, 2, Shipping::Forward)],
        ..JobGraph::default()
    }
}

/// A job of two pipelines that share no data and no slots: source, keyed vertex and sink, and another source and sink.
pub(super) fn two_pipelines() -> JobGraph {
    let mut job = job();
    let (mut source, mut sink) = (job.vertices[0].clone(), job.vertices[2].clone());
    for (vertex, (id, name)) in [(&mut source, (4, "source 2")), (&mut sink, (5, "sink 2"))] {
        (vertex.id, vertex.name) = (VertexId(id), name.into());
        vertex.operators[0].set_uid(name);
        vertex.slot_sharing_group = "second".into();
    }
    job.vertices.extend([source, sink]);
    let (from, to) = (VertexIndex(3), VertexIndex(4));
    job.edges.push(Edge { from, to, shipping: Shipping::Rebalance, side_output: None });
    job
}

/// Reactive, with checkpoints each second, and restarts without end after one.
pub(super) fn reactive() -> Settings {
    Settings {
        mode: SchedulerMode::Reactive,
        default_parallelism: 1,
        default_max_parallelism: MaxParallelism::new(16).unwrap(),
        resource_wait_timeout: None,
        resource_stabilization_timeout: Duration::ZERO,
        restart_waits: Waits::default(),
        live_waits: Waits::default(),
        max_checkpoint_failures: 2,
        max_trigger_delay: None,
        active_checkpoint: true,
        live_rescale: false,
        drain_timeout: seconds(300),
        cancellation_timeout: Some(seconds(180)),
        restart: restart::Strategy::FixedDelay { attempts: 1_000_000, delay: seconds(1) },
        failover: Failover::Region,
        lost_executor: LostExecutorRestart::Immediate,
        restart_seed: 0,
        exception_history_size: 16,
        rescale_history_size: 16,
        unclaimed_state: Default::default(),
        allow_replay: Default::default(),
        checkpoints: checkpoint::Settings {
            interval: Some(seconds(1)),
            timeout: seconds(60),
            min_pause: Duration::ZERO,
            tolerable_failures: 100,
            retained: 3,
            job_dir: "mem:/job".into(),
            keep_on_cancellation: true,
            max_operator_bytes: checkpoint::MAX_OPERATOR_BYTES,
            history: 10,
        },
    }
}

/// As `reactive`, with live rescales.
pub(super) fn live() -> Settings {
    Settings { live_rescale: true, ..reactive() }
}

/// Asks for a parallelism, with Flink's defaults; no periodic checkpoint comes by itself within a day.
pub(super) fn fixed(parallelism: u32) -> Settings {
    let mut settings = reactive();
    settings.mode = SchedulerMode::Default;
    settings.default_parallelism = parallelism;
    settings.resource_wait_timeout = Some(seconds(300));
    settings.resource_stabilization_timeout = seconds(10);
    settings.restart_waits = Waits { cooldown: seconds(30), stabilization: seconds(60) };
    settings.checkpoints.interval = Some(seconds(86_400));
    settings
}

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn reported(attempt: Attempt, subtask: SubtaskId, event: SubtaskEvent) -> Event {
    Event::SubtaskReported(SubtaskReport { attempt, subtask, event })
}

pub(super) fn failure(fault: Fault) -> Failure {
    Failure { fault, operator: "count".into(), message: "it broke".into() }
}

/// The numbers of regions.
pub(super) fn numbers(regions: &BTreeSet<RegionIndex>) -> String {
    regions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// The checkpoint from which a deployment begins, and the vertices whose state that has taken over from an earlier one.
pub(super) fn origin(deployment: &Deployment) -> String {
    let Some(checkpoint) = deployment.checkpoint else { return "nothing".to_owned() };
    let older = deployment.taken_over.iter().map(|(vertex, of)| format!(", {} of {of}", vertex.0));
    format!("checkpoint {checkpoint}{}", older.collect::<String>())
}

/// The names of executors.
pub(super) fn names(executors: &[ExecutorId]) -> String {
    executors.iter().map(|executor| format!("e{}", executor.0)).collect::<Vec<_>>().join(" ")
}

/// Two pipelines as in [`two_pipelines`], and a third one like the second.
pub(super) fn three_pipelines() -> JobGraph {
    let mut job = two_pipelines();
    let (mut source, mut sink) = (job.vertices[3].clone(), job.vertices[4].clone());
    for (vertex, (id, name)) in [(&mut source, (6, "source 3")), (&mut sink, (7, "sink 3"))] {
        (vertex.id, vertex.name) = (VertexId(id), name.into());
        vertex.operators[0].set_uid(name);
        vertex.slot_sharing_group = "third".into();
    }
    job.vertices.extend([source, sink]);
    let (from, to) = (VertexIndex(5), VertexIndex(6));
    job.edges.push(Edge { from, to, shipping: Shipping::Rebalance, side_output: None });
    job
}
