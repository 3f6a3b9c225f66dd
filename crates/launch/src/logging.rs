//! Logs and messages of panics on standard error. The scripts redirect it to a file.

use crate::log_queue::LogQueue;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// How long a process that ends waits until standard error has accepted the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

static QUEUE: OnceLock<LogQueue> = OnceLock::new();

/// Starts logging at the levels of `RUST_LOG`, or from the level `default` on.
///
/// Log lines and messages of panics neither wait for standard error nor fail with it. Call [`finish`] before the
/// process ends.
pub fn start(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let terminal = std::io::stderr().is_terminal();
    let queue = QUEUE.get_or_init(|| LogQueue::start(std::io::stderr()));
    let writer = || queue.clone();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(terminal).init();
    std::panic::set_hook(Box::new(|info| queue.push(panic_message(info).as_bytes())));
}

/// Waits until all log lines are written, at most for a second. Call it when the process ends.
pub fn finish() {
    if let Some(queue) = QUEUE.get() {
        queue.flush(LAST_LINES);
    }
}

/// The message of a panic, in the standard library's format.
fn panic_message(info: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("<unnamed>");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let message = info.payload_as_str().unwrap_or("no message");
    let backtrace = Backtrace::capture();
    let shown = match backtrace.status() {
        BacktraceStatus::Captured => format!("stack backtrace:\n{backtrace}"),
        _ => String::new(),
    };
    format!("thread '{name}' panicked at {place}:\n{message}\n{shown}")
}
