//! Measures how long the job's output is interrupted by a kill.
//!
//! Recovered is a job when a part is committed whose writer was opened after the kill. A part is committed only
//! when its checkpoint is complete, and a checkpoint is complete only when every subtask has taken part: so by
//! then the whole job has been deployed again, has restored its state and has processed records. What is measured
//! includes the next checkpoint, so up to one checkpoint interval.

use super::plan::Fault;
use crate::clock;
use std::fs;
use std::path::{Path, PathBuf};

/// Watches the output for the first part after a kill.
pub struct Recovery {
    output: PathBuf,
    awaited: Option<Kill>,
    /// The kills after which the output came back, with the milliseconds that it took.
    pub samples: Vec<(Fault, f64)>,
    /// Kills that another kill overtook: not measured.
    pub overtaken: usize,
}

#[derive(Clone, Copy)]
struct Kill {
    fault: Fault,
    at_us: u64,
}

impl Recovery {
    /// Watches the committed parts in `output`.
    pub fn new(output: PathBuf) -> Self {
        Self { output, awaited: None, samples: Vec::new(), overtaken: 0 }
    }

    /// A process was killed at this moment, in microseconds since the Unix epoch.
    pub fn killed(&mut self, fault: Fault, at_us: u64) {
        self.overtaken += usize::from(self.awaited.is_some());
        self.awaited = Some(Kill { fault, at_us });
    }

    /// Looks at the output. Returns whether the job has just recovered.
    pub fn look(&mut self) -> bool {
        let Some(kill) = self.awaited else { return false };
        let recovered = newest_writer(&self.output).is_some_and(|opened_us| opened_us > kill.at_us);
        if recovered {
            self.samples.push((kill.fault, (clock::wall_us() - kill.at_us) as f64 / 1e3));
            self.awaited = None;
        }
        recovered
    }
}

/// When the last writer was opened that has committed anything, in microseconds since the Unix epoch.
fn newest_writer(output: &Path) -> Option<u64> {
    let parts = fs::read_dir(output).ok()?.flatten();
    parts.filter_map(|part| opened_us(part.file_name().to_str()?)).max()
}

/// A part's name says when its writer was opened: `part-<microseconds in hexadecimal>-…`.
fn opened_us(part: &str) -> Option<u64> {
    let opened = part.strip_prefix("part-")?.split('-').next()?;
    u64::from_str_radix(opened, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_new_writer_ends_a_recovery() {
        let directory = tempfile::tempdir().unwrap();
        let part = |opened_us: u64, n: u32| {
            fs::write(directory.path().join(format!("part-{opened_us:x}-7-{n}.txt")), "").unwrap();
        };
        let mut recovery = Recovery::new(directory.path().to_owned());
        part(clock::wall_us(), 0);
        assert!(!recovery.look());
        recovery.killed(Fault::KillExecutor, clock::wall_us());
        recovery.killed(Fault::KillJobManager, clock::wall_us());
        part(clock::wall_us() - 1_000_000, 1);
        assert!(!recovery.look());
        part(clock::wall_us() + 1, 0);
        assert!(recovery.look() && !recovery.look());
        assert_eq!((recovery.samples.len(), recovery.overtaken), (1, 1));
        assert_eq!(recovery.samples[0].0, Fault::KillJobManager);
    }
}
