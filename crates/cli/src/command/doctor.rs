//! The command `reflow doctor`, which checks this machine and its configuration before something runs on them.
//!
//! A check says what it has found in one sentence, and if that is wrong, what to do.

mod checks;

use crate::args::Doctor;
use crate::client::own_config_directory;
use crate::error::CliError;
use crate::output::{is_coloured, print, print_json};
use crate::table::printable;
use reflow_config::Loader;
use serde::Serialize;
use std::process::ExitCode;

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Severity {
    Ok,
    /// It works, and may not be meant.
    Warning,
    /// A process would not start, or not do its work.
    Wrong,
}

/// What a check has found.
#[derive(Debug, Serialize)]
struct Finding {
    severity: Severity,
    /// What was checked.
    subject: String,
    text: String,
}

impl Finding {
    fn new(severity: Severity, subject: &str, text: impl Into<String>) -> Self {
        Self { severity, subject: subject.to_owned(), text: text.into() }
    }

    fn ok(subject: &str, text: impl Into<String>) -> Self {
        Self::new(Severity::Ok, subject, text)
    }

    fn warning(subject: &str, text: impl Into<String>) -> Self {
        Self::new(Severity::Warning, subject, text)
    }

    fn wrong(subject: &str, text: impl Into<String>) -> Self {
        Self::new(Severity::Wrong, subject, text)
    }
}

pub(crate) fn run(doctor: &Doctor) -> Result<ExitCode, CliError> {
    let findings = examine(doctor);
    if doctor.json {
        print_json(&findings)?;
    } else {
        print(&text(&findings, is_coloured()))?;
    }
    let is_wrong = findings.iter().any(|finding| finding.severity == Severity::Wrong);
    Ok(if is_wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn examine(doctor: &Doctor) -> Vec<Finding> {
    const SUBJECT: &str = "configuration";
    let directory = doctor.config_dir.clone().or_else(own_config_directory);
    let loaded = Loader::of_process(directory.as_deref(), &doctor.definitions).and_then(Loader::load);
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(error) => return vec![Finding::wrong(SUBJECT, error.to_string())],
    };
    let read = match &directory {
        Some(directory) => format!("read from {}", directory.join("config.yaml").display()),
        None => {
            "there is no config.yaml: all options have their defaults, REFLOW_PROPERTIES or -D".to_owned()
        }
    };
    let mut findings = vec![Finding::ok(SUBJECT, read)];
    findings.extend(loaded.warnings.iter().map(|warning| Finding::warning(SUBJECT, warning.to_string())));
    findings.extend(checks::all(&loaded.config));
    findings
}

fn text(findings: &[Finding], colours: bool) -> String {
    let line = |finding: &Finding| {
        let (word, colour) = match finding.severity {
            Severity::Ok => ("ok     ", 32),
            Severity::Warning => ("warning", 33),
            Severity::Wrong => ("wrong  ", 31),
        };
        let word = if colours { format!("\x1b[{colour}m{word}\x1b[0m") } else { word.to_owned() };
        let lines: Vec<String> = finding.text.lines().map(|line| printable(line.trim())).collect();
        format!("{word}  {}: {}\n", finding.subject, lines.join("\n         "))
    };
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let summary = match (count(Severity::Wrong), count(Severity::Warning)) {
        (0, 0) => "Nothing is wrong.\n".to_owned(),
        (wrong, warnings) => format!("{wrong} wrong, {warnings} to look at.\n"),
    };
    findings.iter().map(line).collect::<String>() + "\n" + &summary
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_lines_and_a_sum() {
        let findings = [
            Finding::ok("clock", "it is 2026"),
            Finding::wrong("storage", "no room\nmake some"),
            Finding::warning("limits", "low"),
        ];
        let expected = "ok       clock: it is 2026\nwrong    storage: no room\n         make some\nwarning  limits: low\n\n\
                        1 wrong, 1 to look at.\n";
        assert_eq!(text(&findings, false), expected);
        assert!(text(&findings, true).starts_with("\x1b[32mok     \x1b[0m  clock"));
        assert!(text(&findings[..1], false).ends_with("\n\nNothing is wrong.\n"));
    }
}
