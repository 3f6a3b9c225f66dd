//! TLS of what is read from HTTP servers.
//!
//! `https://` is for servers with a certificate for their name, and `internal+https://` for processes of the cluster, which
//! show each other certificates as on all their connections.

use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A connection, with TLS or without.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// The schemes of URLs that HTTP serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Plain,
    Https,
    Internal,
}

impl Scheme {
    pub(super) fn of(url: &str) -> Option<Self> {
        match url.split_once("://")?.0 {
            "http" => Some(Self::Plain),
            "https" => Some(Self::Https),
            "internal+https" => Some(Self::Internal),
            _ => None,
        }
    }
}

/// The TLS of requests.
#[derive(Clone, Default)]
pub struct HttpsClients {
    /// For `https://`.
    #[cfg(feature = "tls")]
    pub rest: Option<crate::real::TlsClient>,
    /// For `internal+https://`.
    #[cfg(feature = "tls")]
    pub internal: Option<crate::real::Tls>,
}

impl HttpsClients {
    /// Makes the handshake, if the scheme needs one.
    #[cfg(feature = "tls")]
    pub(super) async fn open(
        &self,
        scheme: Scheme,
        host: &str,
        stream: TcpStream,
    ) -> io::Result<Box<dyn Duplex>> {
        let missing = |text: &str| io::Error::new(io::ErrorKind::Unsupported, text.to_owned());
        Ok(match scheme {
            Scheme::Plain => Box::new(stream),
            Scheme::Https => {
                let rest = self.rest.as_ref().ok_or_else(|| {
                    missing(
                        "the server uses TLS: set security.ssl.rest.enabled and security.ssl.rest.ca in this process as well",
                    )
                })?;
                Box::new(rest.connect(host, stream).await?)
            }
            Scheme::Internal => {
                let internal = self.internal.as_ref().ok_or_else(|| {
                    missing(
                        "the server uses the cluster's TLS: set security.ssl.internal.enabled in all processes or in none",
                    )
                })?;
                let connected = internal.connect(stream).await;
                Box::new(connected.map_err(|(error, reason)| io::Error::new(error.kind(), reason))?)
            }
        })
    }

    /// Without the feature `tls`.
    #[cfg(not(feature = "tls"))]
    pub(super) async fn open(
        &self,
        scheme: Scheme,
        _: &str,
        stream: TcpStream,
    ) -> io::Result<Box<dyn Duplex>> {
        match scheme {
            Scheme::Plain => Ok(Box::new(stream)),
            _ => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the server uses TLS, and this executable was built without the feature `tls`",
            )),
        }
    }
}
