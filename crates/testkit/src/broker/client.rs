//! The client of a broker, over TCP. A connection carries one request at a time.

use super::{BrokerReply, BrokerRequest, Refusal};
use reflow_env::Client;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest message. A longer one is no message of a broker.
pub(super) const MAX_MESSAGE_BYTES: u32 = 16 << 20;

/// A client of the broker at one address, which keeps the connections that nobody uses.
#[derive(Debug)]
pub struct BrokerClient {
    address: String,
    system: String,
    idle: Mutex<Vec<TcpStream>>,
}

/// The error of a request to a broker.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The broker has refused it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The connection is lost, and perhaps the answer with it.
    #[error("{0}")]
    Connection(#[from] std::io::Error),
    /// The answer cannot be read.
    #[error("the answer is not that of a broker: {0}")]
    Garbage(String),
}

impl BrokerClient {
    /// A client that has no connection yet. `address` is `host:port`.
    pub fn new(address: impl Into<String>) -> Self {
        let address = address.into();
        Self { system: format!("broker://{address}"), address, idle: Mutex::default() }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection that nobody uses, or opens one.
    async fn connection(&self) -> std::io::Result<TcpStream> {
        let idle = self.idle().pop();
        match idle {
            Some(connection) => Ok(connection),
            None => TcpStream::connect(&self.address).await,
        }
    }
}

impl Client for BrokerClient {
    type Request = BrokerRequest;
    type Answer = BrokerReply;
    type Error = BrokerError;

    fn system(&self) -> &str {
        &self.system
    }

    async fn call(&self, request: &BrokerRequest) -> Result<BrokerReply, BrokerError> {
        let message =
            postcard::to_stdvec(request).map_err(|error| BrokerError::Garbage(error.to_string()))?;
        // It is dropped with this future, so an outstanding answer never meets another request.
        let mut connection = self.connection().await?;
        let answer = exchange(&mut connection, &message).await;
        match answer {
            Ok(answer) => {
                let answer: Result<BrokerReply, Refusal> =
                    postcard::from_bytes(&answer).map_err(|error| BrokerError::Garbage(error.to_string()))?;
                self.idle().push(connection);
                Ok(answer?)
            }
            Err(error) => {
                // The broker may have restarted, and then the others are lost as well.
                self.idle().clear();
                Err(error)
            }
        }
    }

    fn bytes(&self, request: &BrokerRequest) -> usize {
        match request {
            BrokerRequest::Prepare { records, .. } => records.iter().map(String::len).sum(),
            _ => 0,
        }
    }
}

async fn exchange(connection: &mut TcpStream, message: &[u8]) -> Result<Vec<u8>, BrokerError> {
    connection.write_u32(message.len() as u32).await?;
    connection.write_all(message).await?;
    let len = connection.read_u32().await?;
    if len > MAX_MESSAGE_BYTES {
        return Err(BrokerError::Garbage(format!("it has {len} bytes")));
    }
    let mut answer = vec![0; len as usize];
    connection.read_exact(&mut answer).await?;
    Ok(answer)
}
