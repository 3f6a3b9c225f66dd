//! Limits on clients' connections: their number, and how long one may be idle.
//!
//! The JobManager needs file descriptors for its job. So the number of connections is bounded, and a connection without an
//! answer for some time is closed, whether it sends no request, sends slowly or reads slowly. When there are too many, the
//! one that has been idle longest is closed, so that idle connections cannot keep users out. The TLS handshake is a part of a
//! connection's life: it has a place among the others, and less time.

use axum::serve::Listener;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep};

use crate::stream::{Endpoint, Handshake, Stream};

/// How long accepting pauses when the system refuses a socket.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Limits on the connections of clients.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most connections at a time.
    pub connections: usize,
    /// How long a connection may be without a byte of an answer.
    pub quiet: Duration,
    /// How long the TLS handshake may take.
    pub handshake: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 512, quiet: Duration::from_secs(30), handshake: Duration::from_secs(10) }
    }
}

/// A listener that enforces [`Limits`].
pub(crate) struct Bounded {
    listener: TcpListener,
    handshake: Option<Handshake>,
    limits: Limits,
    open: Open,
}

/// Connections by the time of their last answer. The first one has been idle longest.
#[derive(Clone, Default)]
struct Open(Arc<Mutex<Places>>);

#[derive(Default)]
struct Places {
    next: u64,
    taken: BTreeMap<u64, oneshot::Sender<()>>,
}

impl Bounded {
    pub(crate) fn new(endpoint: Endpoint, limits: Limits) -> Self {
        let Endpoint { listener, handshake } = endpoint;
        Self { listener, handshake, limits, open: Open::default() }
    }
}

impl Listener for Bounded {
    type Io = Client;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Client, SocketAddr) {
        let mut refused = 0_u32;
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    let place = self.open.add(self.limits.connections);
                    let quiet = self.limits.quiet;
                    let patience = if self.handshake.is_some() { self.limits.handshake } else { quiet };
                    let stream = Stream::new(stream, address, self.handshake.as_ref());
                    return (Client { stream, place, quiet, deadline: Box::pin(sleep(patience)) }, address);
                }
                Err(error) => {
                    if refused == 0 || refused.is_power_of_two() {
                        tracing::warn!("cannot accept a REST connection: {error}");
                    }
                    refused = refused.saturating_add(1);
                    self.open.close_quietest();
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Open {
    fn add(&self, most: usize) -> Place {
        let (sender, closed) = oneshot::channel();
        let mut places = self.lock();
        let at = places.take_next(sender);
        if places.taken.len() > most.max(1) {
            places.taken.pop_first();
        }
        Place { at, open: self.clone(), closed }
    }

    fn close_quietest(&self) {
        self.lock().taken.pop_first();
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    fn take_next(&mut self, sender: oneshot::Sender<()>) -> u64 {
        self.next += 1;
        self.taken.insert(self.next, sender);
        self.next
    }
}

/// A connection's place among the open ones.
struct Place {
    at: u64,
    open: Open,
    /// Closes when another connection takes the place.
    closed: oneshot::Receiver<()>,
}

impl Place {
    /// Moves the connection to the end, because it was sent something.
    fn renew(&mut self) {
        let mut places = self.open.lock();
        if let Some(sender) = places.taken.remove(&self.at) {
            self.at = places.take_next(sender);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.lock().taken.remove(&self.at);
    }
}

/// A client's connection.
pub(crate) struct Client {
    stream: Stream,
    place: Place,
    quiet: Duration,
    deadline: Pin<Box<Sleep>>,
}

impl Client {
    /// Whether the connection is to be closed.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if Pin::new(&mut self.place.closed).poll(context).is_ready() {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "another connection needs the place",
            ));
        }
        if self.deadline.as_mut().poll(context).is_ready() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    /// Makes the handshake, if there is one that is not done.
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        if !self.stream.is_open() {
            ready!(self.stream.poll_open(context))?;
            self.deadline.as_mut().reset(Instant::now() + self.quiet);
        }
        Poll::Ready(Ok(()))
    }

    fn answered(&mut self, written: usize) -> usize {
        if written > 0 {
            self.deadline.as_mut().reset(Instant::now() + self.quiet);
            self.place.renew();
        }
        written
    }
}

impl AsyncRead for Client {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_open(context))?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Client {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(context))?;
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        Poll::Ready(Ok(self.answered(written)))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(context))?;
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, slices))?;
        Poll::Ready(Ok(self.answered(written)))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TLS keeps what the client does not read, so this may wait for it as well.
        self.check(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
