//! The output of commands: answers go to standard output, everything else to standard error.

use crate::error::CliError;
use serde::Serialize;
use std::io::{self, ErrorKind, Write};

/// Prints an answer. A reader may close the pipe early (`reflow list | head -1`).
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(CliError::Output(e)),
        _ => Ok(()),
    }
}

/// Prints an answer for programs.
pub(crate) fn print_json(answer: &impl Serialize) -> Result<(), CliError> {
    let json = serde_json::to_string_pretty(answer).map_err(io::Error::from).map_err(CliError::Output)?;
    print(&format!("{json}\n"))
}

/// Prints an error.
pub(crate) fn print_error(error: &CliError) {
    drop(writeln!(io::stderr(), "reflow: {error}"));
}
