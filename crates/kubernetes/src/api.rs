//! Requests to the API server, over one connection that is kept open between them.

use crate::access::{Access, AccessError};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The longest answer that is read. The objects that are asked for have a few kilobytes.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Why the API server has not done what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// This process may not do it.
    #[error(
        "this process has no right to {verb} {resource} in the namespace {namespace}: give its service account a Role with the \
         verb \"{verb}\" (the API server says: {message})"
    )]
    Forbidden { verb: Verb, resource: &'static str, namespace: String, message: String },
    /// The API server does not know this process.
    #[error("the API server {server} does not accept the credentials of this process: {message}")]
    Unauthorized { server: String, message: String },
    /// There is no such object.
    #[error("the API server has no {resource} {name} in the namespace {namespace}")]
    NotFound { resource: &'static str, name: String, namespace: String },
    /// The object has changed since it was read, or exists already.
    #[error("the API server refuses to {verb} {resource} {name}, because it was changed meanwhile")]
    Conflict { verb: Verb, resource: &'static str, name: String },
    /// It answers with another error.
    #[error("the API server answers {status} to {verb} {resource} {name}: {message}")]
    Refused { verb: Verb, resource: &'static str, name: String, status: StatusCode, message: String },
    /// It cannot be reached, or does not answer.
    #[error("the API server {server} cannot be reached: {cause}")]
    Unreachable { server: String, cause: String },
    /// The files of this process cannot be used.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Its answer is not what was asked for.
    #[error("the API server's answer about {resource} {name} cannot be read: {cause}")]
    Malformed { resource: &'static str, name: String, cause: String },
}

/// What is to be done with an object, as rights name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Get,
    Create,
    Update,
    Patch,
}

impl Verb {
    fn method(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Create => Method::POST,
            Self::Update => Method::PUT,
            Self::Patch => Method::PATCH,
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "get",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
        })
    }
}

/// An object of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The path of its group and version, such as `/apis/coordination.k8s.io/v1`.
    pub group: &'static str,
    /// Its resource in plural, which may have a subresource, such as `deployments/scale`.
    pub kind: &'static str,
    /// Resource and group, as rights and errors name them.
    pub resource: &'static str,
    pub namespace: String,
    pub name: String,
}

impl Object {
    /// `/apis/GROUP/namespaces/NAMESPACE/PLURAL/NAME`, without the name for a new object.
    fn path(&self, verb: Verb) -> String {
        let (plural, subresource) = self.kind.split_once('/').unwrap_or((self.kind, ""));
        let mut path = format!("{}/namespaces/{}/{plural}", self.group, self.namespace);
        if verb != Verb::Create {
            path.push('/');
            path.push_str(&self.name);
        }
        if !subresource.is_empty() {
            path.push('/');
            path.push_str(subresource);
        }
        path
    }
}

/// The API server. It opens its connection with the first request.
pub struct Api {
    access: Access,
    /// The connection, while no request uses it.
    idle: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

/// What went wrong with a connection.
type Broken = Box<dyn std::error::Error + Send + Sync>;

impl Api {
    pub fn new(access: Access) -> Self {
        Self { access, idle: Mutex::new(None) }
    }

    /// The server's address.
    pub fn server(&self) -> String {
        self.access.server.authority()
    }

    /// The namespace of this process.
    pub fn namespace(&self) -> &str {
        &self.access.namespace
    }

    /// Sends a request about an object, and reads the object in the answer.
    ///
    /// # Errors
    /// If the server is not reached or refuses the request.
    pub async fn request<T: DeserializeOwned>(
        &self,
        verb: Verb,
        object: &Object,
        body: Option<Vec<u8>>,
    ) -> Result<T, ApiError> {
        let (status, answer) = self.exchange(verb.method(), &object.path(verb), body).await?;
        if status.is_success() {
            return serde_json::from_slice(&answer).map_err(|error| ApiError::Malformed {
                resource: object.resource,
                name: object.name.clone(),
                cause: error.to_string(),
            });
        }
        Err(self.refusal(verb, object, status, &answer))
    }

    fn refusal(&self, verb: Verb, object: &Object, status: StatusCode, answer: &[u8]) -> ApiError {
        /// The answer's object, which says what is wrong.
        #[derive(Deserialize, Default)]
        struct Status {
            #[serde(default)]
            message: String,
        }
        let Status { message } = serde_json::from_slice(answer).unwrap_or_default();
        let (resource, name, namespace) = (object.resource, object.name.clone(), object.namespace.clone());
        match status {
            StatusCode::FORBIDDEN => ApiError::Forbidden { verb, resource, namespace, message },
            StatusCode::UNAUTHORIZED => ApiError::Unauthorized { server: self.server(), message },
            StatusCode::NOT_FOUND if verb != Verb::Create => ApiError::NotFound { resource, name, namespace },
            StatusCode::CONFLICT => ApiError::Conflict { verb, resource, name },
            status => ApiError::Refused { verb, resource, name, status, message },
        }
    }

    /// Sends a request and reads the whole answer. A server may have closed the connection that was kept open, so it then
    /// sends the request over another one. It may thus have been carried out twice, which a conflict shows.
    ///
    /// # Errors
    /// If the server is not reached.
    pub async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<(StatusCode, Bytes), ApiError> {
        let body = Bytes::from(body.unwrap_or_default());
        let token = self.access.token()?;
        let request = || {
            let content_type = match method {
                Method::PATCH => "application/merge-patch+json",
                _ => "application/json",
            };
            let mut request = Request::builder()
                .method(method.clone())
                .uri(format!("{}{path}", self.access.server.path))
                .header(HOST, self.access.server.authority())
                .header(USER_AGENT, concat!("reflow/", env!("CARGO_PKG_VERSION")))
                .header(ACCEPT, "application/json")
                .header(CONTENT_TYPE, content_type);
            if let Some(token) = &token {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            request.body(Full::new(body.clone())).map_err(|error| self.unreachable(&error))
        };
        // Taken out, so that a connection whose answer was not awaited is not used again.
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(kept) = kept.filter(|kept| !kept.is_closed())
            && let Ok(answer) = self.send(kept, request()?).await
        {
            return Ok(answer);
        }
        let connection = self.connect().await?;
        self.send(connection, request()?).await.map_err(|error| self.unreachable(&*error))
    }

    async fn send(
        &self,
        mut connection: SendRequest<Full<Bytes>>,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), Broken> {
        connection.ready().await?;
        let response = connection.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await?.to_bytes();
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        Ok((status, body))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, ApiError> {
        let server = &self.access.server;
        let connected = TcpStream::connect((server.host.as_str(), server.port)).await;
        let stream = connected.map_err(|error| self.unreachable(&error))?;
        let _ = stream.set_nodelay(true);
        if !server.encrypted {
            return self.handshake(stream).await;
        }
        let connector = TlsConnector::from(self.access.tls()?);
        let stream = connector.connect(server.name()?, stream).await;
        self.handshake(stream.map_err(|error| self.unreachable(&error))?).await
    }

    async fn handshake<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
    ) -> Result<SendRequest<Full<Bytes>>, ApiError> {
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.unreachable(&error))?;
        // It ends with the sender.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> ApiError {
        let cause = match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        ApiError::Unreachable { server: self.server(), cause }
    }
}

#[cfg(test)]
#[path = "api_tests.rs"]
mod tests;
