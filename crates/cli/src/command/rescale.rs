//! The command `reflow rescale`.

use crate::args::Rescale;
use crate::client::Client;
use crate::error::CliError;
use crate::output::{print, print_json};
use crate::selection::{self, Among};
use crate::table::duration;
use crate::wait::{self, Standing};
use reflow_schema::{JobDetails, JobOverview, RequirementBounds, VertexRequirements, VertexSummary};
use reflow_view::{ExecutionState, JobStatus};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

/// The JobManager shows a change at the latest after this time.
const SHOWN_AFTER: Duration = Duration::from_millis(300);

/// The wanted parallelism, by the vertex's id.
type Wanted = BTreeMap<String, u32>;

pub(crate) fn run(rescale: &Rescale) -> Result<(), CliError> {
    let client = Client::new(&rescale.connection)?;
    let job = selection::find(&client, rescale.job.as_deref(), Among::Live)?;
    let details = client.job(&job.jid)?;
    let wanted = match rescale.parallelism {
        _ if rescale.cancel => current(&client, &job, &details)?,
        Some(parallelism) => of_all(&details, parallelism),
        None => of_some(&job, &details, &rescale.vertices)?,
    };
    let mut requirements = client.requirements(&job.jid)?;
    for (vertex, parallelism) in &wanted {
        let upper = i64::from(*parallelism);
        let lower = requirements.get(vertex).map_or(1, |before| before.parallelism.lower_bound);
        let bounds = RequirementBounds { lower_bound: lower.min(upper), upper_bound: upper };
        requirements.insert(vertex.clone(), VertexRequirements { parallelism: bounds });
    }
    client.update_requirements(&job.jid, &requirements)?;
    let details = if rescale.no_wait {
        details
    } else {
        wait::pause(SHOWN_AFTER);
        let mut slots =
            Slots { reactive: client.is_reactive(&job.jid)?, patience: rescale.timeout, noticed: false };
        let done = wait::until(rescale.timeout, || ask(&client, &job, &wanted, &mut slots));
        done.map_err(|stopped| stopped.error(format!("the rescale of {}", job.name)))?
    };
    report(rescale, &job, &details, &wanted)
}

fn of_all(details: &JobDetails, parallelism: u32) -> Wanted {
    let bounded = |vertex: &VertexSummary| (vertex.id.clone(), parallelism.min(vertex.max_parallelism));
    details.vertices.iter().map(bounded).collect()
}

/// The current parallelism, if a rescale that can still be cancelled is under way. The JobManager drops what was prepared
/// as soon as the requirements do not lead to it any more.
fn current(client: &Client, job: &JobOverview, details: &JobDetails) -> Result<Wanted, CliError> {
    let history = client.rescales(&job.jid)?;
    let under_way = history.iter().find(|rescale| rescale.terminated_reason.is_none());
    let Some(live) = under_way.and_then(|rescale| rescale.live_rescale.as_ref()) else {
        return Err(CliError::NoRescale { job: job.name.clone() });
    };
    if live.phases.iter().any(|phase| phase.phase == "CUT") {
        return Err(CliError::HasCut { job: job.name.clone() });
    }
    Ok(at(details))
}

fn of_some(job: &JobOverview, details: &JobDetails, vertices: &[(String, u32)]) -> Result<Wanted, CliError> {
    let mut all = Wanted::new();
    for (name, wanted) in vertices {
        let vertex = selection::find_vertex(job, details, name)?;
        let max = vertex.max_parallelism;
        if *wanted > max {
            return Err(CliError::AboveMaxParallelism { vertex: vertex.name.clone(), wanted: *wanted, max });
        }
        all.insert(vertex.id.clone(), *wanted);
    }
    Ok(all)
}

/// Done when all subtasks run and no rescale is under way, because an earlier rescale may have another goal.
fn ask(
    client: &Client,
    job: &JobOverview,
    wanted: &Wanted,
    slots: &mut Slots,
) -> Result<Standing<JobDetails>, CliError> {
    let details = client.job(&job.jid)?;
    if details.state.is_terminal() {
        return Err(CliError::EndedMeanwhile { job: job.name.clone(), state: details.state });
    }
    let runs = |vertex: &VertexSummary| {
        vertex.tasks.get(&ExecutionState::Running).copied().unwrap_or(0) == vertex.parallelism as usize
    };
    let is_wanted = |vertex: &VertexSummary| wanted.get(&vertex.id).is_none_or(|n| vertex.parallelism == *n);
    if details.state == JobStatus::Running && details.vertices.iter().all(runs) {
        let done = match details.vertices.iter().all(is_wanted) {
            true => !client.rescales_now(&job.jid)?,
            false => slots.are_all_that_the_job_gets(client, job)?,
        };
        if done {
            return Ok(Standing::Done(details));
        }
    }
    let (state, at, to) = (&details.state, in_words(&details, &at(&details)), in_words(&details, wanted));
    Ok(Standing::UnderWay(format!("{} is {state} at parallelism {at}, rescaling to {to}", job.name)))
}

/// What the command does about a job that already uses all slots.
struct Slots {
    /// In reactive mode, the bounds are in effect and there is nothing to wait for. Otherwise the user may start TaskManagers.
    reactive: bool,
    patience: Duration,
    /// Whether the user knows that the command waits for slots.
    noticed: bool,
}

impl Slots {
    /// Whether the job, which runs as it is, has all that it can have at present.
    fn are_all_that_the_job_gets(&mut self, client: &Client, job: &JobOverview) -> Result<bool, CliError> {
        let cluster = client.overview()?;
        if cluster.slots_available > 0 || client.rescales_now(&job.jid)? {
            return Ok(false);
        }
        if !self.reactive && !std::mem::replace(&mut self.noticed, true) {
            let (name, slots, patience) = (&job.name, cluster.slots_total, duration(self.patience));
            let _ = writeln!(
                io::stderr(),
                "{name} uses all slots of the cluster ({slots}): it rescales when TaskManagers with more slots register. \
                 Waiting for {patience}; --no-wait does not wait."
            );
        }
        Ok(self.reactive)
    }
}

/// The current parallelism.
fn at(details: &JobDetails) -> Wanted {
    details.vertices.iter().map(|vertex| (vertex.id.clone(), vertex.parallelism)).collect()
}

/// `4`, or `2 (Source: orders), 4 (count)`.
fn in_words(details: &JobDetails, parallelism: &Wanted) -> String {
    let vertices = details.vertices.iter();
    let named = vertices.filter_map(|vertex| Some((vertex.name.as_str(), *parallelism.get(&vertex.id)?)));
    let named: Vec<_> = named.collect();
    match named[..] {
        [(_, first), ..]
            if named.len() == details.vertices.len() && named.iter().all(|(_, n)| *n == first) =>
        {
            first.to_string()
        }
        _ => named.iter().map(|(name, n)| format!("{n} ({name})")).collect::<Vec<_>>().join(", "),
    }
}

fn report(
    rescale: &Rescale,
    job: &JobOverview,
    details: &JobDetails,
    wanted: &Wanted,
) -> Result<(), CliError> {
    if rescale.connection.json {
        let vertex = |vertex: &VertexSummary| {
            json!({
                "id": vertex.id, "name": vertex.name, "parallelism": vertex.parallelism,
                "upperBound": wanted.get(&vertex.id),
            })
        };
        let vertices: Vec<_> = details.vertices.iter().map(vertex).collect();
        return print_json(&json!({ "jid": job.jid, "name": job.name, "vertices": vertices }));
    }
    let bound = in_words(details, wanted);
    let text = if rescale.cancel {
        format!("stays at parallelism {bound}, which is its upper bound now.")
    } else if rescale.no_wait {
        format!("will run at parallelism {bound}.")
    } else {
        let mut reached = at(details);
        reached.retain(|vertex, _| wanted.contains_key(vertex));
        let reached = in_words(details, &reached);
        match reached == bound {
            true => format!("runs at parallelism {bound}."),
            false => format!(
                "runs at parallelism {reached}. It uses all slots of the cluster; with more slots, its parallelism may \
                 be up to {bound}."
            ),
        }
    };
    print(&format!("{} ({}) {text}\n", job.name, job.jid))
}
