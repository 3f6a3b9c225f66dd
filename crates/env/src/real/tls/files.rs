//! PEM files of certificates and keys, which are read again when they have changed.
//!
//! A renewed certificate so counts for new connections without a restart. What was made of the former files stays in use while
//! the new ones are unusable, for example because the certificate was replaced and its key not yet.

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// How often the files are looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(10);

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
    /// This machine has no list of authorities that it trusts.
    #[error(
        "this machine has no list of trusted authorities{0}: install its package ca-certificates, or name a file"
    )]
    NoAuthorities(String),
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

/// Files from which the configuration of TLS is made.
pub(super) trait Files {
    type Made: Clone + std::fmt::Debug;

    fn paths(&self) -> Vec<&Path>;

    /// Makes it, and says what is wrong with this side's certificate although it can be read.
    fn make(&self) -> Result<(Self::Made, Option<String>), TlsError>;
}

/// What was made of the files, as they were when they were last usable.
#[derive(Debug)]
pub(super) struct Renewed<F: Files> {
    files: F,
    state: Mutex<State<F::Made>>,
}

#[derive(Debug)]
struct State<M> {
    looked_at: Option<Instant>,
    /// When the files were changed that were read last.
    modified: Vec<Option<SystemTime>>,
    made: M,
    fault: Option<String>,
    /// Why the files cannot be used as they are now, which is logged once.
    refused: Option<String>,
}

impl<F: Files> Renewed<F> {
    pub(super) fn open(files: F) -> Result<Self, TlsError> {
        let modified = modified(&files);
        let (made, fault) = files.make()?;
        if let Some(fault) = &fault {
            tracing::error!("{fault}");
        }
        let state = State { looked_at: None, modified, made, fault, refused: None };
        Ok(Self { files, state: Mutex::new(state) })
    }

    pub(super) fn files(&self) -> &F {
        &self.files
    }

    /// What is wrong with this side's certificate.
    pub(super) fn fault(&self) -> Option<String> {
        self.lock().fault.clone()
    }

    pub(super) fn current(&self) -> F::Made {
        let mut state = self.lock();
        if state.looked_at.is_none_or(|at| at.elapsed() >= RELOAD_INTERVAL) {
            state.looked_at = Some(Instant::now());
            let modified = modified(&self.files);
            if modified != state.modified {
                self.make_again(&mut state, modified);
            }
        }
        state.made.clone()
    }

    /// Uses the files as they are now, unless peers would refuse them and do not refuse the former ones. It tries again until
    /// they can be used: rights to read a file may change and the file not.
    fn make_again(&self, state: &mut State<F::Made>, modified: Vec<Option<SystemTime>>) {
        let refused = match self.files.make() {
            Ok((_, Some(fault))) if state.fault.is_none() => fault,
            Ok((made, fault)) => {
                if let Some(fault) = &fault {
                    tracing::error!("{fault}");
                }
                *state = State { modified, made, fault, refused: None, ..*state };
                let paths = self.files.paths().into_iter().map(|path| path.display().to_string());
                tracing::info!("read {} again", paths.collect::<Vec<_>>().join(", "));
                return;
            }
            Err(error) => error.to_string(),
        };
        if state.refused.as_ref() != Some(&refused) {
            tracing::error!("the former certificates stay in use: {refused}");
        }
        state.refused = Some(refused);
    }

    fn lock(&self) -> MutexGuard<'_, State<F::Made>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn modified(files: &impl Files) -> Vec<Option<SystemTime>> {
    let modified = |path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    files.paths().into_iter().map(modified).collect()
}

/// The certificate that this side shows, with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The PEM file of the certificate, and below it those of intermediate authorities.
    pub certificate: PathBuf,
    /// The PEM file of the certificate's private key.
    pub key: PathBuf,
}

impl Identity {
    pub(super) fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        let chain = certificates("a certificate", &self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| unreadable("a private key", &self.key, &error))?;
        Ok((chain, key))
    }

    pub(super) fn mismatch(&self, error: &rustls::Error) -> TlsError {
        TlsError::Mismatch {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            cause: error.to_string(),
        }
    }

    /// Why peers will refuse the certificate: it has expired, is not valid yet, or is not signed by `ca`, if that is known.
    pub(super) fn fault(
        &self,
        chain: &[CertificateDer<'static>],
        ca: Option<(&Path, Arc<RootCertStore>)>,
    ) -> Option<String> {
        let (own, intermediates) = chain.split_first()?;
        let (ca, roots) = match ca {
            Some((ca, roots)) => (Some(ca), roots),
            None => {
                // Its times are looked at before it is compared with an authority.
                let mut roots = RootCertStore::empty();
                roots.add(own.clone()).ok()?;
                (None, Arc::new(roots))
            }
        };
        let name = ServerName::try_from("localhost").expect("it is a name");
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider()).build().ok()?;
        let error = verifier.verify_server_cert(own, intermediates, &name, &[], UnixTime::now()).err()?;
        let rustls::Error::InvalidCertificate(error) = error else { return None };
        let file = self.certificate.display();
        match (error, ca) {
            (CertificateError::Expired | CertificateError::ExpiredContext { .. }, _) => {
                Some(format!("the certificate in {file} has expired, and others refuse it: renew it"))
            }
            (CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }, _) => {
                Some(format!(
                    "the certificate in {file} is not valid yet, and others refuse it: compare the clocks of the machines"
                ))
            }
            (CertificateError::UnknownIssuer | CertificateError::BadSignature, Some(ca)) => Some(format!(
                "the certificate in {file} is not signed by an authority in {}, and who trusts these refuses it",
                ca.display()
            )),
            _ => None,
        }
    }
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The authorities in a file.
pub(super) fn authorities(ca: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    const WHAT: &str = "a certificate of an authority";
    let mut roots = RootCertStore::empty();
    for certificate in certificates(WHAT, ca)? {
        roots.add(certificate).map_err(|error| unreadable(WHAT, ca, &error))?;
    }
    Ok(Arc::new(roots))
}

/// The authorities that this machine trusts.
pub(super) fn system_authorities() -> Result<Arc<RootCertStore>, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some systems have certificates among them that rustls cannot read.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let cause = found.errors.first().map(|error| format!(" ({error})"));
        return Err(TlsError::NoAuthorities(cause.unwrap_or_default()));
    }
    Ok(Arc::new(roots))
}

pub(super) fn unusable(ca: &Path, cause: &dyn std::fmt::Display) -> TlsError {
    unreadable("certificates of authorities", ca, cause)
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
