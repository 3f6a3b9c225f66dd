//! The command `reflow checkpoints`.

use crate::args::Checkpoints as Arguments;
use crate::client::Client;
use crate::error::CliError;
use crate::output::{print, print_json};
use crate::selection::{self, Among};
use crate::table::{bytes, duration_ms, millis, table};
use reflow_schema::{Checkpoint, CheckpointStatus, Checkpoints};

pub(crate) fn run(arguments: &Arguments) -> Result<(), CliError> {
    let client = Client::new(&arguments.connection)?;
    let job = selection::find(&client, arguments.job.as_deref(), Among::All)?;
    let checkpoints = client.checkpoints(&job.jid)?;
    if arguments.connection.json {
        return print_json(&checkpoints);
    }
    let now_ms = client.job(&job.jid)?.now;
    print(&describe(&checkpoints, now_ms))
}

fn describe(checkpoints: &Checkpoints, now_ms: i64) -> String {
    let counts = &checkpoints.counts;
    let mut text = format!(
        "{} completed, {} failed, {} in progress, {} restored\n",
        counts.completed, counts.failed, counts.in_progress, counts.restored
    );
    if let Some(restored) = &checkpoints.latest.restored {
        let kind = if restored.is_savepoint { "savepoint" } else { "checkpoint" };
        let ago = duration_ms(now_ms - restored.restore_timestamp);
        text += &format!("Restored {ago} ago from {kind} {}: {}\n", restored.id, restored.external_path);
    }
    if checkpoints.history.is_empty() {
        return text;
    }
    let rows = checkpoints.history.iter().map(|checkpoint| row(checkpoint, now_ms));
    let header = ["ID", "KIND", "STATUS", "AGO", "TOOK", "WRITTEN", "STATE", "ACKNOWLEDGED", "WHERE OR WHY"];
    text + "\n" + &table(header, rows)
}

fn status(status: CheckpointStatus) -> &'static str {
    match status {
        CheckpointStatus::InProgress => "IN_PROGRESS",
        CheckpointStatus::Completed => "COMPLETED",
        CheckpointStatus::Failed => "FAILED",
    }
}

fn row(checkpoint: &Checkpoint, now_ms: i64) -> [String; 9] {
    let detail = checkpoint.failure_message.as_ref().or(checkpoint.external_path.as_ref());
    [
        checkpoint.id.to_string(),
        checkpoint.checkpoint_type.to_lowercase(),
        status(checkpoint.status).to_owned(),
        duration_ms(now_ms - checkpoint.trigger_timestamp),
        millis(i64::try_from(checkpoint.end_to_end_duration).unwrap_or(i64::MAX)),
        bytes(checkpoint.checkpointed_size),
        bytes(checkpoint.state_size),
        format!("{}/{}", checkpoint.num_acknowledged_subtasks, checkpoint.num_subtasks),
        detail.cloned().unwrap_or_else(|| "-".to_owned()),
    ]
}
