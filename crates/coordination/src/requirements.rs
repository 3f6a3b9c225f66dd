//! Resource requirements: the bounds between which the parallelism of each vertex may be chosen.
//!
//! Rules and terms are those of Flink's `JobResourceRequirements`: all vertices must be named, −1 asks for a default, and an
//! invalid request is refused with all its errors at once. Flink refuses any request in reactive mode. Reflow accepts upper
//! bounds there, which limit the parallelism that the slots would allow. It refuses lower bounds, because in reactive mode
//! only the number of slots determines what is possible.

use crate::event::ParallelismBounds;
use reflow_graph::JobGraph;
use reflow_types::{MaxParallelism, VertexId};
use std::collections::BTreeMap;

/// Bounds that a user requests, not checked yet; −1 means the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestedBounds {
    /// The least parallelism with which the job runs. Default: 1.
    pub lower: i64,
    /// The largest parallelism that the job uses. Default: the vertex's max parallelism.
    pub upper: i64,
}

/// Why requirements are refused, with one line for each error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct RequirementsError(pub Vec<String>);

/// `scheduler-mode`: what determines the parallelism of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchedulerMode {
    /// The job's own parallelism and declared requirements.
    Default,
    /// The available slots: the job uses all of them, up to its max parallelism.
    Reactive,
}

/// Checks requested bounds against the job.
pub fn validate(
    job: &JobGraph,
    max_parallelism: &[MaxParallelism],
    mode: SchedulerMode,
    requested: &BTreeMap<VertexId, RequestedBounds>,
) -> Result<BTreeMap<VertexId, ParallelismBounds>, RequirementsError> {
    let mut wrong = Vec::new();
    let mut accepted = BTreeMap::new();
    for (vertex, max) in job.vertices.iter().zip(max_parallelism) {
        let name = format!("job vertex [{}] ({})", vertex.id, vertex.name);
        match requested.get(&vertex.id) {
            None => wrong.push(format!("The request is incomplete, missing {name} resource requirements.")),
            Some(&bounds) => match check(bounds, *max, mode) {
                Ok(bounds) => {
                    accepted.insert(vertex.id, bounds);
                }
                Err(reasons) => wrong.extend(reasons.iter().map(|why| format!("{why} for {name}."))),
            },
        }
    }
    let strangers = requested.keys().filter(|id| job.find(**id).is_none());
    wrong.extend(strangers.map(|id| format!("Job vertex [{id}] was not found in the JobGraph.")));
    if wrong.is_empty() { Ok(accepted) } else { Err(RequirementsError(wrong)) }
}

fn check(
    requested: RequestedBounds,
    max: MaxParallelism,
    mode: SchedulerMode,
) -> Result<ParallelismBounds, Vec<String>> {
    const DEFAULT: i64 = -1;
    let max = i64::from(max.get());
    let lower = if requested.lower == DEFAULT { 1 } else { requested.lower };
    let upper = if requested.upper == DEFAULT { max } else { requested.upper };
    let mut wrong = Vec::new();
    if lower < 1 {
        wrong.push(format!("Lower bound ({lower}) must be, at least, 1"));
    }
    if lower > 1 && mode == SchedulerMode::Reactive {
        wrong.push(format!(
            "Lower bound ({lower}) must be 1 in reactive mode, where the job runs with the slots that there are,"
        ));
    }
    if upper < 1 {
        wrong.push(format!("Upper bound ({upper}) must be, at least, 1"));
    }
    if lower > upper {
        wrong.push(format!("Upper bound ({upper}) must be larger or equal to the lower bound ({lower})"));
    }
    if upper > max {
        wrong.push(format!("The requested parallelism ({upper}) is higher than max parallelism ({max})"));
    }
    match (wrong.is_empty(), u32::try_from(lower), u32::try_from(upper)) {
        (true, Ok(lower), Ok(upper)) => Ok(ParallelismBounds { lower, upper }),
        _ => Err(wrong),
    }
}

/// The default bounds of a job, by vertex: in reactive mode from 1 to the max parallelism, whatever the job sets;
/// otherwise up to the vertex's own or the default parallelism.
pub fn defaults(
    job: &JobGraph,
    max_parallelism: &[MaxParallelism],
    mode: SchedulerMode,
    default_parallelism: u32,
) -> Vec<ParallelismBounds> {
    let upper = |own: Option<u32>, max: u32| match mode {
        SchedulerMode::Reactive => max,
        SchedulerMode::Default => own.unwrap_or(default_parallelism).clamp(1, max),
    };
    job.vertices
        .iter()
        .zip(max_parallelism)
        .map(|(vertex, max)| ParallelismBounds { lower: 1, upper: upper(vertex.parallelism, max.get()) })
        .collect()
}

#[cfg(test)]
#[path = "requirements_tests.rs"]
mod tests;
