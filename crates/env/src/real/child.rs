//! Child processes: OS processes with a group of their own, or threads that stand in for them.
//!
//! A child's standard input stays open until the child has ended or this process is gone; the child's side is
//! [`parent`](super::parent). [`Input::ChildExited`] comes exactly once for each child, also for one that could
//! not be started.

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

/// The children of one process that have not ended.
pub(super) struct Children {
    running: HashMap<ChildId, Kill>,
    inbox: Inbox,
}

/// How a child is ended.
enum Kill {
    Process(Arc<Notify>),
    Thread(Inbox),
}

impl Children {
    pub(super) fn new(inbox: Inbox) -> Self {
        Self { running: HashMap::new(), inbox }
    }

    /// Starts a process of the OS.
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

    /// A thread stands in for the child; `inbox` is that of the process on it.
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

    /// Forgets a child that has ended.
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

/// Runs the command to its end, and says how it ended.
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

/// Writes the child's first input and keeps the pipe open.
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
