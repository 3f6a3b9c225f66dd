//! The arguments of `reflow savepoint`.

use super::{Connection, duration};
use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Savepoint {
    #[command(subcommand)]
    pub(crate) command: Option<SavepointCommand>,
    /// The job: its id, a prefix of its id, or its name. Can be omitted if there is only one.
    pub(crate) job: Option<String>,
    /// The directory of the savepoint [default: execution.checkpointing.savepoint-dir of the JobManager].
    #[arg(value_name = "DIR")]
    pub(crate) directory: Option<String>,
    /// How long to wait for the savepoint.
    #[arg(long, value_name = "DURATION", default_value = "10 min", value_parser = duration)]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SavepointCommand {
    /// Show what a savepoint or checkpoint contains: operators with uids, and states with types and sizes.
    ///
    /// Needs neither the job nor a cluster.
    Inspect(Inspect),
    /// Write the states of an operator, with their keys: as lines of JSON, or as files of Parquet or Arrow.
    ///
    /// Reads the schemas in the savepoint, so it needs neither the job nor a cluster. It needs memory for the
    /// largest value, and for a checkpoint also for the keys of one of up to 512 segments.
    Export(Export),
    /// Write a changed copy of a savepoint: drop or rename operators and states, and change entries.
    ///
    /// The savepoint itself stays as it is. The changes are made in the order of this list of options, and the copy only
    /// becomes a savepoint when all of them fit.
    Edit(Edit),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// The directory of the savepoint or checkpoint: a path, or s3://…
    #[arg(value_name = "PATH", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) path: String,
    /// Count keys and entries, for which all state is read.
    #[arg(long)]
    pub(crate) count: bool,
    /// Print JSON, for programs.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) storage: StorageArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// The directory of the savepoint or checkpoint: a path, or s3://…
    #[arg(value_name = "PATH", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) path: String,
    /// The uid of the operator, as `reflow savepoint inspect` shows it.
    #[arg(long)]
    pub(crate) uid: String,
    /// Only this state. Can be given several times.
    #[arg(long = "state", value_name = "NAME")]
    pub(crate) states: Vec<String>,
    /// Only this key, as JSON: 7, or "tea". Can be given several times.
    #[arg(long = "key", value_name = "JSON", value_parser = key)]
    pub(crate) keys: Vec<serde_json::Value>,
    /// The format. JSON goes to standard output, as one line for each entry.
    #[arg(long, value_enum, default_value_t = ExportFormat::Json)]
    pub(crate) format: ExportFormat,
    /// The directory for files of Parquet or Arrow, one for each state that has entries: STATE.parquet or STATE.arrow.
    #[arg(long = "to", value_name = "DIR", required_if_eq_any([("format", "parquet"), ("format", "arrow")]))]
    pub(crate) directory: Option<PathBuf>,
    /// The unit of timestamps, times and durations in columns. Nanoseconds reach from 1677 to 2262; microseconds drop what
    /// is below them.
    #[arg(long, value_enum, default_value_t = TimeUnit::Ns)]
    pub(crate) time_unit: TimeUnit,
    /// The digits of decimals behind the point in columns, of 38 digits in all.
    #[arg(long, value_name = "DIGITS", default_value_t = 18, value_parser = clap::value_parser!(u8).range(0..=28))]
    pub(crate) decimal_scale: u8,
    #[command(flatten)]
    pub(crate) storage: StorageArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ExportFormat {
    /// Lines of JSON.
    Json,
    /// Parquet, which DuckDB, pandas, Spark and most other tools read.
    Parquet,
    /// Arrow IPC, also called Feather.
    Arrow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TimeUnit {
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    Us,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Edit {
    /// The directory of the savepoint: a path, or s3://…
    #[arg(value_name = "PATH", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) path: String,
    /// The directory of the copy, which must not exist.
    #[arg(value_name = "TO", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) to: String,
    /// Drop all state of an operator. Can be given several times, as each of the following.
    #[arg(long = "drop", value_name = "UID")]
    pub(crate) dropped_operators: Vec<String>,
    /// Drop a state.
    #[arg(long = "drop-state", value_name = "UID/STATE", value_parser = state)]
    pub(crate) dropped_states: Vec<(String, String)>,
    /// Change entries of a state by key, as the lines of a file say: lines of an export replace entries or add new ones, and
    /// {"key": …, "drop": true} drops those of a key. The lines of a list replace the list of their key.
    #[arg(long = "entries", value_name = "UID/STATE=FILE", value_parser = assigned_state)]
    pub(crate) entries: Vec<(String, String, String)>,
    /// Rename a state that a function declares.
    #[arg(long = "rename-state", value_name = "UID/STATE=NAME", value_parser = assigned_state)]
    pub(crate) renamed_states: Vec<(String, String, String)>,
    /// Give an operator another uid.
    #[arg(long = "rename", value_name = "UID=UID", value_parser = renamed)]
    pub(crate) renamed_operators: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) storage: StorageArgs,
}

/// The access to storage.
#[derive(Debug, clap::Args)]
pub(crate) struct StorageArgs {
    /// The directory of config.yaml, which has the credentials of S3 [default: conf/ of this executable's
    /// distribution, if there is one].
    #[arg(long, value_name = "DIR", env = "REFLOW_CONF_DIR")]
    pub(crate) config_dir: Option<PathBuf>,
    /// Set an option. Overrides the file. Can be given several times.
    #[arg(short = 'D', value_name = "KEY=VALUE")]
    pub(crate) definitions: Vec<String>,
}

/// A text without quotes is a text, too, so that `--key tea` does.
fn key(text: &str) -> Result<serde_json::Value, String> {
    Ok(serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::String(text.to_owned())))
}

/// Splits at the last `/`.
fn state(text: &str) -> Result<(String, String), String> {
    let parts = text.rsplit_once('/').filter(|(uid, state)| !uid.is_empty() && !state.is_empty());
    let parts = parts.map(|(uid, state)| (uid.to_owned(), state.to_owned()));
    parts.ok_or_else(|| "use UID/STATE, such as `accounts/balance`".to_owned())
}

/// Splits at the first `=`.
fn assigned_state(text: &str) -> Result<(String, String, String), String> {
    let parts = text.split_once('=').filter(|(_, to)| !to.is_empty());
    let (of, to) = parts.ok_or_else(|| "use UID/STATE=…, such as `accounts/balance=…`".to_owned())?;
    state(of).map(|(uid, state)| (uid, state, to.to_owned()))
}

fn renamed(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(uid, to)| !uid.is_empty() && !to.is_empty());
    let parts = parts.map(|(uid, to)| (uid.to_owned(), to.to_owned()));
    parts.ok_or_else(|| "use UID=UID, such as `reduce-1=accounts`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Command};
    use clap::Parser;

    fn parse(line: &str) -> Result<Savepoint, String> {
        let words = std::iter::once("reflow").chain(line.split_whitespace());
        match Args::try_parse_from(words).map(|args| args.command) {
            Ok(Command::Savepoint(savepoint)) => Ok(savepoint),
            Ok(command) => panic!("{command:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn files_of_columns_need_a_directory() {
        let export = |line: &str| match parse(&format!("savepoint export /data/sp --uid u {line}"))?.command {
            Some(SavepointCommand::Export(export)) => Ok::<_, String>(export),
            other => panic!("{other:?}"),
        };
        let lines = export("").unwrap();
        assert_eq!((lines.format, lines.directory), (ExportFormat::Json, None));
        let files = export("--format parquet --to out --time-unit us --decimal-scale 28").unwrap();
        assert_eq!((files.format, files.directory), (ExportFormat::Parquet, Some("out".into())));
        assert_eq!((files.time_unit, files.decimal_scale), (TimeUnit::Us, 28));
        assert!(export("--format arrow").unwrap_err().contains("--to <DIR>"));
        assert!(export("--format csv").unwrap_err().contains("json, parquet, arrow"));
        assert!(export("--decimal-scale 29").is_err());
    }

    #[test]
    fn a_savepoint_is_taken_unless_a_command_follows() {
        let taken = parse("savepoint orders /data/sp").unwrap();
        assert_eq!((taken.job.as_deref(), taken.command.is_none()), (Some("orders"), true));
        let Some(SavepointCommand::Inspect(inspect)) =
            parse("savepoint inspect /sp --count").unwrap().command
        else {
            panic!()
        };
        assert_eq!((inspect.path.as_str(), inspect.count), ("/sp", true));
        assert!(parse("savepoint inspect").unwrap_err().contains("<PATH>"));
        let empty = Args::try_parse_from(["reflow", "savepoint", "inspect", ""]).unwrap_err().to_string();
        assert!(empty.contains("a value is required for '<PATH>'"), "{empty}");
    }

    #[test]
    fn an_export_takes_keys_as_json_or_text() {
        let line = "savepoint export /sp --uid each --state a --state b --key 7 --key tea";
        let Some(SavepointCommand::Export(export)) = parse(line).unwrap().command else { panic!() };
        assert_eq!((export.uid.as_str(), export.states.len()), ("each", 2));
        assert_eq!(export.keys, [serde_json::json!(7), serde_json::json!("tea")]);
    }

    #[test]
    fn an_edit_takes_several_changes() {
        let line = "savepoint edit /sp /to --drop a --drop-state b/c/d --entries b/e=f=g --rename-state b/h=i --rename a=b";
        let Some(SavepointCommand::Edit(edit)) = parse(line).unwrap().command else { panic!() };
        assert_eq!(edit.dropped_states, [("b/c".to_owned(), "d".to_owned())]);
        assert_eq!(edit.entries, [("b".to_owned(), "e".to_owned(), "f=g".to_owned())]);
        assert_eq!(edit.renamed_operators, [("a".to_owned(), "b".to_owned())]);
        assert!(parse("savepoint edit /sp /to --drop-state b").unwrap_err().contains("use UID/STATE"));
    }
}
