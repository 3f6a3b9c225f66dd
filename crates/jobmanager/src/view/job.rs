//! The job's part of the view: vertices, subtasks, failures and checkpoints.

use super::rescales::{self, millis, sharing_group};
use crate::autoscaler::{self, Autoscaler};
use crate::leader::Leader;
use crate::metrics::Figures;
use reflow_coordination::checkpoint::{Purpose, Stats, stats};
use reflow_coordination::exceptions::{Entry, Exception};
use reflow_coordination::scheduler::{self, SubtaskRecord, SubtaskStatus, View};
use reflow_graph::{ExecutionVertex, JobGraph, Operator, Vertex, VertexIndex, subtask_name};
use reflow_protocol::control::SourceLatency;
use reflow_protocol::failure::Fault;
use reflow_types::metric::{Distribution, operator_scope};
use reflow_types::{ExecutorId, Instant, JobId, MIN_WATERMARK, SubtaskIndex, TaskManagerId, VertexId};
use reflow_view::{
    AckView, CheckpointConfigView, CheckpointCounts, CheckpointKind, CheckpointOutcome, CheckpointSamples,
    CheckpointView, CheckpointsView, ExceptionView, ExecutionConfigView, ExecutionState, Figure, InputView,
    IoView, JobView, PlacementView, RegionRestartView, RestoredView, SavepointFormat, SubtaskCheckpointView,
    SubtaskView, VertexCheckpointView, VertexView,
};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn view(
    now: Instant,
    id: JobId,
    leader: &Leader,
    config: ExecutionConfigView,
    former: Option<&JobView>,
) -> JobView {
    let scheduler = leader.scheduler.view();
    let times = scheduler.times;
    let current = scheduler.status;
    let entered_at_ms: BTreeMap<_, _> =
        times.entered.iter().map(|(status, at)| (*status, at.as_millis())).collect();
    let mut spent_ms: BTreeMap<_, _> =
        times.spent.iter().map(|(status, time)| (*status, time.as_millis() as i64)).collect();
    if let Some(entered) = times.entered.get(&current).filter(|_| !current.is_terminal()) {
        *spent_ms.entry(current).or_default() += now.since(*entered).as_millis() as i64;
    }
    let autoscaler = leader.autoscaler.as_ref().map(Autoscaler::view);
    JobView {
        id,
        name: scheduler.job.name.clone(),
        status: current,
        streaming: true,
        started_at_ms: times.entered.values().min().map_or(0, |at| at.as_millis()),
        ended_at_ms: entered_at_ms.get(&current).copied().filter(|_| current.is_terminal()),
        entered_at_ms,
        spent_ms,
        max_parallelism: None,
        vertices: vertices(leader, &scheduler),
        config,
        exceptions: scheduler
            .exceptions
            .entries()
            .map(|entry| exception(leader, &scheduler, entry))
            .collect(),
        exceptions_truncated: scheduler.exceptions.truncated(),
        checkpoints: Some(checkpoints(&scheduler, former.and_then(|former| former.checkpoints.as_ref()))),
        rescales: rescales::view(scheduler.rescales, scheduler.settings),
        restarts: scheduler.restarts,
        region_restart: scheduler.region_restart.map(|restart| region_restart(&scheduler, restart)),
        timeline: Arc::default(),
        metrics: autoscaler.as_ref().map(autoscaler::metrics).unwrap_or_default(),
        autoscaler,
    }
}

fn vertices(leader: &Leader, scheduler: &View<'_>) -> Vec<VertexView> {
    let of_one = |(index, decided): (usize, scheduler::VertexView<'_>)| {
        let index = VertexIndex(index as u16);
        let placed = scheduler.attempt.map(|attempt| attempt.graph().vertex(index));
        VertexView {
            id: decided.vertex.id,
            operators: decided.vertex.operators.iter().map(|operator| operator.name.clone()).collect(),
            sharing_group: sharing_group(&decided.vertex.slot_sharing_group),
            parallelism: decided.parallelism,
            max_parallelism: decided.max_parallelism.get(),
            bounds: decided.bounds,
            region: decided.region.0,
            restarts_alone: decided.restarts_alone,
            inputs: inputs(scheduler.job, index),
            subtasks: placed
                .map(|placed| subtasks(leader, scheduler, decided.vertex, placed))
                .unwrap_or_default(),
        }
    };
    scheduler.vertices().enumerate().map(of_one).collect()
}

fn region_restart(scheduler: &View<'_>, restart: &scheduler::RegionRestart) -> RegionRestartView {
    let restarted = scheduler.vertices().filter(|decided| restart.regions.contains(&decided.region));
    let vertices = restarted.map(|decided| decided.vertex.id).collect();
    RegionRestartView { at_ms: restart.at.as_millis(), vertices }
}

fn inputs(job: &JobGraph, vertex: VertexIndex) -> Vec<InputView> {
    let edges = job.inputs(vertex);
    edges
        .map(|(_, edge)| InputView {
            from: job.vertex(edge.from).id,
            ship_strategy: edge.shipping.flink_name().to_owned(),
            side_output: edge.side_output.as_ref().map(|side| side.tag.clone()),
        })
        .collect()
}

fn subtasks(
    leader: &Leader,
    scheduler: &View<'_>,
    vertex: &Vertex,
    placed: &ExecutionVertex,
) -> Vec<SubtaskView> {
    let Some(attempt) = scheduler.attempt else { return Vec::new() };
    let of_one = |(index, subtask): (SubtaskIndex, &reflow_graph::Subtask)| {
        let record = attempt.subtasks().get(&subtask.id)?;
        let figures = leader.metrics.of(subtask.id);
        Some(SubtaskView {
            index,
            attempt: attempt.attempt().number,
            state: state(record.status),
            placement: placement(leader, record.slot.executor),
            entered_at_ms: entered(record),
            io: io(&figures),
            input_watermark_ms: watermark(vertex, &figures),
            latencies_ms: latencies(scheduler.job, leader.metrics.latencies(subtask.id)),
            metrics: metrics(vertex, &figures, leader.metrics.user_metrics(subtask.id)),
            accumulators: leader.metrics.accumulators(subtask.id),
        })
    };
    placed.numbered().filter_map(of_one).collect()
}

fn state(status: SubtaskStatus) -> ExecutionState {
    match status {
        SubtaskStatus::Deploying => ExecutionState::Deploying,
        SubtaskStatus::Running | SubtaskStatus::Ended => ExecutionState::Running,
        SubtaskStatus::Finished => ExecutionState::Finished,
        SubtaskStatus::Canceling => ExecutionState::Canceling,
        SubtaskStatus::Canceled => ExecutionState::Canceled,
        SubtaskStatus::Failed => ExecutionState::Failed,
    }
}

/// The times of a subtask's states. It is created, scheduled and deployed at the same time.
fn entered(record: &SubtaskRecord) -> BTreeMap<ExecutionState, i64> {
    let mut entered = BTreeMap::new();
    for (status, at) in &record.entered {
        let at = at.as_millis();
        if *status == SubtaskStatus::Deploying {
            entered.extend([(ExecutionState::Created, at), (ExecutionState::Scheduled, at)]);
        }
        entered.entry(state(*status)).or_insert(at);
    }
    entered
}

fn placement(leader: &Leader, executor: ExecutorId) -> Option<PlacementView> {
    let executor = leader.members.executor(executor)?;
    Some(PlacementView { task_manager: executor.task_manager, endpoint: executor.data_address()?.to_owned() })
}

fn io(figures: &Figures) -> IoView {
    let Figures { totals, rates, .. } = figures;
    IoView {
        bytes_in: totals.bytes_in,
        bytes_out: totals.bytes_out,
        records_in: totals.records_in,
        records_out: totals.records_out,
        bytes_in_per_second: rates.bytes_in,
        bytes_out_per_second: rates.bytes_out,
        records_in_per_second: rates.records_in,
        records_out_per_second: rates.records_out,
        busy: rates.busy,
        backpressured: rates.backpressured,
        idle: rates.idle,
        busy_ms: millis(totals.busy),
        backpressured_ms: millis(totals.backpressured),
        idle_ms: millis(totals.idle),
    }
}

fn watermark(vertex: &Vertex, figures: &Figures) -> Option<i64> {
    figures
        .latest
        .as_ref()
        .map(|latest| latest.watermark)
        .filter(|watermark| !vertex.source && *watermark != MIN_WATERMARK)
}

/// The latencies by source. An executor may name any vertex.
fn latencies(job: &JobGraph, latencies: &[SourceLatency]) -> BTreeMap<VertexId, Distribution> {
    let of_source = |latency: &SourceLatency| {
        let source = job.vertices.get(usize::from(latency.source.0))?;
        Some((source.id, latency.ms))
    };
    latencies.iter().filter_map(of_source).collect()
}

/// The metrics of a subtask that have no place of their own, those of its operators, and those of its functions.
fn metrics(vertex: &Vertex, figures: &Figures, user: BTreeMap<String, Figure>) -> BTreeMap<String, Figure> {
    let mut metrics = user;
    let mut add = |id: String, value: f64| {
        metrics.insert(id, Figure::Number(value));
    };
    add("numLateRecordsDropped".to_owned(), figures.totals.late_records as f64);
    add("numRecordsInErrors".to_owned(), figures.totals.skipped_records as f64);
    let scope = |operator: Option<&Operator>| operator.map(|operator| operator_scope(&operator.name));
    let (first, last) = (scope(vertex.operators.first()), scope(vertex.operators.last()));
    let (totals, rates) = (&figures.totals, &figures.rates);
    if let Some(last) = last {
        add(format!("{last}.numRecordsOut"), totals.records_out as f64);
        add(format!("{last}.numRecordsOutPerSecond"), rates.records_out);
    }
    if let Some(first) = &first {
        add(format!("{first}.numRecordsIn"), totals.records_in as f64);
        add(format!("{first}.numRecordsInPerSecond"), rates.records_in);
        if vertex.source {
            // A source emits what it reads.
            add(format!("{first}.numRecordsOut"), totals.records_in as f64);
            add(format!("{first}.numRecordsOutPerSecond"), rates.records_in);
        }
    }
    if let Some(latest) = &figures.latest {
        add("stateSizeBytes".to_owned(), latest.state_bytes as f64);
        add("longestStepMs".to_owned(), latest.longest_step.as_millis() as f64);
        if let Some(pending) = latest.pending_records {
            add("pendingRecords".to_owned(), pending as f64);
            first.iter().for_each(|first| add(format!("{first}.pendingRecords"), pending as f64));
        }
        if let Some(drift) = latest.alignment_drift_ms {
            add("watermarkAlignmentDrift".to_owned(), drift as f64);
        }
    }
    metrics
}

fn exception(leader: &Leader, scheduler: &View<'_>, entry: &Entry) -> ExceptionView {
    let concurrent = entry.concurrent.iter().map(|exception| one_exception(leader, scheduler, exception));
    ExceptionView { concurrent: concurrent.collect(), ..one_exception(leader, scheduler, &entry.root) }
}

fn one_exception(leader: &Leader, scheduler: &View<'_>, exception: &Exception) -> ExceptionView {
    let name = match exception.fault {
        None => "ExecutorLost",
        Some(Fault::User) => "UserError",
        Some(Fault::External) => "ExternalError",
        Some(Fault::Memory) => "OutOfMemory",
        Some(Fault::Connection) => "ConnectionLost",
        Some(Fault::Engine) => "EngineError",
        Some(Fault::Permanent) => "PermanentError",
        Some(Fault::Damage) => "DamagedState",
    };
    let task_name = exception.subtask.and_then(|(vertex, index)| {
        let (place, vertex) = scheduler.job.find(vertex)?;
        let parallelism = scheduler.attempt.map_or(0, |attempt| attempt.graph().vertex(place).parallelism());
        Some(subtask_name(&vertex.name, index, parallelism))
    });
    let operator = &exception.operator;
    let message = if operator.is_empty() {
        exception.message.clone()
    } else {
        format!("{operator}: {}", exception.message)
    };
    ExceptionView {
        name: name.to_owned(),
        message,
        at_ms: exception.at.as_millis(),
        task_name,
        endpoint: exception.executor.and_then(|(id, _)| Some(placement(leader, id)?.endpoint)),
        task_manager: exception.executor.map(|(_, task_manager): (_, TaskManagerId)| task_manager),
        labels: BTreeMap::new(),
        concurrent: Vec::new(),
    }
}

fn checkpoints(scheduler: &View<'_>, former: Option<&CheckpointsView>) -> CheckpointsView {
    let former: BTreeMap<_, _> =
        former.iter().flat_map(|former| &former.history).map(|entry| (entry.id, entry)).collect();
    let checkpoint = |entry: &stats::Entry| match former.get(&entry.checkpoint) {
        Some(former) if entry.status != stats::Status::InProgress && former.outcome == outcome(entry) => {
            Arc::clone(former)
        }
        _ => Arc::new(checkpoint(entry)),
    };
    let Stats { counts, history, latest_completed, latest_savepoint, latest_failed, restored, .. } =
        scheduler.checkpoints;
    let history: Vec<_> = history.iter().map(checkpoint).collect();
    let mut samples = CheckpointSamples::default();
    let completed =
        |entry: &&Arc<CheckpointView>| matches!(entry.outcome, CheckpointOutcome::Completed { .. });
    history.iter().filter(completed).for_each(|entry| samples.add(entry));
    let shown = |entry: &Option<stats::Entry>| entry.as_ref().map(checkpoint);
    CheckpointsView {
        counts: CheckpointCounts {
            restored: counts.restored,
            total: counts.total,
            in_progress: counts.in_progress,
            completed: counts.completed,
            failed: counts.failed,
        },
        summary: samples.summarize(),
        history,
        latest_completed: shown(latest_completed),
        latest_savepoint: shown(latest_savepoint),
        latest_failed: shown(latest_failed),
        latest_restored: restored.as_ref().map(|restored| RestoredView {
            id: restored.checkpoint,
            at_ms: restored.at,
            is_savepoint: restored.savepoint,
            location: restored.path.clone(),
        }),
        config: checkpoint_config(scheduler),
    }
}

fn outcome(entry: &stats::Entry) -> CheckpointOutcome {
    match &entry.status {
        stats::Status::InProgress => CheckpointOutcome::InProgress,
        stats::Status::Completed { path, discarded, .. } => {
            CheckpointOutcome::Completed { location: path.clone(), discarded: *discarded }
        }
        stats::Status::Failed { at, reason } => {
            CheckpointOutcome::Failed { at_ms: at.as_millis(), reason: reason.clone() }
        }
    }
}

fn checkpoint(entry: &stats::Entry) -> CheckpointView {
    let vertex = |vertex: &stats::VertexStats| VertexCheckpointView {
        id: vertex.vertex,
        subtasks: vertex
            .subtasks
            .iter()
            .map(|(index, ack)| subtask_checkpoint(*index, ack.as_ref()))
            .collect(),
    };
    CheckpointView {
        id: entry.checkpoint,
        kind: match entry.purpose {
            Purpose::Savepoint => CheckpointKind::Savepoint(SavepointFormat::Canonical),
            Purpose::Stop { .. } | Purpose::Cancel => {
                CheckpointKind::StopSavepoint(SavepointFormat::Canonical)
            }
            Purpose::Periodic
            | Purpose::User
            | Purpose::LiveRescale
            | Purpose::Rescale
            | Purpose::Cut
            | Purpose::Suspend
            | Purpose::Final => CheckpointKind::Checkpoint,
        },
        triggered_at_ms: entry.triggered_at.as_millis(),
        outcome: outcome(entry),
        vertices: entry.vertices.iter().map(vertex).collect(),
    }
}

fn subtask_checkpoint(index: SubtaskIndex, ack: Option<&stats::Acknowledgement>) -> SubtaskCheckpointView {
    let ack = ack.map(|ack| AckView {
        at_ms: ack.at.as_millis(),
        checkpointed_size: ack.checkpointed_bytes,
        state_size: ack.state_bytes,
        async_ms: millis(ack.writing),
        alignment_ms: millis(ack.alignment),
        ..AckView::default()
    });
    SubtaskCheckpointView { index, ack }
}

fn checkpoint_config(scheduler: &View<'_>) -> CheckpointConfigView {
    let settings = &scheduler.settings.checkpoints;
    CheckpointConfigView {
        interval_ms: settings.interval.map(millis),
        timeout_ms: millis(settings.timeout),
        min_pause_ms: millis(settings.min_pause),
        max_concurrent: 1,
        tolerable_failures: settings.tolerable_failures,
        retained_on_cancellation: settings.keep_on_cancellation,
        state_backend: "memory".to_owned(),
        storage: settings.job_dir.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_have_the_figures_that_are_known_of_them() {
        let mut figures = Figures::default();
        (figures.totals.late_records, figures.totals.skipped_records) = (2, 3);
        (figures.totals.records_in, figures.totals.records_out) = (10, 7);
        let operator = |name: &str| Operator { name: name.to_owned(), ..Operator::default() };
        let mut vertex = Vertex {
            id: VertexId(1),
            name: String::new(),
            operators: vec![operator("Source: orders"), operator("Filter")],
            parallelism: None,
            max_parallelism: None,
            slot_sharing_group: String::new(),
            source: true,
            keyed: false,
        };
        let shown = |vertex: &Vertex, id: &str| metrics(vertex, &figures, BTreeMap::new()).remove(id);
        let number = |value| Some(Figure::Number(value));
        assert_eq!(shown(&vertex, "numLateRecordsDropped"), number(2.0));
        assert_eq!(shown(&vertex, "numRecordsInErrors"), number(3.0));
        assert_eq!(shown(&vertex, "Source__orders.numRecordsIn"), number(10.0));
        assert_eq!(shown(&vertex, "Source__orders.numRecordsOut"), number(10.0));
        assert_eq!(shown(&vertex, "Filter.numRecordsOut"), number(7.0));
        assert_eq!(shown(&vertex, "Filter.numRecordsIn"), None);
        vertex.source = false;
        assert_eq!(shown(&vertex, "Source__orders.numRecordsOut"), None);
    }
}
