//! Reads objects of an HTTP server, `http://host:port/path`, whole or in ranges. [`https`](super::https) has other schemes.
//!
//! Each request has a connection of its own. It may last as long as bytes arrive, so that a large object can be
//! read over a slow network and a server that has stopped is noticed soon. Proxies are not used, because the
//! server is a JobManager.

use super::error::failed;
use super::https::{HttpsClients, Scheme};
use crate::store::{Location, StoreError};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_RANGE, HOST, RANGE};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::ops::Range;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The longest time without data from the server.
const MAX_SILENCE: Duration = Duration::from_secs(10);

/// Whether a location is an HTTP URL.
pub(super) fn serves(at: &Location) -> bool {
    Scheme::of(&at.0).is_some()
}

/// Reads an object.
pub(super) async fn get(
    at: &Location,
    range: Option<Range<u64>>,
    https: &HttpsClients,
) -> Result<Bytes, StoreError> {
    Client { at, https, max_silence: MAX_SILENCE }.get(range).await
}

/// A request for one object.
struct Client<'a> {
    at: &'a Location,
    https: &'a HttpsClients,
    max_silence: Duration,
}

impl Client<'_> {
    async fn get(&self, range: Option<Range<u64>>) -> Result<Bytes, StoreError> {
        let uri: Uri = self.at.0.parse().map_err(|error| self.failed(format!("is no URL: {error}")))?;
        let authority = uri.authority().ok_or_else(|| self.failed("has no host"))?.as_str();
        let scheme = Scheme::of(&self.at.0).ok_or_else(|| self.failed("is not served by HTTP"))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::get(path).header(HOST, authority);
        if let Some(Range { start, end }) = range {
            if start >= end {
                return Err(self.failed("an empty range of it cannot be asked for"));
            }
            request = request.header(RANGE, format!("bytes={start}-{}", end - 1));
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| self.failed(error.to_string()))?;
        let stream = self.in_time(TcpStream::connect(authority)).await?;
        let host = uri.host().unwrap_or_default();
        let stream = self.in_time(self.https.open(scheme, host, stream)).await?;
        let (mut sender, connection) = self.in_time(http1::handshake(TokioIo::new(stream))).await?;
        // Dropping the set ends the connection.
        let mut connections = JoinSet::new();
        connections.spawn(connection);
        let response = self.in_time(sender.send_request(request)).await?;
        let expected = match &range {
            None if response.status() == StatusCode::OK => None,
            Some(range) if response.status() == StatusCode::PARTIAL_CONTENT => {
                Some(self.check_range(range, &response)?)
            }
            _ => return Err(self.refusal(range, &response)),
        };
        self.read_body(response.into_body(), expected).await
    }

    async fn read_body(&self, mut body: Incoming, expected: Option<u64>) -> Result<Bytes, StoreError> {
        let mut bytes = BytesMut::new();
        while let Some(frame) = self.in_time(async { body.frame().await.transpose() }).await? {
            if let Ok(data) = frame.into_data() {
                bytes.extend_from_slice(&data);
            }
            if expected.is_some_and(|expected| bytes.len() as u64 > expected) {
                return Err(self.failed("the server sends more than it was asked for"));
            }
        }
        match expected.filter(|expected| bytes.len() as u64 != *expected) {
            Some(expected) => {
                Err(self.failed(format!("the answer ended after {} of {expected} bytes", bytes.len())))
            }
            None => Ok(bytes.freeze()),
        }
    }

    /// The number of bytes of a partial answer, if it has the requested range.
    fn check_range(&self, range: &Range<u64>, response: &Response<Incoming>) -> Result<u64, StoreError> {
        let sent = content_range(response);
        if sent.starts_with(&format!("bytes {}-{}/", range.start, range.end - 1)) {
            return Ok(range.end - range.start);
        }
        let another = || self.failed(format!("the server sends another range: {sent}"));
        Err(self.out_of_range(range, sent).unwrap_or_else(another))
    }

    /// The error of an answer without the requested bytes.
    fn refusal(&self, range: Option<Range<u64>>, response: &Response<Incoming>) -> StoreError {
        let refused = || self.failed(format!("the server answers {}", response.status()));
        match (response.status(), range) {
            (StatusCode::NOT_FOUND, _) => StoreError::NotFound(self.at.clone()),
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(range)) => {
                self.out_of_range(&range, content_range(response)).unwrap_or_else(refused)
            }
            _ => refused(),
        }
    }

    fn out_of_range(&self, range: &Range<u64>, content_range: &str) -> Option<StoreError> {
        let len = content_range.rsplit_once('/')?.1.parse().ok().filter(|len| *len < range.end)?;
        Some(StoreError::OutOfRange { at: self.at.clone(), range: range.clone(), len })
    }

    /// The outcome of a step of the request.
    async fn in_time<T, E: Error>(&self, step: impl Future<Output = Result<T, E>>) -> Result<T, StoreError> {
        match tokio::time::timeout(self.max_silence, step).await {
            Ok(done) => done.map_err(|error| match error.source() {
                Some(cause) => self.failed(format!("{error}: {cause}")),
                None => self.failed(error.to_string()),
            }),
            Err(_) => Err(self.failed(format!("the server has sent nothing for {:?}", self.max_silence))),
        }
    }

    fn failed(&self, reason: impl Into<String>) -> StoreError {
        failed(self.at, reason)
    }
}

/// `bytes <first>-<last>/<length>`, or `bytes */<length>` if the object does not have the range.
fn content_range(response: &Response<Incoming>) -> &str {
    response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Requests bytes 2 to 4 of a server that answers with this text. Returns the result and the request.
    async fn asked(answer: &str) -> (Result<Bytes, StoreError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = Location(format!("http://{}/artifacts/ab", listener.local_addr().unwrap()));
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let len = stream.read(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            drop(stream);
            String::from_utf8(request[..len].to_vec()).unwrap()
        };
        let https = HttpsClients::default();
        tokio::join!(get(&at, Some(2..5), &https), serve)
    }

    #[track_caller]
    fn check(answer: &str, expected: Result<&'static str, &str>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (result, request) = runtime.block_on(asked(answer));
        assert!(request.starts_with("GET /artifacts/ab HTTP/1.1\r\n"), "{request}");
        assert!(request.to_lowercase().contains("range: bytes=2-4\r\n"), "{request}");
        match (result, expected) {
            (Ok(bytes), Ok(expected)) => assert_eq!(bytes, expected),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            other => panic!("{other:?}"),
        }
    }

    fn partial(range: &str, len: usize, body: &str) -> String {
        format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {range}\r\nContent-Length: {len}\r\n\r\n{body}"
        )
    }

    #[test]
    fn the_range_that_was_asked_for_is_read() {
        check(&partial("2-4/9", 3, "cde"), Ok("cde"));
    }

    #[test]
    fn an_answer_that_is_not_the_range_is_an_error() {
        check(&partial("2-4/9", 3, "c"), Err("connection"));
        check(&partial("0-2/9", 3, "abc"), Err("another range: bytes 0-2/9"));
        check(&partial("2-3/4", 2, "cd"), Err("not within its 4 bytes"));
        check("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcdefghi", Err("answers 200 OK"));
        let chunked = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-4/9\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(&format!("{chunked}4\r\ncdef\r\n0\r\n\r\n"), Err("more than it was asked for"));
        check(&format!("{chunked}2\r\ncd\r\n0\r\n\r\n"), Err("ended after 2 of 3 bytes"));
    }

    #[test]
    fn refusals_are_told_apart() {
        check("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Err("does not exist"));
        check(
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
            Err("answers 503 Service Unavailable"),
        );
        let beyond =
            "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */2\r\nContent-Length: 0\r\n\r\n";
        check(beyond, Err("not within its 2 bytes"));
        check("SSH-2.0-OpenSSH_9.6\r\n", Err("HTTP"));
    }

    #[test]
    fn a_server_that_is_not_there_or_falls_silent_is_an_error() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let at = Location(format!("http://{}/x", listener.local_addr().unwrap()));
            let https = HttpsClients::default();
            let impatient = Client { at: &at, https: &https, max_silence: Duration::from_millis(1) };
            let error = impatient.get(None).await.unwrap_err();
            assert!(error.to_string().contains("sent nothing for 1ms"), "{error}");
            drop(listener);
            let error = get(&at, None, &https).await.unwrap_err();
            assert!(error.to_string().contains("refused"), "{error}");
        });
    }
}
