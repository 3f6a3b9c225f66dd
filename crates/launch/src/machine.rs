//! The properties of this machine, from Linux's `/proc` and `/sys/fs/cgroup`.

use crate::inspection::{self, children};
use reflow_taskmanager::Machine;
use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;

/// Reads the properties of this machine. `lib` is the distribution's directory of jobs, if there is one.
pub fn inspect(lib: Option<PathBuf>) -> io::Result<Machine> {
    let cores = std::thread::available_parallelism()?.get();
    Ok(Machine {
        target: target(),
        host: host(),
        user: std::env::var("USER").unwrap_or_else(|_| rustix::process::getuid().as_raw().to_string()),
        pid: std::process::id(),
        cpu_cores: u32::try_from(cores).unwrap_or(u32::MAX),
        physical_memory: physical_memory()?,
        lib,
        memory_in_use: memory_with_children,
        inspect: inspection::inspect,
    })
}

/// Random bytes from the system's secure generator.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Names this machine's clock. A kernel has one, whatever the names of its containers are.
pub fn clock() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map_or_else(|_| host(), |id| id.trim().to_owned())
}

/// This machine's name.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The platform that this build runs on.
pub fn target() -> String {
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

/// The resident memory of this process, in bytes.
pub fn memory() -> u64 {
    resident("self")
}

/// The resident memory of this process and its children, in bytes.
fn memory_with_children() -> u64 {
    let of_children: u64 = children().into_iter().map(|pid| resident(&pid.to_string())).sum();
    memory() + of_children
}

fn resident(pid: &str) -> u64 {
    field(&fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default(), "VmRSS:").unwrap_or(0)
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
        let (all, used) = (physical_memory().unwrap(), memory_with_children());
        assert!(0 < used && used < all, "{used} of {all}");
    }

    #[test]
    fn random_bytes_differ() {
        assert_ne!(random::<16>().unwrap(), random::<16>().unwrap());
    }
}
