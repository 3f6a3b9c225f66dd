//! Child processes: OS processes with a group of their own, or threads in their place.
//!
//! A child's standard input stays open until the child has exited or this process is gone;
//! [`parent`](super::parent) is the child's side. There is exactly one [`Input::ChildExited`] for each child,
//! also for one that could not be started.

use super::alive::Alive;
use super::inbox::{Event, Inbox};
use crate::{ChildCommand, ChildId, Input};
use rustix::process::{Pid, Signal as UnixSignal, kill_process_group};
use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStdin, Command};
use tokio::sync::Notify;

/// The children of one process that have not exited.
pub(super) struct Children {
    running: HashMap<ChildId, Kill>,
    inbox: Inbox,
}

/// The way to kill a child.
enum Kill {
    Process(Arc<Notify>),
    Thread(Inbox),
}

impl Children {
    pub(super) fn new(inbox: Inbox) -> Self {
        Self { running: HashMap::new(), inbox }
    }

    /// Starts an OS process.
    pub(super) fn start(
        &mut self,
        child: ChildId,
        command: ChildCommand,
        runtime: &tokio::runtime::Handle,
        alive: Alive,
    ) {
        let kill = Arc::new(Notify::new());
        self.running.insert(child, Kill::Process(kill.clone()));
        let inbox = self.inbox.clone();
        runtime.spawn(async move {
            let status = run_process(command, &kill).await;
            inbox.push_input(Input::ChildExited { child, status });
            drop(alive);
        });
    }

    /// Adds a child that runs on a thread. `inbox` is that of its process.
    pub(super) fn add_thread(&mut self, child: ChildId, inbox: Inbox) {
        self.running.insert(child, Kill::Thread(inbox));
    }

    pub(super) fn kill(&self, child: ChildId) {
        if let Some(kill) = self.running.get(&child) {
            kill.now();
        }
    }

    pub(super) fn kill_all(&self) {
        self.running.values().for_each(Kill::now);
    }

    /// Removes a child that has exited.
    pub(super) fn ended(&mut self, child: ChildId) {
        self.running.remove(&child);
    }
}

impl Kill {
    fn now(&self) {
        match self {
            Self::Process(kill) => kill.notify_one(),
            Self::Thread(inbox) => inbox.push(Event::Kill),
        }
    }
}

/// Runs the command until it exits, and returns its exit status as text.
async fn run_process(command: ChildCommand, kill: &Notify) -> String {
    let program = command.program.display();
    let spawned = Command::new(&command.program)
        .args(&command.args)
        .stdin(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(e) => return format!("cannot start {program}: {e}"),
    };
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let stdin = child.stdin.take().expect("standard input is a pipe");
    let status = tokio::select! {
        status = child.wait() => status,
        () = feed(stdin, &command.stdin) => unreachable!("feeding ends with the child"),
        () = kill.notified() => {
            if let Some(group) = group
                && let Err(e) = kill_process_group(group, UnixSignal::KILL)
            {
                tracing::warn!("cannot kill the process group of {program}: {e}");
            }
            child.wait().await
        }
    };
    match status {
        Ok(status) => process_status(status),
        Err(e) => format!("cannot wait for {program}: {e}"),
    }
}

/// Writes the data for the child's standard input and keeps the pipe open.
async fn feed(mut stdin: ChildStdin, bytes: &[u8]) {
    if let Err(e) = stdin.write_all(bytes).await {
        tracing::debug!("a child did not read its standard input: {e}");
    }
    std::future::pending::<()>().await;
    drop(stdin);
}

fn process_status(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}
