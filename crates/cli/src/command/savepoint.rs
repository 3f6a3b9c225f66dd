//! The commands `reflow savepoint` and `reflow stop`.

use crate::args::{Connection, Savepoint, Stop};
use crate::client::Client;
use crate::error::CliError;
use crate::output::{print, print_json};
use crate::selection::{self, Among};
use crate::wait;
use reflow_schema::{JobOverview, SavepointRequest, StopRequest};
use serde_json::json;

pub(crate) fn take(savepoint: &Savepoint) -> Result<(), CliError> {
    let client = Client::new(&savepoint.connection)?;
    let (job, directory) = job_and_directory(savepoint.job.as_deref(), savepoint.directory.as_deref());
    let job = selection::find(&client, job, Among::Live)?;
    let wanted =
        SavepointRequest { target_directory: directory.map(str::to_owned), ..SavepointRequest::default() };
    let request = client.trigger_savepoint(&job.jid, &wanted)?;
    let location = wait::for_savepoint(&client, &job, &request, savepoint.timeout)?;
    report(&savepoint.connection, &job, &location, "Savepoint")
}

/// The job can be omitted. An argument with a slash is a directory, because ids and names have none.
fn job_and_directory<'a>(
    job: Option<&'a str>,
    directory: Option<&'a str>,
) -> (Option<&'a str>, Option<&'a str>) {
    match (job, directory) {
        (Some(only), None) if only.contains('/') => (None, Some(only)),
        given => given,
    }
}

pub(crate) fn stop(stop: &Stop) -> Result<(), CliError> {
    let client = Client::new(&stop.connection)?;
    let job = selection::find(&client, stop.job.as_deref(), Among::Live)?;
    let wanted = StopRequest {
        target_directory: stop.savepoint_path.clone(),
        drain: Some(stop.drain),
        ..StopRequest::default()
    };
    let request = client.stop(&job.jid, &wanted)?;
    let location = wait::for_savepoint(&client, &job, &request, stop.timeout)?;
    report(&stop.connection, &job, &location, "Stopped; savepoint")
}

fn report(connection: &Connection, job: &JobOverview, location: &str, what: &str) -> Result<(), CliError> {
    if connection.json {
        print_json(&json!({ "jid": job.jid, "name": job.name, "location": location }))
    } else {
        print(&format!("{what} of {} ({}): {location}\n", job.name, job.jid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_job_may_be_left_out() {
        assert_eq!(job_and_directory(Some("/data/sp"), None), (None, Some("/data/sp")));
        assert_eq!(job_and_directory(Some("s3://b/sp"), None), (None, Some("s3://b/sp")));
        assert_eq!(job_and_directory(Some("orders"), None), (Some("orders"), None));
        assert_eq!(job_and_directory(Some("orders"), Some("/sp")), (Some("orders"), Some("/sp")));
        assert_eq!(job_and_directory(None, None), (None, None));
    }
}
