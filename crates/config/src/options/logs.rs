//! Options of the files that the scripts in `bin/` write. The scripts read them by `reflow config` before a
//! process starts.

use std::path::PathBuf;

use super::section::{Section, section};
use crate::option::{ConfigOption, Default, option};

section! { "Logs and pid files" {
    /// The directory of log files. The scripts read it from `conf/config.yaml` and `REFLOW_PROPERTIES`, not
    /// from `-D`; `REFLOW_LOG_DIR` in the environment overrides it.
    LOG_DIR: PathBuf = option("env.log.dir").default_from(Default::InHome("log"));

    /// How many older log files of a process are kept. The scripts read it from `conf/config.yaml` and
    /// `REFLOW_PROPERTIES`, not from `-D`.
    LOG_MAX_FILES: u32 = option("env.log.max").default("10").between(0, 10_000);

    /// The directory of the pid files, which name the running processes. The scripts read it from
    /// `conf/config.yaml` and `REFLOW_PROPERTIES`, not from `-D`; `REFLOW_PID_DIR` in the environment overrides it.
    PID_DIR: PathBuf = option("env.pid.dir").default("/tmp");
}}
