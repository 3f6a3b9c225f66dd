//! Tests of connections to peers that are no brokers, or that expect something else.

use super::*;
use crate::KafkaSecurity;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};

/// What the client says of a peer that reads what comes, answers with these bytes and closes the connection.
fn error_at_peer(answer: &'static [u8], security: Option<&KafkaSecurity>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let peer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        // All of it, because what is left over would reset the connection.
        drop(stream.read_to_end(&mut Vec::new()));
        stream.write_all(answer).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        drop(stream.read(&mut [0]));
    });
    let mut client = KafkaClient::new(&address);
    if let Some(security) = security {
        client = client.secured(security.clone());
    }
    let error = error_of(&client);
    peer.join().unwrap();
    error.replace(&address, "HOST")
}

fn error_of(client: &KafkaClient) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(client.call(&KafkaRequest::Partitions("t".into()))).unwrap_err();
    format!("{}: {error}", if error.may_pass() { "try again" } else { "fail" })
}

#[test]
fn a_port_with_another_protocol_is_explained() {
    let closed = |protocol| {
        format!(
            "try again: the broker at HOST closes the connection at its first request; if it does so again, this port \
             expects another security.protocol than {protocol}: correct the port, or the security of the source or sink"
        )
    };
    assert_eq!(error_at_peer(b"", None), closed("PLAINTEXT"));
    assert_eq!(error_at_peer(b"\x15\x03\x03\x00\x02\x02\x50", None), closed("PLAINTEXT"), "an alert of TLS");

    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    let properties = [("security.protocol", "SSL"), ("ssl.ca.location", ca.to_str().unwrap())];
    let tls = KafkaSecurity::from_properties(properties).unwrap();
    let unreadable = error_of(&KafkaClient::new("127.0.0.1:1").secured(tls.clone()));
    assert!(unreadable.contains("cannot read a certificate of an authority"), "{unreadable}");
    let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&ca, authority.cert.pem()).unwrap();
    assert_eq!(error_at_peer(b"", Some(&tls)), closed("SSL"));
    assert_eq!(
        error_at_peer(b"HTTP/1.1 400 Bad Request\r\n\r\n", Some(&tls)),
        "fail: cannot make a connection with TLS to the broker at HOST: the broker does not speak TLS: connect to another \
         port, or correct security.protocol"
    );
}
