//! Files that the scripts in `bin/` write. They read these options too, before a process starts.

use std::path::PathBuf;

use super::{Section, section};
use crate::option::{ConfigOption, Default, option};

section! { "Logs and pid files" {
    /// The directory of log files.
    LOG_DIR: PathBuf = option("env.log.dir").default_from(Default::InHome("log"));

    /// How many older log files of a process are kept.
    LOG_MAX_FILES: u32 = option("env.log.max").default("10").between(0, 10_000);

    /// The directory of the files that name the running processes.
    PID_DIR: PathBuf = option("env.pid.dir").default("/tmp");
}}
