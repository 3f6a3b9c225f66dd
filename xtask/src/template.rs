//! `cargo xtask new PATH`: a package with a job, outside this workspace, made from `templates/job`. CI makes one and
//! runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::Failure;
use crate::process::{cargo, root, succeed, target_directory};

pub(crate) const HELP: &str = "\
cargo xtask new PATH | --check: makes a package with a job and its test from templates/job

PATH is a directory that does not exist yet, outside this repository; its last part is the name of
the package. The package depends on this checkout of Reflow. `cargo generate` with the same template
makes the same package.

  --check  makes one in a directory of temporary files, builds it in the dev profile and runs its job
           to the end, as CI does
";

/// The files of the template, and what they are called in the package.
const FILES: [(&str, &str); 2] = [("Cargo.toml.liquid", "Cargo.toml"), ("src/main.rs", "src/main.rs")];
/// The package that CI makes.
const NAME: &str = "template_job";
/// What its job prints, in any order.
const COUNTS: [&str; 3] = ["2 to", "2 the", "1 question"];
/// The time within which a job of three lines must end, in seconds.
const LIMIT_SECONDS: u32 = 60;

/// Makes the package that the argument names, or checks the template.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let [path] = arguments else { return Err(format!("where?\n\n{HELP}")) };
    if path == "--check" {
        return check();
    }
    let package = std::path::absolute(path).map_err(|error| format!("{path}: {error}"))?;
    make(&package)?;
    eprintln!("{path} has a job; there, `cargo run -- run` runs it, and `cargo test` tests it");
    Ok(())
}

fn make(package: &Path) -> Result<(), Failure> {
    let problem = |what: &str| Err(format!("{}: {what}", package.display()));
    let name = package.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if !is_name {
        return problem(
            "the last part is no name of a package: letters, digits, `-` and `_`, first a letter",
        );
    }
    if package.starts_with(root()) {
        return problem("is in Reflow's own workspace; choose a directory outside");
    }
    if package.exists() {
        return problem("exists already");
    }
    for (from, to) in FILES {
        let text = fs::read_to_string(root().join("templates/job").join(from));
        let text = text.map_err(|error| format!("templates/job/{from}: {error}"))?;
        let to = package.join(to);
        fs::create_dir_all(to.parent().expect("it is in the package"))
            .and_then(|()| fs::write(&to, fill_in(&text, name)))
            .map_err(|error| format!("cannot write {}: {error}", to.display()))?;
    }
    Ok(())
}

/// Replaces the placeholders, as `cargo generate` does.
fn fill_in(text: &str, name: &str) -> String {
    let reflow = root().join("crates/reflow");
    text.replace("{{project-name}}", name).replace("{{reflow}}", &reflow.display().to_string())
}

/// Makes a package outside the workspace, and runs its job as a newcomer would: in the dev profile, to its end.
pub(crate) fn check() -> Result<(), Failure> {
    let outside = Outside(std::env::temp_dir().join(format!("reflow-template-{}", std::process::id())));
    let package = outside.0.join(NAME);
    make(&package)?;
    // The versions that are tested. Artefacts go where the workspace's are, because some of them are the same.
    fs::copy(root().join("Cargo.lock"), package.join("Cargo.lock")).map_err(|error| error.to_string())?;
    let in_package = |arguments: &[&str]| {
        let mut command = cargo(arguments.iter().copied());
        command.current_dir(&package).env("CARGO_TARGET_DIR", target_directory());
        command
    };
    succeed(&mut in_package(&["build", "--quiet"]))?;
    let mut job = in_package(&["run", "--quiet", "--", "run", "-Drest.port=0"]);
    let output = output_of(job.stdout(Stdio::piped()).spawn().map_err(|error| error.to_string())?)?;
    match COUNTS.iter().find(|line| !output.lines().any(|printed| printed == **line)) {
        None => Ok(()),
        Some(missing) => Err(format!("the job of the template does not print `{missing}`, but:\n{output}")),
    }
}

/// What a process prints until it ends, which must be soon.
fn output_of(mut process: Child) -> Result<String, Failure> {
    let stdout = process.stdout.take().expect("it is piped");
    let printed = std::thread::spawn(move || std::io::read_to_string(stdout));
    let (_never, pause) = mpsc::channel::<()>();
    for _ in 0..LIMIT_SECONDS * 10 {
        if let Some(status) = process.try_wait().map_err(|error| error.to_string())? {
            let printed = printed.join().map_err(|_| "cannot read what the job prints".to_owned())?;
            let printed = printed.map_err(|error| format!("cannot read what the job prints: {error}"))?;
            return if status.success() { Ok(printed) } else { Err(format!("the job ended with {status}")) };
        }
        let _ = pause.recv_timeout(Duration::from_millis(100));
    }
    let _ = process.kill();
    let _ = process.wait();
    Err(format!("a job of three lines has not ended within {LIMIT_SECONDS} s"))
}

/// A directory outside the repository, which is removed in the end.
struct Outside(PathBuf);

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_placeholder_is_left() {
        let outside = Outside(std::env::temp_dir().join(format!("reflow-new-{}", std::process::id())));
        let package = outside.0.join("my-job");
        make(&package).unwrap();
        for (_, file) in FILES {
            let text = fs::read_to_string(package.join(file)).unwrap();
            assert!(!text.contains("{{") || file.ends_with(".rs"), "{text}");
        }
        let manifest = fs::read_to_string(package.join("Cargo.toml")).unwrap();
        assert!(manifest.contains("name = \"my-job\"") && manifest.contains("crates/reflow\""), "{manifest}");
        assert!(make(&package).unwrap_err().ends_with("exists already"));
    }

    #[test]
    fn bad_paths_are_refused() {
        assert!(make(Path::new("/nowhere/1st")).unwrap_err().contains("no name of a package"));
        assert!(make(&root().join("mine")).unwrap_err().contains("own workspace"));
    }
}
