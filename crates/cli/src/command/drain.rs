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
    let task_manager = find(client.task_managers()?, &drain.task_manager, client.address())?;
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

/// Finds a TaskManager by id, by a prefix of its id, or by host.
fn find(there: Vec<TaskManager>, wanted: &str, address: &str) -> Result<TaskManager, CliError> {
    let by_prefix = |tm: &TaskManager| tm.id.starts_with(&wanted.to_ascii_lowercase());
    let by_host = |tm: &TaskManager| tm.host() == wanted;
    let rules: [&dyn Fn(&TaskManager) -> bool; 2] = [&by_prefix, &by_host];
    let wanted = wanted.to_owned();
    for rule in rules {
        let found: Vec<_> = there.iter().filter(|tm| rule(tm)).cloned().collect();
        match <[_; 1]>::try_from(found) {
            Ok([task_manager]) => return Ok(task_manager),
            Err(none) if none.is_empty() => {}
            Err(there) => return Err(CliError::AmbiguousTaskManager { wanted, there }),
        }
    }
    Err(CliError::UnknownTaskManager { wanted, address: address.to_owned(), there })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wanted: &str, expected: Result<&str, &str>) {
        let there = [("1488a", "h1:6122"), ("1489b", "h2:6122"), ("27aac", "h2:6123")]
            .map(|(id, path)| TaskManager { id: id.into(), path: path.into(), ..TaskManager::default() });
        let found = find(there.to_vec(), wanted, "here:1").map(|tm| tm.id).map_err(|e| e.to_string());
        match expected {
            Ok(id) => assert_eq!(found.as_deref(), Ok(id)),
            Err(begin) => assert!(found.as_ref().is_err_and(|text| text.starts_with(begin)), "{found:?}"),
        }
    }

    #[test]
    fn a_task_manager_is_named_by_id_prefix_or_host() {
        check("1488a", Ok("1488a"));
        check("27", Ok("27aac"));
        check("2", Ok("27aac"));
        check("h1", Ok("1488a"));
        check(
            "148",
            Err(
                "several TaskManagers match 148; use a longer prefix of the id; the TaskManagers are:\nTASKMANAGER  HOST",
            ),
        );
        check("h2", Err("several TaskManagers match h2"));
        check("h3", Err("no TaskManager h3 at here:1; the TaskManagers are:\n"));
    }
}
