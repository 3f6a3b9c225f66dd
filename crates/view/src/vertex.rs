//! The views of job vertices and their subtasks.

use std::collections::BTreeMap;

use reflow_types::metric::{Accumulated, Distribution};
use reflow_types::{AttemptNumber, SubtaskIndex, TaskManagerId, VertexId};

use crate::ExecutionState;

/// A job vertex: a chain of operators.
#[derive(Debug, Clone, PartialEq)]
pub struct VertexView {
    /// Its id.
    pub id: VertexId,
    /// The names of its operators, head first; any text.
    pub operators: Vec<String>,
    /// Its slot sharing group.
    pub sharing_group: SharingGroup,
    /// Its parallelism; while the job waits for resources, the desired one.
    pub parallelism: u32,
    /// The number of key groups.
    pub max_parallelism: u32,
    /// The declared resource requirements.
    pub bounds: ParallelismBounds,
    /// The number of its region: vertices of different ones exchange no data, so that each region fails and restarts alone.
    pub region: u16,
    /// Whether its region restarts, or waits for slots to restart, while others run on.
    pub restarts_alone: bool,
    /// Its input edges.
    pub inputs: Vec<InputView>,
    /// Its current subtasks by index; empty until there is an execution graph.
    pub subtasks: Vec<SubtaskView>,
}

impl VertexView {
    /// The names of its operators in one line.
    pub fn name(&self) -> String {
        self.operators.join(" -> ")
    }

    /// The state of the vertex as a whole.
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

    /// What the functions of all subtasks have accumulated since the job began.
    pub fn accumulators(&self) -> BTreeMap<&str, Accumulated> {
        let mut all: BTreeMap<&str, Accumulated> = BTreeMap::new();
        for (name, value) in self.subtasks.iter().flat_map(|subtask| &subtask.accumulators) {
            all.entry(name).and_modify(|all| all.merge(*value)).or_insert(*value);
        }
        all
    }

    /// The number of subtasks in `state`.
    pub fn count(&self, state: ExecutionState) -> usize {
        self.subtasks.iter().filter(|subtask| subtask.state == state).count()
    }
}

/// A slot sharing group, whose vertices may share slots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SharingGroup {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Its name, which the user chooses.
    pub name: String,
}

/// The bounds of a vertex's parallelism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParallelismBounds {
    /// The least parallelism with which the job runs.
    pub lower: u32,
    /// The largest parallelism that the job uses.
    pub upper: u32,
}

/// An edge of the job graph, at its receiving end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputView {
    /// The sending vertex.
    pub from: VertexId,
    /// How records are partitioned: `FORWARD`, `HASH`, `REBALANCE`, `RESCALE`, `BROADCAST`, `GLOBAL`, `CUSTOM`.
    pub ship_strategy: String,
    /// The tag of the side output whose records it carries.
    pub side_output: Option<String>,
}

/// A subtask of the current execution graph.
#[derive(Debug, Clone, PartialEq)]
pub struct SubtaskView {
    /// Its index in the vertex.
    pub index: SubtaskIndex,
    /// Its attempt.
    pub attempt: AttemptNumber,
    /// Its state.
    pub state: ExecutionState,
    /// The TaskManager that runs it; `None` until it has a slot.
    pub placement: Option<PlacementView>,
    /// When it entered each state. States that it was never in are absent.
    pub entered_at_ms: BTreeMap<ExecutionState, i64>,
    /// Its input, its output and how it spends its time.
    pub io: IoView,
    /// Its input watermark; `None` for a source.
    pub input_watermark_ms: Option<i64>,
    /// The latency of records from each source, by the source's vertex, in milliseconds.
    pub latencies_ms: BTreeMap<VertexId, Distribution>,
    /// Its other metrics under Flink's names, those of operators as `operator_name.metric`.
    pub metrics: BTreeMap<String, Figure>,
    /// What its functions have accumulated since the job began, as `operator_name.accumulator`.
    pub accumulators: BTreeMap<String, Accumulated>,
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

/// The value of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Figure {
    /// A number.
    Number(f64),
    /// The distribution of the latest values.
    Distribution(Distribution),
}

/// The TaskManager that runs a subtask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacementView {
    /// Its id.
    pub task_manager: TaskManagerId,
    /// `host:port` of its data connection.
    pub endpoint: String,
}

/// The input and output of a subtask, and how it spends its time.
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
    /// The recent rate of bytes received, per second.
    pub bytes_in_per_second: f64,
    /// The recent rate of bytes sent, per second.
    pub bytes_out_per_second: f64,
    /// The recent rate of records received, per second.
    pub records_in_per_second: f64,
    /// The recent rate of records sent, per second.
    pub records_out_per_second: f64,
    /// The share of recent time for which it was busy, 0 to 1.
    pub busy: f64,
    /// The share of recent time for which it was backpressured, 0 to 1.
    pub backpressured: f64,
    /// The share of recent time for which it was idle, 0 to 1.
    pub idle: f64,
    /// The time that it was busy since the attempt began.
    pub busy_ms: u64,
    /// The time that it was backpressured since the attempt began.
    pub backpressured_ms: u64,
    /// The time that it was idle since the attempt began.
    pub idle_ms: u64,
}
