//! Logs to standard error. The scripts send it to a file.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging: `RUST_LOG`, or everything from `default` on.
pub fn start(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal).init();
}
