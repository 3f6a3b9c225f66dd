//! Mutual TLS between the processes of a cluster.
//!
//! Both sides of a connection show a certificate that the cluster's own certificate authority has signed. Names in
//! certificates are not compared: processes know each other by addresses that change, and every process with a certificate of this
//! authority is part of the cluster. For the same reason the authority must be the cluster's own, and no public one.
//!
//! Files are read again when they have changed, so that a renewed certificate counts for new connections without a restart.
//! The clock of certificates is the system's.

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// How often the files are looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// The PEM files of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and below it those of intermediate authorities.
    pub certificate: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// The certificates of the authorities that sign those of peers.
    pub ca: PathBuf,
}

/// Files that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not PEM.
    #[error("cannot read {what} from {}: {cause}", .path.display())]
    File {
        /// What the file should contain.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// The files do not fit each other.
    #[error("{} and {} cannot be used together: {cause}", .certificate.display(), .key.display())]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// Why.
        cause: String,
    },
}

/// The TLS of a process. Clones share it.
#[derive(Clone, Debug)]
pub struct Tls(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    files: TlsFiles,
    loaded: Mutex<Loaded>,
    failures: AtomicU64,
}

#[derive(Debug)]
struct Loaded {
    looked_at: Option<Instant>,
    modified: [Option<SystemTime>; 3],
    configs: Configs,
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
        let loaded = Loaded { looked_at: None, modified: files.modified(), configs: files.load()? };
        Ok(Self(Arc::new(Shared { files, loaded: Mutex::new(loaded), failures: AtomicU64::new(0) })))
    }

    /// The error comes with its explanation.
    pub(super) async fn connect(
        &self,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, (io::Error, String)> {
        let explained = |error: io::Error| {
            let reason = self.explain(&error);
            (error, reason)
        };
        let name = ServerName::IpAddress(stream.peer_addr().map_err(explained)?.ip().into());
        let connected = TlsConnector::from(self.configs().client).connect(name, stream).await;
        connected.map(TlsStream::Client).map_err(explained)
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        let from = stream.peer_addr().map_or_else(|e| e.to_string(), |address| address.to_string());
        let accepted = TlsAcceptor::from(self.configs().server).accept(stream).await;
        accepted.map(TlsStream::Server).map_err(|error| {
            let reason = self.explain(&error);
            let count = self.0.failures.fetch_add(1, Ordering::Relaxed) + 1;
            if count.is_power_of_two() {
                tracing::warn!(%from, count, "refused a connection: {reason}");
            }
            reason
        })
    }

    /// The configurations of the files as they are now. If these became unusable, the former ones.
    fn configs(&self) -> Configs {
        let mut loaded = self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.looked_at.is_none_or(|at| at.elapsed() >= RELOAD_INTERVAL) {
            loaded.looked_at = Some(Instant::now());
            let modified = self.0.files.modified();
            if modified != loaded.modified {
                match self.0.files.load() {
                    Ok(configs) => {
                        loaded.configs = configs;
                        tracing::info!("read {} again", self.0.files.certificate.display());
                    }
                    Err(error) => tracing::error!("the former certificate stays in use: {error}"),
                }
                loaded.modified = modified;
            }
        }
        loaded.configs.clone()
    }

    /// Says what is wrong with a connection, and what to do.
    fn explain(&self, error: &io::Error) -> String {
        explain(error, &self.0.files.ca)
    }
}

fn explain(error: &io::Error, ca: &Path) -> String {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match of_tls {
        Some(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => "the peer's certificate has expired: renew it".to_owned(),
        Some(rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        )) => "the peer's certificate is not valid yet: compare the clocks of the machines".to_owned(),
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => {
            format!("the peer's certificate is not signed by an authority in {}", ca.display())
        }
        Some(rustls::Error::NoCertificatesPresented) => "the peer shows no certificate".to_owned(),
        Some(rustls::Error::AlertReceived(alert)) => {
            format!("the peer refuses this process's certificate or TLS: {alert:?}; see its log")
        }
        Some(rustls::Error::InvalidMessage(_)) => {
            "the peer does not speak TLS: set security.ssl.internal.enabled in all processes or in none"
                .to_owned()
        }
        _ => format!("the TLS handshake failed: {error}"),
    }
}

impl TlsFiles {
    fn modified(&self) -> [Option<SystemTime>; 3] {
        [&self.certificate, &self.key, &self.ca]
            .map(|path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok())
    }

    fn load(&self) -> Result<Configs, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let chain = certificates("a certificate", &self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| unreadable("a private key", &self.key, &error))?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates("a certificate of an authority", &self.ca)? {
            roots
                .add(certificate)
                .map_err(|error| unreadable("a certificate of an authority", &self.ca, &error))?;
        }
        let roots = Arc::new(roots);
        let mismatch = |cause: String| TlsError::Mismatch {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            cause,
        };
        let of_authority = |cause: String| TlsError::File {
            what: "certificates of authorities",
            path: self.ca.clone(),
            cause,
        };
        let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(|error| of_authority(error.to_string()))?;
        let servers = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
            .build()
            .map_err(|error| of_authority(error.to_string()))?;
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| mismatch(error.to_string()))?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(|error| mismatch(error.to_string()))?;
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| mismatch(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyName { servers, provider }))
            .with_client_auth_cert(chain, key)
            .map_err(|error| mismatch(error.to_string()))?;
        Ok(Configs { client: Arc::new(client), server: Arc::new(server) })
    }
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| unreadable(what, path, &error))?;
    if found.is_empty() {
        return Err(unreadable(what, path, &"the file has none in PEM"));
    }
    Ok(found)
}

fn unreadable(what: &'static str, path: &Path, cause: &dyn std::fmt::Display) -> TlsError {
    TlsError::File { what, path: path.to_owned(), cause: cause.to_string() }
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
