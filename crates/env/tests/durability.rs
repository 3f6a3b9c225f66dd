//! That an object of the local file system is on disk when its request is answered.
//!
//! Alone in its process: what it looks at, `cancelled_write_bytes` in `/proc/self/io`, counts for the whole process.
//! These are bytes that were deleted before they came to disk, so a file that is there on disk adds nothing to it.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

#[path = "real/probe.rs"]
#[expect(dead_code, reason = "of the probe, only storage requests are needed")]
mod probe;

use probe::Probe;
use reflow_env::real::{Options, Storage, StorageOptions};
use reflow_env::{Location, PutMode, StoreOp, StoreReply};

const PART: usize = 5 << 20;

/// Writes objects in every way there is and deletes them; how many of their bytes never came to disk.
fn lost_by_deleting(fsync: bool, base: &Location) -> u64 {
    let storage = Storage::new(StorageOptions { fsync, ..StorageOptions::default() });
    let probe = Probe::start(Options { storage, ..Options::default() });
    let done = |op| assert_eq!(probe.store(op), Ok(StoreReply::Done));
    let at = |name| base.join(name);
    let body = || bytes::Bytes::from(vec![7; PART]);
    let before = never_written();
    done(StoreOp::Put { at: at("a/created"), body: body(), mode: PutMode::Create });
    done(StoreOp::Put { at: at("b/replaced"), body: body(), mode: PutMode::Overwrite });
    for last in [false, true] {
        done(StoreOp::Upload { upload: 1, at: at("c/uploaded"), part: body(), last });
    }
    done(StoreOp::Rename { from: at("c/uploaded"), to: at("d/renamed") });
    for name in ["a/created", "b/replaced", "d/renamed"] {
        done(StoreOp::Delete { at: at(name) });
    }
    never_written() - before
}

fn never_written() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("cancelled_write_bytes: ")).unwrap();
    line.parse().unwrap()
}

#[test]
fn what_is_answered_is_on_disk() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let base = Location(dir.path().to_str().unwrap().into());
    if lost_by_deleting(false, &base) == 0 {
        eprintln!("{base} is not on a disk, so nothing here can tell whether bytes come to one");
        return;
    }
    assert_eq!(lost_by_deleting(true, &base), 0);
}
