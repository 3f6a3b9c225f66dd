//! The command `reflow info`.

use crate::args::Info;
use crate::client::Client;
use crate::error::CliError;
use crate::output::{print, print_json};
use crate::selection::{self, Among};
use crate::table::{duration_ms, table};
use reflow_schema::{JobDetails, JobOverview};

pub(crate) fn run(info: &Info) -> Result<(), CliError> {
    let client = Client::new(&info.connection)?;
    let job = selection::find(&client, info.job.as_deref(), Among::All)?;
    let details = client.job(&job.jid)?;
    if info.connection.json {
        return print_json(&details);
    }
    let page = client.url(&format!("/#/job/{}", job.jid));
    print(&format!("{}\nMore: {page}\n", describe(&job, &details)))
}

fn describe(job: &JobOverview, details: &JobDetails) -> String {
    let rows = details.vertices.iter().map(|vertex| {
        let states = vertex.tasks.iter().filter(|(_, count)| **count > 0);
        let tasks = states.map(|(state, count)| format!("{count} {}", state.to_string().to_lowercase()));
        [
            vertex.name.clone(),
            vertex.status.to_string(),
            vertex.parallelism.to_string(),
            tasks.collect::<Vec<_>>().join(", "),
            vertex.metrics.read_records.to_string(),
            vertex.metrics.write_records.to_string(),
        ]
    });
    let vertices = table(["VERTEX", "STATE", "PARALLELISM", "TASKS", "READ", "WRITTEN"], rows);
    let age = duration_ms(job.duration);
    format!("{} ({})\n{} for {age}\n\n{vertices}", job.name, job.jid, job.state)
}
