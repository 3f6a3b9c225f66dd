//! Test of a TaskManager as the first process of a container, which must reap orphaned processes.

use crate::distribution::{Distribution, until};
use std::fs;
use std::process::{Child, Command, Stdio};

/// A process that is killed when the test ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The command that runs a process as the first one of a namespace: directly, or with a namespace of users.
/// `None` if the system permits neither, as in most containers without privileges; then the test is skipped.
fn container() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [
        &["--pid", "--fork", "--kill-child", "--mount-proc"],
        &["--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"],
    ];
    let works = |way: &&&[&str]| {
        Command::new("unshare").args(**way).arg("true").output().is_ok_and(|output| output.status.success())
    };
    ways.iter().find(works).copied()
}

#[test]
fn it_waits_for_orphans_and_ends_when_told() {
    let Some(container) = container() else {
        eprintln!("skipped: this system does not permit a namespace of processes");
        return;
    };
    let d = Distribution::lay_out("");
    d.run("mkfifo orphans-end");
    let mut command = Command::new("unshare");
    // The orphan exists before the TaskManager, which replaces its shell as process 1.
    command.args(container).args([
        "bash",
        "-c",
        "(cat orphans-end & ) ; exec ./bin/reflow taskmanager --config-dir conf",
    ]);
    let log = d.home.path().join("first.log");
    command.current_dir(d.home.path()).stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
    let mut unshare = Ended(command.spawn().unwrap());

    let first = until("the first process", || children(unshare.0.id()).first().copied());
    let named = |name: &str| {
        until(&format!("{name} below the first process"), || {
            children(first).into_iter().find(|pid| name_of(*pid).as_deref() == Some(name))
        })
    };
    let orphan = named("cat");
    until("the TaskManager to look for its JobManager", || {
        fs::read_to_string(&log).unwrap().contains("no connection to the JobManager").then_some(())
    });
    fs::write(d.home.path().join("orphans-end"), "").unwrap();
    until("the orphan to be gone, not a zombie", || name_of(orphan).is_none().then_some(()));

    assert!(Command::new("kill").args(["-TERM", &first.to_string()]).status().unwrap().success());
    let status = until("the end", || unshare.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(0), "as a TaskManager that nobody needs to wait for ends");
}

/// The children of a process, without their own.
fn children(of: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// The name of a process, which a zombie has too.
fn name_of(pid: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim().to_owned())
}
