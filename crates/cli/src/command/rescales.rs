//! The command `reflow rescales`.

use crate::args::Rescales;
use crate::client::Client;
use crate::error::CliError;
use crate::output::{print, print_json};
use crate::selection::{self, Among};
use crate::table::{bytes, duration_ms, millis, table};
use reflow_schema::{Rescale, RescaledVertex};
use std::time::Duration;

pub(crate) fn run(rescales: &Rescales) -> Result<(), CliError> {
    let client = Client::new(&rescales.connection)?;
    let job = selection::find(&client, rescales.job.as_deref(), Among::All)?;
    let history = client.rescales(&job.jid)?;
    if rescales.connection.json {
        return print_json(&history);
    }
    let now_ms = client.job(&job.jid)?.now;
    if history.is_empty() {
        return print(&format!("{} ({}) has no rescales in its history.\n", job.name, job.jid));
    }
    print(&describe(&history, now_ms))
}

fn describe(history: &[Rescale], now_ms: i64) -> String {
    let rows = history.iter().map(|rescale| {
        let started_ms = rescale.start_timestamp_in_millis;
        let took = rescale.end_timestamp_in_millis.map(|ended_ms| millis(ended_ms - started_ms));
        [
            duration_ms(now_ms - started_ms),
            rescale.trigger_cause.to_string(),
            parallelism(rescale),
            rescale.terminal_state.map_or_else(|| "IN_PROGRESS".to_owned(), |state| state.to_string()),
            rescale.terminated_reason.map_or_else(|| "-".to_owned(), |reason| reason.to_string()),
            took.unwrap_or_else(|| "-".to_owned()),
            phases(rescale),
        ]
    });
    table(["AGO", "CAUSE", "PARALLELISM", "OUTCOME", "REASON", "TOOK", "PHASES"], rows)
}

/// `1 → 2`, for each vertex if they differ.
fn parallelism(rescale: &Rescale) -> String {
    let number = |n: Option<u32>| n.map_or("-".to_owned(), |n| n.to_string());
    let change = |vertex: &RescaledVertex| {
        let (before, after) = (vertex.pre_rescale_parallelism, vertex.post_rescale_parallelism);
        format!("{} → {}", number(before), number(after))
    };
    let mut changes: Vec<String> = rescale.vertices.values().map(change).collect();
    changes.dedup();
    changes.join(", ")
}

/// The phases of a live rescale, or the states of the scheduler.
fn phases(rescale: &Rescale) -> String {
    let took = |name: &str, ms: Option<i64>| {
        let name = name.to_lowercase().replace('_', " ");
        ms.map_or_else(|| format!("{name} …"), |ms| format!("{name} {ms}"))
    };
    let Some(live) = &rescale.live_rescale else {
        let states = rescale.scheduler_states.iter().filter(|state| state.duration_in_millis != Some(0));
        let states = states.map(|state| match state.duration_in_millis {
            Some(ms) => format!("{} {ms}", state.state),
            None => format!("{} …", state.state),
        });
        let reason = rescale.restart_reason.as_ref();
        let reason = reason.map(|reason| format!("; restarted the job: {reason}")).unwrap_or_default();
        return with_unit(states.collect()) + &reason;
    };
    let phases = live.phases.iter().map(|phase| took(&phase.phase, phase.duration_in_millis)).collect();
    let reads = live.outcome.is_none() && live.read_bytes < live.bytes_to_read;
    let read =
        reads.then(|| format!("; {} of {} of state read", bytes(live.read_bytes), bytes(live.bytes_to_read)));
    let pause_ms = Duration::from_micros(live.longest_pause_in_micros).as_secs_f64() * 1e3;
    let reason = live.reason.as_ref().map(|reason| format!("; abandoned: {reason}")).unwrap_or_default();
    format!(
        "{}{}; {} key groups paused up to {pause_ms:.1} ms{reason}",
        with_unit(phases),
        read.unwrap_or_default(),
        live.key_groups_moved
    )
}

fn with_unit(phases: Vec<String>) -> String {
    if phases.is_empty() { "-".to_owned() } else { format!("{} ms", phases.join(", ")) }
}
