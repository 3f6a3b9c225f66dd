//! The bytes of a client: as they are on the network, or with TLS.
//!
//! This crate knows no library of TLS: the function that makes the handshake is passed to the server. It is made when
//! the connection is read for the first time, in the connection's own task, so that a slow client delays no other.

use futures::FutureExt;
use futures::future::BoxFuture;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// The first byte of a handshake. No method of HTTP begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// The most bytes of a request without TLS that are read before it is refused. A socket that is closed with unread bytes may
/// discard the answer.
const MAX_PLAIN_BYTES: usize = 64 << 10;

const PLAIN_REFUSED: &str = r#"{"errors":["this port speaks TLS: use https:// (reflow: --jobmanager https://HOST:PORT --ca-file FILE, or security.ssl.rest.enabled and security.ssl.rest.ca in config.yaml)"]}"#;

/// A connection with TLS.
pub trait Encrypted: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Encrypted for T {}

/// What is left of a handshake.
type Opening = BoxFuture<'static, io::Result<Box<dyn Encrypted>>>;

/// Makes TLS handshakes with clients. Clones share it.
#[derive(Clone)]
pub struct Handshake(Arc<Shared>);

struct Shared {
    make: Box<dyn Fn(TcpStream) -> Opening + Send + Sync>,
    refused: AtomicU64,
}

impl Handshake {
    /// The handshake that `make` makes. Its errors are logged.
    pub fn new<F, S>(make: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: Encrypted + 'static,
    {
        let boxed = move |stream| {
            let made = make(stream);
            async move { Ok(Box::new(made.await?) as Box<dyn Encrypted>) }.boxed()
        };
        Self(Arc::new(Shared { make: Box::new(boxed), refused: AtomicU64::new(0) }))
    }

    async fn open(self, stream: TcpStream, from: SocketAddr) -> io::Result<Box<dyn Encrypted>> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let opened = if first == [TLS_HANDSHAKE] {
            (self.0.make)(stream).await
        } else {
            // The reason is more important than whether the client takes the answer.
            drop(refuse_plain(stream).await);
            Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the client does not speak TLS: it must use https://",
            ))
        };
        opened.inspect_err(|error| {
            let count = self.0.refused.fetch_add(1, Ordering::Relaxed) + 1;
            if count.is_power_of_two() {
                tracing::warn!(%from, count, "refused a REST connection: {error}");
            }
        })
    }
}

/// Answers a client that speaks HTTP without TLS.
async fn refuse_plain(mut stream: TcpStream) -> io::Result<()> {
    let mut request = vec![0; MAX_PLAIN_BYTES];
    let mut len = 0;
    while len < request.len() {
        match stream.try_read(&mut request[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{PLAIN_REFUSED}",
        PLAIN_REFUSED.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// Where a server listens.
pub struct Endpoint {
    pub(crate) listener: TcpListener,
    pub(crate) handshake: Option<Handshake>,
}

impl Endpoint {
    /// With TLS, if there is a handshake.
    pub fn new(listener: TcpListener, handshake: Option<Handshake>) -> Self {
        Self { listener, handshake }
    }

    /// The address at which it listens.
    ///
    /// # Errors
    /// If the system does not know it.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Its address, for people.
    pub(crate) fn url(&self) -> io::Result<String> {
        let scheme = if self.handshake.is_some() { "https" } else { "http" };
        Ok(format!("{scheme}://{}", self.listener.local_addr()?))
    }
}

impl From<TcpListener> for Endpoint {
    fn from(listener: TcpListener) -> Self {
        Self::new(listener, None)
    }
}

/// A connection of a client.
pub(crate) enum Stream {
    Plain(TcpStream),
    /// The handshake is not done.
    Opening(Opening),
    Encrypted(Box<dyn Encrypted>),
}

impl Stream {
    pub(crate) fn new(stream: TcpStream, from: SocketAddr, handshake: Option<&Handshake>) -> Self {
        match handshake {
            None => Self::Plain(stream),
            Some(handshake) => Self::Opening(handshake.clone().open(stream, from).boxed()),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        !matches!(self, Self::Opening(_))
    }

    pub(crate) fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Self::Opening(opening) = self {
            let opened = ready!(opening.as_mut().poll(context));
            *self = match opened {
                Ok(stream) => Self::Encrypted(stream),
                Err(error) => {
                    // A future that is done must not be polled again.
                    *self = Self::Opening(futures::future::ready(Err(error.kind().into())).boxed());
                    return Poll::Ready(Err(error));
                }
            };
        }
        Poll::Ready(Ok(()))
    }

    /// The open connection.
    fn poll_inner<'a>(
        self: Pin<&'a mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Pin<&'a mut dyn Encrypted>>> {
        let stream = self.get_mut();
        ready!(stream.poll_open(context))?;
        Poll::Ready(Ok(match stream {
            Self::Plain(stream) => Pin::new(stream),
            Self::Encrypted(stream) => Pin::new(stream),
            Self::Opening(_) => return Poll::Pending,
        }))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_inner(context))?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_inner(context))?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_inner(context))?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            // Asked for once, before the handshake. TLS copies what it encrypts in any case.
            Self::Opening(_) | Self::Encrypted(_) => false,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_inner(context))?.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing was sent before the handshake was done.
        if !self.is_open() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_inner(context))?.poll_shutdown(context)
    }
}
