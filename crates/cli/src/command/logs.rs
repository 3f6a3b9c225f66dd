//! The command `reflow logs`.

use crate::args::Logs;
use crate::client::{Client, escape};
use crate::error::CliError;
use crate::output::{print, print_json, while_read, write};
use crate::selection;
use crate::table::{bytes, duration_ms, table};
use crate::wait;
use reflow_env::real::Clock;
use reflow_schema::LogFiles;
use std::time::Duration;

/// How often a log is asked for what was added to it.
const POLL: Duration = Duration::from_millis(500);
/// How many bytes of a log's end are searched first for the beginning of its last lines.
const FIRST_END_BYTES: u64 = 64 << 10;

pub(crate) fn run(arguments: &Logs) -> Result<(), CliError> {
    let client = Client::new(&arguments.connection)?;
    let process = match &arguments.task_manager {
        None => "/jobmanager".to_owned(),
        Some(wanted) => format!("/taskmanagers/{}", selection::find_task_manager(&client, wanted)?.id),
    };
    if arguments.list {
        return list(arguments, &client.log_files(&process)?);
    }
    let path = match &arguments.file {
        Some(name) => format!("{process}/logs/{}", escape(name)),
        None if arguments.stdout => format!("{process}/stdout"),
        None => format!("{process}/log"),
    };
    while_read(copy(arguments, &client, &path))
}

fn copy(arguments: &Logs, client: &Client, path: &str) -> Result<(), CliError> {
    let mut from = match arguments.lines {
        None => 0,
        Some(lines) => {
            start_of_last(lines, |length| client.log_end(path, length).map(|part| (part.size, part.bytes)))?
        }
    };
    loop {
        let part = client.log_from(path, from)?;
        if part.size < from {
            from = 0; // another file has its name, or it was truncated
            continue;
        }
        from += part.bytes.len() as u64;
        write(&part.bytes)?;
        match (part.bytes.is_empty(), arguments.follow) {
            (false, _) => {}
            (true, false) => return Ok(()),
            (true, true) => wait::pause(POLL),
        }
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

/// Where the last lines of a log begin. `end` returns its length, and its last bytes.
fn start_of_last(
    lines: usize,
    end: impl Fn(u64) -> Result<(u64, Vec<u8>), CliError>,
) -> Result<u64, CliError> {
    let mut length = FIRST_END_BYTES;
    loop {
        let (size, bytes) = end(length)?;
        let before_end = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let line_ends = before_end.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
        let start = match lines {
            0 => Some(bytes.len()),
            _ => line_ends.map(|(at, _)| at + 1).nth(lines - 1),
        };
        if let Some(start) = start {
            return Ok(size - (bytes.len() - start) as u64);
        }
        if length >= size {
            return Ok(0);
        }
        length = length.saturating_mul(4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(log: &str, lines: usize, expected: &str) {
        let end = |length: u64| {
            let from = log.len().saturating_sub(length as usize);
            Ok((log.len() as u64, log.as_bytes()[from..].to_vec()))
        };
        let start = start_of_last(lines, end).unwrap();
        assert_eq!(&log[start as usize..], expected);
    }

    #[test]
    fn the_last_lines_begin_behind_a_line_end() {
        check("a\nb\nc\n", 1, "c\n");
        check("a\nb\nc\n", 2, "b\nc\n");
        check("a\nb\nc", 2, "b\nc");
        check("a\nb\nc\n", 3, "a\nb\nc\n");
        check("a\nb\nc\n", 99, "a\nb\nc\n");
        check("a\nb\nc\n", 0, "");
        check("", 5, "");
    }

    #[test]
    fn long_lines_are_found_far_from_the_end() {
        let long = "x".repeat(3 * FIRST_END_BYTES as usize);
        check(&format!("first\n{long}\nlast\n"), 2, &format!("{long}\nlast\n"));
    }
}
