//! Commands that need no cluster: the check of this machine, completions, manual pages, the version.

use crate::{Ran, reflow};
use serde_json::Value;
use std::fs;
use std::net::TcpListener;

/// A distribution's configuration in its own directory, with these lines.
fn configured(lines: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("conf")).unwrap();
    let tmp = home.path().display();
    // Ports that are free on any machine: the system chooses.
    let common = format!("jobmanager.rpc.port: 0\nrest.port: 0\nio.tmp.dirs: {tmp}\n");
    fs::write(home.path().join("conf/config.yaml"), common + lines).unwrap();
    home
}

fn doctor(home: &tempfile::TempDir, more: &str) -> Ran {
    reflow(&format!("doctor --config-dir {}/conf {more}", home.path().display()))
}

#[test]
fn doctor_finds_nothing_wrong_where_nothing_is() {
    let home = configured("");
    let checkpoints = home.path().join("checkpoints");
    fs::create_dir_all(&checkpoints).unwrap();
    let ran = doctor(&home, "");
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(checkpoints.is_dir(), "an empty directory that was prepared stays");
    let subjects = [
        "configuration",
        "jobmanager.rpc.port",
        "rest.port",
        "taskmanager.data.port",
        "encryption between processes",
        "encryption of REST",
        "execution.checkpointing.dir",
        "clock",
        "open files",
        "io.tmp.dirs",
        "taskmanager.memory.process.size",
    ];
    for subject in subjects {
        assert!(ran.out.contains(&format!("  {subject}: ")), "{subject}: {}", ran.out);
    }
    assert!(!ran.out.contains("wrong  ") && !ran.out.contains('\x1b'), "{}", ran.out);
    let findings: Value = serde_json::from_str(&doctor(&home, "--json").out).unwrap();
    assert_eq!(findings[0]["severity"], "OK", "{findings}");
    let left = walk(home.path());
    assert!(!left.iter().any(|name| name.contains("doctor")), "it removes what it has written: {left:?}");
}

fn walk(directory: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries
        .flat_map(|entry| match entry.path().is_dir() {
            true => walk(&entry.path()),
            false => vec![entry.path().display().to_string()],
        })
        .collect()
}

#[test]
fn doctor_names_what_is_wrong_and_exits_with_1() {
    let check = |lines: &str, severity: &str, part: &str| {
        let ran = doctor(&configured(lines), "");
        let line = ran.out.lines().find(|line| line.contains(part));
        let line = line.unwrap_or_else(|| panic!("{part} is not in {}", ran.out));
        assert!(line.starts_with(severity), "{line}");
        assert_eq!(ran.code, Some(i32::from(severity == "wrong")), "{}", ran.out);
    };
    check("rest.prot: 1\n", "wrong", "rest.prot");
    check("rest.port: many\n", "wrong", "rest.port");
    check(
        "execution.checkpointing.dir: /proc/none\n",
        "wrong",
        "execution.checkpointing.dir: cannot be written",
    );
    check("execution.checkpointing.dir: hdfs://h/c\n", "wrong", "execution.checkpointing.dir");
    check("taskmanager.memory.process.size: 900tb\n", "wrong", "is more than the");
    check("security.ssl.internal.enabled: true\n", "wrong", "encryption between processes");
    check(
        "security.ssl.rest.enabled: true\n",
        "wrong",
        "encryption of REST: security.ssl.rest.enabled is true, but",
    );
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let ran = doctor(&configured(""), &format!("-Drest.bind-address=127.0.0.1 -Drest.port={port}"));
    assert!(ran.out.contains(&format!("warning  rest.port: 127.0.0.1:{port} is in use")), "{}", ran.out);
    assert_eq!(ran.code, Some(0), "a warning is no error: {}", ran.out);
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = reflow(&format!("completions {shell}")).out;
        for command in ["top", "logs", "doctor", "savepoint"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
    assert_eq!(reflow("completions csh").code, Some(2));
    let pages = tempfile::tempdir().unwrap();
    let directory = pages.path().join("man");
    let ran = reflow(&format!("man {}", directory.display()));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for page in ["reflow.1", "reflow-logs.1", "reflow-savepoint-inspect.1"] {
        let page = fs::read_to_string(directory.join(page)).unwrap();
        assert!(page.contains(".SH NAME"), "{page}");
    }
    let ran = reflow("man /proc/none");
    assert!(ran.code == Some(1) && ran.err.contains("/proc/none"), "{}", ran.err);
}

#[test]
fn the_version_has_the_commit_where_there_is_one() {
    let version = reflow("--version").out;
    let rest = version.strip_prefix(concat!("reflow ", env!("CARGO_PKG_VERSION"))).unwrap().trim_end();
    let commit = rest.strip_prefix(" (").and_then(|rest| rest.strip_suffix(')'));
    assert!(rest.is_empty() || commit.is_some_and(|commit| !commit.is_empty()), "{version}");
}
