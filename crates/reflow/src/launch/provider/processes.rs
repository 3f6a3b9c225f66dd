//! TaskManagers that a program starts, and that are counted when they register.

use super::Provider;
use reflow_coordination::autoscaler::provisioning::Rules;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The variable with the number of TaskManagers for the user's command.
const COUNT: &str = "REFLOW_TASK_MANAGERS";

/// `bin/taskmanager.sh` of the distribution, on this machine.
pub(super) struct Scripts(pub(super) PathBuf);

impl Provider for Scripts {
    type Found = ();

    fn rules(&self) -> Rules {
        Rules::of_registered(true)
    }

    async fn look(&self, registered: u32) -> Result<(u32, ()), String> {
        Ok((registered, ()))
    }

    async fn change(&self, (from, ()): (u32, ()), to: u32) -> Result<bool, String> {
        let script = self.0.clone();
        let command = if to > from { "start" } else { "stop" };
        blocking(move || (0..from.abs_diff(to)).try_for_each(|_| run(Command::new(&script).arg(command))))
            .await
    }
}

/// A shell command of the user.
pub(super) struct Shell(pub(super) String);

impl Provider for Shell {
    type Found = ();

    fn rules(&self) -> Rules {
        Rules::of_registered(false)
    }

    async fn look(&self, registered: u32) -> Result<(u32, ()), String> {
        Ok((registered, ()))
    }

    async fn change(&self, _: (u32, ()), to: u32) -> Result<bool, String> {
        let command = self.0.clone();
        blocking(move || run(Command::new("sh").args(["-c", &command]).env(COUNT, to.to_string()))).await
    }
}

/// Waits for programs on a thread of their own.
async fn blocking(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<bool, String> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?;
    done.map(|()| true).map_err(|error| error.to_string())
}

/// Runs a command in a process group of its own, because what it starts must outlive a Ctrl-C for the JobManager.
fn run(command: &mut Command) -> io::Result<()> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{command:?} ended with {status}"))) }
}
