//! The load of a job: from counters of its vertices to the number of slots that they keep busy.
//!
//! Rates are differences of counters divided by the time that the subtasks have counted, not by the time between two
//! observations: reports of subtasks arrive each second, but not at the same moment.

use crate::event::ParallelismBounds;
use reflow_types::{Instant, VertexId};

/// The least share of its time for which a subtask must be busy before its rate says anything.
const LEAST_BUSY: f64 = 0.001;
/// By how much a source may read faster that is held back and does not know what it has not read.
const LARGEST_UNSEEN_GROWTH: f64 = 2.0;

/// The counters of a job's vertices at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// In the order of the job graph.
    pub vertices: Vec<VertexLoad>,
    /// Slots of a TaskManager.
    pub slots_per_task_manager: u32,
    /// The memory of a slot in bytes, if it has a limit.
    pub memory_per_slot: Option<u64>,
}

/// The counters of a vertex, which are sums over its subtasks and only grow.
#[derive(Clone, Debug, PartialEq)]
pub struct VertexLoad {
    pub vertex: VertexId,
    pub name: String,
    /// The number of its slot sharing group.
    pub group: usize,
    /// The vertices from which it gets records, by their place in the graph. A source has none.
    pub inputs: Vec<usize>,
    pub parallelism: u32,
    /// What the user allows, which ends at the max parallelism.
    pub bounds: ParallelismBounds,
    pub records_in: u64,
    pub records_out: u64,
    /// Seconds for which subtasks were busy.
    pub busy_s: f64,
    /// Seconds for which subtasks had no room in their outputs.
    pub backpressured_s: f64,
    /// Seconds of subtasks in all: busy, backpressured, idle.
    pub counted_s: f64,
    /// Records that a source has not read yet, if it knows.
    pub pending: Option<u64>,
    /// Bytes of keyed state in memory.
    pub state_bytes: u64,
}

/// What a job needs, by slot sharing group.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Demand {
    pub(super) at: Instant,
    /// Slots kept busy by the busiest vertex of the group: it must have at least so many. A task that waits for its turn in
    /// a slot counts as busy, so the others are contained in part.
    pub(super) least: Vec<f64>,
    /// Slots kept busy by all vertices of the group: more it cannot use.
    pub(super) most: Vec<f64>,
    /// The busiest vertex of each group.
    pub(super) busiest: Vec<usize>,
    /// Records per second that sources read.
    pub(super) read: f64,
    /// Records per second that arrive at sources.
    pub(super) arriving: f64,
    /// Records that sources have not read yet.
    pub(super) pending: u64,
}

/// The demand between two observations of the same subtasks. `None` if they say too little.
pub(super) fn demand(
    (from, at): (&Observation, Instant),
    now: &Observation,
    catch_up_s: f64,
) -> Option<Demand> {
    if from.vertices.len() != now.vertices.len() {
        return None;
    }
    let pairs = from.vertices.iter().zip(&now.vertices);
    let rates: Vec<Rates> = pairs.map(|(from, now)| Rates::between(from, now)).collect::<Option<_>>()?;
    let growth = growth(now, &rates, catch_up_s);
    let groups = now.vertices.iter().map(|vertex| vertex.group + 1).max()?;
    let mut demand = Demand {
        at,
        least: vec![0.0; groups],
        most: vec![0.0; groups],
        busiest: vec![0; groups],
        read: 0.0,
        arriving: 0.0,
        pending: 0,
    };
    for (index, (vertex, rates)) in now.vertices.iter().zip(&rates).enumerate() {
        let busy = rates.busy * growth[index];
        demand.most[vertex.group] += busy;
        if busy > demand.least[vertex.group] {
            (demand.least[vertex.group], demand.busiest[vertex.group]) = (busy, index);
        }
        if vertex.inputs.is_empty() {
            demand.read += rates.records_in;
            demand.arriving += rates.arriving();
            demand.pending += vertex.pending.unwrap_or(0);
        }
    }
    Some(demand)
}

/// By which factor each vertex must process more records than it does: sources by what arrives and has piled up, all others
/// by their inputs.
fn growth(now: &Observation, rates: &[Rates], catch_up_s: f64) -> Vec<f64> {
    let mut growth: Vec<Option<f64>> = now
        .vertices
        .iter()
        .zip(rates)
        .map(|(vertex, rates)| vertex.inputs.is_empty().then(|| rates.growth(vertex, catch_up_s)))
        .collect();
    // A vertex follows when all its inputs have: at most as many rounds as there are vertices.
    for _ in 0..now.vertices.len() {
        for (index, vertex) in now.vertices.iter().enumerate().filter(|(_, vertex)| !vertex.inputs.is_empty())
        {
            let inputs = vertex.inputs.iter().map(|input| Some((growth[*input]?, rates[*input].records_out)));
            let Some(inputs) = inputs.collect::<Option<Vec<_>>>() else { continue };
            let records: f64 = inputs.iter().map(|(_, out)| out).sum();
            let weighed: f64 = inputs.iter().map(|(growth, out)| growth * out).sum();
            growth[index] = Some(if records > 0.0 { weighed / records } else { 1.0 });
        }
        if growth.iter().all(Option::is_some) {
            break;
        }
    }
    growth.into_iter().map(|growth| growth.unwrap_or(1.0)).collect()
}

/// The rates of a vertex.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rates {
    records_in: f64,
    records_out: f64,
    /// The number of subtasks that were busy on average.
    busy: f64,
    /// The share of time, 0 to 1.
    backpressured: f64,
    /// By how many records per second the backlog of a source grows.
    pending: f64,
}

impl Rates {
    fn between(from: &VertexLoad, now: &VertexLoad) -> Option<Self> {
        let same = from.vertex == now.vertex && from.parallelism == now.parallelism;
        let seconds = (now.counted_s - from.counted_s) / f64::from(now.parallelism.max(1));
        let counts_on = now.records_in >= from.records_in && now.busy_s >= from.busy_s;
        if !same || !counts_on || seconds < 0.1 {
            return None;
        }
        let pending = match (from.pending, now.pending) {
            (Some(from), Some(now)) => (now as f64 - from as f64) / seconds,
            _ => 0.0,
        };
        Some(Self {
            records_in: (now.records_in - from.records_in) as f64 / seconds,
            records_out: now.records_out.saturating_sub(from.records_out) as f64 / seconds,
            busy: (now.busy_s - from.busy_s) / seconds,
            backpressured: (now.backpressured_s - from.backpressured_s) / (now.counted_s - from.counted_s),
            pending,
        })
    }

    /// Records per second that arrive at a source.
    fn arriving(&self) -> f64 {
        (self.records_in + self.pending).max(0.0)
    }

    /// By which factor a source should read faster than it does.
    fn growth(&self, source: &VertexLoad, catch_up_s: f64) -> f64 {
        if self.records_in <= 0.0 || self.busy + self.backpressured < LEAST_BUSY {
            return 1.0;
        }
        match source.pending {
            Some(pending) => {
                let backlog = if catch_up_s > 0.0 { pending as f64 / catch_up_s } else { 0.0 };
                (self.arriving() + backlog) / self.records_in
            }
            None => (1.0 / (1.0 - self.backpressured).max(1e-9)).clamp(1.0, LARGEST_UNSEEN_GROWTH),
        }
    }
}
