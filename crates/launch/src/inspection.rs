//! The log files and threads of this process.
//!
//! The scripts redirect a process's log and standard output to files, and name that of the log in a variable. Only regular
//! files whose names begin with `reflow-` count as logs, because `env.log.dir` may be a directory in which others write, too.

use reflow_types::inspection::{
    FileId, Finding, Inquiry, Inspection, InspectionError, LogFile, LogName, LogPart, MAX_LOG_PART_BYTES,
    Thread, ThreadState,
};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// The variable by which the scripts say to which file they have redirected the log.
const LOG_FILE: &str = "REFLOW_LOG_FILE";
/// What the names of Reflow's log files begin with.
const PREFIX: &str = "reflow-";
/// The most log files and threads in an answer: the newest files, and the first threads of each process.
const MAX_FILES: usize = 1_000;
const MAX_THREADS: usize = 10_000;

/// Answers an inquiry about this process and the executors that it has started.
pub fn inspect(inquiry: &Inquiry) -> Inspection {
    let log = std::env::var_os(LOG_FILE).map(PathBuf::from);
    match inquiry {
        Inquiry::LogFiles => match log.as_deref().and_then(Path::parent) {
            None => Ok(Finding::LogFiles(Vec::new())),
            Some(directory) => files(directory).map(Finding::LogFiles).map_err(failed),
        },
        Inquiry::LogPart { log: name, from, length } => {
            let file = log.and_then(|log| path(&log, name)).ok_or(InspectionError::NoSuchLog)?;
            read(&file, *from, *length).map(Finding::LogPart)
        }
        Inquiry::Threads => threads().map(Finding::Threads).map_err(failed),
    }
}

fn failed(error: io::Error) -> InspectionError {
    InspectionError::Failed(error.to_string())
}

/// The log files in a directory, by name.
fn files(directory: &Path) -> io::Result<Vec<LogFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // A file that is rotated away meanwhile is not there.
        let Ok(metadata) = entry.metadata() else { continue };
        if !metadata.is_file() || !is_log(&entry.file_name()) {
            continue;
        }
        let since_epoch = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        files.push(LogFile {
            name: entry.file_name().to_string_lossy().into_owned(),
            size: metadata.len(),
            modified_ms: i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX),
        });
    }
    files.sort_by_key(|file| std::cmp::Reverse(file.modified_ms));
    files.truncate(MAX_FILES);
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// The path of a log; `None` for what cannot be one.
fn path(log: &Path, name: &LogName) -> Option<PathBuf> {
    match name {
        LogName::Log => Some(log.to_owned()),
        LogName::Stdout => Some(log.with_extension("out")),
        LogName::Named(name) => {
            let name = Path::new(name);
            // A name with a directory in it is none of the files in the list.
            let is_name = name.file_name() == Some(name.as_os_str()) && is_log(name.as_os_str());
            is_name.then(|| log.with_file_name(name))
        }
    }
}

fn is_log(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
}

fn read(path: &Path, from: u64, length: u32) -> Result<LogPart, InspectionError> {
    let or_absent = |error: io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::InvalidInput => InspectionError::NoSuchLog,
        _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => InspectionError::NoSuchLog,
        _ => failed(error),
    };
    // A link is not followed, and a pipe without a writer does not hold this thread.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let opened = File::options().read(true).custom_flags(flags).open(path);
    let mut file = opened.map_err(or_absent)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(InspectionError::NoSuchLog);
    }
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from)).map_err(failed)?;
    file.take(u64::from(length.min(MAX_LOG_PART_BYTES))).read_to_end(&mut bytes).map_err(failed)?;
    Ok(LogPart { file: id(&metadata), size: metadata.len(), bytes })
}

fn id(metadata: &Metadata) -> FileId {
    FileId { device: metadata.dev(), inode: metadata.ino() }
}

/// The threads of this process and of its children, which are executors.
fn threads() -> io::Result<Vec<Thread>> {
    let own = std::process::id();
    let mut threads = threads_of(own)?;
    for child in children() {
        // A child that has ended meanwhile has no threads.
        threads.extend(threads_of(child).unwrap_or_default());
    }
    Ok(threads)
}

/// The processes that this process has started.
pub(crate) fn children() -> Vec<u32> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let of_thread = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    of_thread
        .flat_map(|pids| pids.split_whitespace().map_while(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn threads_of(process: u32) -> io::Result<Vec<Thread>> {
    let mut threads = Vec::new();
    for entry in fs::read_dir(format!("/proc/{process}/task"))?.take(MAX_THREADS) {
        let directory = entry?.path();
        let Some(id) = directory.file_name().and_then(|id| id.to_str()?.parse().ok()) else { continue };
        // A thread that has ended meanwhile is left out.
        let Ok(stat) = fs::read_to_string(directory.join("stat")) else { continue };
        let Some((name, state, cpu_ms)) = parse_stat(&stat) else { continue };
        let waits_in = fs::read_to_string(directory.join("wchan")).ok();
        let waits_in = waits_in.filter(|function| !matches!(function.trim(), "" | "0"));
        threads.push(Thread { process, id, name, state, cpu_ms, waits_in });
    }
    threads.sort_by_key(|thread| thread.id);
    Ok(threads)
}

/// Reads a line such as `4711 (slot 0) S 1 …`: the name, the state, and the used processor time.
fn parse_stat(stat: &str) -> Option<(String, ThreadState, u64)> {
    // The name may contain anything, also parentheses.
    let (head, tail) = stat.rsplit_once(") ")?;
    let (_, name) = head.split_once(" (")?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let state = match *fields.first()? {
        "R" => ThreadState::Running,
        "D" => ThreadState::WaitingForDevice,
        "T" | "t" => ThreadState::Stopped,
        "Z" | "X" | "x" => ThreadState::Ended,
        _ => ThreadState::Waiting,
    };
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Some((name.to_owned(), state, ticks * 1_000 / per_second))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "reflow-me-taskmanager-0-here.log";

    /// A directory with the log `LOG`.
    fn directory(content: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join(LOG);
        fs::write(&log, content).unwrap();
        (directory, log)
    }

    fn part(log: &Path, name: LogName, from: u64, length: u32) -> Result<(u64, String), InspectionError> {
        let part = read(&path(log, &name).ok_or(InspectionError::NoSuchLog)?, from, length)?;
        Ok((part.size, String::from_utf8(part.bytes).unwrap()))
    }

    #[test]
    fn parts_of_a_log_are_read() {
        let (directory, log) = directory("0123456789");
        fs::write(directory.path().join("reflow-me-taskmanager-0-here.out"), "out").unwrap();
        let named = || LogName::Named(LOG.to_owned());
        assert_eq!(part(&log, LogName::Log, 0, 100), Ok((10, "0123456789".to_owned())));
        assert_eq!(part(&log, named(), 8, 1), Ok((10, "8".to_owned())));
        assert_eq!(part(&log, LogName::Log, 99, 1), Ok((10, String::new())), "behind the end");
        assert_eq!(part(&log, LogName::Log, 0, 0), Ok((10, String::new())));
        assert_eq!(part(&log, LogName::Stdout, 0, 9), Ok((3, "out".to_owned())));
        fs::write(&log, vec![b'x'; 2 * MAX_LOG_PART_BYTES as usize]).unwrap();
        assert_eq!(read(&log, 0, u32::MAX).unwrap().bytes.len(), MAX_LOG_PART_BYTES as usize);
        let names: Vec<_> = files(directory.path()).unwrap().into_iter().map(|file| file.name).collect();
        assert_eq!(names, [LOG, "reflow-me-taskmanager-0-here.out"]);
    }

    #[test]
    fn a_log_that_was_rotated_is_another_file() {
        let (directory, log) = directory("old");
        let old = read(&log, 0, 9).unwrap().file;
        fs::rename(&log, directory.path().join("reflow-old")).unwrap();
        fs::write(&log, "new").unwrap();
        assert_ne!(read(&log, 0, 9).unwrap().file, old);
    }

    #[test]
    fn what_is_no_log_is_not_read_and_not_listed() {
        let (directory, log) = directory("log");
        let beside = |name: &str| directory.path().join(name);
        fs::write(beside("syslog"), "of others").unwrap();
        fs::create_dir(beside("reflow-dir")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", beside("reflow-link")).unwrap();
        let names = [
            "",
            ".",
            "..",
            "syslog",
            "reflow-gone",
            "reflow-dir",
            "reflow-link",
            "../../etc/passwd",
            "/etc/passwd",
            "reflow-x/../syslog",
            "reflow-\0",
            "reflow-dir/",
        ];
        for name in names {
            let answer = part(&log, LogName::Named(name.to_owned()), 0, 9);
            assert_eq!(answer, Err(InspectionError::NoSuchLog), "{name:?}");
        }
        let listed: Vec<_> = files(directory.path()).unwrap().into_iter().map(|file| file.name).collect();
        assert_eq!(listed, [LOG]);
    }

    #[test]
    fn of_very_many_logs_the_newest_are_listed() {
        let (directory, _) = directory("log");
        for number in 0..MAX_FILES {
            let old = File::create(directory.path().join(format!("reflow-{number}"))).unwrap();
            old.set_modified(UNIX_EPOCH).unwrap();
        }
        let listed = files(directory.path()).unwrap();
        assert_eq!(listed.len(), MAX_FILES);
        assert!(listed.iter().any(|file| file.name == LOG));
    }

    #[test]
    fn threads_have_names_states_and_times() {
        let stat = "4711 (a) (b) S 1 1 1 0 -1 4194368 0 0 0 0 150 50 0 0 20 0";
        let ms = 200 * 1_000 / rustix::param::clock_ticks_per_second();
        assert_eq!(parse_stat(stat), Some(("a) (b".to_owned(), ThreadState::Waiting, ms)));
        assert_eq!(parse_stat("4711 (cut"), None);
        std::thread::scope(|scope| {
            let (done, wait) = std::sync::mpsc::channel::<()>();
            let thread = std::thread::Builder::new().name("inspected".to_owned());
            thread.spawn_scoped(scope, move || wait.recv()).unwrap();
            // The name is set by the new thread.
            while !threads().unwrap().iter().any(|thread| thread.name == "inspected") {
                std::thread::yield_now();
            }
            drop(done);
        });
    }
}
