//! TLS of a server of HTTP, whose clients compare the names in its certificate.

use super::explain;
use super::files::{Files, Identity, Renewed, TlsError, authorities, provider, unusable};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The PEM files of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsServerFiles {
    /// What clients are shown.
    pub identity: Identity,
    /// The authorities that sign certificates of the server, if they are known: only to say that its own is not of them.
    pub ca: Option<PathBuf>,
    /// Who is admitted.
    pub clients: Clients,
}

/// The clients that a server admits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clients {
    All,
    /// Those that show a certificate which an authority in this PEM file has signed.
    Authenticated {
        ca: PathBuf,
    },
}

impl Clients {
    fn ca(&self) -> Option<&Path> {
        match self {
            Self::All => None,
            Self::Authenticated { ca } => Some(ca),
        }
    }
}

/// The TLS of a server. Clones share it.
#[derive(Clone, Debug)]
pub struct TlsServer(Arc<Renewed<TlsServerFiles>>);

impl TlsServer {
    /// Reads the files.
    ///
    /// # Errors
    /// If a file cannot be read or is not PEM, or if the key is not that of the certificate.
    pub fn open(files: TlsServerFiles) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(Renewed::open(files)?)))
    }

    /// Why clients will refuse the certificate, for example because it has expired.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.0.fault()
    }

    /// Makes the handshake with a client, for which there is no time-out here.
    ///
    /// # Errors
    /// If it fails, with an explanation.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let explained = |error: io::Error| {
            let files = self.0.files();
            let ca = files.clients.ca().or(files.ca.as_deref());
            let reason = explain::reason(&error, "the client", ca, "it must use https://");
            io::Error::new(error.kind(), reason.unwrap_or_else(|| error.to_string()))
        };
        TlsAcceptor::from(self.0.current()).accept(stream).await.map_err(explained)
    }
}

impl Files for TlsServerFiles {
    type Made = Arc<ServerConfig>;

    fn paths(&self) -> Vec<&Path> {
        let Identity { certificate, key } = &self.identity;
        let authorities = self.ca.as_deref().into_iter().chain(self.clients.ca());
        [certificate, key].into_iter().map(PathBuf::as_path).chain(authorities).collect()
    }

    fn make(&self) -> Result<(Arc<ServerConfig>, Option<String>), TlsError> {
        let (chain, key) = self.identity.read()?;
        let ca = self.ca.as_deref().map(|ca| Ok::<_, TlsError>((ca, authorities(ca)?))).transpose()?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| self.identity.mismatch(&error))?;
        let builder = match &self.clients {
            Clients::Authenticated { ca } => {
                let clients = WebPkiClientVerifier::builder_with_provider(authorities(ca)?, provider());
                builder.with_client_cert_verifier(clients.build().map_err(|error| unusable(ca, &error))?)
            }
            Clients::All => builder.with_no_client_auth(),
        };
        let fault = self.identity.fault(&chain, ca);
        let mut config =
            builder.with_single_cert(chain, key).map_err(|error| self.identity.mismatch(&error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok((Arc::new(config), fault))
    }
}
