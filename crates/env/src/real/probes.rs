//! A port at which an orchestrator, such as Kubernetes, probes a process that serves no HTTP otherwise.
//!
//! `/livez` and `/readyz` are answered by 200 or 503, without names or reasons, because probes cannot identify themselves. One
//! thread answers one connection after another and gives each little time. If it ends, probes fail, and the orchestrator
//! restarts the process.

use super::Clock;
use reflow_types::Instant;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// How long one read or write of a connection may take.
const PATIENCE: Duration = Duration::from_millis(500);
/// The most reads of a request, whose line is all that matters.
const MAX_READS: usize = 4;

/// The state of a process, as probes see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probed {
    /// Whether it works at all. If not, it should be restarted.
    pub live: bool,
    /// Whether it can do its work now.
    pub ready: bool,
}

/// Answers probes on a thread of its own, for the lifetime of the process. Returns the address.
///
/// # Errors
/// If the address cannot be listened on, or no thread started.
pub fn serve_probes(
    address: (&str, u16),
    mut state: impl FnMut(Instant) -> Probed + Send + 'static,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address)?;
    let bound = listener.local_addr()?;
    let clock = Clock::start();
    std::thread::Builder::new().name("probes".to_owned()).spawn(move || {
        for stream in listener.incoming() {
            match stream {
                // A client that is gone, or whose request is none, is not answered.
                Ok(stream) => drop(answer(stream, &mut || state(clock.now()))),
                // For example no descriptor is free, and accepting fails at once again.
                Err(_) => std::thread::park_timeout(PATIENCE),
            }
        }
    })?;
    Ok(bound)
}

fn answer(mut stream: TcpStream, state: &mut dyn FnMut() -> Probed) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let (mut request, mut len) = ([0; 1024], 0);
    for _ in 0..MAX_READS {
        let read = stream.read(&mut request[len..])?;
        len += read;
        if read == 0 || request[..len].windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            break;
        }
    }
    let status = match target(&request[..len]) {
        Some("/livez") => health(state().live),
        Some("/readyz") => health(state().ready),
        Some(_) => "404 Not Found",
        None => "400 Bad Request",
    };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes())
}

fn health(holds: bool) -> &'static str {
    if holds { "200 OK" } else { "503 Service Unavailable" }
}

/// The path of a request that reads.
fn target(request: &[u8]) -> Option<&str> {
    let line = request.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let reads = matches!(words.next(), Some("GET" | "HEAD"));
    let path = words.next()?.split('?').next()?;
    (reads && words.next()?.starts_with("HTTP/1.")).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn probes_are_answered_and_nothing_else() {
        let address = serve_probes(("127.0.0.1", 0), |_| Probed { live: true, ready: false }).unwrap();
        assert_eq!(ask(address, "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"), "HTTP/1.1 200 OK");
        assert_eq!(ask(address, "GET /readyz?x HTTP/1.1\r\n\r\n"), "HTTP/1.1 503 Service Unavailable");
        assert_eq!(ask(address, "GET / HTTP/1.1\r\n\r\n"), "HTTP/1.1 404 Not Found");
        assert_eq!(ask(address, "POST /livez HTTP/1.1\r\n\r\n"), "HTTP/1.1 400 Bad Request");
        assert_eq!(ask(address, "\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    }

    #[test]
    fn a_client_that_sends_nothing_does_not_keep_others_waiting() {
        let address = serve_probes(("127.0.0.1", 0), |_| Probed { live: true, ready: true }).unwrap();
        let _silent = TcpStream::connect(address).unwrap();
        assert_eq!(ask(address, "GET /livez HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 OK");
    }
}
