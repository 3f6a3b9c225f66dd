//! The JobManager's HTTP servers: REST and the web interface, the job's executable for TaskManagers, and external metrics for
//! Kubernetes.
//!
//! REST may be bound to an interface that TaskManagers cannot reach, above all to `localhost` while they are on
//! other machines. Then a second listener, on the interface of the JobManager's port, serves only the executable.

use super::{LaunchError, system};
use reflow_config::{Config, options};
use reflow_env::real;
use reflow_jobmanager::Handle;
use reflow_launch::machine;
use reflow_launch::tls::{self, UnusableTls};
use reflow_protocol::deployment::{self, ArtifactTls};
use reflow_rest::{
    Access, Artifact, Credentials, CredentialsError, Endpoint, Handshake, Limits, Origins, ServeError,
};
use sha2::{Digest, Sha256};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The executable of this process, also if another file has taken its name.
const THIS_EXECUTABLE: &str = "/proc/self/exe";

/// A server with bound ports.
pub(super) struct HttpServer {
    rest: Endpoint,
    access: Access,
    /// The listener for TaskManagers, if they cannot reach REST.
    artifacts: Option<Endpoint>,
    external_metrics: Option<ExternalMetrics>,
    artifact: Artifact,
    len: u64,
    /// The port at which TaskManagers fetch the executable.
    artifact_port: u16,
    artifact_tls: ArtifactTls,
}

/// The port for the HPA of Kubernetes.
struct ExternalMetrics {
    endpoint: Endpoint,
    namespace: Option<String>,
}

/// A running server.
pub(super) struct Serving {
    until: watch::Sender<()>,
    servers: JoinSet<()>,
}

impl HttpServer {
    pub(super) async fn bind(config: &Config) -> Result<Self, LaunchError> {
        let access = access(config)?;
        let rest_tls = rest_handshake(config)?;
        let (host, port) = (options::REST_BIND_ADDRESS.get(config), options::REST_PORT.get(config));
        let rest = TcpListener::bind((host.as_str(), port)).await;
        let rest = rest.map_err(|error| LaunchError::Rest { address: format!("{host}:{port}"), error })?;
        let job_manager = options::JOB_MANAGER_BIND_HOST.get(config);
        let artifacts = if reaches_task_managers(&host, &job_manager) {
            None
        } else {
            let listener = TcpListener::bind((job_manager.as_str(), 0)).await;
            Some(listener.map_err(|error| LaunchError::Artifacts { host: job_manager, error })?)
        };
        let (artifact_tls, handshake) = match (&artifacts, internal_handshake(config)?) {
            (Some(_), Some(internal)) => (ArtifactTls::Internal, Some(internal)),
            _ if rest_tls.is_some() => (ArtifactTls::Rest, rest_tls.clone()),
            _ => (ArtifactTls::None, None),
        };
        let address = artifacts.as_ref().unwrap_or(&rest).local_addr();
        let artifact_port = address.map_err(system("cannot read the address of a listener"))?.port();
        let (sha256, len) =
            hash(Path::new(THIS_EXECUTABLE)).map_err(system("cannot read this executable"))?;
        let artifact = Artifact { sha256, path: THIS_EXECUTABLE.into() };
        let rest = Endpoint::new(rest, rest_tls);
        let artifacts = artifacts.map(|listener| Endpoint::new(listener, handshake));
        let external_metrics = ExternalMetrics::bind(config).await?;
        Ok(Self { rest, access, artifacts, external_metrics, artifact, len, artifact_port, artifact_tls })
    }

    /// This executable, as TaskManagers look for it under `name` or fetch it here.
    pub(super) fn artifact(&self, name: &str) -> deployment::Artifact {
        deployment::Artifact {
            name: name.to_owned(),
            sha256: self.artifact.sha256.clone(),
            len: self.len,
            http_port: self.artifact_port,
            tls: self.artifact_tls,
        }
    }

    pub(super) fn start(self, job_manager: Handle, runtime: &Runtime) -> Serving {
        let (until, stopped) = watch::channel(());
        let shutdown = || {
            let mut stopped = stopped.clone();
            // The sender sends nothing. It is dropped to stop the server.
            async move { drop(stopped.changed().await) }
        };
        let most = Limits::default();
        // Most descriptors are reserved for the job: its TaskManagers and executors, and storage.
        let limits = Limits { connections: most.connections.min(real::descriptor_limit() / 4), ..most };
        let Self { rest, access, artifacts, external_metrics, artifact, .. } = self;
        let job_manager = Arc::new(job_manager);
        let mut servers = JoinSet::new();
        if let Some(ExternalMetrics { endpoint, namespace }) = external_metrics {
            let (cluster, shutdown) = (Arc::clone(&job_manager), shutdown());
            let serve = async move {
                reflow_rest::serve_external_metrics(endpoint, cluster, namespace, limits, shutdown).await
            };
            servers.spawn_on(logged(serve), runtime.handle());
        }
        if let Some(endpoint) = artifacts {
            let (artifact, shutdown) = (artifact.clone(), shutdown());
            let serve =
                async move { reflow_rest::serve_artifact(endpoint, &artifact, limits, shutdown).await };
            servers.spawn_on(logged(serve), runtime.handle());
        }
        let shutdown = shutdown();
        let serve =
            async move { reflow_rest::serve(rest, job_manager, &artifact, access, limits, shutdown).await };
        servers.spawn_on(logged(serve), runtime.handle());
        Serving { until, servers }
    }
}

impl ExternalMetrics {
    async fn bind(config: &Config) -> Result<Option<Self>, LaunchError> {
        let Some(handshake) = external_metrics_handshake(config)? else { return Ok(None) };
        let host = options::REST_BIND_ADDRESS.get(config);
        let port = options::KUBERNETES_EXTERNAL_METRICS_PORT.get(config);
        let listener = TcpListener::bind((host.as_str(), port)).await;
        let listener = listener
            .map_err(|error| LaunchError::ExternalMetrics { address: format!("{host}:{port}"), error })?;
        let namespace = options::KUBERNETES_NAMESPACE.get(config);
        Ok(Some(Self { endpoint: Endpoint::new(listener, Some(handshake)), namespace }))
    }
}

impl Serving {
    /// Stops the server. Answers in progress have one second to finish. Errors have been logged.
    pub(super) async fn stop(self) {
        drop(self.until);
        self.servers.join_all().await;
    }
}

async fn logged(server: impl Future<Output = Result<(), ServeError>>) {
    if let Err(error) = server.await {
        tracing::error!("{error}");
    }
}

/// The TLS of REST, if it is enabled.
#[cfg(feature = "tls")]
fn rest_handshake(config: &Config) -> Result<Option<Handshake>, UnusableTls> {
    Ok(tls::rest_server(config)?.map(handshake_of))
}

/// The TLS of external metrics, if they are served.
#[cfg(feature = "tls")]
fn external_metrics_handshake(config: &Config) -> Result<Option<Handshake>, UnusableTls> {
    Ok(tls::external_metrics_server(config)?.map(handshake_of))
}

#[cfg(feature = "tls")]
fn handshake_of(server: real::TlsServer) -> Handshake {
    Handshake::new(move |stream| {
        let server = server.clone();
        async move { server.accept(stream).await }
    })
}

/// The TLS between processes, if it is enabled.
#[cfg(feature = "tls")]
fn internal_handshake(config: &Config) -> Result<Option<Handshake>, UnusableTls> {
    let handshake = |internal: real::Tls| {
        Handshake::new(move |stream| {
            let internal = internal.clone();
            async move { internal.accept(stream).await.map_err(io::Error::other) }
        })
    };
    Ok(tls::internal(config)?.map(handshake))
}

#[cfg(not(feature = "tls"))]
fn rest_handshake(config: &Config) -> Result<Option<Handshake>, UnusableTls> {
    tls::refuse_rest_without_tls(config).map(|()| None)
}

#[cfg(not(feature = "tls"))]
fn external_metrics_handshake(config: &Config) -> Result<Option<Handshake>, UnusableTls> {
    tls::refuse_external_metrics_without_tls(config).map(|()| None)
}

#[cfg(not(feature = "tls"))]
fn internal_handshake(_: &Config) -> Result<Option<Handshake>, UnusableTls> {
    Ok(None)
}

fn access(config: &Config) -> Result<Access, CredentialsError> {
    let own = [
        options::REST_ADDRESS.get(config),
        options::REST_BIND_ADDRESS.get(config),
        options::JOB_MANAGER_ADDRESS.get(config),
        machine::host(),
    ];
    let hosts = options::REST_ALLOWED_HOSTS.get(config).into_iter().chain(own);
    let file = options::REST_AUTHENTICATION_FILE.get(config);
    Ok(Access {
        origins: Origins::new(hosts, options::WEB_ACCESS_CONTROL_ALLOW_ORIGIN.get(config)),
        credentials: file.map(|file| Credentials::read(&file)).transpose()?,
    })
}

/// Whether clients that can reach the JobManager's port, bound to `job_manager`, can also reach REST.
fn reaches_task_managers(rest: &str, job_manager: &str) -> bool {
    matches!(rest, "0.0.0.0" | "::") || rest == job_manager
}

/// The SHA-256 of a file in hexadecimal, and its length.
fn hash(path: &Path) -> io::Result<(String, u64)> {
    let mut file = std::fs::File::open(path)?;
    let (mut hasher, mut len, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        len += read as u64;
    }
    Ok((hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect(), len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rest: &str, job_manager: &str, has_second_listener: bool) {
        let options =
            [("rest.bind-address", rest), ("rest.port", "0"), ("jobmanager.bind-host", job_manager)];
        let config = Config::from_pairs(options).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let server = runtime.block_on(HttpServer::bind(&config)).unwrap();
        let rest_port = server.rest.local_addr().unwrap().port();
        assert_eq!(server.artifact_tls, ArtifactTls::None);
        let artifact = server.artifact("job");
        assert_eq!(artifact.http_port != rest_port, has_second_listener, "{rest}, {job_manager}");
        let this = std::fs::metadata(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(artifact.len, this.len());
    }

    #[test]
    fn task_managers_that_do_not_reach_rest_have_a_port_of_their_own() {
        check("127.0.0.1", "127.0.0.1", false);
        check("0.0.0.0", "127.0.0.1", false);
        check("127.0.0.1", "0.0.0.0", true);
        check("127.0.0.1", "127.0.0.2", true);
    }
}
