//! The checks of a configuration and of this machine.

use super::Finding;
use crate::table::bytes;
use reflow_config::{Config, options};
use reflow_env::real::{BlockingStorage, Clock};
use reflow_env::{Location, PutMode, StoreError, StoreOp, StoreReply, StoreResult};
use reflow_launch::{machine, storage, tls};
use rustix::fs::statvfs;
use rustix::process::{Resource, getrlimit};
use std::net::{TcpListener, ToSocketAddrs};
use std::path::Path;

/// Connections need descriptors: those of REST clients, of members, and of each executor to each other.
const FEW_DESCRIPTORS: u64 = 4_096;
/// Executables of jobs are cached in the directory for temporary files.
const LITTLE_SPACE_BYTES: u64 = 1 << 30;
/// 2026-01-01: a clock before that is wrong.
const EARLIEST_MS: i64 = 1_767_225_600_000;

pub(super) fn all(config: &Config) -> Vec<Finding> {
    let mut findings = ports(config);
    findings.push(encryption(config));
    findings.push(encryption_of_rest(config));
    findings.extend(checkpoints(config));
    findings.push(clock());
    findings.push(descriptors());
    findings.extend(options::TMP_DIRS.get(config).iter().map(|directory| temporary(directory)));
    findings.push(memory(config));
    findings
}

fn ports(config: &Config) -> Vec<Finding> {
    let job_manager = options::JOB_MANAGER_BIND_HOST.get(config);
    let rest = options::REST_BIND_ADDRESS.get(config);
    let task_manager = options::TASK_MANAGER_BIND_HOST.get(config);
    let mut ports = vec![
        port(options::JOB_MANAGER_PORT.key(), &job_manager, options::JOB_MANAGER_PORT.get(config)),
        port(options::REST_PORT.key(), &rest, options::REST_PORT.get(config)),
        port(
            options::TASK_MANAGER_DATA_PORT.key(),
            &task_manager,
            options::TASK_MANAGER_DATA_PORT.get(config),
        ),
    ];
    let probes = options::PROBES_PORT.get(config);
    ports.extend(probes.map(|probes| port(options::PROBES_PORT.key(), &task_manager, probes)));
    ports
}

/// Whether a process can listen there.
fn port(key: &str, host: &str, port: u16) -> Finding {
    if port == 0 {
        return Finding::ok(key, "0: the system chooses a free port");
    }
    let bare = host.trim_matches(['[', ']']);
    let addresses: Vec<_> = match (bare, port).to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            return Finding::wrong(key, format!("the host name {host} cannot be resolved: {error}"));
        }
    };
    match TcpListener::bind(&*addresses) {
        Ok(_) => Finding::ok(key, format!("{host}:{port} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Finding::warning(
            key,
            format!(
                "{host}:{port} is in use: fine if a process of this cluster runs here; otherwise set {key} to another port"
            ),
        ),
        Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => Finding::warning(
            key,
            format!(
                "{host} is no address of this machine: fine if the process that listens there runs on another; otherwise set the address of this one"
            ),
        ),
        Err(error) => Finding::wrong(key, format!("no process can listen on {host}:{port}: {error}")),
    }
}

fn encryption(config: &Config) -> Finding {
    const SUBJECT: &str = "encryption between processes";
    match tls::internal(config).map(|tls| tls.map(|tls| tls.fault())) {
        Err(error) => Finding::wrong(SUBJECT, error.to_string()),
        Ok(Some(Some(fault))) => Finding::wrong(SUBJECT, fault),
        Ok(Some(None)) => Finding::ok(SUBJECT, "on, and its certificate, key and CA can be read"),
        Ok(None) => Finding::ok(SUBJECT, "off (security.ssl.internal.enabled)"),
    }
}

/// The JobManager's machine needs certificate and key, and those of clients the CA.
fn encryption_of_rest(config: &Config) -> Finding {
    const SUBJECT: &str = "encryption of REST";
    if !options::SECURITY_SSL_REST_ENABLED.get(config) {
        return Finding::ok(SUBJECT, "off (security.ssl.rest.enabled)");
    }
    let has_ca = options::SECURITY_SSL_REST_CA.get(config).is_some();
    let is_served = options::SECURITY_SSL_REST_CERTIFICATE.get(config).is_some();
    let client = if has_ca { tls::rest_client(config).map(drop) } else { Ok(()) };
    let server = if is_served || !has_ca { tls::rest_server(config) } else { Ok(None) };
    match client.and(server.map(|tls| tls.map(|tls| tls.fault()))) {
        Err(error) => Finding::wrong(SUBJECT, error.to_string()),
        Ok(Some(Some(fault))) => Finding::wrong(SUBJECT, fault),
        Ok(Some(None)) => Finding::ok(SUBJECT, "on, and its certificate and key can be read"),
        Ok(None) => Finding::ok(
            SUBJECT,
            "on for clients, and its CA can be read; the JobManager needs a certificate, too",
        ),
    }
}

/// Whether the storage of checkpoints does what leadership and checkpoints need of it.
fn checkpoints(config: &Config) -> Vec<Finding> {
    let key = options::CHECKPOINT_DIRECTORY.key();
    let directory = options::CHECKPOINT_DIRECTORY.get(config);
    let opened = storage::open(config).map_err(|error| error.to_string());
    let opened = opened.and_then(|storage| BlockingStorage::new(storage).map_err(|error| error.to_string()));
    let storage = match opened {
        Ok(storage) => storage,
        Err(error) => return vec![Finding::wrong(key, error)],
    };
    // In a directory of its own: local storage removes a directory with the last object in it.
    let at = Location(directory.clone()).join(&random_name()).join("object");
    let finding = match create_only(&storage, &at) {
        Ok(()) => Finding::ok(key, format!("{directory} can be written, read, and created in only once")),
        Err(reason) => Finding::wrong(key, reason),
    };
    let mut findings = vec![finding];
    if let Err(error) = storage.request(StoreOp::Delete { at }) {
        findings.push(Finding::warning(key, format!("the object of this check cannot be removed: {error}")));
    }
    if let Some(directory) = is_local(&directory).filter(|directory| directory.starts_with("/tmp")) {
        let text = format!(
            "{} is lost when the machine starts again, and other machines do not see it",
            directory.display()
        );
        findings.push(Finding::warning(key, text));
    }
    findings
}

fn random_name() -> String {
    let random = machine::random::<8>().unwrap_or_default();
    format!("reflow-doctor-{}", random.map(|byte| format!("{byte:02x}")).concat())
}

fn is_local(directory: &str) -> Option<&Path> {
    let path = directory.strip_prefix("file://").unwrap_or(directory);
    path.starts_with('/').then(|| Path::new(path))
}

fn create_only(storage: &BlockingStorage, at: &Location) -> Result<(), String> {
    const CONTENT: &[u8] = b"written by reflow doctor";
    let create = || -> StoreResult {
        storage.request(StoreOp::Put { at: at.clone(), body: CONTENT.into(), mode: PutMode::Create })
    };
    create().map_err(|error| format!("cannot be written: {error}"))?;
    match create() {
        Err(StoreError::AlreadyExists(_)) => {}
        Err(error) => return Err(format!("an object that exists cannot be refused: {error}")),
        Ok(_) => {
            return Err(
                "it creates an object that exists already, so two JobManagers could both lead the job: use \
                        storage with conditional writes"
                    .to_owned(),
            );
        }
    }
    match storage.request(StoreOp::Get { at: at.clone(), range: None }) {
        Ok(StoreReply::Bytes(bytes)) if bytes == CONTENT => Ok(()),
        Ok(_) => Err("it returns another object than was written".to_owned()),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

fn clock() -> Finding {
    let now_ms = Clock::start().now().as_millis();
    let shown = jiff::Timestamp::from_millisecond(now_ms).map(|at| format!("{at:.0}")).unwrap_or_default();
    if now_ms < EARLIEST_MS {
        return Finding::wrong(
            "clock",
            format!("it is {shown}, which is over: set the clock of this machine"),
        );
    }
    Finding::ok("clock", format!("it is {shown}"))
}

fn descriptors() -> Finding {
    const SUBJECT: &str = "open files";
    // Processes raise their limit to this one.
    match getrlimit(Resource::Nofile).maximum {
        Some(limit) if limit < FEW_DESCRIPTORS => Finding::warning(
            SUBJECT,
            format!(
                "a process may have {limit}, which is few for a cluster: raise it by ulimit -Hn or LimitNOFILE"
            ),
        ),
        Some(limit) => Finding::ok(SUBJECT, format!("a process may have {limit}")),
        None => Finding::ok(SUBJECT, "a process may have any number"),
    }
}

fn temporary(directory: &str) -> Finding {
    let key = options::TMP_DIRS.key();
    let space = match statvfs(directory) {
        Ok(space) => space.f_bavail.saturating_mul(space.f_frsize),
        Err(error) => return Finding::wrong(key, format!("{directory}: {error}: create it, or set another")),
    };
    // Created, never opened: other users may have put a link there that leads to a file of this one.
    let probe = Path::new(directory).join(random_name());
    let written = std::fs::File::create_new(&probe).and_then(|_| std::fs::remove_file(&probe));
    if let Err(error) = written {
        return Finding::wrong(key, format!("{directory} cannot be written: {error}"));
    }
    let shown = format!("{directory} has {} of free space", bytes(space));
    if space < LITTLE_SPACE_BYTES {
        Finding::warning(key, format!("{shown}, which is little for executables of jobs"))
    } else {
        Finding::ok(key, shown)
    }
}

fn memory(config: &Config) -> Finding {
    let key = options::TASK_MANAGER_MEMORY.key();
    let machine = match machine::inspect(None) {
        Ok(machine) => machine,
        Err(error) => {
            return Finding::wrong("machine", format!("its properties cannot be read: {error}"));
        }
    };
    let there = bytes(machine.physical_memory);
    match options::TASK_MANAGER_MEMORY.get(config).map(|size| size.as_bytes()) {
        None => Finding::ok(key, format!("not set: a TaskManager may use all {there} of the machine")),
        Some(limit) if limit > machine.physical_memory => {
            Finding::wrong(key, format!("{} is more than the {there} of the machine: set less", bytes(limit)))
        }
        Some(limit) => Finding::ok(key, format!("{} of the {there} of the machine", bytes(limit))),
    }
}
