//! Where the API server is, and how this process shows who it is.
//!
//! A pod has a service account, whose files Kubernetes replaces while the pod runs. So files are named here, and read when they
//! are needed: the token for each request, certificates for each connection.

use crate::kubeconfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The directory of a pod's service account.
pub const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The namespace, if nothing names another.
const DEFAULT_NAMESPACE: &str = "default";

/// How to reach an API server.
#[derive(Clone, Debug)]
pub struct Access {
    pub(crate) server: Server,
    /// The certificates of the authorities that sign the server's.
    pub(crate) authorities: Option<Content>,
    pub(crate) credentials: Credentials,
    /// The namespace of this process.
    pub namespace: String,
}

/// The address of an API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) encrypted: bool,
    /// Without brackets, if it is an address of IPv6.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// What all paths begin with; mostly empty.
    pub(crate) path: String,
}

/// How a process shows who it is.
#[derive(Clone, Debug)]
pub(crate) enum Credentials {
    None,
    Token(Content),
    Certificate { certificate: Content, key: Content },
}

/// The content of a file, or of a field of a kubeconfig.
#[derive(Clone)]
pub(crate) enum Content {
    File(PathBuf),
    Inline(Vec<u8>),
}

/// Why there is no way to reach an API server.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error(
        "there is no API server of Kubernetes: this process runs in no pod (KUBERNETES_SERVICE_HOST is not set), and there is no \
         kubeconfig; set kubernetes.config.file"
    )]
    NoServer,
    #[error("cannot read {}: {cause}", .path.display())]
    File { path: PathBuf, cause: String },
    #[error("{} cannot be used: {cause}", .path.display())]
    KubeConfig { path: PathBuf, cause: String },
    #[error("the certificates for the API server cannot be used: {0}")]
    Certificates(String),
    #[error(
        "this pod has no token of its service account ({} is not there): set automountServiceAccountToken to true in its \
         specification", .0.display()
    )]
    NoToken(PathBuf),
    #[error("the address of the API server is not valid: {0}")]
    Address(String),
}

impl Access {
    /// The access that is described by a kubeconfig, if one is named; otherwise that of this pod, or of the user's kubeconfig.
    ///
    /// # Errors
    /// If there is none, or the kubeconfig cannot be used.
    pub fn find(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Self, AccessError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(path) = kubeconfig {
            return kubeconfig::read(path, context);
        }
        if let Some(host) = variable("KUBERNETES_SERVICE_HOST") {
            let port = variable("KUBERNETES_SERVICE_PORT").unwrap_or_else(|| "443".to_owned());
            return Self::of_service_account(Path::new(SERVICE_ACCOUNT), host, &port);
        }
        let of_user =
            || Some(PathBuf::from(variable("HOME")?).join(".kube/config")).filter(|path| path.is_file());
        let path = variable("KUBECONFIG").map(PathBuf::from).or_else(of_user);
        kubeconfig::read(&path.ok_or(AccessError::NoServer)?, context)
    }

    /// The access of a pod, whose service account has its files in this directory.
    ///
    /// # Errors
    /// If there is no token, or the port is none.
    pub fn of_service_account(directory: &Path, host: String, port: &str) -> Result<Self, AccessError> {
        let port = port.parse().map_err(|_| AccessError::Address(format!("{host}:{port}")))?;
        let token = directory.join("token");
        if !token.exists() {
            return Err(AccessError::NoToken(token));
        }
        let namespace = fs::read_to_string(directory.join("namespace")).unwrap_or_default();
        Ok(Self {
            server: Server { encrypted: true, host, port, path: String::new() },
            authorities: Some(Content::File(directory.join("ca.crt"))),
            credentials: Credentials::Token(Content::File(token)),
            namespace: or_default(namespace.trim()),
        })
    }

    /// The configuration of encrypted connections.
    pub(crate) fn tls(&self) -> Result<Arc<ClientConfig>, AccessError> {
        let unusable = |cause: &dyn fmt::Display| AccessError::Certificates(cause.to_string());
        let mut roots = RootCertStore::empty();
        let authorities = self.authorities.as_ref().ok_or_else(|| unusable(&"no authority is named"))?;
        for certificate in certificates(authorities)? {
            roots.add(certificate).map_err(|error| unusable(&error))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .with_root_certificates(roots);
        Ok(Arc::new(match &self.credentials {
            Credentials::Certificate { certificate, key } => {
                let key = PrivateKeyDer::from_pem_slice(&key.read()?).map_err(|error| unusable(&error))?;
                builder
                    .with_client_auth_cert(certificates(certificate)?, key)
                    .map_err(|error| unusable(&error))?
            }
            Credentials::None | Credentials::Token(_) => builder.with_no_client_auth(),
        }))
    }

    /// The token of the next request. Kubernetes replaces that of a service account before it expires.
    pub(crate) fn token(&self) -> Result<Option<String>, AccessError> {
        let Credentials::Token(token) = &self.credentials else { return Ok(None) };
        let text = String::from_utf8_lossy(&token.read()?).trim().to_owned();
        Ok(Some(text))
    }
}

/// The namespace, or the one that counts if none is named.
pub(crate) fn or_default(namespace: &str) -> String {
    if namespace.is_empty() { DEFAULT_NAMESPACE } else { namespace }.to_owned()
}

fn certificates(content: &Content) -> Result<Vec<CertificateDer<'static>>, AccessError> {
    let pem = content.read()?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if found.is_empty() => {
            Err(AccessError::Certificates(format!("{content:?} has none in PEM")))
        }
        Ok(found) => Ok(found),
        Err(error) => Err(AccessError::Certificates(format!("{content:?}: {error}"))),
    }
}

impl Server {
    /// Reads `https://host:port/path`.
    pub(crate) fn parse(url: &str) -> Result<Self, AccessError> {
        let invalid = || AccessError::Address(url.to_owned());
        let uri: hyper::Uri = url.parse().map_err(|_| invalid())?;
        let encrypted = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(invalid()),
        };
        let host = uri.host().ok_or_else(invalid)?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        Ok(Self { encrypted, host, port, path: uri.path().trim_end_matches('/').to_owned() })
    }

    /// `host:port`, as URLs have it.
    pub(crate) fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// The name that its certificate must have.
    pub(crate) fn name(&self) -> Result<ServerName<'static>, AccessError> {
        ServerName::try_from(self.host.clone()).map_err(|_| AccessError::Address(self.host.clone()))
    }
}

impl Content {
    pub(crate) fn read(&self) -> Result<Vec<u8>, AccessError> {
        match self {
            Self::Inline(bytes) => Ok(bytes.clone()),
            Self::File(path) => fs::read(path)
                .map_err(|error| AccessError::File { path: path.clone(), cause: error.to_string() }),
        }
    }
}

/// Never shows the content, which may be secret.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Inline(_) => write!(f, "the kubeconfig"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_told_by_its_service_account() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        write("namespace", "shop\n");
        write("token", "first\n");
        let access = Access::of_service_account(directory.path(), "fd00::1".to_owned(), "443").unwrap();
        assert_eq!(
            (access.namespace.as_str(), access.server.authority().as_str()),
            ("shop", "[fd00::1]:443")
        );
        assert!(access.server.name().is_ok());
        assert_eq!(access.token().unwrap().as_deref(), Some("first"));
        write("token", "second");
        assert_eq!(access.token().unwrap().as_deref(), Some("second"), "it was replaced");
        let missing = access.tls().unwrap_err().to_string();
        assert!(missing.contains("ca.crt"), "{missing}");
    }

    #[test]
    fn addresses() {
        let parsed = |url: &str| Server::parse(url).map(|server| (server.authority(), server.path));
        let expected = |authority: &str, path: &str| Some((authority.to_owned(), path.to_owned()));
        assert_eq!(parsed("https://api.example.org").ok(), expected("api.example.org:443", ""));
        assert_eq!(parsed("https://[::1]:6443/").ok(), expected("[::1]:6443", ""));
        assert_eq!(parsed("http://localhost:8001/k8s/c-1/").ok(), expected("localhost:8001", "/k8s/c-1"));
        assert!(parsed("api.example.org").is_err());
    }
}
