//! Process 1 of a container: starts the working process, forwards signals to it and reaps orphans.
//!
//! The kernel makes process 1 the parent of each orphan. An orphan that ends and is not waited for keeps its entry in
//! the process table, until the table is full. A process that waits for its own children cannot reap orphans as well,
//! because it would take its children's exit codes from itself. So process 1 does nothing else. It ends when the working
//! process ends, with the same status; the kernel then kills the rest of the container.

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use tokio::signal::unix::{SignalKind, signal};

/// Whether this is the first process of its container or machine.
#[must_use]
pub fn is_first_process() -> bool {
    std::process::id() == 1
}

/// Runs `command` and waits for every orphan until it ends; its exit code, or 128 and the signal that ended it.
///
/// SIGTERM and SIGINT are handed on. The command has a process group of its own, so that what a terminal sends to a
/// group does not reach it twice.
///
/// # Errors
/// If the command cannot be started, or the system does not let this process wait.
pub fn run_as_first_process(command: &mut Command) -> io::Result<i32> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let mut ended = signal(SignalKind::child())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let worker = start(command)?;
        loop {
            if let Some(code) = reap(worker)? {
                return Ok(code);
            }
            tokio::select! {
                _ = ended.recv() => {}
                _ = terminate.recv() => hand_on(worker, Signal::TERM),
                _ = interrupt.recv() => hand_on(worker, Signal::INT),
            }
        }
    })
}

fn start(command: &mut Command) -> io::Result<Pid> {
    let child = command.process_group(0).spawn()?;
    Ok(Pid::from_raw(child.id().cast_signed()).expect("a child's id is not 0"))
}

/// Waits for all processes that have ended. Returns the exit code of the worker if it was one of them.
fn reap(worker: Pid) -> io::Result<Option<i32>> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == worker => return Ok(Some(code(status))),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

fn code(status: WaitStatus) -> i32 {
    status.exit_status().or(status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(1)
}

/// Forwards a signal. An error is ignored: if the worker is gone, waiting for it shows that.
fn hand_on(worker: Pid, signal: Signal) {
    if let Err(error) = kill_process(worker, signal) {
        tracing::debug!("a signal cannot be handed on: {error}");
    }
}
