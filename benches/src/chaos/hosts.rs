//! Two hosts on one machine (network namespaces on one bridge), and a disk that can be filled (a tmpfs).
//!
//! Both need root and Linux's `ip` and `mount`. Everything that was set up is taken down when the value is dropped.

use crate::measure::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

/// How many hosts TaskManagers run on.
const HOSTS: usize = 2;

/// Two network namespaces. The JobManager runs outside them.
pub struct Hosts {
    bridge: String,
    network: String,
}

impl Hosts {
    /// Sets the namespaces up.
    pub fn new() -> Result<Self, Error> {
        let id = std::process::id();
        let hosts = Self { bridge: format!("rfc{id}"), network: free_network(id)? };
        let bridge = &hosts.bridge;
        ip(&["link", "add", bridge, "type", "bridge"])?;
        ip(&["addr", "add", &format!("{}.1/24", hosts.network), "dev", bridge])?;
        ip(&["link", "set", bridge, "up"])?;
        for host in 0..HOSTS {
            let (namespace, inside, outside) = (hosts.namespace(host), "eth0", hosts.link(host));
            ip(&["netns", "add", &namespace])?;
            ip(&["link", "add", &outside, "type", "veth", "peer", "name", inside, "netns", &namespace])?;
            ip(&["link", "set", &outside, "master", bridge, "up"])?;
            let address = format!("{}/24", hosts.address(host));
            ip(&["-n", &namespace, "addr", "add", &address, "dev", inside])?;
            ip(&["-n", &namespace, "link", "set", inside, "up"])?;
            ip(&["-n", &namespace, "link", "set", "lo", "up"])?;
        }
        Ok(hosts)
    }

    /// How many there are.
    pub const fn count(&self) -> usize {
        HOSTS
    }

    /// The address of the JobManager.
    pub fn job_manager(&self) -> String {
        format!("{}.1", self.network)
    }

    /// The address of a host.
    pub fn address(&self, host: usize) -> String {
        format!("{}.{}", self.network, host + 2)
    }

    /// A command that runs on a host. Its process is the program's own.
    pub fn command(&self, host: usize, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(host)]).arg(program);
        command
    }

    /// Cuts a host off, or connects it again.
    pub fn set_connected(&self, host: usize, connected: bool) -> Result<(), Error> {
        ip(&["link", "set", &self.link(host), if connected { "up" } else { "down" }])
    }

    fn namespace(&self, host: usize) -> String {
        format!("{}n{host}", self.bridge)
    }

    fn link(&self, host: usize) -> String {
        format!("{}h{host}", self.bridge)
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        // What is not there any more, or never was, is no loss.
        for host in 0..HOSTS {
            let _ = ip(&["netns", "del", &self.namespace(host)]);
        }
        let _ = ip(&["link", "del", &self.bridge]);
    }
}

/// A small disk of its own.
pub struct Disk {
    at: PathBuf,
}

impl Disk {
    /// Mounts `megabytes` at `at`, which is created.
    pub fn new(at: &Path, megabytes: u64) -> Result<Self, Error> {
        let write = |source| Error::Write { path: at.to_owned(), source };
        fs::create_dir_all(at).map_err(write)?;
        let size = format!("size={megabytes}m");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "reflow-chaos"]).arg(at))?;
        Ok(Self { at: at.to_owned() })
    }

    /// Fills it to the last byte.
    pub fn fill(&self) -> Result<(), Error> {
        let path = self.filler();
        let filled = fs::File::create(&path).and_then(|mut file| io::copy(&mut io::repeat(7), &mut file));
        match filled {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(()),
            Err(source) => Err(Error::Write { path, source }),
            Ok(_) => unreachable!("an endless file fits on no disk"),
        }
    }

    /// Gives the space back.
    pub fn clear(&self) -> Result<(), Error> {
        let path = self.filler();
        fs::remove_file(&path).map_err(|source| Error::Write { path, source })
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("--lazy").arg(&self.at));
    }
}

/// A network that no interface is in. A run that was killed leaves its bridge, and of two with one address neither
/// would be reached.
fn free_network(id: u32) -> Result<String, Error> {
    let used = run(Command::new("ip").args(["-4", "-brief", "address"]))?;
    let mut networks = (0..250).map(|number| format!("10.91.{}", (id + number) % 250 + 1));
    let free = networks.find(|network| !used.contains(&format!(" {network}.")));
    free.ok_or_else(|| Error::NoFigure {
        program: "ip".to_owned(),
        output: "10.91.0.0/16 is in use".to_owned(),
    })
}

fn ip(arguments: &[&str]) -> Result<(), Error> {
    run(Command::new("ip").args(arguments)).map(drop)
}

/// What the command prints.
fn run(command: &mut Command) -> Result<String, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|source| Error::Start { program: program.clone(), source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Err(Error::NoFigure { program, output: text })
}
