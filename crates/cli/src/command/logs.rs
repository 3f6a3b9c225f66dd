//! The command `reflow logs`.

use crate::args::Logs;
use crate::client::{Client, LOG_PART_BYTES, LogPart, escape};
use crate::error::CliError;
use crate::output::{note, print, print_json, while_read, write};
use crate::selection;
use crate::table::{bytes, duration_ms, table};
use crate::wait;
use reflow_env::real::Clock;
use reflow_schema::LogFiles;
use std::time::Duration;

/// How often a log is asked for what was added to it.
const POLL: Duration = Duration::from_millis(500);
/// How many consecutive requests may fail while a log is followed. A JobManager that restarts answers again.
const MAX_FAILURES: u32 = 60;

pub(crate) fn run(arguments: &Logs) -> Result<(), CliError> {
    let client = Client::new(&arguments.connection)?;
    let task_manager = match &arguments.task_manager {
        None => None,
        Some(wanted) => Some(selection::find_task_manager(&client, wanted)?.id),
    };
    let process = match &task_manager {
        None => "/jobmanager".to_owned(),
        Some(id) => format!("/taskmanagers/{id}"),
    };
    if arguments.list {
        return list(arguments, &client.log_files(&process)?);
    }
    let path = match &arguments.file {
        Some(name) => format!("{process}/logs/{}", escape(name)),
        None if arguments.stdout => format!("{process}/stdout"),
        None => format!("{process}/log"),
    };
    let log = Log { client: &client, path, task_manager };
    let newest = client.log_end(&log.path)?;
    let start = match arguments.lines {
        None => 0,
        Some(lines) => start_of_last(lines, newest.size, &newest.bytes, |from, length| {
            Ok(client.log_from(&log.path, from, length)?.bytes)
        })?,
    };
    while_read(if arguments.follow { log.follow(newest.file, start) } else { log.copy(&newest, start) })
}

/// A log of a process.
struct Log<'c> {
    client: &'c Client,
    path: String,
    /// Unset: of the JobManager.
    task_manager: Option<String>,
}

impl Log<'_> {
    /// Prints a range of the log. What is added meanwhile is left out: it may be more than can be read.
    fn copy(&self, newest: &LogPart, mut from: u64) -> Result<(), CliError> {
        while from < newest.size {
            let part = self.client.log_from(&self.path, from, newest.size - from)?;
            if part.file != newest.file || part.bytes.is_empty() {
                note("the log was rotated or truncated while it was read");
                break;
            }
            from += part.bytes.len() as u64;
            write(&part.bytes)?;
        }
        Ok(())
    }

    /// Prints the log and what is added to it, until its process has ended.
    fn follow(&self, mut file: Option<String>, mut from: u64) -> Result<(), CliError> {
        let mut failures = 0;
        loop {
            let part = match self.client.log_from(&self.path, from, LOG_PART_BYTES) {
                Ok(part) => part,
                Err(CliError::Unreachable { .. } | CliError::Refused { .. }) if self.has_left() => {
                    return Ok(());
                }
                Err(error @ (CliError::Unreachable { .. } | CliError::Refused { .. }))
                    if failures < MAX_FAILURES =>
                {
                    if failures == 0 {
                        note(&format!("trying again: {error}"));
                    }
                    failures += 1;
                    wait::pause(POLL);
                    continue;
                }
                Err(error) => return Err(error),
            };
            failures = 0;
            if part.file != file || part.size < from {
                note("another log file begins"); // it was rotated or truncated
                (file, from) = (part.file, 0);
                continue;
            }
            from += part.bytes.len() as u64;
            write(&part.bytes)?;
            if part.bytes.is_empty() {
                wait::pause(POLL);
            }
        }
    }

    /// Whether it is the log of a TaskManager that has left, which is said.
    fn has_left(&self) -> bool {
        let Some(id) = &self.task_manager else { return false };
        let found = selection::find_task_manager(self.client, id);
        let has_left = matches!(found, Err(CliError::UnknownTaskManager { .. }));
        if has_left {
            note(&format!("TaskManager {id} has left; the end of its log is in the file on its machine"));
        }
        has_left
    }
}

fn list(arguments: &Logs, files: &LogFiles) -> Result<(), CliError> {
    if arguments.connection.json {
        return print_json(files);
    }
    if files.logs.is_empty() {
        return print("It writes its log to no file: it was started in the foreground.\n");
    }
    let now_ms = Clock::start().now().as_millis();
    let rows = files.logs.iter().map(|file| {
        [file.name.clone(), bytes(file.size), format!("{} ago", duration_ms(now_ms - file.mtime))]
    });
    print(&table(["FILE", "SIZE", "WRITTEN"], rows))
}

/// Where the last lines of a log begin. `newest` are its last bytes; `read` returns others, from a place on. No more than
/// two parts are in memory, however long the lines are.
fn start_of_last(
    lines: usize,
    size: u64,
    newest: &[u8],
    read: impl Fn(u64, u64) -> Result<Vec<u8>, CliError>,
) -> Result<u64, CliError> {
    // The line end at the end of the log begins no other line.
    let mut line_ends = lines.saturating_add(usize::from(newest.ends_with(b"\n")));
    if lines == 0 {
        return Ok(size);
    }
    let mut start = size - newest.len() as u64;
    let mut part = newest.to_vec();
    loop {
        for at in (0..part.len()).rev() {
            if part[at] == b'\n' {
                line_ends -= 1;
                if line_ends == 0 {
                    return Ok(start + at as u64 + 1);
                }
            }
        }
        if start == 0 {
            return Ok(0);
        }
        let from = start.saturating_sub(LOG_PART_BYTES);
        part = read(from, start - from)?;
        start = from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(log: &str, lines: usize, expected: &str) {
        let size = log.len() as u64;
        let newest = &log.as_bytes()[size.saturating_sub(LOG_PART_BYTES) as usize..];
        let read = |from: u64, length: u64| {
            assert!(length <= LOG_PART_BYTES, "a part of {length} bytes");
            Ok(log.as_bytes()[from as usize..(from + length) as usize].to_vec())
        };
        let start = start_of_last(lines, size, newest, read).unwrap();
        assert_eq!(&log[start as usize..], expected);
    }

    #[test]
    fn the_last_lines_begin_behind_a_line_end() {
        check("a\nb\nc\n", 1, "c\n");
        check("a\nb\nc\n", 2, "b\nc\n");
        check("a\nb\nc", 2, "b\nc");
        check("a\nb\nc\n", 3, "a\nb\nc\n");
        check("a\nb\nc\n", 99, "a\nb\nc\n");
        check("a\nb\nc\n", usize::MAX, "a\nb\nc\n");
        check("a\nb\nc\n", 0, "");
        check("", 5, "");
    }

    #[test]
    fn long_lines_are_found_far_from_the_end() {
        let long = "x".repeat(3 * LOG_PART_BYTES as usize);
        check(&format!("first\n{long}\nlast\n"), 2, &format!("{long}\nlast\n"));
        let exact = "x".repeat(LOG_PART_BYTES as usize - 1);
        check(&format!("first\n{exact}\n"), 1, &format!("{exact}\n"));
    }
}
