//! Clients that ask for nothing, or take their time.

use crate::client::Server;
use crate::fixture::{FakeCluster, cluster};
use reflow_rest::{Handshake, Limits};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn server(limits: Limits) -> Server {
    Server::start_with(FakeCluster::obedient(cluster()), limits).await
}

#[tokio::test]
async fn a_connection_without_an_answer_is_closed() {
    let server = server(Limits { quiet: Duration::from_millis(50), ..Limits::default() }).await;
    let answered = "GET /overview HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for text in ["", "GET /overview HTTP/1.1\r\nHost:", answered] {
        let mut answer = Vec::new();
        // Closed in order or cut off: either is an end.
        drop(server.connect(text).await.read_to_end(&mut answer).await);
        assert_eq!(answer.starts_with(b"HTTP/1.1 200 OK"), text == answered);
    }
    assert_eq!(server.get("/overview").await.status, 200);
}

#[tokio::test]
async fn idle_connections_do_not_keep_a_user_out() {
    let server =
        server(Limits { connections: 4, quiet: Duration::from_secs(3_600), ..Limits::default() }).await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(server.connect("").await);
    }
    assert_eq!(server.get("/overview").await.status, 200);
    for mut closed in idle.drain(..16) {
        assert!(!matches!(closed.read(&mut [0; 8]).await, Ok(1..)));
    }
    assert_eq!(server.get("/overview").await.status, 200);
}

/// A server whose handshake is one byte in each direction.
async fn with_handshake(limits: Limits) -> Server {
    let handshake = Handshake::new(|mut stream: TcpStream| async move {
        stream.read_u8().await?;
        stream.read_u8().await?;
        stream.write_u8(b'!').await?;
        Ok(stream)
    });
    Server::start_encrypted(FakeCluster::obedient(cluster()), limits, handshake).await
}

const GET: &str = "GET /overview HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn a_request_is_answered_after_the_handshake() {
    let server = with_handshake(Limits::default()).await;
    let mut stream = server.connect("\x16a").await;
    assert_eq!(stream.read_u8().await.unwrap(), b'!');
    stream.write_all(GET.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[tokio::test]
async fn a_client_without_tls_is_told_to_use_it() {
    let server = with_handshake(Limits::default()).await;
    let mut answer = String::new();
    server.connect(GET).await.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.contains("this port speaks TLS: use https://"), "{answer}");
}

#[tokio::test]
async fn a_handshake_has_a_time_out_of_its_own_and_a_place_among_the_connections() {
    let hour = Duration::from_secs(3_600);
    let brief = Limits { handshake: Duration::from_millis(50), quiet: hour, ..Limits::default() };
    let server = with_handshake(brief).await;
    assert!(!matches!(server.connect("\x16").await.read(&mut [0; 8]).await, Ok(1..)));
    let mut done = server.connect("\x16a").await;
    assert_eq!(done.read_u8().await.unwrap(), b'!');

    let server = with_handshake(Limits { connections: 4, quiet: hour, handshake: hour }).await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(server.connect("\x16").await);
    }
    for mut closed in idle.drain(..16) {
        assert!(!matches!(closed.read(&mut [0; 8]).await, Ok(1..)));
    }
}
