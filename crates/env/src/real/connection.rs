//! TCP connections, with TLS if [`Options`] say so: frames with a `u32` little-endian length before each.
//!
//! A connection that has nothing to send for a while sends a sign of life, and one that brings nothing for
//! [`Options::silence_timeout`] is closed, which [`Input::Silent`] announces. This is how a frozen process and a cut
//! cable are noticed. A host that the system cannot reach, or that does not take part in the making of a connection, is
//! announced as well: its peers know first that it is cut off. Only the I/O threads take part, so a busy event loop or busy slots delay no sign of life. A process
//! whose event loop hangs still gives signs of life; its heartbeats, which the loop sends, end.
//!
//! Each connection has one task, which reads and writes. It ends when the peer closes the connection, sends
//! something that is not a frame, does not read, or is silent. Then it puts [`Input::Closed`] into the inbox, which is the
//! last input of the connection. When the process closes the connection, the task sends the queued frames, shuts
//! down its side, and waits a bounded time for the peer to close, because closing a socket with unread bytes
//! discards data that the peer has not read yet.

use super::alive::Alive;
use super::inbox::{Event, Inbox};
use super::newcomers::{Newcomer, Newcomers};
use super::outlet::{Outlet, Shared, State};
use super::silence::{self, SIGNS_IN_TIMEOUT};
use super::{Options, descriptor_limit};
use crate::process::MAX_FRAME_BYTES;
use crate::{ConnId, Input, ListenerId};
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// A sign of life, in place of a frame's length. No frame is that long.
const SIGN_OF_LIFE: u32 = u32::MAX;
/// Bytes that are read at a time, unless a large frame is being received.
const READ_CHUNK: usize = 64 << 10;
/// Bytes that are read at a time from a peer that has not identified itself.
const FIRST_CHUNK: usize = 512;
/// Smaller frames are copied into one buffer, so that one system call sends many of them.
const SMALL_FRAME: usize = 16 << 10;
/// The size of that buffer.
const WRITE_CHUNK: usize = 256 << 10;
/// How long a listener pauses when the system refuses it a socket.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a peer may take to close its side of the connection.
const LINGER: Duration = Duration::from_secs(1);

/// State that the tasks of all connections of a process share.
#[derive(Clone)]
pub(super) struct Network {
    pub(super) options: Options,
    pub(super) inbox: Inbox,
    /// The next id of an accepted connection.
    next_accepted: Arc<AtomicU64>,
    accepted: Arc<Semaphore>,
    newcomers: Newcomers,
    runtime: Handle,
}

impl Network {
    pub(super) fn new(options: Options, inbox: Inbox, runtime: Handle) -> Self {
        let accepted = Arc::new(Semaphore::new(options.max_accepted.min(descriptor_limit() / 2)));
        let newcomers = Newcomers::new(options.max_newcomers.min(accepted.available_permits() / 2));
        let next_accepted = Arc::new(AtomicU64::new(ConnId::ACCEPTED));
        Self { options, inbox, runtime, next_accepted, accepted, newcomers }
    }

    /// Starts a task that connects to `address`.
    pub(super) fn connect(&self, conn: ConnId, address: String, alive: Alive) -> Outlet {
        let (outlet, shared) = Outlet::new(&self.options);
        let network = self.clone();
        self.runtime.spawn(async move {
            let _alive = alive;
            let connecting = timeout(network.options.connect_timeout, TcpStream::connect(&address));
            let stream = tokio::select! {
                stream = connecting => match stream {
                    Ok(Ok(stream)) => Ok(stream),
                    Ok(Err(e)) => Err(NotConnected {
                        reason: format!("cannot connect to {address}: {e}"),
                        silent: !matches!(e.kind(), ErrorKind::ConnectionRefused | ErrorKind::InvalidInput),
                    }),
                    Err(_) => {
                        let waited = network.options.connect_timeout;
                        let reason = format!("cannot connect to {address}: no answer within {waited:?}");
                        Err(NotConnected { reason, silent: true })
                    }
                },
                state = shared.given_up(network.options.flush_timeout) => match state {
                    State::Broken(reason) => Err(reason.into()),
                    _ => return,
                },
            };
            let ended = match stream {
                Ok(stream) => network.serve_connected(conn, stream, &shared).await,
                Err(error) => Err(error),
            };
            if let Err(NotConnected { reason, silent }) = ended {
                if silent {
                    network.inbox.push_input(Input::Silent { conn });
                }
                network.inbox.push_input(Input::Closed { conn, reason });
            }
        });
        outlet
    }

    /// Accepts connections at `address` until the task is aborted.
    pub(super) async fn listen(self, listener: ListenerId, address: String, alive: Alive) {
        let bound = async {
            let socket = TcpListener::bind(&address).await?;
            let port = socket.local_addr()?.port();
            io::Result::Ok((socket, port))
        };
        let (socket, port) = match bound.await {
            Ok(bound) => bound,
            Err(e) => {
                let error = format!("cannot listen on {address}: {e}");
                return self.inbox.push_input(Input::ListenFailed { listener, error });
            }
        };
        let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
        self.inbox.push_input(Input::Listening { listener, address: format!("{host}:{port}") });
        let mut refused = 0_u32;
        loop {
            let Ok(place) = self.accepted.clone().acquire_owned().await else { return };
            let stream = match socket.accept().await {
                Ok((stream, _)) => stream,
                Err(e) => {
                    if refused.is_power_of_two() || refused == 0 {
                        tracing::warn!("cannot accept a connection on {host}:{port}: {e}");
                    }
                    refused = refused.saturating_add(1);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            refused = 0;
            let conn = ConnId(self.next_accepted.fetch_add(1, Ordering::Relaxed));
            let (outlet, shared) = Outlet::new(&self.options);
            self.inbox.push(Event::Accepted { conn, listener, outlet });
            let (network, alive) = (self.clone(), alive.clone());
            let newcomer = self.newcomers.add(conn);
            self.runtime.spawn(async move {
                network.serve_accepted(conn, stream, &shared, newcomer).await;
                drop((place, alive));
            });
        }
    }

    /// Serves a connection that this process has made.
    async fn serve_connected(
        &self,
        conn: ConnId,
        stream: TcpStream,
        shared: &Shared,
    ) -> Result<(), NotConnected> {
        let local = stream.local_addr().map_or(String::new(), |local| local.ip().to_string());
        set_nodelay(&stream);
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.options.tls {
            let (patience, flush) = (self.options.connect_timeout, self.options.flush_timeout);
            let stream = tokio::select! {
                stream = timeout(patience, tls.connect(stream)) => match stream {
                    Ok(stream) => stream.map_err(|(error, reason)| NotConnected {
                        reason,
                        // Anything else is an answer of the peer, such as a wrong certificate.
                        silent: error.kind() != ErrorKind::InvalidData,
                    })?,
                    Err(_) => {
                        let reason = format!("the TLS handshake took more than {patience:?}");
                        return Err(NotConnected { reason, silent: true });
                    }
                },
                state = shared.given_up(flush) => match state {
                    State::Broken(reason) => return Err(reason.into()),
                    _ => return Ok(()),
                },
            };
            self.inbox.push_input(Input::Connected { conn, local });
            let (from_peer, to_peer) = tokio::io::split(stream);
            self.serve(conn, from_peer, to_peer, shared, None).await;
            return Ok(());
        }
        self.inbox.push_input(Input::Connected { conn, local });
        let (from_peer, to_peer) = stream.into_split();
        self.serve(conn, from_peer, to_peer, shared, None).await;
        Ok(())
    }

    /// Serves a connection that a peer has made.
    async fn serve_accepted(&self, conn: ConnId, stream: TcpStream, shared: &Shared, newcomer: Newcomer) {
        set_nodelay(&stream);
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.options.tls {
            let (mut newcomer, patience) = (newcomer, self.options.first_frame_timeout);
            let accepted = tokio::select! {
                accepted = timeout(patience, tls.accept(stream)) => {
                    accepted.unwrap_or_else(|_| Err(format!("the TLS handshake took more than {patience:?}")))
                }
                () = newcomer.displaced() => {
                    Err("the peer had not introduced itself when many others connected".to_owned())
                }
            };
            match accepted {
                Ok(stream) => {
                    let (from_peer, to_peer) = tokio::io::split(stream);
                    self.serve(conn, from_peer, to_peer, shared, Some(newcomer)).await;
                }
                Err(reason) => self.inbox.push_input(Input::Closed { conn, reason }),
            }
            return;
        }
        let (from_peer, to_peer) = stream.into_split();
        self.serve(conn, from_peer, to_peer, shared, Some(newcomer)).await;
    }

    async fn serve(
        &self,
        conn: ConnId,
        mut from_peer: impl AsyncRead + Unpin,
        mut to_peer: impl AsyncWrite + Unpin,
        shared: &Shared,
        newcomer: Option<Newcomer>,
    ) {
        let end = tokio::select! {
            reason = self.read_frames(conn, &mut from_peer, newcomer) => End::Lost(reason),
            end = self.write_frames(&mut to_peer, shared) => end,
        };
        match end {
            End::Lost(reason) => self.inbox.push_input(Input::Closed { conn, reason }),
            End::Unreachable(reason) => {
                self.inbox.push_input(Input::Silent { conn });
                self.inbox.push_input(Input::Closed { conn, reason });
            }
            End::Dropped => {}
            End::Closed => {
                let mut ignored = [0; 4096];
                let peer_sees =
                    async { while matches!(from_peer.read(&mut ignored).await, Ok(n) if n > 0) {} };
                drop(timeout(LINGER, peer_sees).await);
            }
        }
    }

    /// Puts frames into the inbox until the connection ends, and returns the reason.
    async fn read_frames(
        &self,
        conn: ConnId,
        from_peer: &mut (impl AsyncRead + Unpin),
        newcomer: Option<Newcomer>,
    ) -> String {
        let max_bytes = self.options.read_bytes.max(1);
        let mut reading = Reading {
            from_peer,
            buffer: BytesMut::new(),
            budget: Arc::new(Semaphore::new(max_bytes as usize)),
            silence_timeout: self.options.silence_timeout(),
            silent: false,
            most: max_bytes,
            least: max_bytes.div_ceil(self.options.read_frames.max(1)),
        };
        if let Some(newcomer) = newcomer {
            match self.read_first(&mut reading, newcomer).await {
                Ok((frame, permit)) => self.inbox.push(Event::Frame { conn, frame, permit }),
                Err(reason) => return reason,
            }
        }
        loop {
            match reading.next(MAX_FRAME_BYTES, READ_CHUNK).await {
                Ok((frame, permit)) => self.inbox.push(Event::Frame { conn, frame, permit }),
                Err(reason) => {
                    if reading.silent {
                        self.inbox.push_input(Input::Silent { conn });
                    }
                    return reason;
                }
            }
        }
    }

    /// Reads the first frame of an accepted connection, with which the peer identifies itself.
    async fn read_first(
        &self,
        reading: &mut Reading<'_, impl AsyncRead + Unpin>,
        mut newcomer: Newcomer,
    ) -> Result<(Bytes, OwnedSemaphorePermit), String> {
        let (most, patience) = (self.options.first_frame_bytes, self.options.first_frame_timeout);
        tokio::select! {
            first = timeout(patience, reading.next(most, FIRST_CHUNK)) => {
                first.unwrap_or_else(|_| Err(format!("the peer did not introduce itself within {patience:?}")))
            }
            () = newcomer.displaced() => {
                Err("the peer had not introduced itself when many others connected".to_owned())
            }
        }
    }

    /// Sends queued frames until the connection ends.
    async fn write_frames(&self, to_peer: &mut (impl AsyncWrite + Unpin), shared: &Shared) -> End {
        let mut frames = VecDeque::new();
        let mut together = BytesMut::new();
        let interval = self.options.silence_timeout().map(|timeout| timeout / SIGNS_IN_TIMEOUT);
        loop {
            let state = {
                let mut queue = shared.lock();
                std::mem::swap(&mut queue.frames, &mut frames);
                queue.state.clone()
            };
            match state {
                State::Open if frames.is_empty() => {
                    let changed = shared.changed.notified();
                    let Some(interval) = interval else {
                        changed.await;
                        continue;
                    };
                    if timeout(interval, changed).await.is_ok() {
                        continue;
                    }
                    together.extend_from_slice(&SIGN_OF_LIFE.to_le_bytes());
                }
                State::Closing if frames.is_empty() => {
                    drop(to_peer.shutdown().await);
                    return End::Closed;
                }
                State::Broken(reason) => return End::Lost(reason),
                State::Dropped => return End::Dropped,
                State::Open | State::Closing => {}
            }
            let sending = send_all(to_peer, &mut frames, &mut together, shared);
            let sent = tokio::select! {
                sent = sending => sent,
                state = shared.given_up(self.options.flush_timeout) => match state {
                    State::Broken(reason) => return End::Lost(reason),
                    _ => return End::Dropped,
                },
            };
            match sent {
                Ok(()) => {}
                Err(e) if is_unreachable(&e) => return End::Unreachable(e.to_string()),
                Err(e) => return End::Lost(e.to_string()),
            }
        }
    }
}

/// Why a connection was not made.
struct NotConnected {
    reason: String,
    /// Whether nothing was heard of the peer. A host that refuses a connection is there: only the process is gone, of which
    /// the JobManager hears.
    silent: bool,
}

impl From<String> for NotConnected {
    fn from(reason: String) -> Self {
        Self { reason, silent: false }
    }
}

/// Whether the system has found that the host of an established connection cannot be reached. A reset comes from the host.
fn is_unreachable(error: &io::Error) -> bool {
    use ErrorKind::{HostUnreachable, NetworkDown, NetworkUnreachable, TimedOut};
    matches!(error.kind(), HostUnreachable | NetworkDown | NetworkUnreachable | TimedOut)
}

fn set_nodelay(stream: &TcpStream) {
    if let Err(e) = stream.set_nodelay(true) {
        tracing::debug!("cannot set TCP_NODELAY: {e}");
    }
}

/// How a connection ended.
enum End {
    /// The connection was lost, which the process must be told.
    Lost(String),
    /// The same, because its host cannot be reached.
    Unreachable(String),
    /// The process has closed it, and everything was sent.
    Closed,
    /// The process is gone, or the peer did not read what was sent before the close.
    Dropped,
}

/// The receiving side of a connection.
struct Reading<'a, R> {
    from_peer: &'a mut R,
    buffer: BytesMut,
    silence_timeout: Option<Duration>,
    /// Whether the peer has sent nothing for that long, or cannot be reached.
    silent: bool,
    /// Permits for the bytes that may be in the inbox.
    budget: Arc<Semaphore>,
    most: u32,
    /// The least number of bytes that a frame counts.
    least: u32,
}

impl<R: AsyncRead + Unpin> Reading<'_, R> {
    /// The next frame of at most `max_len` bytes, or the reason for which there is none.
    async fn next(&mut self, max_len: usize, chunk: usize) -> Result<(Bytes, OwnedSemaphorePermit), String> {
        let len = loop {
            match self.fill(4, chunk).await {
                Ok(true) => {}
                Ok(false) if self.buffer.is_empty() => return Err("the peer closed the connection".into()),
                Ok(false) => return Err("the peer closed the connection within a frame".into()),
                Err(e) => return Err(e.to_string()),
            }
            let len = self.buffer.get_u32_le();
            if len != SIGN_OF_LIFE {
                break len as usize;
            }
        };
        if len > max_len {
            return Err(format!(
                "the peer announced a frame of {len} bytes, above the limit of {max_len}: it does not speak Reflow"
            ));
        }
        let cost = u32::try_from(len).unwrap_or(u32::MAX).clamp(self.least, self.most);
        let permit = self.budget.clone().acquire_many_owned(cost).await.expect("the budget is never closed");
        match self.fill(len, chunk).await {
            Ok(true) => Ok((self.buffer.split_to(len).freeze(), permit)),
            Ok(false) => Err("the peer closed the connection within a frame".into()),
            Err(e) => Err(e.to_string()),
        }
    }

    /// Reads until the buffer contains `len` bytes. Returns false if the stream has ended before.
    async fn fill(&mut self, len: usize, chunk: usize) -> io::Result<bool> {
        if self.buffer.len() >= len {
            return Ok(true);
        }
        self.buffer.reserve((len - self.buffer.len()).max(chunk));
        while self.buffer.len() < len {
            // Only the wait for bytes counts: while the inbox is full, nothing is read.
            let reading = self.from_peer.read_buf(&mut self.buffer);
            let read = match self.silence_timeout {
                None => reading.await,
                Some(patience) => silence::within(patience, reading).await.unwrap_or_else(|| {
                    let silent = format!("the peer has been silent for {} ms", patience.as_millis());
                    Err(io::Error::new(ErrorKind::TimedOut, silent))
                }),
            };
            if read.inspect_err(|error| self.silent |= is_unreachable(error))? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Sends what is in `together`, and `frames` with their lengths: small ones together, each large one in one system call
/// with its length.
async fn send_all(
    to_peer: &mut (impl AsyncWrite + Unpin),
    frames: &mut VecDeque<Bytes>,
    together: &mut BytesMut,
    shared: &Shared,
) -> io::Result<()> {
    let mut sent = 0;
    if frames.is_empty() {
        // A sign of life.
        to_peer.write_all_buf(together).await?;
    }
    while let Some(frame) = frames.pop_front() {
        sent += frame.len();
        let len = u32::try_from(frame.len()).expect("the outlet takes no frame above MAX_FRAME_BYTES");
        together.extend_from_slice(&len.to_le_bytes());
        let large = frame.len() > SMALL_FRAME;
        if !large {
            together.extend_from_slice(&frame);
        }
        if large || together.len() >= WRITE_CHUNK || frames.is_empty() {
            let rest = if large { &frame[..] } else { &[] };
            to_peer.write_all_buf(&mut Buf::chain(together.as_ref(), rest)).await?;
            together.clear();
            shared.lock().bytes -= std::mem::take(&mut sent);
        }
    }
    // TLS may hold back what the socket did not take at once.
    to_peer.flush().await
}
