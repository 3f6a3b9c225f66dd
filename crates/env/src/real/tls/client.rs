//! TLS of a client of HTTP, which compares the name that it connects to with those in the server's certificate.

use super::explain;
use super::files::{Files, Identity, Renewed, TlsError, authorities, provider, unusable};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What to do if the server does not speak TLS.
const PLAIN: &str = "use http://, or set security.ssl.rest.enabled in its process";

/// The PEM files of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsClientFiles {
    /// The authorities that sign certificates of servers.
    pub ca: PathBuf,
    /// What a server is shown that asks for it.
    pub identity: Option<Identity>,
}

/// The TLS of a client. Clones share it.
#[derive(Clone, Debug)]
pub struct TlsClient(Arc<Renewed<TlsClientFiles>>);

impl TlsClient {
    /// Reads the files.
    ///
    /// # Errors
    /// If a file cannot be read or is not PEM, or if the key is not that of the certificate.
    pub fn open(files: TlsClientFiles) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(Renewed::open(files)?)))
    }

    /// The files, which an HTTP library with TLS of its own reads itself.
    #[must_use]
    pub fn files(&self) -> &TlsClientFiles {
        self.0.files()
    }

    /// Makes ring the provider for libraries of this process that have no other. If there is one already, the process has chosen
    /// it.
    pub fn install_provider() {
        let _ = rustls::crypto::ring::default_provider().install_default();
    }

    /// Makes the handshake with the server at `host`.
    ///
    /// # Errors
    /// If it fails, with an explanation.
    pub async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let explained = |error: io::Error| {
            let reason = self.explain(&error, host);
            io::Error::new(error.kind(), reason.unwrap_or_else(|| error.to_string()))
        };
        connect(self.0.current(), host, stream).await.map_err(explained)
    }

    /// Says what is wrong with a connection to `server`, and what to do; `None` if the cause is not TLS.
    #[must_use]
    pub fn explain(&self, error: &(dyn Error + 'static), server: &str) -> Option<String> {
        explain::reason(error, server, Some(&self.0.files().ca), PLAIN)
    }
}

impl Files for TlsClientFiles {
    type Made = Arc<ClientConfig>;

    fn paths(&self) -> Vec<&Path> {
        let own = self.identity.iter().flat_map(|identity| [&identity.certificate, &identity.key]);
        own.chain([&self.ca]).map(PathBuf::as_path).collect()
    }

    fn make(&self) -> Result<(Arc<ClientConfig>, Option<String>), TlsError> {
        config(authorities(&self.ca)?, self.identity.as_ref(), Some(&self.ca))
    }
}

/// Makes the handshake with the server at `host`, whose certificate must have this name.
pub(super) async fn connect(
    config: Arc<ClientConfig>,
    host: &str,
    stream: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
    let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    TlsConnector::from(config).connect(name, stream).await
}

/// The TLS of a client that trusts these authorities and shows its identity to servers that ask for it, with a fault of that.
/// `own_ca` is the file of the authorities, if the same ones sign the client's certificate.
pub(super) fn config(
    roots: Arc<RootCertStore>,
    identity: Option<&Identity>,
    own_ca: Option<&Path>,
) -> Result<(Arc<ClientConfig>, Option<String>), TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(own_ca.unwrap_or(Path::new("")), &error))?
        .with_root_certificates(roots.clone());
    let Some(identity) = identity else {
        return Ok((Arc::new(builder.with_no_client_auth()), None));
    };
    let (chain, key) = identity.read()?;
    let fault = identity.fault(&chain, own_ca.map(|ca| (ca, roots)));
    let config = builder.with_client_auth_cert(chain, key).map_err(|error| identity.mismatch(&error))?;
    Ok((Arc::new(config), fault))
}
