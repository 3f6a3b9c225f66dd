//! Runs cargo, and finds the repository.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use crate::Failure;

/// The root of the repository. It comes from cargo at run time: if checkouts share a target directory, this
/// program may have been built in another checkout, which may be gone.
pub(crate) fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let built_in = || PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let xtask = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(built_in, PathBuf::from);
        xtask.parent().expect("xtask is a directory of the repository").to_owned()
    });
    &ROOT
}

/// The directory that cargo builds into.
pub(crate) fn target_directory() -> PathBuf {
    let configured = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    root().join(configured.unwrap_or_else(|| PathBuf::from("target")))
}

/// A cargo command with these arguments, in the root of the repository.
pub(crate) fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(root());
    // What `cargo xtask` says of xtask's package. Build scripts of dependencies watch these variables: with them, and
    // without them in the next command, cargo would compile nearly everything again.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// Builds targets such as `["--bin", "reflow"]` in the profile of the tests, with the features that
/// `cargo test --workspace` builds them with.
///
/// # Errors
/// If the build fails.
pub(crate) fn build_as_for_tests<'a>(targets: impl IntoIterator<Item = &'a str>) -> Result<(), Failure> {
    // Features are those of the whole workspace, and those that dev-dependencies ask for count only if a test is
    // built: this one takes a second. With other features, cargo would compile dependencies and engine again.
    let with_features_of_tests = ["build", "--workspace", "--quiet", "--test", "page"];
    succeed(&mut cargo(with_features_of_tests.into_iter().chain(targets)))
}

/// Runs `command` until it exits, with this process's input and output.
///
/// # Errors
/// If it cannot be started or does not succeed.
pub(crate) fn succeed(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|error| format!("cannot run {}: {error}", text_of(command)))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` ended with {status}", text_of(command))) }
}

/// The command that the arguments are, or without any `cargo test` with these arguments, which is built with the features of the
/// workspace's tests.
pub(crate) fn given_or_tests(arguments: &[String], tests: &[&str]) -> Command {
    match arguments.split_first() {
        None => cargo(["test", "--workspace"].into_iter().chain(tests.iter().copied())),
        Some((program, rest)) => {
            let mut command = Command::new(program);
            command.args(rest);
            command
        }
    }
}

/// Whether `tool --version` can be run.
pub(crate) fn is_installed(tool: &str) -> bool {
    Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn text_of(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy();
    let arguments = command.get_args().map(|argument| argument.to_string_lossy());
    std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(" ")
}
