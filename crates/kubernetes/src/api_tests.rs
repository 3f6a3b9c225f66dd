//! Requests over connections that break.

use super::*;
use crate::access::Access;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

fn lease() -> Object {
    Object {
        group: "/apis/coordination.k8s.io/v1",
        kind: "leases",
        resource: "leases.coordination.k8s.io",
        namespace: "shop".to_owned(),
        name: "x".to_owned(),
    }
}

#[test]
fn paths_of_objects() {
    let scale = Object { group: "/apis/apps/v1", kind: "deployments/scale", ..lease() };
    assert_eq!(scale.path(Verb::Patch), "/apis/apps/v1/namespaces/shop/deployments/x/scale");
    assert_eq!(lease().path(Verb::Create), "/apis/coordination.k8s.io/v1/namespaces/shop/leases");
}

/// The server closes each connection after its answer, without saying so.
#[test]
fn a_connection_that_the_server_has_closed_is_replaced() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(3) {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(&stream).lines();
            let head: Vec<String> = lines.map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
            assert!(head.iter().any(|line| line == "authorization: Bearer secret"), "{head:?}");
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
        }
    });
    let access = Access {
        server: crate::access::Server {
            encrypted: false,
            host: address.ip().to_string(),
            port: address.port(),
            path: String::new(),
        },
        authorities: None,
        credentials: crate::access::Credentials::Token(crate::access::Content::Inline(b"secret\n".to_vec())),
        namespace: "shop".to_owned(),
    };
    let api = Api::new(access);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for _ in 0..3 {
        let answer: Value = runtime.block_on(api.request(Verb::Get, &lease(), None)).unwrap();
        assert_eq!(answer, serde_json::json!({}));
    }
    let error = runtime.block_on(api.request::<Value>(Verb::Get, &lease(), None)).unwrap_err().to_string();
    assert!(error.contains("cannot be reached"), "{error}");
}
