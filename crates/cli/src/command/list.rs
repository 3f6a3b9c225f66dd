//! `reflow list`

use crate::args::List;
use crate::client::Client;
use crate::error::CliError;
use crate::output::{job_table, print, print_json};
use reflow_view::JobStatus;
use serde::Deserialize;

pub(crate) fn run(list: &List) -> Result<(), CliError> {
    let client = Client::new(&list.connection)?;
    if list.connection.json {
        let mut json = client.jobs_json()?;
        if !list.all
            && let Some(jobs) = json["jobs"].as_array_mut()
        {
            jobs.retain(|job| {
                JobStatus::deserialize(&job["state"]).is_ok_and(|status| !status.is_terminal())
            });
        }
        return print_json(&json);
    }
    let (mut jobs, ended): (Vec<_>, Vec<_>) = client.jobs()?.into_iter().partition(|job| !job.has_ended());
    let hidden = if list.all { 0 } else { ended.len() };
    if list.all {
        jobs.extend(ended);
    }
    match (jobs.is_empty(), hidden) {
        (true, 0) => print(&format!("No job at {}.\n", client.address())),
        (true, hidden) => {
            print(&format!("No job runs at {}; {hidden} have ended (--all).\n", client.address()))
        }
        (false, _) => {
            jobs.sort_by_key(|job| (job.has_ended(), job.start_time));
            print(&job_table(&jobs))
        }
    }
}
