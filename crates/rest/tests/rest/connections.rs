//! Clients that ask for nothing, or take their time.

use crate::client::Server;
use crate::fixture::{FakeCluster, cluster};
use reflow_rest::Limits;
use std::time::Duration;
use tokio::io::AsyncReadExt;

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
    let server = server(Limits { connections: 4, quiet: Duration::from_secs(3_600) }).await;
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
