//! The log of outputs and their times. The keyed operator of the job writes a file for each subtask, and the
//! benchmark reads it.
//!
//! An entry is 16 bytes into a buffer, which goes to the file every 20 ms; a process that is killed takes what it
//! has written since then with it.

use crate::clock;
use reflow_types::KeyGroup;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

const ENTRY_BYTES: usize = 16;
const FLUSH_EVERY_US: u64 = 20_000;

/// Numbers the files of a process.
static FILES: AtomicU32 = AtomicU32::new(0);

/// An output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it left the keyed operator, in microseconds since the Unix epoch.
    pub at_us: u64,
    /// Which record.
    pub record: u32,
    /// Its key's group.
    pub group: KeyGroup,
}

/// Writes entries. A clone has a file of its own.
pub struct Recorder {
    directory: PathBuf,
    file: Option<File>,
    buffer: Vec<u8>,
    flushed_us: u64,
}

impl Recorder {
    /// Writes into a new file in `directory`, once there is something to write.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, file: None, buffer: Vec::new(), flushed_us: 0 }
    }

    /// Takes note of an output.
    #[inline]
    pub fn record(&mut self, entry: Entry) -> io::Result<()> {
        self.buffer.extend_from_slice(&entry.encode());
        if entry.at_us >= self.flushed_us + FLUSH_EVERY_US {
            self.flushed_us = entry.at_us;
            return self.flush();
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            unopened => {
                let number = FILES.fetch_add(1, Ordering::Relaxed);
                let name = format!("{}-{number}", std::process::id());
                unopened.insert(File::create_new(self.directory.join(name))?)
            }
        };
        file.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

impl Clone for Recorder {
    fn clone(&self) -> Self {
        Self::new(self.directory.clone())
    }
}

impl Drop for Recorder {
    /// A subtask that leaves has still something to say; one that fails need not.
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

impl Entry {
    /// An output of now.
    pub fn now(record: u64, group: KeyGroup) -> Self {
        let record = u32::try_from(record).expect("a run has fewer than four billion records");
        Self { at_us: clock::wall_us(), record, group }
    }

    fn encode(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..8].copy_from_slice(&self.at_us.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.record.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.group.0.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Self {
        let part = |from: usize, len: usize| {
            let mut word = [0; 8];
            word[..len].copy_from_slice(&bytes[from..from + len]);
            u64::from_le_bytes(word)
        };
        Self { at_us: part(0, 8), record: part(8, 4) as u32, group: KeyGroup(part(12, 2) as u16) }
    }
}

/// An entry and the process that wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The entry.
    pub entry: Entry,
    /// The process: with one slot each, it is the subtask's place.
    pub process: u32,
}

/// The entries of a job under way.
pub struct Logs {
    directory: PathBuf,
    /// How much of each file was read.
    read: BTreeMap<PathBuf, u64>,
    /// In the order of their moments, as far as they were read.
    pub seen: Vec<Seen>,
}

impl Logs {
    /// The files in `directory`, which is made.
    pub fn new(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        Ok(Self { directory: directory.to_owned(), read: BTreeMap::new(), seen: Vec::new() })
    }

    /// Reads what is new.
    pub fn read(&mut self) -> io::Result<()> {
        for file in fs::read_dir(&self.directory)? {
            let path = file?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some(process) = name.split('-').next().and_then(|pid| pid.parse().ok()) else { continue };
            let offset = self.read.entry(path.clone()).or_default();
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(*offset))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            let entries = bytes.chunks_exact(ENTRY_BYTES);
            *offset += (bytes.len() - entries.remainder().len()) as u64;
            self.seen.extend(entries.map(|bytes| Seen { entry: Entry::decode(bytes), process }));
        }
        self.seen.sort_by_key(|seen| seen.entry.at_us);
        Ok(())
    }

    /// Forgets what is older.
    pub fn forget_before(&mut self, at_us: u64) {
        let first = self.seen.partition_point(|seen| seen.entry.at_us < at_us);
        self.seen.drain(..first);
    }

    /// The entries from this moment on.
    pub fn since(&self, at_us: u64) -> &[Seen] {
        &self.seen[self.seen.partition_point(|seen| seen.entry.at_us < at_us)..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_once_and_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let mut logs = Logs::new(directory.path()).unwrap();
        let entry = |at_us, record| Entry { at_us, record, group: KeyGroup(513) };
        let mut first = Recorder::new(directory.path().to_owned());
        let mut second = first.clone();
        first.record(entry(100_000, 7)).unwrap();
        second.record(entry(50_000, u32::MAX)).unwrap();
        first.record(entry(100_001, 8)).unwrap();
        logs.read().unwrap();
        let records = |logs: &Logs| logs.seen.iter().map(|seen| seen.entry).collect::<Vec<_>>();
        assert_eq!(records(&logs), [entry(50_000, u32::MAX), entry(100_000, 7)]);
        drop(first);
        logs.read().unwrap();
        assert_eq!(records(&logs).last(), Some(&entry(100_001, 8)), "the rest comes when it is dropped");
        assert_eq!(logs.since(100_000).len(), 2);
        logs.forget_before(100_001);
        logs.read().unwrap();
        assert_eq!(records(&logs), [entry(100_001, 8)]);
    }
}
