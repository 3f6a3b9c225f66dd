//! Job vertices and their subtasks.

use std::collections::BTreeMap;

use reflow_types::{AttemptNumber, SubtaskIndex, TaskManagerId, VertexId};

use crate::ExecutionState;

/// A job vertex: a chain of operators.
#[derive(Debug, Clone, PartialEq)]
pub struct VertexView {
    /// Its id.
    pub id: VertexId,
    /// The names of its operators, head first. Any text.
    pub operators: Vec<String>,
    /// The slot sharing group it belongs to.
    pub sharing_group: SharingGroup,
    /// The planned parallelism. While the job waits for resources: the desired one.
    pub parallelism: u32,
    /// The number of key groups.
    pub max_parallelism: u32,
    /// The declared resource requirements.
    pub bounds: ParallelismBounds,
    /// Where its records come from.
    pub inputs: Vec<InputView>,
    /// Its current subtasks by index; empty until there is an execution graph.
    pub subtasks: Vec<SubtaskView>,
}

impl VertexView {
    /// The operators' names in one line.
    pub fn name(&self) -> String {
        self.operators.join(" -> ")
    }

    /// The state of its subtasks taken together.
    pub fn state(&self) -> ExecutionState {
        ExecutionState::of_vertex(self.subtasks.iter().map(|subtask| subtask.state))
    }

    /// When its first subtask was deployed.
    pub fn started_at_ms(&self) -> Option<i64> {
        self.subtasks.iter().filter_map(SubtaskView::started_at_ms).min()
    }

    /// When its last subtask ended, once all have.
    pub fn ended_at_ms(&self) -> Option<i64> {
        let ends: Option<Vec<i64>> = self.subtasks.iter().map(SubtaskView::ended_at_ms).collect();
        ends?.into_iter().max()
    }

    /// How many subtasks are in `state`.
    pub fn count(&self, state: ExecutionState) -> usize {
        self.subtasks.iter().filter(|subtask| subtask.state == state).count()
    }
}

/// Vertices of one group may share a slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SharingGroup {
    /// 32 hexadecimal digits.
    pub id: String,
    /// The user's name for it.
    pub name: String,
}

/// The parallelism that a vertex may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParallelismBounds {
    /// The job does not run below it.
    pub lower: u32,
    /// The job does not use more.
    pub upper: u32,
}

/// An edge of the job graph, at its receiving end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputView {
    /// The sending vertex.
    pub from: VertexId,
    /// How records are dealt out: `FORWARD`, `HASH`, `REBALANCE`, `RESCALE`, `BROADCAST`, `GLOBAL`, `CUSTOM`.
    pub ship_strategy: String,
}

/// One subtask of the current execution graph.
#[derive(Debug, Clone, PartialEq)]
pub struct SubtaskView {
    /// Its place among the vertex's subtasks.
    pub index: SubtaskIndex,
    /// Its attempt.
    pub attempt: AttemptNumber,
    /// Its state.
    pub state: ExecutionState,
    /// Where it runs; `None` until it has a slot.
    pub placement: Option<PlacementView>,
    /// When it entered each state; states it was never in are absent.
    pub entered_at_ms: BTreeMap<ExecutionState, i64>,
    /// What it reads, writes and does with its time.
    pub io: IoView,
    /// The watermark it has reached; `None` for a source.
    pub input_watermark_ms: Option<i64>,
    /// Its other metrics by Flink's name, those of operators as `operator_name.metric`.
    pub metrics: BTreeMap<String, f64>,
}

impl SubtaskView {
    /// When it was deployed.
    pub fn started_at_ms(&self) -> Option<i64> {
        self.entered_at_ms.get(&ExecutionState::Deploying).copied()
    }

    /// When it ended.
    pub fn ended_at_ms(&self) -> Option<i64> {
        self.state.is_terminal().then(|| self.entered_at_ms.get(&self.state).copied()).flatten()
    }
}

/// The TaskManager that runs a subtask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacementView {
    /// Its id.
    pub task_manager: TaskManagerId,
    /// `host:port` of its data connection.
    pub endpoint: String,
}

/// What a subtask reads, writes and does with its time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct IoView {
    /// Bytes received since the attempt began.
    pub bytes_in: u64,
    /// Bytes sent since the attempt began.
    pub bytes_out: u64,
    /// Records received since the attempt began.
    pub records_in: u64,
    /// Records sent since the attempt began.
    pub records_out: u64,
    /// Bytes received per second, of late.
    pub bytes_in_per_second: f64,
    /// Bytes sent per second, of late.
    pub bytes_out_per_second: f64,
    /// Records received per second, of late.
    pub records_in_per_second: f64,
    /// Records sent per second, of late.
    pub records_out_per_second: f64,
    /// Share of recent time spent working, 0 … 1.
    pub busy: f64,
    /// Share of recent time spent waiting for room downstream, 0 … 1.
    pub backpressured: f64,
    /// Share of recent time spent without input, 0 … 1.
    pub idle: f64,
    /// Time spent working since the attempt began.
    pub busy_ms: u64,
    /// Time spent waiting for room downstream since the attempt began.
    pub backpressured_ms: u64,
    /// Time spent without input since the attempt began.
    pub idle_ms: u64,
}
