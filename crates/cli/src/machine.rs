//! What a TaskManager is told of the machine under it, as Linux shows it in `/proc` and `/sys/fs/cgroup`.

use crate::client::distribution;
use crate::error::CliError;
use reflow_taskmanager::manager::Machine;
use reflow_types::TaskManagerId;
use std::fs;
use std::io::{self, Read};

/// Finds out about this machine and the distribution.
pub(crate) fn inspect() -> Result<Machine, CliError> {
    let cores = std::thread::available_parallelism().map_err(CliError::Machine)?.get();
    Ok(Machine {
        target: target(),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        user: std::env::var("USER").unwrap_or_else(|_| rustix::process::getuid().as_raw().to_string()),
        pid: std::process::id(),
        cpu_cores: u32::try_from(cores).unwrap_or(u32::MAX),
        physical_memory: physical_memory().map_err(CliError::Machine)?,
        lib: distribution().map(|home| home.join("lib")).filter(|lib| lib.is_dir()),
        memory_in_use,
    })
}

/// An id that no other TaskManager has.
pub(crate) fn random_id() -> io::Result<TaskManagerId> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(TaskManagerId(u128::from_le_bytes(bytes)))
}

fn target() -> String {
    let libc = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    format!("{}-unknown-{}-{libc}", std::env::consts::ARCH, std::env::consts::OS)
}

/// The machine's memory, or the container's limit if that is lower, in bytes.
fn physical_memory() -> io::Result<u64> {
    let machine = field(&fs::read_to_string("/proc/meminfo")?, "MemTotal:").unwrap_or(0);
    let limit =
        fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    Ok(limit.map_or(machine, |limit: u64| limit.min(machine)))
}

/// The resident memory of this process and its children, in bytes.
fn memory_in_use() -> u64 {
    let resident = |pid: &str| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        field(&status, "VmRSS:").unwrap_or(0)
    };
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let of_children: u64 =
        children.flat_map(|pids| pids.split_whitespace().map(resident).collect::<Vec<_>>()).sum();
    resident("self") + of_children
}

/// The value of a line such as `VmRSS:   1234 kB`, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_in_kilobytes() {
        let text = "VmPeak:\t  10 kB\nVmRSS:\t    1234 kB\n";
        assert_eq!(field(text, "VmRSS:"), Some(1234 * 1024));
        assert_eq!(field(text, "VmSwap:"), None);
    }

    #[test]
    fn this_machine_has_memory_and_uses_some() {
        let all = physical_memory().unwrap();
        let used = memory_in_use();
        assert!(0 < used && used < all, "{used} of {all}");
    }

    #[test]
    fn no_two_ids_are_alike() {
        assert_ne!(random_id().unwrap(), random_id().unwrap());
    }
}
