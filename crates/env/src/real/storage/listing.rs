//! The files below a directory of the local file system.
//!
//! It replaces the listing of `object_store`, which fails completely on a single name that is not an object's
//! name (not UTF-8, control characters) and on a symbolic link to a directory above it, and which silently omits
//! names that end in `#` and digits. Here every file whose name is an object's name is listed. Other files are
//! logged once each, unless a part of the path is hidden: sources do not read such files anyway, and the writers
//! of checkpoints leave `_metadata#1` behind when they crash.
//!
//! A directory that cannot be read fails the listing, because skipping it could hide a checkpoint.

use object_store::path::Path as ObjectPath;
use std::collections::BTreeSet;
use std::fs::{DirEntry, FileType, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The number of omitted files that are remembered as logged. Further ones are logged with each listing.
const MAX_NAMED: usize = 10_000;

/// A file of a listing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its path below the listed directory.
    pub(super) relative: String,
    pub(super) len: u64,
}

/// The reason for which a file is omitted from listings.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unnameable {
    #[error("its name is not UTF-8; rename it")]
    NotUtf8,
    #[error("its name has control characters; rename it")]
    ControlCharacters,
    #[error("its name ends in '#' and digits, as that of a file does that is being written; rename it")]
    Staged,
    #[error("it is a symbolic link to nothing, or to a directory above it")]
    LinkToNothing,
}

/// The omitted files that were logged.
#[derive(Default)]
pub(super) struct Named(Mutex<BTreeSet<PathBuf>>);

impl Named {
    fn warn_once(&self, path: &Path, why: &Unnameable) {
        let mut named = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if named.contains(path) {
            return;
        }
        if named.len() < MAX_NAMED {
            named.insert(path.to_owned());
        }
        // Debug quotes the name and escapes each byte that is not part of a character, so that the file can be
        // found.
        tracing::warn!("left out the file {path:?}, which cannot be read: {why}");
    }
}

/// All files below `root`, in any order, links followed. Empty if `root` does not exist or is a file.
pub(super) fn files_below(root: &Path, named: &Named) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    let mut directories = vec![String::new()];
    while let Some(directory) = directories.pop() {
        let path = root.join(&directory);
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(e)
                if e.kind() == io::ErrorKind::NotADirectory && directory.is_empty() && ends_staged(root) =>
            {
                return Err(io::Error::other(Unnameable::Staged));
            }
            // It was removed after its directory was read.
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
            Err(e) => return Err(named_error(&path, &e)),
        };
        for entry in entries {
            let entry = entry?;
            let metadata = match resolved(&entry)? {
                Entry::Of(metadata) => metadata,
                Entry::Gone => continue,
                Entry::LinkToNothing => {
                    warn_unless_hidden(&directory, &entry, &Unnameable::LinkToNothing, named);
                    continue;
                }
            };
            if !metadata.is_dir() && !metadata.is_file() {
                continue; // a socket or a pipe, which has no length
            }
            match object_name(&entry, metadata.file_type()) {
                Err(why) => warn_unless_hidden(&directory, &entry, &why, named),
                Ok(name) => {
                    let separator = if directory.is_empty() { "" } else { "/" };
                    let relative = format!("{directory}{separator}{name}");
                    if metadata.is_dir() {
                        directories.push(relative);
                    } else {
                        found.push(Found { relative, len: metadata.len() });
                    }
                }
            }
        }
    }
    Ok(found)
}

enum Entry {
    Of(Metadata),
    /// It was removed after its directory was read.
    Gone,
    /// A link without a target, or to itself.
    LinkToNothing,
}

/// The type of an entry or of its link target.
fn resolved(entry: &DirEntry) -> io::Result<Entry> {
    let path = entry.path();
    let is_link = entry.file_type()?.is_symlink();
    let target = match std::fs::metadata(&path) {
        Ok(target) => target,
        Err(e) if is_link && leads_nowhere(&e) => return Ok(Entry::LinkToNothing),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Entry::Gone),
        Err(e) => return Err(named_error(&path, &e)),
    };
    let is_target = |above: &Path| {
        std::fs::metadata(above).is_ok_and(|above| (above.dev(), above.ino()) == (target.dev(), target.ino()))
    };
    let is_circle = is_link && target.is_dir() && path.ancestors().skip(1).any(is_target);
    Ok(if is_circle { Entry::LinkToNothing } else { Entry::Of(target) })
}

fn leads_nowhere(error: &io::Error) -> bool {
    const TOO_MANY_LINKS: i32 = rustix::io::Errno::LOOP.raw_os_error();
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(TOO_MANY_LINKS)
}

fn named_error(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The name of an entry, if it is a valid name for an object or a directory of objects.
fn object_name(entry: &DirEntry, file_type: FileType) -> Result<String, Unnameable> {
    let name = entry.file_name().into_string().map_err(|_| Unnameable::NotUtf8)?;
    if ObjectPath::parse(&name).is_err() {
        return Err(Unnameable::ControlCharacters);
    }
    if file_type.is_file() && is_staged(&name) {
        return Err(Unnameable::Staged);
    }
    Ok(name)
}

/// Whether `object_store` treats a file of this name as one that is being written.
fn is_staged(name: &str) -> bool {
    let suffix = name.split_once('#').map(|(_, suffix)| suffix);
    suffix.is_some_and(|suffix| !suffix.is_empty() && suffix.bytes().all(|byte| byte.is_ascii_digit()))
}

fn ends_staged(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(is_staged)
}

fn warn_unless_hidden(directory: &str, entry: &DirEntry, why: &Unnameable, named: &Named) {
    let is_hidden = |name: &[u8]| name.starts_with(b".") || name.starts_with(b"_");
    let hidden_above = directory.split('/').any(|name| is_hidden(name.as_bytes()));
    if !hidden_above && !is_hidden(entry.file_name().as_encoded_bytes()) {
        named.warn_once(&entry.path(), why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    fn listed(root: &Path, named: &Named) -> Vec<String> {
        let mut names: Vec<_> =
            files_below(root, named).unwrap().into_iter().map(|found| found.relative).collect();
        names.sort_unstable();
        names
    }

    fn names_in_log(named: &Named, root: &Path) -> Vec<Vec<u8>> {
        let named = named.0.lock().unwrap();
        named.iter().map(|path| path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec()).collect()
    }

    #[test]
    fn names_that_no_object_has_are_left_out_and_named_once() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let file = |name: &[u8]| {
            let path = root.join(OsStr::from_bytes(name));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        };
        let read: [&[u8]; 7] =
            [b"a", b"a b", b"%41%", b"c#1.csv", b"d#", "\u{e4}\u{85}".as_bytes(), b"e#1/f\\\""];
        read.iter().for_each(|name| file(name));
        let left_out: [&[u8]; 4] = [b"g\th", b"i#1", b"j/\xff/k", b"l\x7f"];
        left_out.iter().for_each(|name| file(name));
        file(b"_metadata#1");
        file(b".git/m\n");
        let named = Named::default();
        for _ in 0..2 {
            let mut expected = read.map(|name| String::from_utf8(name.to_vec()).unwrap());
            expected.sort_unstable();
            assert_eq!(listed(root, &named), expected);
            let expected: [&[u8]; 4] = [b"g\th", b"i#1", b"j/\xff", b"l\x7f"];
            assert_eq!(names_in_log(&named, root), expected);
        }
    }

    #[test]
    fn links_are_followed_but_not_in_circles() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = dir.path();
        std::fs::create_dir(root.join("a")).unwrap();
        std::fs::write(root.join("a/b"), "x").unwrap();
        std::fs::write(elsewhere.path().join("c"), "x").unwrap();
        symlink(elsewhere.path(), root.join("link")).unwrap();
        symlink(root.join("a/b"), root.join("file")).unwrap();
        symlink(root, root.join("a/circle")).unwrap();
        symlink("gone", root.join("dangling")).unwrap();
        symlink("self", root.join("self")).unwrap();
        let named = Named::default();
        assert_eq!(listed(root, &named), ["a/b", "file", "link/c"]);
        assert_eq!(names_in_log(&named, root), [&b"a/circle"[..], b"dangling", b"self"]);
    }

    #[test]
    fn what_is_not_a_directory_has_no_files_below() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "x").unwrap();
        let named = Named::default();
        assert!(listed(&dir.path().join("a"), &named).is_empty());
        assert!(listed(&dir.path().join("b"), &named).is_empty());
        std::fs::write(dir.path().join("c#1"), "x").unwrap();
        let error = files_below(&dir.path().join("c#1"), &named).unwrap_err().to_string();
        assert_eq!(error, Unnameable::Staged.to_string());
    }
}
