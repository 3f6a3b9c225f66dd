//! What third-party crates may be: their licences, their sources, and that each is used.
//!
//! The policy is deny.toml, which `cargo deny` reads too. This is a reading of its own, of the little that decides
//! about a change, because cargo-deny takes longer to build than Reflow. Advisories change without a change here
//! and need the network: they are for `cargo deny check advisories`, each night.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::Failure;
use crate::process::{cargo, root};

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Checks every package that the workspace is built with, and every dependency that it declares.
pub(crate) fn check() -> Result<(), Failure> {
    let read = |name: &str| {
        fs::read_to_string(root().join(name)).map_err(|error| format!("cannot read {name}: {error}"))
    };
    let (policy, lock) = (read("deny.toml")?, read("Cargo.lock")?);
    let policy = Policy::parse(&policy);
    let mut findings = policy.check_lock(&lock);
    findings.extend(packages()?.lines().filter_map(|line| policy.check_licence(line)));
    findings.extend(unused()?);
    findings.iter().for_each(|finding| eprintln!("  {finding}"));
    if findings.is_empty() { Ok(()) } else { Err(format!("{} findings", findings.len())) }
}

/// `licence|name version` of each package, a line each.
fn packages() -> Result<String, Failure> {
    let tree = cargo(["tree", "--workspace", "--prefix", "none", "--format", "{l}|{p}"])
        .output()
        .map_err(|error| format!("cannot run cargo tree: {error}"))?;
    if !tree.status.success() {
        return Err(format!("cargo tree: {}", String::from_utf8_lossy(&tree.stderr).trim()));
    }
    let text = String::from_utf8_lossy(&tree.stdout);
    let lines: BTreeSet<&str> = text.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    Ok(lines.into_iter().collect::<Vec<_>>().join("\n"))
}

/// What deny.toml says.
struct Policy<'a> {
    licences: BTreeSet<&'a str>,
    banned: BTreeSet<&'a str>,
}

impl<'a> Policy<'a> {
    /// Reads the form that deny.toml has: a licence a line, and a banned crate a line.
    fn parse(text: &'a str) -> Self {
        let (mut licences, mut banned, mut in_licences) = (BTreeSet::new(), BTreeSet::new(), false);
        for line in text.lines().map(str::trim) {
            match line {
                "allow = [" => in_licences = true,
                "]" => in_licences = false,
                _ if in_licences => licences.extend(line.split('"').nth(1)),
                _ if line.starts_with("{ crate = ") => banned.extend(line.split('"').nth(1)),
                _ => {}
            }
        }
        Self { licences, banned }
    }

    fn check_lock(&self, lock: &str) -> Vec<String> {
        let (mut name, mut findings) = ("", Vec::new());
        for line in lock.lines() {
            let Some((key, value)) = line.split_once(" = ") else { continue };
            let value = value.trim_matches('"');
            match key {
                "name" => {
                    name = value;
                    if self.banned.contains(name) {
                        findings.push(format!("{name} is banned; deny.toml says why"));
                    }
                }
                "source" if value != REGISTRY => findings.push(format!("{name} comes from {value}")),
                _ => {}
            }
        }
        findings
    }

    /// Checks a line of [`packages`].
    fn check_licence(&self, line: &str) -> Option<String> {
        let (licence, package) = line.split_once('|')?;
        let spaced = licence.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
        let mut words = spaced.split_whitespace().collect::<Vec<_>>().into_iter().peekable();
        let fits = self.either(&mut words) && words.next().is_none();
        (!fits).then(|| format!("{package} has the licence '{licence}', which deny.toml does not allow"))
    }

    /// `a OR b`.
    fn either<'w>(&self, words: &mut Words<'w>) -> bool {
        let mut fits = self.both(words);
        while words.next_if_eq(&"OR").is_some() {
            fits |= self.both(words);
        }
        fits
    }

    /// `a AND b`.
    fn both<'w>(&self, words: &mut Words<'w>) -> bool {
        let mut fits = self.one(words);
        while words.next_if_eq(&"AND").is_some() {
            fits &= self.one(words);
        }
        fits
    }

    /// A name, with its exception if it has one, or a bracket.
    fn one<'w>(&self, words: &mut Words<'w>) -> bool {
        match words.next() {
            Some("(") => {
                let fits = self.either(words);
                words.next_if_eq(&")").is_some() && fits
            }
            Some(name) if words.next_if_eq(&"WITH").is_some() => {
                let exception = words.next().unwrap_or_default();
                self.licences.contains(format!("{name} WITH {exception}").as_str())
            }
            Some(name) => self.licences.contains(name),
            None => false,
        }
    }
}

type Words<'w> = std::iter::Peekable<std::vec::IntoIter<&'w str>>;

/// Dependencies that no file of their crate names.
fn unused() -> Result<Vec<String>, Failure> {
    let mut findings = Vec::new();
    for directory in
        ["examples", "benches", "xtask"].map(|name| root().join(name)).into_iter().chain(crates()?)
    {
        let Ok(manifest) = fs::read_to_string(directory.join("Cargo.toml")) else { continue };
        let mut code = String::new();
        append_code(&directory, &mut code)
            .map_err(|error| format!("cannot read {}: {error}", directory.display()))?;
        let place = directory.strip_prefix(root()).unwrap_or(&directory).display();
        let unnamed = declared(&manifest).filter(|name| !names(&code, &name.replace('-', "_")));
        findings.extend(unnamed.map(|name| format!("{place} does not use {name}")));
    }
    Ok(findings)
}

fn crates() -> Result<Vec<std::path::PathBuf>, Failure> {
    let entries =
        fs::read_dir(root().join("crates")).map_err(|error| format!("cannot read crates/: {error}"))?;
    let mut crates: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    crates.sort();
    Ok(crates)
}

/// Appends all Rust files below `directory`.
fn append_code(directory: &Path, code: &mut String) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            append_code(&path, code)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            code.push_str(&fs::read_to_string(&path)?);
            code.push('\n');
        }
    }
    Ok(())
}

/// The names in a manifest's tables of dependencies.
fn declared(manifest: &str) -> impl Iterator<Item = &str> {
    let mut in_table = false;
    manifest.lines().filter_map(move |line| {
        if line.starts_with('[') {
            in_table = line.trim_end_matches(']').ends_with("dependencies");
            return None;
        }
        let name =
            line.split(['=', '.', ' ']).next().filter(|name| !name.is_empty() && !name.starts_with('#'))?;
        (in_table && !line.starts_with([' ', '\t'])).then_some(name)
    })
}

/// Whether `code` has the word.
fn names(code: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + word.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "[licenses]\nallow = [\n  \"MIT\",\n  \"Zlib\",\n  \"MIT WITH x\",\n]\n\
                          [bans]\ndeny = [\n  { crate = \"bad\", reason = \"old\" },\n]\n";

    #[test]
    fn licences_are_read_as_they_are_meant() {
        let policy = Policy::parse(POLICY);
        for (licence, fits) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("", false),
            ("GPL-3.0 OR MIT", true),
            ("GPL-3.0/MIT", true),
            ("MIT AND GPL-3.0", false),
            ("(GPL-3.0 OR MIT) AND Zlib", true),
            ("GPL-3.0 OR MIT AND GPL-3.0", false),
            ("MIT WITH x", true),
            ("Zlib WITH x", false),
            ("MIT nonsense", false),
        ] {
            let found = policy.check_licence(&format!("{licence}|a v1.0.0"));
            assert_eq!(found.is_none(), fits, "{licence}");
        }
    }

    #[test]
    fn what_is_banned_or_from_elsewhere_is_named() {
        let lock = "[[package]]\nname = \"good\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\n\
                    [[package]]\nname = \"bad\"\n[[package]]\nname = \"fork\"\nsource = \"git+https://a/b\"\n";
        let found = Policy::parse(POLICY).check_lock(lock);
        assert_eq!(found, ["bad is banned; deny.toml says why", "fork comes from git+https://a/b"]);
    }

    #[test]
    fn a_dependency_is_used_if_its_name_is_a_word_of_the_code() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\nserde-x = \"1\"\nserde.workspace = true\n\
                        # c\n[features]\nf = []\n[dev-dependencies]\ntempfile = \"3\"\n";
        assert_eq!(declared(manifest).collect::<Vec<_>>(), ["serde-x", "serde", "tempfile"]);
        assert!(names("use serde_x::Y;", "serde_x"));
        assert!(!names("use serde_x::Y;", "serde"));
    }
}
