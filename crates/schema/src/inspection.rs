//! The JSON form of log files and threads: `/jobmanager/logs`, `/taskmanagers/:id/thread-dump`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use reflow_types::inspection;
use reflow_types::inspection::ThreadState;

/// `GET /jobmanager/logs`, `GET /taskmanagers/:id/logs`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LogFiles {
    pub logs: Vec<LogFile>,
}

/// A log file.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LogFile {
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// When it was last written, in milliseconds since the Unix epoch.
    pub mtime: i64,
}

impl LogFiles {
    /// The list of these files.
    pub fn of(files: Vec<inspection::LogFile>) -> Self {
        let file =
            |inspection::LogFile { name, size, modified_ms }| LogFile { name, size, mtime: modified_ms };
        Self { logs: files.into_iter().map(file).collect() }
    }
}

/// `GET /jobmanager/thread-dump`, `GET /taskmanagers/:id/thread-dump`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadDump {
    pub thread_infos: Vec<ThreadInfo>,
}

/// A thread.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadInfo {
    pub thread_name: String,
    /// The thread in one line, which begins as Java's: its name, id and state.
    pub stringified_thread_info: String,
}

impl ThreadDump {
    /// The list of these threads.
    pub fn of(threads: Vec<inspection::Thread>) -> Self {
        Self { thread_infos: threads.into_iter().map(ThreadInfo::of).collect() }
    }
}

impl ThreadInfo {
    fn of(thread: inspection::Thread) -> Self {
        let inspection::Thread { process, id, name, state, cpu_ms, waits_in } = thread;
        let state = match state {
            ThreadState::Running => "RUNNABLE",
            ThreadState::Waiting => "WAITING",
            ThreadState::WaitingForDevice => "BLOCKED",
            ThreadState::Stopped => "STOPPED",
            ThreadState::Ended => "TERMINATED",
        };
        let on = waits_in.map(|function| format!(" on {function}")).unwrap_or_default();
        let seconds = cpu_ms as f64 / 1_000.0;
        let line =
            format!("\"{name}\" Id={id} {state}{on}, {seconds:.2} s of processor time, process {process}\n");
        Self { thread_name: name, stringified_thread_info: line }
    }
}
