//! `reflow savepoint` and `reflow stop`

use crate::args::{Connection, Savepoint, Stop};
use crate::client::{Client, Drain, JobOverview};
use crate::error::CliError;
use crate::output::{print, print_json};
use crate::selection::{self, Among};
use crate::wait;
use serde_json::json;

pub(crate) fn take(savepoint: &Savepoint) -> Result<(), CliError> {
    let client = Client::new(&savepoint.connection)?;
    let job = selection::find(&client, savepoint.job.as_deref(), Among::Live)?;
    let request = client.trigger_savepoint(&job.jid, savepoint.directory.as_deref())?;
    let location = wait::for_savepoint(&client, &job, &request, savepoint.timeout)?;
    report(&savepoint.connection, &job, &location, "Savepoint")
}

pub(crate) fn stop(stop: &Stop) -> Result<(), CliError> {
    let client = Client::new(&stop.connection)?;
    let job = selection::find(&client, stop.job.as_deref(), Among::Live)?;
    let drain = if stop.drain { Drain::Yes } else { Drain::No };
    let request = client.stop(&job.jid, stop.savepoint_path.as_deref(), drain)?;
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
