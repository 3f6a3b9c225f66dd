//! A failure on demand: user code fails when somebody has created a file.

use crate::clock;
use reflow::UserError;
use std::fs;
use std::path::PathBuf;

const LOOK_EVERY_US: u64 = 20_000;

/// Looks for a file now and then.
#[derive(Clone)]
pub struct Trap {
    file: PathBuf,
    looked_us: u64,
}

impl Trap {
    /// Fails when this file exists.
    pub fn new(file: PathBuf) -> Self {
        Self { file, looked_us: 0 }
    }

    /// Removes the file, so that one subtask fails once.
    ///
    /// # Errors
    /// If the file exists.
    pub fn look(&mut self) -> Result<(), UserError> {
        let now_us = clock::wall_us();
        if now_us < self.looked_us + LOOK_EVERY_US {
            return Ok(());
        }
        self.looked_us = now_us;
        match fs::remove_file(&self.file) {
            Ok(()) => Err(format!("{} demands it", self.file.display()).into()),
            Err(_) => Ok(()),
        }
    }
}
