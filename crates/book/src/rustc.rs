//! Compiles programs that use `reflow` by calling `rustc`, with the library that this test is linked with: nothing else
//! is built.

use std::fs::read_dir;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles a program that depends on `reflow`, with further arguments. If it fails, returns what the compiler prints.
pub(crate) fn compile(source: &Path, arguments: &[&str]) -> Result<(), String> {
    let test = std::env::current_exe().expect("the path of this test");
    let dependencies = test.parent().expect("the directory of this test");
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition", "2024", "--color", "never"])
        .args(arguments)
        .arg("-L")
        .arg(format!("dependency={}", dependencies.display()))
        .arg("--extern")
        .arg(format!("reflow={}", library(dependencies).display()))
        .arg(source)
        .output()
        .expect("rustc is there, because it compiled this test");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// The newest library of `reflow` beside this test: the one that it was built with, or a later one.
fn library(dependencies: &Path) -> PathBuf {
    let libraries = read_dir(dependencies).expect("the directory of this test").filter_map(|entry| {
        let path = entry.ok()?.path();
        let name = path.file_name()?.to_str()?;
        let is_library = name.starts_with("libreflow-") && name.ends_with(".rlib");
        is_library.then(|| (path.metadata().and_then(|data| data.modified()).ok(), path))
    });
    libraries.max().expect("the library `reflow`, which this test depends on").1
}
