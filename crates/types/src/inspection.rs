//! What a process tells about itself when a user asks: its log files and its threads.
//!
//! REST asks the JobManager's process directly, and a TaskManager over its connection to the JobManager. A log is read in
//! parts, so that a message is small however long the file is.

use serde::{Deserialize, Serialize};

/// The most bytes of a log that one answer contains.
pub const MAX_LOG_PART_BYTES: u32 = 256 << 10;

/// Answers an inquiry about this process. May block.
pub type Inspect = fn(&Inquiry) -> Inspection;

/// A question to a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Inquiry {
    /// Its log files. Answered by [`Finding::LogFiles`].
    LogFiles,
    /// A part of a log file. Answered by [`Finding::LogPart`].
    LogPart {
        /// The file.
        log: LogName,
        /// Where the part begins, in bytes.
        from: u64,
        /// Its length in bytes. The answer has fewer if the file ends before, and at most [`MAX_LOG_PART_BYTES`].
        length: u32,
    },
    /// Its threads, and those of its executors. Answered by [`Finding::Threads`].
    Threads,
}

/// Names a log file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogName {
    /// The log that the process writes.
    Log,
    /// Its standard output.
    Stdout,
    /// The file with this name in the directory of the log. A user has chosen the name, so the process that opens the file
    /// checks it.
    Named(String),
}

/// The answer to an inquiry.
pub type Inspection = Result<Finding, InspectionError>;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finding {
    /// The log files, by name.
    LogFiles(Vec<LogFile>),
    /// A part of a log file.
    LogPart(LogPart),
    /// The threads of the process, and then those of its executors.
    Threads(Vec<Thread>),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum InspectionError {
    /// There is no such log file, or the process writes its log to no file.
    #[error("there is no such log file")]
    NoSuchLog,
    /// The system refused.
    #[error("{0}")]
    Failed(String),
}

/// A log file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFile {
    /// Its name, without the directory.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last written, in milliseconds since the Unix epoch.
    pub modified_ms: i64,
}

/// A part of a log file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPart {
    /// Identifies the file: another one may have its name meanwhile, because logs are rotated.
    pub file: FileId,
    /// The length of the whole file in bytes.
    pub size: u64,
    /// The bytes from the requested place on.
    pub bytes: Vec<u8>,
}

/// Identifies a file of a machine, whatever its name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileId {
    /// The device.
    pub device: u64,
    /// The number of the file on the device.
    pub inode: u64,
}

/// A thread of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// The process id.
    pub process: u32,
    /// The thread id.
    pub id: u32,
    /// Its name, of which Linux keeps 15 bytes.
    pub name: String,
    /// What it does.
    pub state: ThreadState,
    /// The processor time that it has used, in milliseconds.
    pub cpu_ms: u64,
    /// The kernel's function in which it waits, if the process may know it.
    pub waits_in: Option<String>,
}

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ThreadState {
    /// It runs, or waits for a processor.
    Running,
    /// It waits for an event.
    Waiting,
    /// It waits for a device, and cannot be interrupted.
    WaitingForDevice,
    /// A debugger or a signal has stopped it.
    Stopped,
    /// It has ended.
    Ended,
}
