//! What storage reads from HTTP servers with TLS.

use crate::tls::{Authority, VALID};
use reflow_env::real::{
    BlockingStorage, Clients, HttpsClients, Identity, Storage, Tls, TlsClient, TlsClientFiles, TlsServer,
    TlsServerFiles,
};
use reflow_env::{Location, StoreOp, StoreReply};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Asks a server with the certificate of `server`, valid in `years`, for an object.
fn fetched(server: &Authority, years: [i32; 2], host: &str, https: HttpsClients) -> Result<Vec<u8>, String> {
    fetched_by(Clients::All, server, years, host, https)
}

/// The same from a server that admits these clients.
fn fetched_by(
    clients: Clients,
    server: &Authority,
    years: [i32; 2],
    host: &str,
    https: HttpsClients,
) -> Result<Vec<u8>, String> {
    let directory = tempfile::tempdir().unwrap();
    let files = server.write_for("localhost", directory.path(), years);
    let files = TlsServerFiles { identity: files.identity, ca: None, clients };
    let server = TlsServer::open(files).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    runtime.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = server.accept(stream).await else { return };
        assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc").await.unwrap();
        stream.shutdown().await.unwrap();
    });
    let storage = BlockingStorage::new(Storage::default().with_https(https)).unwrap();
    let at = Location(format!("{host}:{port}/artifacts/ab"));
    match storage.request(StoreOp::Get { at, range: None }) {
        Ok(StoreReply::Bytes(bytes)) => Ok(bytes.to_vec()),
        Ok(_) => Err("another answer".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn trusting(authority: &Authority, directory: &Path) -> HttpsClients {
    let ca = authority.write(directory, VALID).ca;
    let rest = TlsClient::open(TlsClientFiles { ca, identity: None }).unwrap();
    HttpsClients { rest: Some(rest), ..HttpsClients::default() }
}

#[test]
fn an_object_is_read_from_a_server_that_is_trusted() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let trusting = || trusting(&authority, directory.path());
    assert_eq!(fetched(&authority, VALID, "https://localhost", trusting()).as_deref(), Ok(b"abc".as_slice()));
    let check = |server: &Authority, years, host: &str, https, expect: &str| {
        let error = fetched(server, years, host, https).unwrap_err();
        assert!(error.contains(expect), "{error}");
    };
    check(&authority, VALID, "https://127.0.0.1", trusting(), "certificate is for other names");
    check(
        &authority,
        [2020, 2021],
        "https://localhost",
        trusting(),
        "localhost's certificate has expired: renew it",
    );
    check(&authority, [2095, 2096], "https://localhost", trusting(), "is not valid yet");
    check(&Authority::new(), VALID, "https://localhost", trusting(), "is not signed by an authority in");
    check(
        &authority,
        VALID,
        "https://localhost",
        HttpsClients::default(),
        "set security.ssl.rest.enabled and",
    );
    check(&authority, VALID, "http://localhost", HttpsClients::default(), "");
    check(
        &authority,
        VALID,
        "internal+https://localhost",
        trusting(),
        "set security.ssl.internal.enabled in all",
    );
}

#[test]
fn processes_of_the_cluster_compare_no_names() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let internal = Tls::open(authority.write(directory.path(), VALID)).unwrap();
    let https = HttpsClients { internal: Some(internal), ..HttpsClients::default() };
    let read = fetched(&authority, VALID, "internal+https://127.0.0.1", https);
    assert_eq!(read.as_deref(), Ok(b"abc".as_slice()));
}

#[test]
fn a_server_that_authenticates_clients_admits_only_those_of_its_authority() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let trusted = authority.write(directory.path(), VALID);
    let stranger = tempfile::tempdir().unwrap();
    let foreign = Authority::new().write(stranger.path(), VALID);
    let fetch = |identity: Option<Identity>| {
        let rest = TlsClient::open(TlsClientFiles { ca: trusted.ca.clone(), identity }).unwrap();
        let https = HttpsClients { rest: Some(rest), ..HttpsClients::default() };
        let clients = Clients::Authenticated { ca: trusted.ca.clone() };
        fetched_by(clients, &authority, VALID, "https://localhost", https)
    };
    assert_eq!(fetch(Some(trusted.identity.clone())).as_deref(), Ok(b"abc".as_slice()));
    assert!(fetch(None).is_err(), "it shows no certificate");
    assert!(fetch(Some(foreign.identity)).is_err(), "another authority has signed it");
}
