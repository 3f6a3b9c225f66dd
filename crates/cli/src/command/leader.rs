//! The command `reflow leader`.

use crate::args::{Leader as Arguments, LeaderCommand, LeaderTransfer};
use crate::client::Client;
use crate::error::CliError;
use crate::output::{print, print_json};
use crate::table::{duration_ms, millis, table};
use reflow_schema::{Leader, LeaderStatus, Leadership, TakeoverOutcome};
use serde_json::json;

pub(crate) fn run(arguments: &Arguments) -> Result<(), CliError> {
    match &arguments.command {
        Some(LeaderCommand::Transfer(transfer)) => run_transfer(transfer),
        None => show(arguments),
    }
}

fn run_transfer(transfer: &LeaderTransfer) -> Result<(), CliError> {
    let client = Client::new(&transfer.connection)?;
    client.transfer_leadership()?;
    if transfer.connection.json {
        return print_json(&json!({ "former": client.address() }));
    }
    print(&format!("Another JobManager leads now. The one at {} stands by.\n", client.address()))
}

fn show(arguments: &Arguments) -> Result<(), CliError> {
    let client = Client::new(&arguments.connection)?;
    let leader = client.leader()?;
    if arguments.connection.json {
        return print_json(&leader);
    }
    print(&describe(&leader))
}

fn describe(leader: &Leader) -> String {
    let status = match leader.status {
        LeaderStatus::Starting => return "The JobManager is starting.\n".to_owned(),
        LeaderStatus::StandingBy => {
            return "The JobManager stands by: another one leads the job.\n".to_owned();
        }
        LeaderStatus::Leading => "The JobManager leads the job.",
    };
    let tasks = match (leader.takeover, &leader.reason) {
        (None, _) => String::new(),
        (Some(TakeoverOutcome::Adopted), _) => " It has taken over running tasks.".to_owned(),
        (Some(TakeoverOutcome::Restarted), reason) => {
            let reason = reason.as_deref().unwrap_or("-");
            format!(" The tasks of the former leader could not run on: {reason}.")
        }
    };
    let rows = leader.leaderships.iter().rev().map(|leadership| row(leadership, leader.now));
    format!("{status}{tasks}\n\n") + &table(["EPOCH", "SINCE", "CAUSE", "SILENT FOR"], rows)
}

fn row(leadership: &Leadership, now_ms: i64) -> [String; 4] {
    let silent_ms = leadership.silent_ms.map(|ms| millis(i64::try_from(ms).unwrap_or(i64::MAX)));
    [
        leadership.epoch.to_string(),
        format!("{} ago", duration_ms(now_ms - leadership.since)),
        leadership.cause.to_string(),
        silent_ms.unwrap_or_else(|| "-".to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use reflow_view::LeaderChangeCause;

    #[test]
    fn the_newest_leadership_is_the_first() {
        let leadership = |epoch, since, cause, silent_ms| Leadership { epoch, since, cause, silent_ms };
        let leader = Leader {
            status: LeaderStatus::Leading,
            now: 100_000,
            leaderships: vec![
                leadership(1, 40_000, LeaderChangeCause::Started, None),
                leadership(2, 90_000, LeaderChangeCause::LeaseExpired, Some(3_010)),
            ],
            takeover: Some(TakeoverOutcome::Adopted),
            reason: None,
        };
        let text = describe(&leader);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "The JobManager leads the job. It has taken over running tasks.");
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
        assert_eq!(words(lines[3]), "2 10 s ago LEASE_EXPIRED 3010 ms");
        assert_eq!(words(lines[4]), "1 1 min ago STARTED -");
    }
}
