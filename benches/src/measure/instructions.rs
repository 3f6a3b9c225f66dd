//! Counts instructions with callgrind, for ratios so close to 1 that CPU time cannot distinguish them.

use std::{fs, path::Path, process::Command};

use super::{Error, run_together};

/// Runs `command` and its children under callgrind and returns how many instructions they executed together.
///
/// Counts vary from run to run far less than CPU time does, but a run takes some fifty times longer. Starting
/// up is counted too; take the difference of two lengths of run to be rid of it.
pub fn instructions(command: &Command) -> Result<u64, Error> {
    let directory =
        tempfile::tempdir().map_err(|source| Error::Write { path: std::env::temp_dir(), source })?;
    let mut callgrind = Command::new("valgrind");
    callgrind
        .args(["--quiet", "--tool=callgrind", "--trace-children=yes"])
        .arg(format!("--callgrind-out-file={}/%p", directory.path().display()))
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => callgrind.env(name, value),
            None => callgrind.env_remove(name),
        };
    }
    if let Some(path) = command.get_current_dir() {
        callgrind.current_dir(path);
    }
    run_together([callgrind])?;
    total(directory.path())
}

/// The sum over the profiles in `directory`, one a process.
fn total(directory: &Path) -> Result<u64, Error> {
    let unreadable = |source| Error::Read { path: directory.to_owned(), source };
    let mut total = 0;
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let profile = fs::read_to_string(entry.map_err(unreadable)?.path()).map_err(unreadable)?;
        total += executed(&profile).ok_or_else(|| Error::NoFigure {
            program: "valgrind".to_owned(),
            output: profile.lines().last().unwrap_or_default().to_owned(),
        })?;
    }
    Ok(total)
}

/// The count in one profile, which its line `totals: COUNT` holds.
fn executed(profile: &str) -> Option<u64> {
    profile.lines().find_map(|line| line.strip_prefix("totals:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_ends_with_its_total() {
        assert_eq!(executed("events: Ir\nfn=(0)\n16 3\ntotals: 2440778\n"), Some(2_440_778));
        assert_eq!(executed("events: Ir\n"), None);
    }

    #[test]
    fn profiles_of_all_processes_add_up() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("11"), "totals: 5\n").unwrap();
        fs::write(directory.path().join("12"), "totals: 7\n").unwrap();
        assert_eq!(total(directory.path()).unwrap(), 12);
    }
}
