//! Waiting for a savepoint, with a sign of life on a terminal.

use crate::client::{Client, JobOverview, SavepointStatus};
use crate::error::CliError;
use crate::output::duration;
use reflow_env::real::Clock;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// How often the JobManager is asked.
const POLL: Duration = Duration::from_millis(200);
/// How many requests may fail in a row: a JobManager that restarts comes back, one that has ended does not.
const MAX_FAILURES: u32 = 10;

/// Where the savepoint is, once it is complete.
pub(crate) fn for_savepoint(
    client: &Client,
    job: &JobOverview,
    request: &str,
    patience: Duration,
) -> Result<String, CliError> {
    let clock = Clock::start();
    let started = clock.now();
    let mut line = ProgressLine::new(&job.name);
    let mut failures = 0;
    loop {
        let waited = clock.now().since(started);
        match client.savepoint_status(&job.jid, request) {
            Ok(SavepointStatus::Completed { location }) => return Ok(location),
            Ok(SavepointStatus::Failed { cause }) => {
                return Err(CliError::SavepointFailed { job: job.name.clone(), cause });
            }
            Ok(SavepointStatus::InProgress) => failures = 0,
            Err(CliError::Unreachable { address, .. }) => {
                failures += 1;
                if failures == MAX_FAILURES {
                    return Err(CliError::Lost { job: job.name.clone(), address });
                }
            }
            Err(e) => return Err(e),
        }
        if waited >= patience {
            return Err(CliError::TimedOut { job: job.name.clone(), waited: duration(waited) });
        }
        line.show(waited);
        pause(POLL.min(patience.saturating_sub(waited)));
    }
}

#[expect(clippy::disallowed_methods, reason = "REST offers nothing to wait for: it can only be asked again")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// A line on the terminal that goes away at the end; nothing if standard error is none.
struct ProgressLine<'a> {
    job: &'a str,
    terminal: bool,
}

impl<'a> ProgressLine<'a> {
    fn new(job: &'a str) -> Self {
        Self { job, terminal: io::stderr().is_terminal() }
    }

    fn show(&mut self, waited: Duration) {
        if self.terminal {
            drop(write!(io::stderr(), "\r\x1b[Ksavepoint of {} … {}", self.job, duration(waited)));
        }
    }
}

impl Drop for ProgressLine<'_> {
    fn drop(&mut self) {
        if self.terminal {
            drop(write!(io::stderr(), "\r\x1b[K"));
        }
    }
}
