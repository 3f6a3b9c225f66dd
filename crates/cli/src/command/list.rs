//! The command `reflow list`.

use crate::args::List;
use crate::client::Client;
use crate::error::CliError;
use crate::output::{print, print_json};
use crate::table::job_table;

pub(crate) fn run(list: &List) -> Result<(), CliError> {
    let client = Client::new(&list.connection)?;
    let mut overview = client.jobs()?;
    let known = overview.jobs.len();
    overview.jobs.retain(|job| list.all || !job.state.is_terminal());
    let hidden = known - overview.jobs.len();
    if list.connection.json {
        return print_json(&overview);
    }
    let mut jobs = overview.jobs;
    match (jobs.is_empty(), hidden) {
        (true, 0) => print(&format!("No job at {}.\n", client.address())),
        (true, hidden) => {
            print(&format!("No job runs at {}; {hidden} have ended (--all).\n", client.address()))
        }
        (false, _) => {
            jobs.sort_by_key(|job| (job.state.is_terminal(), job.start_time));
            print(&job_table(&jobs))
        }
    }
}
