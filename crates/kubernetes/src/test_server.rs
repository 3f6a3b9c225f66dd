//! An API server that is played for tests: it keeps one object with its version.

use crate::access::Access;
use crate::api::Api;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

pub(crate) struct TestServer {
    played: Arc<Mutex<Played>>,
    address: SocketAddr,
    runtime: tokio::runtime::Runtime,
}

/// What the server has, and what has been asked for.
#[derive(Default)]
struct Played {
    object: Option<Value>,
    version: u64,
    requests: Vec<String>,
    /// The answer to each request, if it is not the usual one.
    refusal: Option<(u16, Value)>,
}

impl Played {
    fn answer(&mut self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        self.requests.push(format!("{method} {path}"));
        if let Some(refusal) = &self.refusal {
            return refusal.clone();
        }
        let written: Value = serde_json::from_slice(body).unwrap_or_default();
        match (method, &self.object) {
            ("GET", Some(object)) => return (200, object.clone()),
            ("GET" | "PUT", None) => return (404, Value::Null),
            ("POST", Some(_)) => return (409, Value::Null),
            ("PUT", Some(object))
                if object["metadata"]["resourceVersion"] != written["metadata"]["resourceVersion"] =>
            {
                return (409, Value::Null);
            }
            _ => {}
        }
        (200, self.put(written))
    }

    fn put(&mut self, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.object = Some(object.clone());
        object
    }
}

impl TestServer {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let played = Arc::new(Mutex::new(Played::default()));
        let served = Arc::clone(&played);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, served) = (stream.unwrap(), Arc::clone(&served));
                std::thread::spawn(move || serve(&stream, &served));
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { played, address, runtime }
    }

    /// The API, for someone in the namespace `shop`.
    pub(crate) fn api(&self) -> Api {
        let config = tempfile::NamedTempFile::new().unwrap();
        let text = format!(
            "{{current-context: c, clusters: [{{name: s, cluster: {{server: 'http://{}'}}}}], \
             contexts: [{{name: c, context: {{cluster: s, user: u, namespace: shop}}}}], users: [{{name: u, user: {{token: t}}}}]}}",
            self.address
        );
        std::fs::write(config.path(), text).unwrap();
        Api::new(Access::find(Some(config.path()), None).unwrap())
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    pub(crate) fn object(&self) -> Value {
        self.played().object.clone().unwrap()
    }

    /// Writes the object as someone else, with a new version.
    pub(crate) fn put(&self, object: Value) {
        self.played().put(object);
    }

    pub(crate) fn delete(&self) {
        self.played().object = None;
    }

    /// Answers all requests with this error from now on.
    pub(crate) fn refuse(&self, code: u16, message: &str) {
        self.played().refusal = Some((code, json!({"message": message})));
    }

    /// The requests since the last call.
    pub(crate) fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.played().requests)
    }

    fn played(&self) -> MutexGuard<'_, Played> {
        self.played.lock().unwrap()
    }
}

/// Serves a connection until the client closes it.
fn serve(stream: &TcpStream, played: &Mutex<Played>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        let mut length = 0;
        let mut line = String::new();
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        while reader.read_line(&mut line).is_ok() && line.trim() != "" {
            if let Some(bytes) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = bytes.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let mut words = first.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let (status, answer) = played.lock().unwrap().answer(method, path, &body);
        let answer = answer.to_string();
        let length = answer.len();
        let mut stream = stream;
        write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{answer}").unwrap();
    }
}
