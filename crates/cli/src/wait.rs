//! Waiting for operations that take time, with progress on a terminal.

use crate::client::Client;
use crate::error::CliError;
use crate::table::duration;
use reflow_env::real::Clock;
use reflow_schema::{JobOverview, OperationOutcome};
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// How often the JobManager is asked.
const POLL: Duration = Duration::from_millis(200);
/// How many consecutive requests may fail. A JobManager that restarts answers again, one that has ended does not.
const MAX_FAILURES: u32 = 10;

/// The status of an operation.
pub(crate) enum Standing<T> {
    Done(T),
    /// Under way, with its progress as text.
    UnderWay(String),
}

/// Why the wait ended before the operation.
pub(crate) enum Stopped {
    /// The time-out has passed.
    TimedOut { waited: String, standing: String },
    /// The JobManager no longer answers.
    Lost { address: String },
    /// The operation failed.
    Failed(CliError),
}

impl Stopped {
    /// The error of the wait for `what`.
    pub(crate) fn error(self, what: String) -> CliError {
        match self {
            Self::TimedOut { waited, standing } => CliError::NotYet { what, waited, standing },
            Self::Lost { address } => CliError::LostMeanwhile { what, address },
            Self::Failed(error) => error,
        }
    }
}

/// Polls the status of an operation until it is done.
pub(crate) fn until<T>(
    patience: Duration,
    mut ask: impl FnMut() -> Result<Standing<T>, CliError>,
) -> Result<T, Stopped> {
    let clock = Clock::start();
    let started = clock.now();
    let line = ProgressLine { terminal: io::stderr().is_terminal() };
    let mut failures = 0;
    let mut last = String::new();
    loop {
        let waited = clock.now().since(started);
        match ask() {
            Ok(Standing::Done(value)) => return Ok(value),
            Ok(Standing::UnderWay(standing)) => {
                failures = 0;
                last = standing;
            }
            Err(CliError::Unreachable { address, .. }) => {
                failures += 1;
                if failures == MAX_FAILURES {
                    return Err(Stopped::Lost { address });
                }
            }
            Err(e) => return Err(Stopped::Failed(e)),
        }
        if waited >= patience {
            return Err(Stopped::TimedOut { waited: duration(waited), standing: last });
        }
        line.show(&last, waited);
        pause(POLL.min(patience.saturating_sub(waited)));
    }
}

/// Waits until the savepoint is complete and returns its location.
pub(crate) fn for_savepoint(
    client: &Client,
    job: &JobOverview,
    request: &str,
    patience: Duration,
) -> Result<String, CliError> {
    let name = || job.name.clone();
    let ask = || match client.savepoint(&job.jid, request)? {
        Some(OperationOutcome::Location(location)) => Ok(Standing::Done(location)),
        Some(OperationOutcome::Checkpoint(id)) => Ok(Standing::Done(format!("checkpoint {id}"))),
        Some(OperationOutcome::FailureCause(cause)) => {
            let cause = cause.stack_trace.lines().next().unwrap_or_default().trim().to_owned();
            Err(CliError::SavepointFailed { job: name(), cause })
        }
        None => Ok(Standing::UnderWay(format!("savepoint of {}", job.name))),
    };
    until(patience, ask).map_err(|stopped| match stopped {
        Stopped::TimedOut { waited, .. } => CliError::TimedOut { job: name(), waited },
        Stopped::Lost { address } => CliError::Lost { job: name(), address },
        Stopped::Failed(error) => error,
    })
}

#[expect(clippy::disallowed_methods, reason = "REST offers nothing to wait for: it can only be asked again")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// A progress line on the terminal, which is removed at the end. Prints nothing if standard error is not a
/// terminal.
struct ProgressLine {
    terminal: bool,
}

impl ProgressLine {
    fn show(&self, standing: &str, waited: Duration) {
        if self.terminal {
            drop(write!(io::stderr(), "\r\x1b[K{standing} … {}", duration(waited)));
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if self.terminal {
            drop(write!(io::stderr(), "\r\x1b[K"));
        }
    }
}
