//! What is wrong with a connection, and what to do.

use rustls::CertificateError;
use std::error::Error;
use std::io;
use std::path::Path;

/// The error of TLS in an error or its causes.
fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// Says why the handshake with `peer` failed; `None` if the cause is not TLS. `ca` has the authorities of this side; `plain`
/// says what to do if the peer does not speak TLS.
pub(super) fn reason(
    error: &(dyn Error + 'static),
    peer: &str,
    ca: Option<&Path>,
    plain: &str,
) -> Option<String> {
    let text = match find(error)? {
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => format!("{peer}'s certificate has expired: renew it"),
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => format!("{peer}'s certificate is not valid yet: compare the clocks of the machines"),
        rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => match ca {
            Some(ca) => {
                format!("{peer}'s certificate is not signed by an authority in {}", ca.display())
            }
            None => format!("{peer}'s certificate is not signed by a known authority"),
        },
        rustls::Error::InvalidCertificate(
            error @ (CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }),
        ) => format!(
            "{peer}'s certificate is for other names: connect by one of these, or issue it anew with this one ({error})"
        ),
        rustls::Error::NoCertificatesPresented => format!("{peer} shows no certificate"),
        rustls::Error::AlertReceived(alert) => {
            format!("{peer} refuses this process's certificate or TLS: {alert:?}; see its log")
        }
        rustls::Error::InvalidMessage(_) => format!("{peer} does not speak TLS: {plain}"),
        error => format!("the TLS handshake failed: {error}"),
    };
    Some(text)
}
