//! A server on a free port, and the least client that can talk to it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use reflow_rest::{Access, Artifact, Credentials, Endpoint, Handshake, Limits, Origins};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::fixture::FakeCluster;

/// A server that ends on request or with the test.
pub(crate) struct Server {
    address: SocketAddr,
    pub(crate) cluster: Arc<FakeCluster>,
    end: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), reflow_rest::ServeError>>,
}

/// The end of a server.
type Until = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn error(&self) -> String {
        let errors = self.json();
        assert_eq!(errors["errors"].as_array().map(Vec::len), Some(1), "{errors}");
        errors["errors"][0].as_str().unwrap().to_owned()
    }
}

/// This test's own executable, under a name that is not its hash.
pub(crate) fn artifact() -> Artifact {
    Artifact { sha256: "ab12".to_owned(), path: std::env::current_exe().unwrap() }
}

impl Server {
    pub(crate) async fn start(cluster: FakeCluster) -> Self {
        Self::start_with(cluster, Limits::default()).await
    }

    pub(crate) async fn start_with(cluster: FakeCluster, limits: Limits) -> Self {
        Self::start_at(cluster, limits, None, None).await
    }

    /// A server with TLS.
    pub(crate) async fn start_encrypted(cluster: FakeCluster, limits: Limits, handshake: Handshake) -> Self {
        Self::start_at(cluster, limits, None, Some(handshake)).await
    }

    /// A server that asks who a client is.
    pub(crate) async fn start_locked(
        cluster: FakeCluster,
        limits: Limits,
        credentials: Option<Credentials>,
    ) -> Self {
        Self::start_at(cluster, limits, credentials, None).await
    }

    /// A server of external metrics in a namespace.
    pub(crate) async fn start_external_metrics(cluster: FakeCluster, namespace: &str) -> Self {
        let namespace = Some(namespace.to_owned());
        Self::spawn(cluster, |listener, cluster, until| async move {
            let endpoint = Endpoint::from(listener);
            reflow_rest::serve_external_metrics(endpoint, cluster, namespace, Limits::default(), until).await
        })
        .await
    }

    async fn start_at(
        cluster: FakeCluster,
        limits: Limits,
        credentials: Option<Credentials>,
        handshake: Option<Handshake>,
    ) -> Self {
        Self::spawn(cluster, |listener, cluster, until| async move {
            let origins = Origins::new([], ["https://dash.example".to_owned()]);
            let access = Access { origins, credentials };
            let endpoint = Endpoint::new(listener, handshake);
            reflow_rest::serve(endpoint, cluster, &artifact(), access, limits, until).await
        })
        .await
    }

    async fn spawn<F>(
        cluster: FakeCluster,
        serve: impl FnOnce(TcpListener, Arc<FakeCluster>, Until) -> F,
    ) -> Self
    where
        F: Future<Output = Result<(), reflow_rest::ServeError>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cluster = Arc::new(cluster);
        let (end, ended) = oneshot::channel();
        let until: Until = Box::pin(async move { drop(ended.await) });
        let serving = tokio::spawn(serve(listener, Arc::clone(&cluster), until));
        Self { address, cluster, end, serving }
    }

    pub(crate) async fn stop(self) -> Result<(), reflow_rest::ServeError> {
        self.end.send(()).unwrap();
        self.serving.await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request("GET", path, "").await
    }

    /// A connection on which `text` was sent.
    pub(crate) async fn connect(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    pub(crate) async fn request(&self, method: &str, path: &str, body: &str) -> Response {
        self.request_with(method, path, "", body).await
    }

    /// A request with more headers, each of which ends with a line break.
    pub(crate) async fn request_with(&self, method: &str, path: &str, headers: &str, body: &str) -> Response {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        let mut stream = self.connect(&head).await;
        stream.write_all(body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Response { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }
}
