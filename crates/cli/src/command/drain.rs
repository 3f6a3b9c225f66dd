//! The command `reflow drain`.

use crate::args::Drain;
use crate::client::Client;
use crate::error::CliError;
use crate::output::{print, print_json};
use crate::selection::{self, Among};
use crate::wait::{self, Standing};
use reflow_schema::{DrainRequest, TaskManager};
use serde_json::json;

pub(crate) fn run(drain: &Drain) -> Result<(), CliError> {
    let client = Client::new(&drain.connection)?;
    let task_manager = selection::find_task_manager(&client, &drain.task_manager)?;
    let TaskManager { id, .. } = &task_manager;
    let savepoint = match client.drain(id, &DrainRequest { force: drain.force })? {
        Some(request) if !drain.no_wait => {
            let job = selection::find(&client, None, Among::Live)?;
            let taken = wait::for_savepoint(&client, &job, &request, drain.timeout);
            Some(taken.map_err(|cause| CliError::NotDrained { id: id.clone(), cause: Box::new(cause) })?)
        }
        _ => None,
    };
    if !drain.no_wait {
        let done = wait::until(drain.timeout, || ask(&client, &task_manager));
        done.map_err(|stopped| stopped.error(format!("draining TaskManager {id}")))?;
    }
    let host = task_manager.host();
    if drain.connection.json {
        return print_json(&json!({ "id": id, "host": host, "left": !drain.no_wait, "location": savepoint }));
    }
    let before = savepoint.map(|location| format!("Its state before: {location}\n")).unwrap_or_default();
    let what = if drain.no_wait { "is leaving" } else { "has left" };
    print(&format!("{before}TaskManager {id} on {host} {what}.\n"))
}

fn ask(client: &Client, drained: &TaskManager) -> Result<Standing<()>, CliError> {
    let there = client.task_managers()?.into_iter().find(|task_manager| task_manager.id == drained.id);
    Ok(there.map_or(Standing::Done(()), |task_manager| {
        let tasks = task_manager.assigned_tasks;
        Standing::UnderWay(format!("TaskManager {} on {} has {tasks} tasks", drained.id, drained.host()))
    }))
}
