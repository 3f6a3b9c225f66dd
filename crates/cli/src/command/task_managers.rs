//! The command `reflow taskmanagers`.

use crate::args::TaskManagers;
use crate::client::Client;
use crate::error::CliError;
use crate::output::{print, print_json};
use crate::table::{bytes, duration_ms, table};
use reflow_env::real::Clock;
use reflow_schema::TaskManager;

pub(crate) fn run(arguments: &TaskManagers) -> Result<(), CliError> {
    let client = Client::new(&arguments.connection)?;
    let there = client.task_managers()?;
    if arguments.connection.json {
        return print_json(&there);
    }
    if there.is_empty() {
        return print(&format!("No TaskManager is registered at {}.\n", client.address()));
    }
    let now_ms = Clock::start().now().as_millis();
    print(&describe(&there, now_ms))
}

fn describe(there: &[TaskManager], now_ms: i64) -> String {
    let rows = there.iter().map(|tm| {
        [
            tm.id.clone(),
            tm.host().to_owned(),
            tm.slots_number.to_string(),
            tm.free_slots.to_string(),
            tm.assigned_tasks.to_string(),
            tm.hardware.cpu_cores.to_string(),
            bytes(tm.memory_configuration.total_process_memory),
            format!("{} ago", duration_ms(now_ms - tm.time_since_last_heartbeat)),
        ]
    });
    table(["TASKMANAGER", "HOST", "SLOTS", "FREE", "TASKS", "CORES", "MEMORY", "HEARTBEAT"], rows)
}
