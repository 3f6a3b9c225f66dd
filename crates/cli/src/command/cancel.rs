//! The command `reflow cancel`.

use crate::args::Cancel;
use crate::client::Client;
use crate::error::CliError;
use crate::output::{print, print_json};
use crate::selection::{self, Among};
use serde_json::json;

pub(crate) fn run(cancel: &Cancel) -> Result<(), CliError> {
    let client = Client::new(&cancel.connection)?;
    let job = selection::find(&client, cancel.job.as_deref(), Among::Live)?;
    client.cancel(&job.jid)?;
    if cancel.connection.json {
        print_json(&json!({ "jid": job.jid, "name": job.name }))
    } else {
        print(&format!("Cancelling {} ({}).\n", job.name, job.jid))
    }
}
