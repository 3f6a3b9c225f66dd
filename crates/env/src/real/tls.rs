//! Mutual TLS between the processes of a cluster; that of HTTP, in [`server`] and [`client`]; and that of connectors, in
//! [`external`].
//!
//! Both sides of a connection show a certificate that the cluster's own certificate authority has signed. Names in
//! certificates are not compared: processes know each other by addresses that change, and every process with a certificate of this
//! authority is part of the cluster. For the same reason the authority must be the cluster's own, and no public one.
//!
//! All kinds read their files again when these have changed ([`files`]). The clock of certificates is the system's.

mod client;
mod explain;
mod external;
mod files;
mod server;

pub use client::{TlsClient, TlsClientFiles};
pub use external::{ExternalTls, ExternalTlsFiles};
pub use files::{Identity, TlsError};
pub use server::{Clients, TlsServer, TlsServerFiles};

use files::{Files, Renewed, authorities, provider, unusable};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// The PEM files of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// What peers are shown.
    pub identity: Identity,
    /// The certificates of the authorities that sign those of peers.
    pub ca: PathBuf,
}

/// The TLS of a process. Clones share it.
#[derive(Clone, Debug)]
pub struct Tls(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    files: Renewed<TlsFiles>,
    failures: AtomicU64,
}

#[derive(Clone, Debug)]
struct Configs {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// If a file cannot be read or is not PEM, or if the key is not that of the certificate.
    pub fn open(files: TlsFiles) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(Shared { files: Renewed::open(files)?, failures: AtomicU64::new(0) })))
    }

    /// Why peers will refuse the certificate, for example because it has expired.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.0.files.fault()
    }

    /// Makes the handshake with the peer to which `stream` leads.
    ///
    /// # Errors
    /// If it fails. The error comes with its explanation.
    pub async fn connect(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, (io::Error, String)> {
        let explained = |error: io::Error| {
            let reason = self.explain(&error);
            (error, reason)
        };
        let name = ServerName::IpAddress(stream.peer_addr().map_err(explained)?.ip().into());
        let connected = TlsConnector::from(self.0.files.current().client).connect(name, stream).await;
        connected.map(TlsStream::Client).map_err(explained)
    }

    /// Makes the handshake with a peer that has connected.
    ///
    /// # Errors
    /// If it fails, with an explanation, which is logged.
    pub async fn accept(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        let from = stream.peer_addr().map_or_else(|e| e.to_string(), |address| address.to_string());
        let accepted = TlsAcceptor::from(self.0.files.current().server).accept(stream).await;
        accepted.map(TlsStream::Server).map_err(|error| {
            let reason = self.explain(&error);
            let count = self.0.failures.fetch_add(1, Ordering::Relaxed) + 1;
            if count.is_power_of_two() {
                tracing::warn!(%from, count, "refused a connection: {reason}");
            }
            reason
        })
    }

    /// Says what is wrong with a connection, and what to do.
    fn explain(&self, error: &io::Error) -> String {
        const PLAIN: &str = "set security.ssl.internal.enabled in all processes or in none";
        explain::reason(error, "the peer", Some(&self.0.files.files().ca), PLAIN)
            .unwrap_or_else(|| format!("the TLS handshake failed: {error}"))
    }
}

impl Files for TlsFiles {
    type Made = Configs;

    fn paths(&self) -> Vec<&Path> {
        vec![&self.identity.certificate, &self.identity.key, &self.ca]
    }

    fn make(&self) -> Result<(Configs, Option<String>), TlsError> {
        let provider = provider();
        let (chain, key) = self.identity.read()?;
        let roots = authorities(&self.ca)?;
        let mismatch = |error: rustls::Error| self.identity.mismatch(&error);
        let fault = self.identity.fault(&chain, Some((&self.ca, roots.clone())));
        let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(|error| unusable(&self.ca, &error))?;
        let servers = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
            .build()
            .map_err(|error| unusable(&self.ca, &error))?;
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(mismatch)?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(mismatch)?;
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(mismatch)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyName { servers, provider }))
            .with_client_auth_cert(chain, key)
            .map_err(mismatch)?;
        Ok((Configs { client: Arc::new(client), server: Arc::new(server) }, fault))
    }
}

/// Accepts a server's certificate that is right except for its name.
#[derive(Debug)]
struct AnyName {
    servers: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // The name is compared last, when everything else was right.
        match self.servers.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.servers.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.servers.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
