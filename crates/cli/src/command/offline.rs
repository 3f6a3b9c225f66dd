//! The commands `reflow savepoint inspect`, `export` and `edit`, which need no cluster.

use crate::args::{Edit, Export, ExportFormat, Inspect, StorageArgs, TimeUnit};
use crate::client::own_config_directory;
use crate::error::CliError;
use crate::output::{print, print_json};
use crate::table::{bytes, duration_ms, table};
use reflow_config::Loader;
use reflow_env::real::BlockingStorage;
use reflow_env::{StoreOp, StoreResult};
use reflow_savepoint::columns::{OutputFile, export_columns};
use reflow_savepoint::edit::{self, Change};
use reflow_savepoint::inspect::{ListReport, OperatorReport, Report, StateReport};
use reflow_savepoint::{Counting, FileFormat, MappingOptions, Savepoint, SavepointError, export, inspect};
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

pub(crate) fn inspect(arguments: &Inspect) -> Result<(), CliError> {
    let storage = open(&arguments.storage)?;
    let requests = |op: StoreOp| -> StoreResult { storage.request(op) };
    let savepoint = Savepoint::open(&absolute(&arguments.path)?, &requests)?;
    let counting = if arguments.count { Counting::Yes } else { Counting::No };
    let report = inspect::inspect(&savepoint, counting)?;
    if arguments.json { print_json(&report) } else { print(&text(&report)) }
}

pub(crate) fn export(arguments: &Export) -> Result<(), CliError> {
    let storage = open(&arguments.storage)?;
    let requests = |op: StoreOp| -> StoreResult { storage.request(op) };
    let savepoint = Savepoint::open(&absolute(&arguments.path)?, &requests)?;
    let wanted = export::Export {
        uid: arguments.uid.clone(),
        states: arguments.states.clone(),
        keys: arguments.keys.clone(),
    };
    let format = match arguments.format {
        ExportFormat::Json => None,
        ExportFormat::Parquet => Some((FileFormat::Parquet, "parquet")),
        ExportFormat::Arrow => Some((FileFormat::Arrow, "arrow")),
    };
    match (format, &arguments.directory) {
        (None, None) => export_lines(&savepoint, &wanted),
        (Some((format, extension)), Some(directory)) => {
            let options = MappingOptions {
                time_unit: match arguments.time_unit {
                    TimeUnit::Ns => reflow_savepoint::TimeUnit::Nanoseconds,
                    TimeUnit::Us => reflow_savepoint::TimeUnit::Microseconds,
                },
                decimal_scale: arguments.decimal_scale,
            };
            export_files(&savepoint, &wanted, (format, extension), options, directory)
        }
        (None, Some(_)) | (Some(_), None) => Err(CliError::DirectoryOfLines),
    }
}

fn export_lines(savepoint: &Savepoint<'_>, wanted: &export::Export) -> Result<(), CliError> {
    let mut progress = Progress::new("lines", !io::stdout().is_terminal());
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let exported = export::export(savepoint, wanted, &mut out, &mut |lines| progress.show(lines));
    let exported = exported.and_then(|lines| out.flush().map(|()| lines).map_err(SavepointError::from));
    progress.end();
    match exported {
        // A reader may close the pipe early (`reflow savepoint export … | head -1`).
        Err(SavepointError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        exported => Ok(exported.map(drop)?),
    }
}

/// Writes a file for each state. A file is never overwritten, and one that was not completed is removed.
fn export_files(
    savepoint: &Savepoint<'_>,
    wanted: &export::Export,
    (format, extension): (FileFormat, &str),
    options: MappingOptions,
    directory: &Path,
) -> Result<(), CliError> {
    let uncreated = |cause| CliError::Directory { directory: directory.to_owned(), cause };
    fs::create_dir_all(directory).map_err(uncreated)?;
    let file = |state: &str| directory.join(format!("{}.{extension}", file_name(state)));
    let mut last = None;
    let mut create = |state: &str| {
        last = None; // that of the state before is complete
        let created = File::create_new(file(state)).map_err(|error| uncreated_file(&file(state), &error))?;
        last = Some(file(state));
        Ok(Box::new(BufWriter::with_capacity(1 << 20, created)) as OutputFile)
    };
    let mut progress = Progress::new("rows", true);
    let exported =
        export_columns(savepoint, wanted, format, options, &mut create, &mut |rows| progress.show(rows));
    progress.end();
    let written = match (exported, last) {
        (Ok(written), _) => written,
        (Err(error), Some(incomplete)) => {
            let _ = fs::remove_file(incomplete); // what failed is the export
            return Err(error.into());
        }
        (Err(error), None) => return Err(error.into()),
    };
    let lines = written.iter().map(|(state, rows)| format!("{}: {rows} rows\n", file(state).display()));
    print(&lines.collect::<String>())
}

/// The error with the file's name, and what to do.
fn uncreated_file(file: &Path, error: &io::Error) -> io::Error {
    let file = file.display();
    let text = match error.kind() {
        ErrorKind::AlreadyExists => {
            format!("{file} exists, and is not overwritten; remove it, or give another directory with --to")
        }
        _ => format!("{file}: {error}"),
    };
    io::Error::new(error.kind(), text)
}

/// The name of a state as that of a file: without `/`, and not hidden.
fn file_name(state: &str) -> String {
    let name = state.replace('%', "%25").replace('/', "%2F");
    if name.starts_with('.') { name.replacen('.', "%2E", 1) } else { name }
}

/// The number of rows so far, on a terminal.
struct Progress {
    of: &'static str,
    is_shown: bool,
}

impl Progress {
    fn new(of: &'static str, is_wanted: bool) -> Self {
        Self { of, is_shown: is_wanted && io::stderr().is_terminal() }
    }

    fn show(&mut self, count: u64) {
        if self.is_shown {
            drop(write!(io::stderr(), "\r{count} {}", self.of));
        }
    }

    fn end(&mut self) {
        if self.is_shown {
            drop(writeln!(io::stderr()));
        }
    }
}

pub(crate) fn edit(arguments: &Edit) -> Result<(), CliError> {
    let storage = open(&arguments.storage)?;
    let requests = |op: StoreOp| -> StoreResult { storage.request(op) };
    let savepoint = Savepoint::open(&absolute(&arguments.path)?, &requests)?;
    let to = absolute(&arguments.to)?;
    edit::edit(&savepoint, &changes(arguments)?, &to)?;
    print(&format!("Savepoint: {to}\n"))
}

fn changes(arguments: &Edit) -> Result<Vec<Change>, CliError> {
    let mut changes = Vec::new();
    changes.extend(arguments.dropped_operators.iter().cloned().map(|uid| Change::DropOperator { uid }));
    changes.extend(
        arguments.dropped_states.iter().cloned().map(|(uid, state)| Change::DropState { uid, state }),
    );
    for (uid, state, file) in arguments.entries.iter().cloned() {
        let file = PathBuf::from(file);
        let lines = std::fs::read_to_string(&file).map_err(|cause| CliError::Entries { file, cause })?;
        changes.push(Change::Entries { uid, state, lines });
    }
    let renamed = arguments.renamed_states.iter().cloned();
    changes.extend(renamed.map(|(uid, state, to)| Change::RenameState { uid, state, to }));
    let renamed = arguments.renamed_operators.iter().cloned();
    changes.extend(renamed.map(|(uid, to)| Change::RenameOperator { uid, to }));
    Ok(changes)
}

fn open(arguments: &StorageArgs) -> Result<BlockingStorage, CliError> {
    let directory = arguments.config_dir.clone().or_else(own_config_directory);
    let config = Loader::of_process(directory.as_deref(), &arguments.definitions)?.load()?.config;
    BlockingStorage::new(reflow_launch::storage::open(&config)?).map_err(CliError::Machine)
}

/// The absolute path, if it is one of the file system.
fn absolute(path: &str) -> Result<String, CliError> {
    if path.contains("://") {
        return Ok(path.to_owned());
    }
    let absolute = std::path::absolute(path).map_err(CliError::Machine)?;
    Ok(absolute.display().to_string())
}

/// A report as text.
fn text(report: &Report) -> String {
    let Report { path, kind, format, checkpoint, job, job_name, build, triggered_at, bytes: size, vertices } =
        report;
    let taken = jiff::Timestamp::from_millisecond(*triggered_at)
        .map_or_else(|_| triggered_at.to_string(), |at| at.to_string());
    let mut text = format!(
        "{path}\n{kind} {checkpoint} of {job_name} ({job}), taken {taken}\nformat {format}, build {}, {} of state\n\n",
        build.get(..12).unwrap_or(build),
        bytes(*size)
    );
    let operators =
        || vertices.iter().flat_map(|vertex| vertex.operators.iter().map(move |operator| (vertex, operator)));
    let shown = |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    text += &table(
        ["UID", "OPERATOR", "KEY GROUPS", "SUBTASKS", "WATERMARK"],
        operators().map(|(vertex, operator)| {
            let is_head = vertex.operators.first().is_some_and(|head| head.uid == operator.uid);
            let of_head = |number: Option<u32>| shown(number.filter(|_| is_head));
            let uid = if operator.has_derived_uid {
                format!("{} (derived)", operator.uid)
            } else {
                operator.uid.clone()
            };
            [
                uid,
                operator.name.clone(),
                of_head(vertex.max_parallelism),
                of_head(vertex.parallelism),
                watermark(vertex.watermark),
            ]
        }),
    );
    let rows: Vec<[String; 8]> = operators().flat_map(|(_, operator)| rows(operator)).collect();
    if !rows.is_empty() {
        text += "\n";
        text += &table(["UID", "STATE", "KIND", "TTL", "KEYS", "ENTRIES", "BYTES", "TYPE"], rows.into_iter());
    }
    text
}

fn rows(operator: &OperatorReport) -> Vec<[String; 8]> {
    let counted = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    let state = |state: &StateReport| {
        let ttl = state.time_to_live_ms.map(|ms| duration_ms(i64::try_from(ms).unwrap_or(i64::MAX)));
        [
            operator.uid.clone(),
            state.name.clone(),
            state.kind.clone(),
            ttl.unwrap_or_else(|| "-".to_owned()),
            counted(state.keys),
            counted(state.entries),
            bytes(state.bytes),
            state.types.clone().unwrap_or_else(|| "unknown".to_owned()),
        ]
    };
    let list = |list: &ListReport| {
        [
            operator.uid.clone(),
            list.name.clone(),
            format!("{} list", list.redistribution.unwrap_or("empty")),
            "-".to_owned(),
            "-".to_owned(),
            list.items.to_string(),
            bytes(list.bytes),
            list.types.clone().unwrap_or_else(|| "unknown".to_owned()),
        ]
    };
    let enumerator = operator.enumerator_bytes.map(|size| {
        let blank = || "-".to_owned();
        [
            operator.uid.clone(),
            "enumerator".to_owned(),
            "source".to_owned(),
            blank(),
            blank(),
            blank(),
            bytes(size),
            blank(),
        ]
    });
    operator.states.iter().map(state).chain(operator.lists.iter().map(list)).chain(enumerator).collect()
}

/// A watermark. The lowest one is that of a stream without event time, the highest one that of an ended input.
fn watermark(at: i64) -> String {
    match at {
        reflow_types::MIN_WATERMARK => "none".to_owned(),
        reflow_types::MAX_WATERMARK => "ended".to_owned(),
        at => jiff::Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |at| at.to_string()),
    }
}
