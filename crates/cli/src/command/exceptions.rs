//! The command `reflow exceptions`.

use crate::args::Exceptions as Arguments;
use crate::client::Client;
use crate::error::CliError;
use crate::output::{print, print_json};
use crate::selection::{self, Among};
use crate::table::{duration_ms, printable};
use reflow_schema::{Exception, Exceptions};

pub(crate) fn run(arguments: &Arguments) -> Result<(), CliError> {
    let client = Client::new(&arguments.connection)?;
    let job = selection::find(&client, arguments.job.as_deref(), Among::All)?;
    let exceptions = client.exceptions(&job.jid, arguments.max)?;
    if arguments.connection.json {
        return print_json(&exceptions);
    }
    if exceptions.exception_history.entries.is_empty() {
        return print(&format!("{} ({}) has not failed.\n", printable(&job.name), job.jid));
    }
    let now_ms = client.job(&job.jid)?.now;
    print(&describe(&exceptions, now_ms))
}

/// One paragraph for each failure: when and where, and below it what.
fn describe(exceptions: &Exceptions, now_ms: i64) -> String {
    let history = &exceptions.exception_history;
    let entry = |entry: &reflow_schema::ExceptionEntry| {
        let also = entry.concurrent_exceptions.iter().map(|exception| {
            let lines = indented(&exception.stacktrace);
            format!("  at the same time {}:\n{lines}", place(exception))
        });
        let exception = &entry.exception;
        let ago = duration_ms(now_ms - exception.timestamp);
        let also: String = also.collect();
        format!("{ago} ago, {}:\n{}{also}", place(exception), indented(&exception.stacktrace))
    };
    let entries: Vec<String> = history.entries.iter().map(entry).collect();
    let more = if history.truncated { "\nOlder failures are left out (--max).\n" } else { "" };
    entries.join("\n") + more
}

/// `task count (1/2) on host:port`, as far as it is known.
fn place(exception: &Exception) -> String {
    let task =
        exception.task_name.as_ref().map_or_else(|| "the job".to_owned(), |task| format!("task {task}"));
    let on = exception.endpoint.as_ref().map(|endpoint| format!(" on {endpoint}")).unwrap_or_default();
    printable(&format!("{task}{on}"))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {}\n", printable(line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_failure_is_a_paragraph() {
        let exception = |task: Option<&str>| {
            json!({
                "exceptionName": "x", "stacktrace": "operator parse: bad\u{1b}[2J\nline 2", "timestamp": 1_000,
                "failureLabels": {}, "taskName": task, "endpoint": task.map(|_| "h:1"),
            })
        };
        let mut first = exception(Some("parse (1/2)"));
        first["concurrentExceptions"] = json!([exception(None)]);
        let history = json!({ "exceptionHistory": { "entries": [first], "truncated": true } });
        let text = describe(&serde_json::from_value(history).unwrap(), 62_000);
        let expected = "1 min 1 s ago, task parse (1/2) on h:1:\n    operator parse: bad\u{fffd}[2J\n    line 2\n  \
                        at the same time the job:\n    operator parse: bad\u{fffd}[2J\n    line 2\n\n\
                        Older failures are left out (--max).\n";
        assert_eq!(text, expected);
    }
}
