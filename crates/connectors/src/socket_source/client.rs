//! The client of a socket source: one connection, from which bytes are read.

use bytes::{Bytes, BytesMut};
use reflow_env::Client;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::Mutex;

/// How long a read waits for bytes. Then there is an empty answer, so that a read never takes as long as its time limit.
const WAIT: Duration = Duration::from_secs(5);
/// How long connecting may take, beside that.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(15);
/// The most bytes of an answer.
const MAX_BYTES: usize = 64 << 10;

/// A connection to an address, opened by the first read and after a failure.
#[doc(hidden)]
#[derive(Debug)]
pub struct SocketClient {
    address: String,
    system: String,
    /// A lock and no more: there is one read at a time.
    connection: Mutex<Option<TcpStream>>,
}

/// Reads the next bytes.
#[doc(hidden)]
#[derive(Debug)]
pub struct ReadSocket;

/// What was read.
#[doc(hidden)]
#[derive(Debug, PartialEq, Eq)]
pub enum FromSocket {
    /// Bytes; none if none have arrived for a while.
    Bytes(Bytes),
    /// The other side has ended the stream.
    End,
}

impl SocketClient {
    pub(super) fn new(address: &str) -> Self {
        let system = format!("socket://{address}");
        Self { address: address.to_owned(), system, connection: Mutex::default() }
    }
}

impl Client for SocketClient {
    type Request = ReadSocket;
    type Answer = FromSocket;
    type Error = std::io::Error;

    fn system(&self) -> &str {
        &self.system
    }

    async fn call(&self, _: &ReadSocket) -> std::io::Result<FromSocket> {
        let mut open = self.connection.lock().await;
        let connection = match &mut *open {
            Some(connection) => connection,
            none => none.insert(TcpStream::connect(&self.address).await?),
        };
        let mut bytes = BytesMut::with_capacity(MAX_BYTES);
        // A read that is dropped has taken no bytes.
        let answer = match tokio::time::timeout(WAIT, connection.read_buf(&mut bytes)).await {
            Err(_) => return Ok(FromSocket::Bytes(Bytes::new())),
            Ok(Ok(0)) => Ok(FromSocket::End),
            Ok(Ok(_)) => return Ok(FromSocket::Bytes(bytes.freeze())),
            Ok(Err(error)) => Err(error),
        };
        *open = None;
        answer
    }
}
