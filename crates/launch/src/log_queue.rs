//! A queue of log lines for standard error.
//!
//! Logs are less important than the job: a line that cannot be written is dropped and counted, and the count is
//! written as soon as standard error accepts data again. Threads that log only add to a bounded queue; a separate
//! thread writes, and only that one waits while a pipe is full or a disk is slow. So no slot waits for a reader of
//! logs, and a full disk ends no process.
//!
//! *Rejected:* a non-blocking standard error (`O_NONBLOCK`): the flag belongs to the open file, which this process
//! shares with its parent, its children and often with a shell. Checking for room before each write (`poll`):
//! another process that shares the pipe may use the room in between.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes that may wait to be written.
const MOST_BYTES: usize = 1 << 20;

/// The queue. Clones are the same queue.
#[derive(Clone, Default)]
pub(super) struct LogQueue(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Notified when an entry was added or written.
    changed: Condvar,
}

/// # Invariants
///
/// `bytes` is the length of `entries`, and of those that the thread is writing.
#[derive(Default)]
struct Queue {
    entries: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// Entries dropped since entries were last taken.
    dropped: u64,
}

impl LogQueue {
    /// Creates a queue, and a thread that writes to `target` as long as the process runs.
    pub(super) fn start(target: impl Write + Send + 'static) -> Self {
        let queue = Self::default();
        let ours = queue.clone();
        let thread = std::thread::Builder::new().name("log".to_owned()).spawn(move || ours.write_to(target));
        // If the thread cannot be started, entries are dropped once the queue is full, and the process runs
        // without logs.
        drop(thread);
        queue
    }

    /// Adds an entry of whole lines. Does not wait.
    pub(super) fn push(&self, entry: &[u8]) {
        let mut queue = self.lock();
        if queue.bytes + entry.len() > MOST_BYTES {
            queue.dropped += 1;
            return;
        }
        queue.bytes += entry.len();
        queue.entries.push_back(entry.into());
        drop(queue);
        self.0.changed.notify_all();
    }

    /// Waits until everything is written, at most for `patience`.
    pub(super) fn flush(&self, patience: Duration) {
        let queue = self.lock();
        let waiting = |queue: &mut Queue| queue.bytes > 0;
        drop(self.0.changed.wait_timeout_while(queue, patience, waiting));
    }

    fn write_to(&self, target: impl Write) {
        let mut target = Target { target, within_line: false, lost: 0 };
        loop {
            let (entries, dropped) = self.next();
            for entry in entries {
                target.write_or_count(&entry);
                self.lock().bytes -= entry.len();
            }
            self.0.changed.notify_all();
            target.lost += dropped;
            target.tell_lost();
        }
    }

    /// Waits for entries and takes them, with the number of those that were dropped before.
    fn next(&self) -> (VecDeque<Box<[u8]>>, u64) {
        let empty = |queue: &mut Queue| queue.entries.is_empty();
        let waited = self.0.changed.wait_while(self.lock(), empty);
        let mut queue = waited.unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut queue.entries), std::mem::take(&mut queue.dropped))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The target of the lines.
struct Target<W> {
    target: W,
    /// Whether its last line has no line end.
    within_line: bool,
    /// Entries lost since the last one was written.
    lost: u64,
}

impl<W: Write> Target<W> {
    fn write_or_count(&mut self, entry: &[u8]) {
        self.tell_lost();
        if self.lost > 0 || self.write(entry).is_err() {
            self.lost += 1;
        }
    }

    fn tell_lost(&mut self) {
        if self.lost > 0 {
            let notice =
                format!("{} log entries were dropped here: standard error did not accept them\n", self.lost);
            if self.write(notice.as_bytes()).is_ok() {
                self.lost = 0;
            }
        }
    }

    fn write(&mut self, entry: &[u8]) -> io::Result<()> {
        if self.within_line {
            self.target.write_all(b"\n")?;
            self.within_line = false;
        }
        let mut rest = entry;
        while !rest.is_empty() {
            match self.target.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    rest = &rest[written..];
                    self.within_line = !rest.is_empty();
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// Takes one entry from a subscriber. Never fails.
impl Write for LogQueue {
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        self.push(entry);
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// A target with room for some bytes, and the bytes that it has accepted.
    #[derive(Default)]
    struct Disk {
        room: usize,
        text: String,
    }

    struct File(Arc<Mutex<Disk>>);

    impl Write for File {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut disk = self.0.lock().unwrap();
            let most = bytes.len().min(disk.room);
            if most == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            disk.room -= most;
            disk.text.push_str(std::str::from_utf8(&bytes[..most]).unwrap());
            Ok(most)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn queue(room: usize) -> (LogQueue, Arc<Mutex<Disk>>) {
        let disk = Arc::new(Mutex::new(Disk { room, text: String::new() }));
        (LogQueue::start(File(disk.clone())), disk)
    }

    #[test]
    fn lines_that_a_full_disk_does_not_take_are_counted() {
        let (queue, disk) = queue(3);
        queue.push(b"first\n");
        queue.push(b"second\n");
        queue.flush(LONG);
        disk.lock().unwrap().room = usize::MAX;
        queue.push(b"third\n");
        queue.flush(LONG);
        let expected = "fir\n2 log entries were dropped here: standard error did not accept them\nthird\n";
        assert_eq!(disk.lock().unwrap().text, expected);
    }

    #[test]
    fn nobody_waits_for_a_reader_that_stands_still() {
        let (queue, disk) = queue(usize::MAX);
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        let stands_still = disk.lock().unwrap();
        for _ in 0..3 * MOST_BYTES / line.len() {
            queue.push(&line);
        }
        queue.flush(Duration::ZERO);
        drop(stands_still);
        queue.flush(LONG);
        queue.push(b"last\n");
        queue.flush(LONG);
        let text = &disk.lock().unwrap().text;
        let last: Vec<_> = text.lines().rev().take(3).map(|line| &line[..4]).collect();
        assert_eq!(last, ["last", "2048", "xxxx"], "in the order in which they came");
        assert_eq!(text.lines().count(), MOST_BYTES / line.len() + 2);
    }
}
