//! A secured connection: TLS first, then a login by SASL.
//!
//! A broker ends a login after a time (`connections.max.reauth.ms`, KIP-368) and closes a connection on which a request
//! comes later. Here a connection is not used again as the end comes near, and another one is opened instead. It costs one
//! handshake in that time, and needs no login between the requests of a connection that is in use.

use super::KafkaError;
use super::connection::{Connection, Transport};
use super::scram::{Hash, Scram};
use crate::security::{KafkaSecurity, Login, Mechanism, Settings, TlsFiles};
use base64ct::{Base64, Encoding};
use bytes::Bytes;
use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;
use reflow_env::real::{ExternalTls, ExternalTlsFiles, Identity, TlsError};
use ring::rand::{SecureRandom, SystemRandom};
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;

const HANDSHAKE_TIME_LIMIT: Duration = Duration::from_secs(10);
/// What to do if the broker does not speak TLS.
const NO_TLS: &str = "connect to another port, or correct security.protocol";

/// Opens secured connections.
pub(super) struct Sessions {
    security: KafkaSecurity,
    /// The TLS of the last connection, which reads its files again when they change.
    tls: Mutex<Option<ExternalTls>>,
}

impl Sessions {
    pub(super) fn new(security: KafkaSecurity) -> Self {
        Self { security, tls: Mutex::default() }
    }

    /// Opens a connection to a broker, of the form `host:port`.
    pub(super) async fn open(&self, address: &str) -> Result<Connection, KafkaError> {
        let settings = self.security.settings()?;
        let tls = settings.tls.as_ref().map(|files| self.tls(files)).transpose();
        let tls = tls.map_err(|error| unsafe_connection(address, error.to_string()))?;
        let stream = Connection::dial(address).await?;
        let stream: Box<dyn Transport> = match &tls {
            None => Box::new(stream),
            Some(tls) => handshake(address, tls, &settings, stream).await?,
        };
        let opened = begin(address, stream, &settings).await;
        // A broker refuses the client's certificate only behind the handshake, in TLS 1.3.
        opened.map_err(|error| match (&tls, &error) {
            (Some(tls), KafkaError::Disconnected { source, .. }) => {
                let reason = tls.explain(source, "the broker", NO_TLS);
                reason.map_or(error, |reason| unsafe_connection(address, reason))
            }
            _ => error,
        })
    }

    fn tls(&self, files: &TlsFiles) -> Result<ExternalTls, TlsError> {
        let identity = files.identity.clone();
        let identity = identity.map(|(certificate, key)| Identity { certificate, key });
        let files = ExternalTlsFiles { ca: files.ca.clone(), identity };
        let mut last = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        match last.as_ref().filter(|last| *last.files() == files) {
            Some(tls) => Ok(tls.clone()),
            None => Ok(last.insert(ExternalTls::open(files)?).clone()),
        }
    }
}

fn unsafe_connection(address: &str, reason: String) -> KafkaError {
    KafkaError::Tls { address: address.to_owned(), reason }
}

async fn handshake(
    address: &str,
    tls: &ExternalTls,
    settings: &Settings,
    stream: TcpStream,
) -> Result<Box<dyn Transport>, KafkaError> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let made = tokio::time::timeout(HANDSHAKE_TIME_LIMIT, tls.connect(host, stream)).await;
    let error = match made.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(stream) => return Ok(Box::new(stream)),
        Err(error) => error,
    };
    let address = address.to_owned();
    // A broker that expects plain text takes the handshake for a request of impossible length.
    Err(match tls.explain(&error, "the broker", NO_TLS) {
        Some(reason) => KafkaError::Tls { address, reason },
        None if is_end(&error) => KafkaError::Closed { address, protocol: settings.protocol() },
        None => KafkaError::Unreachable { address, source: error },
    })
}

/// Whether the peer has closed the connection.
fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

async fn begin(
    address: &str,
    stream: Box<dyn Transport>,
    settings: &Settings,
) -> Result<Connection, KafkaError> {
    let mut connection = Connection::begin(address, stream, settings.protocol()).await?;
    if let Some(login) = &settings.login {
        log_in(&mut connection, login).await?;
    }
    Ok(connection)
}

async fn log_in(connection: &mut Connection, login: &Login) -> Result<(), KafkaError> {
    let address = connection.address().to_owned();
    let refused = |reason: String| KafkaError::Login {
        address: address.clone(),
        user: login.user.clone(),
        mechanism: login.mechanism.name(),
        reason,
    };
    let mechanism = StrBytes::from_static_str(login.mechanism.name());
    let request = SaslHandshakeRequest::default().with_mechanism(mechanism);
    let answer = connection.send(&request, Duration::ZERO).await?;
    if let Some(error) = answer.error_code.err() {
        let offered = answer.mechanisms.iter().map(|name| &**name).collect::<Vec<_>>().join(", ");
        return Err(refused(match error {
            ResponseError::UnsupportedSaslMechanism => format!("it offers {offered}: correct sasl.mechanism"),
            ResponseError::IllegalSaslState => {
                "this port has no logins: connect to another one, or correct security.protocol".to_owned()
            }
            error => error.to_string(),
        }));
    }
    let hash = match login.mechanism {
        Mechanism::Plain => {
            let message = format!("\0{}\0{}", login.user, login.password);
            let answer = authenticate(connection, message, &refused).await?;
            connection.end_after(session(&answer));
            return Ok(());
        }
        Mechanism::ScramSha256 => Hash::Sha256,
        Mechanism::ScramSha512 => Hash::Sha512,
    };
    let nonce = nonce().map_err(|reason| refused(reason.to_owned()))?;
    let scram = Scram::new(hash, &login.user, &login.password, nonce);
    let answer = authenticate(connection, scram.first(), &refused).await?;
    let proof = scram.prove(&text(&answer)).map_err(|reason| refused(reason.to_owned()))?;
    let answer = authenticate(connection, proof.message.clone(), &refused).await?;
    proof.check(&text(&answer)).map_err(|reason| refused(reason.to_owned()))?;
    connection.end_after(session(&answer));
    Ok(())
}

/// A random nonce.
fn nonce() -> Result<String, &'static str> {
    let mut bytes = [0; 24];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "this machine has no random numbers")?;
    Ok(Base64::encode_string(&bytes))
}

fn text(answer: &SaslAuthenticateResponse) -> String {
    String::from_utf8_lossy(&answer.auth_bytes).into_owned()
}

/// For how long the login counts. `None`: as long as the connection.
fn session(answer: &SaslAuthenticateResponse) -> Option<Duration> {
    let lifetime_ms = u64::try_from(answer.session_lifetime_ms).unwrap_or(0);
    (lifetime_ms > 0).then(|| Duration::from_millis(lifetime_ms))
}

async fn authenticate(
    connection: &mut Connection,
    message: String,
    refused: &impl Fn(String) -> KafkaError,
) -> Result<SaslAuthenticateResponse, KafkaError> {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from(message));
    let answer = connection.send(&request, Duration::ZERO).await?;
    match answer.error_code.err() {
        None => Ok(answer),
        Some(error) => {
            let reason = answer.error_message.as_ref().map(|reason| reason.to_string());
            Err(refused(reason.unwrap_or_else(|| error.to_string())))
        }
    }
}
