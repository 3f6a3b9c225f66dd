//! `cargo xtask web`: the web interface, from its sources to a browser.
//!
//! The built page is committed (`web/dist`), so that building Reflow needs no Node. This command builds it again
//! from the lockfile, requires the result to be identical, and opens the page of a real cluster in Chromium.
//! Packages come from the registry that npm is configured for.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;
use crate::process::{build_as_for_tests, is_installed, root, succeed, target_directory};

pub(crate) const HELP: &str = "\
cargo xtask web [--accept | --screenshots]: checks the web interface

Types (also that web/src/schema.ts is what docs/openapi.json gives), lints and format, unit tests,
that web/dist is what the sources and the lockfile give, and the page in a real Chromium over a real
cluster, built in the profile of the tests. Needs Node 20.19 or newer with npm, and Chromium
(/usr/bin/chromium, or CHROMIUM names it); on Debian: `apt-get install nodejs npm chromium`.
`npm run format` in web/ formats and fixes what can be fixed without a change of meaning.

  --accept       writes web/src/schema.ts from docs/openapi.json, and what was built to web/dist,
                 instead of comparing; opens no browser
  --screenshots  takes the screenshots in docs/images/web anew, and does nothing else
";

const NODE: (u32, u32) = (20, 19);
const BROWSERS: [&str; 3] = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    if let Some(missing) = missing_tool() {
        return Err(missing);
    }
    match arguments {
        [] => check(),
        [only] if only == "--accept" => {
            install()?;
            generate(&sources().join(SCHEMA))?;
            build(&committed())
        }
        [only] if only == "--screenshots" => {
            install()?;
            browse(Command::new("node").arg("e2e/screenshots.mjs").arg(root().join("docs/images/web")))
        }
        [other, ..] => Err(format!("unknown argument `{other}`; see --help")),
    }
}

/// The missing tool and how to install it; `None` if all tools are installed.
pub(crate) fn missing_tool() -> Option<Failure> {
    let browser = || {
        let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
        named.into_iter().chain(BROWSERS.map(PathBuf::from)).any(|path| path.exists())
    };
    if !is_installed("npm") || node_version().is_none_or(|version| version < NODE) {
        let (major, minor) = NODE;
        return Some(format!(
            "Node {major}.{minor} or newer with npm is not installed; on Debian: `apt-get install nodejs npm`"
        ));
    }
    (!browser()).then(|| "Chromium is not installed; on Debian: `apt-get install chromium`".to_owned())
}

/// Runs all checks, the quick ones first.
pub(crate) fn check() -> Result<(), Failure> {
    install()?;
    compare_schema()?;
    succeed(&mut npm(&["run", "--silent", "check"]))?;
    succeed(&mut npm(&["run", "--silent", "lint"]))?;
    succeed(&mut npm(&["run", "--silent", "test"]))?;
    let built = target_directory().join("web-dist");
    build(&built)?;
    compare(&files(&committed())?, &files(&built)?)?;
    browse(Command::new("node").args(["--test", "--test-concurrency=1", "e2e/"]))
}

/// The types of the REST API, generated.
const SCHEMA: &str = "src/schema.ts";

/// Writes the types of `docs/openapi.json` to a file. The generator's packages are separate from the page's,
/// because it needs another version of TypeScript.
fn generate(into: &Path) -> Result<(), Failure> {
    let generator = sources().join("generate");
    install_in(&generator)?;
    let mut command = npm(&["run", "--silent", "generate", "--", "--output"]);
    succeed(command.arg(into).current_dir(generator))
}

fn compare_schema() -> Result<(), Failure> {
    let generated = target_directory().join("schema.ts");
    generate(&generated)?;
    let read = |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    if read(&generated)? == read(&sources().join(SCHEMA))? {
        return Ok(());
    }
    Err(format!("web/{SCHEMA} is not what docs/openapi.json gives; run `cargo xtask web --accept`"))
}

fn sources() -> PathBuf {
    root().join("web")
}

fn committed() -> PathBuf {
    sources().join("dist")
}

fn node_version() -> Option<(u32, u32)> {
    let output = Command::new("node").arg("--version").output().ok()?;
    parse_version(&String::from_utf8(output.stdout).ok()?)
}

/// `v20.19.1` as (20, 19).
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().strip_prefix('v')?.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

fn npm(arguments: &[&str]) -> Command {
    let mut command = Command::new("npm");
    command.args(arguments).current_dir(sources());
    command
}

/// Installs exactly the versions of the lockfile, unless npm's record of its last installation is newer than the
/// lockfile.
fn install() -> Result<(), Failure> {
    install_in(&sources())
}

fn install_in(directory: &Path) -> Result<(), Failure> {
    let modified =
        |path: &str| fs::metadata(directory.join(path)).and_then(|metadata| metadata.modified()).ok();
    let installed = modified("node_modules/.package-lock.json");
    if installed.is_some() && installed >= modified("package-lock.json").max(modified("package.json")) {
        return Ok(());
    }
    // Scripts of packages are disabled, because no package here needs them.
    let mut command = npm(&["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    succeed(command.current_dir(directory))
}

fn build(into: &Path) -> Result<(), Failure> {
    let mut command =
        npm(&["run", "--silent", "build", "--", "--emptyOutDir", "--logLevel", "warn", "--outDir"]);
    succeed(command.arg(into))
}

/// Runs `command` with the executables that serve the page.
fn browse(command: &mut Command) -> Result<(), Failure> {
    build_as_for_tests(["--bin", "top_speed_windowing", "--example", "made_up_cluster"])?;
    let debug = target_directory().join("debug");
    command
        .current_dir(sources())
        .env("REFLOW_TOP_SPEED_WINDOWING", debug.join("top_speed_windowing"))
        .env("REFLOW_MADE_UP_CLUSTER", debug.join("examples/made_up_cluster"));
    succeed(command)
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Every file below `directory`, by its path in there.
fn files(directory: &Path) -> Result<Files, Failure> {
    let mut found = Files::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        let entries = fs::read_dir(&next).map_err(|error| format!("{}: {error}", next.display()))?;
        for entry in entries {
            let path = entry.map_err(|error| format!("{}: {error}", next.display()))?.path();
            if path.is_dir() {
                left.push(path);
            } else {
                let content = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                found.insert(path.strip_prefix(directory).expect("it is below").to_owned(), content);
            }
        }
    }
    Ok(found)
}

/// Whether what is committed is what was built.
fn compare(committed: &Files, built: &Files) -> Result<(), Failure> {
    let paths = committed.keys().chain(built.keys());
    match paths.into_iter().find(|path| committed.get(*path) != built.get(*path)) {
        None => Ok(()),
        Some(path) => Err(format!(
            "web/dist is not what the sources in web/ give: {} differs; `cargo xtask web --accept` writes it anew",
            path.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(parse_version("v20.19.1\n"), Some((20, 19)));
        assert_eq!(parse_version("v8"), None);
        assert_eq!(parse_version("20.19"), None);
    }

    #[test]
    fn what_differs_is_named() {
        let of = |files: &[(&str, &str)]| -> Files {
            files.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())).collect()
        };
        let committed = of(&[("a", "1"), ("b", "2")]);
        assert_eq!(compare(&committed, &committed), Ok(()));
        for built in
            [of(&[("a", "1"), ("b", "3")]), of(&[("a", "1")]), of(&[("a", "1"), ("b", "2"), ("c", "")])]
        {
            let failure = compare(&committed, &built).unwrap_err();
            assert!(failure.contains("--accept"), "{failure}");
        }
    }
}
