//! Who may use REST when it asks.

use crate::client::Server;
use crate::fixture::{FakeCluster, JOB, cluster};
use reflow_rest::{Credentials, Limits};
use reflow_view::{ClusterView, Readiness};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::task::JoinSet;

const READER: &str = "reader-token-0123456789";
const WRITER: &str = "writer-token-0123456789";

fn file(name: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("reflow-credentials-{}-{name}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

async fn locked(name: &str) -> Server {
    locked_with(name, cluster()).await
}

async fn locked_with(name: &str, view: ClusterView) -> Server {
    let text =
        format!("# who\nanna:read:{READER}\n\nbert:write:{WRITER}\ncleo:write:{}\n", hashed("hunter42"));
    let path = file(name, &text);
    let credentials = Credentials::read(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    Server::start_locked(FakeCluster::obedient(view), Limits::default(), Some(credentials)).await
}

fn hashed(password: &str) -> String {
    use argon2::PasswordHasher;
    let params = argon2::Params::new(64, 1, 1, None).unwrap();
    let hasher = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    hasher.hash_password_with_salt(password.as_bytes(), b"some salt of tests").unwrap().to_string()
}

fn basic(name_and_password: &str) -> String {
    use base64ct::Encoding;
    format!("Authorization: Basic {}\r\n", base64ct::Base64::encode_string(name_and_password.as_bytes()))
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

#[tokio::test]
async fn probes_need_no_token_and_disclose_nothing() {
    let answers = async |readiness| {
        let view = ClusterView { readiness, ..cluster() };
        let server = locked_with("probes", view).await;
        let (live, ready) = (server.get("/livez").await, server.get("/readyz").await);
        assert_eq!((live.status, &*live.body), (200, "ok\n"));
        assert_eq!(server.request("POST", "/readyz", "").await.status, 405);
        (ready.status, ready.body)
    };
    assert_eq!(answers(Readiness::Leading).await, (200, "ok\n".to_owned()));
    assert_eq!(answers(Readiness::Starting).await.0, 503);
    assert_eq!(answers(Readiness::StorageSilent).await.0, 503);
}

#[tokio::test]
async fn a_stranger_reads_and_changes_nothing() {
    let server = locked("stranger").await;
    for path in ["/", "/overview", "/v1/jobs", "/metrics", "/jobmanager/config", "/nonexistent"] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 401, "{path}: {}", answer.body);
        assert!(answer.head.contains("\r\nwww-authenticate: basic realm="), "{}", answer.head);
    }
    for header in ["Authorization: Bearer \r\n", &bearer("wrong-token-0123456789"), "Authorization: x\r\n"] {
        assert_eq!(server.request_with("GET", "/jobs", header, "").await.status, 401, "{header}");
    }
    let savepoints = format!("/jobs/{JOB}/savepoints");
    assert_eq!(server.request("POST", &savepoints, "{}").await.status, 401);
    assert_eq!(server.get(&format!("/jobs/{JOB}/yarn-cancel")).await.status, 401);
    assert_eq!(*server.cluster.commands.lock().unwrap(), []);
}

#[tokio::test]
async fn a_reader_changes_nothing_and_a_writer_does() {
    let server = locked("roles").await;
    let savepoints = format!("/jobs/{JOB}/savepoints");
    let refused = server.request_with("POST", &savepoints, &bearer(READER), "{}").await;
    assert_eq!(
        (refused.status, refused.error().as_str()),
        (403, "anna may only read: a change needs the role write")
    );
    let cancel = server.request_with("GET", &format!("/jobs/{JOB}/yarn-cancel"), &bearer(READER), "").await;
    assert_eq!(cancel.status, 403);
    assert_eq!(*server.cluster.commands.lock().unwrap(), []);
    for header in
        [bearer(WRITER), basic("cleo:hunter42"), basic("cleo:hunter42"), basic(&format!("bert:{WRITER}"))]
    {
        let accepted = server.request_with("POST", &savepoints, &header, "{}").await;
        assert_eq!(accepted.status, 202, "{header}: {}", accepted.body);
    }
    // A page of another server sends what the browser knows.
    let headers = format!("{}Origin: http://evil.example\r\n", basic("cleo:hunter42"));
    assert_eq!(server.request_with("POST", &savepoints, &headers, "{}").await.status, 403);
}

#[tokio::test]
async fn guessing_is_slow_and_keeps_nobody_else_out() {
    let server = locked("guessing").await;
    let mut statuses = Vec::new();
    for guess in 0..12 {
        let answer = server.request_with("GET", "/jobs", &basic(&format!("cleo:hunter{guess}")), "").await;
        statuses.push(answer.status);
    }
    assert_eq!(statuses[..10], [401; 10]);
    assert_eq!(statuses[10..], [429; 2]);
    let right = server.request_with("GET", "/jobs", &basic("cleo:hunter42"), "").await;
    assert_eq!(right.status, 429, "a password that was never right is not even verified");
    assert!(right.head.contains("\r\nretry-after: 30"), "{}", right.head);
    assert_eq!(server.request_with("GET", "/jobs", &bearer(READER), "").await.status, 200);
}

#[tokio::test]
async fn guesses_that_are_sent_at_once_count_like_others() {
    let server = Arc::new(locked("at-once").await);
    let guess = |guess: u32| {
        let server = server.clone();
        async move {
            let header = basic(&format!("cleo:hunter{guess}"));
            server.request_with("GET", "/jobs", &header, "").await.status
        }
    };
    let mut statuses = (0..30).map(guess).collect::<JoinSet<_>>().join_all().await;
    statuses.sort_unstable();
    assert_eq!((&statuses[..10], &statuses[10..]), (&[401; 10][..], &[429; 20][..]));
}

#[test]
fn a_wrong_line_is_named_and_not_shown() {
    let cases = [
        ("anna:read\n", ":1: fewer than three parts"),
        ("# x\nanna:admin:secret-secret-secret\n", ":2: an unknown role"),
        ("anna:read:secret-short\n", ":1: a token of fewer than 16 characters"),
        ("anna:read:$argon2id$secret\n", ":1: no valid hash of a password"),
        (":read:secret-secret-secret\n", ":1: no valid name"),
        (
            "a:read:secret-secret-secret\nb:write:secret-secret-secret\n",
            ":2: a token that an earlier line has",
        ),
        ("# nobody\n", "names nobody"),
    ];
    for (index, (text, expect)) in cases.iter().enumerate() {
        let path = file(&format!("line-{index}"), text);
        let error = Credentials::read(&path).unwrap_err().to_string();
        assert!(error.contains(expect) && !error.contains("secret-"), "{error}");
        std::fs::remove_file(path).unwrap();
    }
    assert!(
        Credentials::read("/nonexistent".as_ref())
            .unwrap_err()
            .to_string()
            .contains("cannot read rest.authentication.file")
    );
}
