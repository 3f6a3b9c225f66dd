//! TLS of clients of systems outside the cluster, such as brokers, whose authorities are not the cluster's.

use super::files::{Files, Identity, Renewed, TlsError, authorities, system_authorities};
use super::{client, explain};
use rustls::ClientConfig;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// The PEM files of a client of such a system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalTlsFiles {
    /// The authorities that sign certificates of servers. `None`: those that this machine trusts when the process first connects.
    pub ca: Option<PathBuf>,
    /// What a server is shown that asks for it. Another authority may have signed it than those of servers.
    pub identity: Option<Identity>,
}

/// The TLS of a client of such a system. Clones share it.
#[derive(Clone, Debug)]
pub struct ExternalTls(Arc<Renewed<ExternalTlsFiles>>);

impl ExternalTls {
    /// Reads the files.
    ///
    /// # Errors
    /// If a file cannot be read or is not PEM, or if the key is not that of the certificate.
    pub fn open(files: ExternalTlsFiles) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(Renewed::open(files)?)))
    }

    /// The files.
    #[must_use]
    pub fn files(&self) -> &ExternalTlsFiles {
        self.0.files()
    }

    /// Makes the handshake with the server at `host`, whose certificate must have this name.
    ///
    /// # Errors
    /// If it fails. [`explain`](Self::explain) says why.
    pub async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        client::connect(self.0.current(), host, stream).await
    }

    /// Says what is wrong with a connection to `server`, and what to do; `None` if the cause is not TLS. `plain` is what to do
    /// if the server does not speak it.
    #[must_use]
    pub fn explain(&self, error: &(dyn Error + 'static), server: &str, plain: &str) -> Option<String> {
        explain::reason(error, server, self.0.files().ca.as_deref(), plain)
    }
}

impl Files for ExternalTlsFiles {
    type Made = Arc<ClientConfig>;

    fn paths(&self) -> Vec<&Path> {
        let own = self.identity.iter().flat_map(|identity| [&identity.certificate, &identity.key]);
        own.chain(&self.ca).map(PathBuf::as_path).collect()
    }

    fn make(&self) -> Result<(Arc<ClientConfig>, Option<String>), TlsError> {
        let roots = match &self.ca {
            Some(ca) => authorities(ca)?,
            None => system_authorities()?,
        };
        client::config(roots, self.identity.as_ref(), None)
    }
}
