//! The output of commands: answers go to standard output, everything else to standard error.

use crate::error::CliError;
use serde::Serialize;
use std::io::{self, ErrorKind, IsTerminal, Write};

/// Prints an answer. A reader may close the pipe early (`reflow list | head -1`).
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    while_read(write(text.as_bytes()))
}

/// The result of printing. It is no error that nobody reads the rest.
pub(crate) fn while_read(result: Result<(), CliError>) -> Result<(), CliError> {
    match result {
        Err(CliError::Output(e)) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Prints bytes of an answer that has more. It fails if nobody reads it any more.
pub(crate) fn write(bytes: &[u8]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(CliError::Output)
}

/// Says something beside an answer, on standard error.
pub(crate) fn note(text: &str) {
    drop(writeln!(io::stderr(), "reflow: {text}"));
}

/// Whether answers are coloured: only on a terminal, and not if the user has set `NO_COLOR`.
pub(crate) fn is_coloured() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
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
