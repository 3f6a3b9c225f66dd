//! The TaskManager's parameters: its options and the properties of the machine.

use crate::health::Health;
use reflow_config::{Config, options};
use reflow_protocol::control::Hardware;
use reflow_protocol::job_managers::JobManagers;
use reflow_types::inspection::Inspect;
use std::path::PathBuf;
use std::time::Duration;

/// The part of the memory limit that the TaskManager itself uses. The executor gets the rest.
const OWN_MEMORY_BYTES: u64 = 32 << 20;

/// The properties of the machine and the distribution, which the caller determines.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The platform that this build runs on, e.g. `x86_64-unknown-linux-gnu`.
    pub target: String,
    /// The host name of this machine. Others reach it by this name if no address is known.
    pub host: String,
    /// The user of the process. Users do not share the cache of executables.
    pub user: String,
    /// The process id.
    pub pid: u32,
    /// Processors that the process may use.
    pub cpu_cores: u32,
    /// Physical memory in bytes.
    pub physical_memory: u64,
    /// The distribution's `lib/`, if there is one: executables of jobs lie there.
    pub lib: Option<PathBuf>,
    /// Reads how much memory the process and its children use, in bytes.
    pub memory_in_use: fn() -> u64,
    /// Answers inquiries about logs and threads.
    pub inspect: Inspect,
}

/// Where the executables of jobs come from.
#[derive(Clone, Debug)]
pub enum Executables {
    /// From `lib/`, the cache or the JobManager, if they have the SHA-256 that the JobManager names.
    Files {
        /// The distribution's `lib/`.
        lib: Option<PathBuf>,
        /// The directory in which executables are cached.
        cache: PathBuf,
    },
    /// The job is part of this process. Nothing is read or hashed: without optimisation that takes many seconds for an
    /// executable with debug information.
    ThisProcess,
}

/// The parameters of a TaskManager.
#[derive(Clone)]
pub struct Settings {
    /// Where JobManagers listen.
    pub job_managers: JobManagers,
    /// The address of this machine for other executors, if it is configured.
    pub host: Option<String>,
    /// The name of this machine.
    pub host_name: String,
    /// The interface on which executors listen.
    pub bind_host: String,
    /// The port for data connections; 0 for any free port.
    pub data_port: u16,
    /// How many slots it offers.
    pub slots: u32,
    /// How long it tries to reach a JobManager before it exits.
    pub registration_timeout: Duration,
    /// How long executors process on without a JobManager. Zero: they end with it.
    pub adoption_timeout: Duration,
    /// How long it waits for the job to be moved off it.
    pub drain_timeout: Duration,
    /// The memory limit of an executor in bytes.
    pub executor_memory: Option<u64>,
    /// The properties of the machine that it reports.
    pub hardware: Hardware,
    /// Where the executables of jobs come from.
    pub executables: Executables,
    /// The options for its executors, as lines of `key: value`.
    pub properties: String,
    /// As in [`Machine`].
    pub target: String,
    /// As in [`Machine`].
    pub pid: u32,
    /// As in [`Machine`].
    pub memory_in_use: fn() -> u64,
    /// What it reports of itself to the thread that answers probes.
    pub health: Health,
    /// As in [`Machine`].
    pub inspect: Inspect,
}

impl Settings {
    /// Derives the parameters from the options and the machine.
    pub fn new(config: &Config, machine: Machine) -> Self {
        let bind_host = options::TASK_MANAGER_BIND_HOST.get(config);
        let any = matches!(bind_host.as_str(), "0.0.0.0" | "::" | "[::]");
        let memory = options::TASK_MANAGER_MEMORY.get(config).map(|size| size.as_bytes());
        let tmp = options::TMP_DIRS.get(config).into_iter().next().unwrap_or_else(|| "/tmp".to_owned());
        Self {
            job_managers: job_managers(config),
            host: options::TASK_MANAGER_HOST.get(config).or((!any).then(|| bind_host.clone())),
            host_name: machine.host,
            bind_host,
            data_port: options::TASK_MANAGER_DATA_PORT.get(config),
            slots: options::NUM_TASK_SLOTS.get(config),
            registration_timeout: options::REGISTRATION_TIMEOUT.get(config),
            adoption_timeout: options::ADOPTION_TIMEOUT.get(config),
            drain_timeout: options::DRAIN_TIMEOUT.get(config),
            executor_memory: memory.map(|limit| limit - OWN_MEMORY_BYTES.min(limit / 2)),
            hardware: Hardware {
                cpu_cores: machine.cpu_cores,
                physical_memory: machine.physical_memory,
                process_memory: memory.unwrap_or(machine.physical_memory),
            },
            executables: Executables::Files {
                lib: machine.lib,
                cache: PathBuf::from(tmp).join(format!("reflow-artifacts-{}", machine.user)),
            },
            properties: config.to_properties(),
            target: machine.target,
            pid: machine.pid,
            memory_in_use: machine.memory_in_use,
            health: Health::default(),
            inspect: machine.inspect,
        }
    }
}

impl Settings {
    /// The address of this machine for other executors, if its connection to the JobManager has the local address
    /// `local`. If the JobManager runs on the same machine, that may be an address that only this machine knows;
    /// then the host name is used.
    #[must_use]
    pub fn host_for(&self, local: &str) -> String {
        let own = local.parse::<std::net::IpAddr>().map_or(local.is_empty(), |ip| ip.is_loopback());
        let seen = if own { &self.host_name } else { local };
        self.host.clone().unwrap_or_else(|| seen.to_owned())
    }
}

/// The addresses of JobManagers of which one leads, or that of the only one.
fn job_managers(config: &Config) -> JobManagers {
    let port = options::JOB_MANAGER_PORT.get(config);
    let address = |host: String| match host.rsplit_once(':') {
        Some((before, port))
            if port.parse::<u16>().is_ok() && (!before.contains(':') || before.ends_with(']')) =>
        {
            host
        }
        _ => join_host_port(&host, port),
    };
    let mut several = options::JOB_MANAGERS.get(config).into_iter().map(address);
    match several.next() {
        Some(first) => JobManagers::new(first, several),
        None => JobManagers::new(join_host_port(&options::JOB_MANAGER_ADDRESS.get(config), port), []),
    }
}

/// `host:port`, with the brackets that an IPv6 address needs.
fn join_host_port(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reflow_types::inspection::InspectionError;

    fn machine() -> Machine {
        Machine {
            target: "x86_64-unknown-linux-gnu".into(),
            host: "worker-7".into(),
            user: "flink".into(),
            pid: 1,
            cpu_cores: 4,
            physical_memory: 8 << 30,
            lib: None,
            memory_in_use: || 0,
            inspect: |_| Err(InspectionError::NoSuchLog),
        }
    }

    #[track_caller]
    fn check(pairs: &[(&str, &str)], expected: impl Fn(&Settings) -> bool) {
        let config = Config::from_pairs(pairs.iter().copied()).unwrap();
        assert!(expected(&Settings::new(&config, machine())), "{pairs:?}");
    }

    #[test]
    fn others_reach_the_machine_where_its_connection_comes_from_unless_it_listens_elsewhere() {
        let local = |ip: &'static str| move |s: &Settings, host: &str| s.host_for(ip) == host;
        let outside = local("192.168.1.5");
        check(&[], |s| outside(s, "localhost"));
        check(&[("taskmanager.bind-host", "0.0.0.0")], |s| outside(s, "192.168.1.5"));
        check(&[("taskmanager.bind-host", "0.0.0.0")], |s| local("127.0.0.1")(s, "worker-7"));
        check(&[("taskmanager.bind-host", "0.0.0.0")], |s| local("::1")(s, "worker-7"));
        check(&[("taskmanager.bind-host", "10.0.0.9")], |s| outside(s, "10.0.0.9"));
        check(&[("taskmanager.host", "10.0.0.7")], |s| outside(s, "10.0.0.7"));
        let addresses = |all: &'static str| move |s: &Settings| s.job_managers.all() == all;
        check(&[("jobmanager.rpc.address", "::1")], addresses("[::1]:6123"));
        let several =
            [("high-availability.jobmanager.addresses", "a;b:7;::1;[::1]:7"), ("jobmanager.rpc.port", "9")];
        check(&several, addresses("a:9, b:7, [::1]:9, [::1]:7"));
    }

    #[test]
    fn the_executor_gets_the_limit_less_the_task_managers_share() {
        check(&[], |s| s.executor_memory.is_none() && s.hardware.process_memory == 8 << 30);
        check(&[("taskmanager.memory.process.size", "1g")], |s| {
            s.executor_memory == Some((1 << 30) - (32 << 20))
        });
        check(&[("taskmanager.memory.process.size", "10m")], |s| s.executor_memory == Some(5 << 20));
    }
}
