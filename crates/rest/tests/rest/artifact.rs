//! The job's executable: whole, in ranges, and not under another name.

use crate::client::{Server, artifact};
use crate::fixture::{self, FakeCluster};
use tokio::io::AsyncReadExt;

async fn get(path: &str, range: &str) -> (String, Vec<u8>) {
    let server = Server::start(FakeCluster::obedient(fixture::cluster())).await;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nRange: {range}\r\n\r\n");
    let mut answer = Vec::new();
    server.connect(&request).await.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
    let body = answer.split_off(end + 4);
    (String::from_utf8(answer).unwrap().to_ascii_lowercase(), body)
}

#[tokio::test]
async fn the_executable_is_served_in_ranges() {
    let executable = std::fs::read(artifact().path).unwrap();
    let len = executable.len();
    let (head, body) = get("/artifacts/ab12", "bytes=1-3").await;
    assert!(head.starts_with("http/1.1 206 "), "{head}");
    assert!(head.contains(&format!("content-range: bytes 1-3/{len}\r\n")), "{head}");
    assert_eq!(body, b"ELF");
    let (head, body) = get("/artifacts/ab12", &format!("bytes={}-{}", len - 9, len - 1)).await;
    assert!(head.starts_with("http/1.1 206 "), "{head}");
    assert_eq!(body, executable[len - 9..]);
    let (head, _) = get("/artifacts/ab12", &format!("bytes={len}-{}", len + 5)).await;
    assert!(head.starts_with("http/1.1 416 "), "{head}");
    assert!(head.contains(&format!("content-range: bytes */{len}\r\n")), "{head}");
}

#[tokio::test]
async fn another_executable_is_not_there() {
    let (head, _) = get("/artifacts/cd34", "bytes=1-3").await;
    assert!(head.starts_with("http/1.1 404 "), "{head}");
}
