//! Connections between processes.

use crate::probe::{Probe, expect_frames_of_all_sizes, pair};
use reflow_env::real::Options;
use reflow_env::{ConnId, Input, Output};
use std::io::Write;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn frames_of_all_sizes_arrive_in_order() {
    expect_frames_of_all_sizes(&Options::default());
}

/// Each is longer than what may be queued, and than what the peer takes at a time.
#[test]
fn frames_above_every_other_bound_arrive() {
    let narrow = Options { write_bytes: 1 << 20, read_bytes: 1 << 20, ..Options::default() };
    let ((server, to_client), (client, to_server)) = pair(&narrow);
    client.send(to_server, "hello");
    assert_eq!(server.received(to_client), "hello");
    for at in 0..3 {
        client.send(to_server, vec![at; 70 << 20]);
    }
    for at in 0..3 {
        assert!(server.received(to_client) == vec![at; 70 << 20], "frame {at}");
    }
}

#[test]
fn close_sends_what_is_queued_and_is_the_last_of_a_connection() {
    let ((server, to_client), (client, to_server)) = pair(&Options::default());
    server.send(to_client, vec![1; 8 << 20]);
    for _ in 0..100 {
        client.send(to_server, vec![2; 100_000]);
    }
    client.ask(Output::Close { conn: to_server });
    for _ in 0..100 {
        assert_eq!(server.received(to_client).len(), 100_000);
    }
    assert_eq!(server.closed(to_client), "the peer closed the connection");
    server.send(to_client, "to nobody");
    assert!(server.exit().1.is_empty(), "nothing comes after Closed");
    let inputs = client.exit().1;
    assert!(!inputs.iter().any(|input| matches!(input, Input::Closed { .. })), "whoever closes is not told");
}

#[test]
fn exit_flushes_connections() {
    let ((server, to_client), (client, to_server)) = pair(&Options::default());
    client.send(to_server, vec![3; 30 << 20]);
    assert_eq!(client.exit().0.code, 0);
    assert_eq!(server.received(to_client).len(), 30 << 20);
}

#[test]
fn a_killed_process_loses_its_connections() {
    let ((server, to_client), (client, _)) = pair(&Options::default());
    client.handle.kill();
    server.closed(to_client);
    assert_eq!(client.handle.join().code, 137);
}

#[test]
fn a_connection_that_cannot_be_made_is_closed_once() {
    let probe = Probe::start(Options::default());
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let reason = probe.connect(7, &free.to_string()).unwrap_err();
    assert_eq!(reason, format!("cannot connect to {free}: Connection refused (os error 111)"));
    let reason = probe.connect(8, "no port").unwrap_err();
    assert!(reason.starts_with("cannot connect to no port: "), "{reason}");
    assert!(probe.exit().1.is_empty());
}

/// At once, or after the timeout where packets to it are dropped.
#[test]
fn a_peer_that_cannot_be_reached_is_silent() {
    let options = Options { connect_timeout: Duration::from_millis(500), ..Options::default() };
    let probe = Probe::start(options);
    // An address of a network that is nowhere, and a name that nobody has.
    for (conn, address) in [(7, "[2001:db8::1]:7"), (8, "nobody.invalid:7")] {
        let reason = probe.connect(conn, address).unwrap_err();
        assert!(reason.starts_with(&format!("cannot connect to {address}: ")), "{reason}");
        let silent =
            |input: &Input| matches!(input, Input::Silent { conn: of } if of.0 == conn).then_some(());
        probe.wait_for(silent);
    }
}

#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = Probe::start(Options::default()).listen(&address).unwrap_err();
    assert_eq!(error, format!("cannot listen on {address}: Address already in use (os error 98)"));
}

#[test]
fn a_process_that_does_not_read_pushes_back() {
    let narrow = Options { read_bytes: 1 << 20, read_frames: 16, ..Options::default() };
    let gate = Arc::new(Mutex::new(()));
    let server = Probe::start_gated(narrow.clone(), gate.clone());
    let address = server.listen("127.0.0.1:0").unwrap();
    let impatient = Options { flush_timeout: Duration::from_millis(300), ..Options::default() };
    let client = Probe::start(impatient);
    let to_server = client.connect(1, &address).unwrap();
    let to_client = server.accepted();
    client.send(to_server, "hello");
    assert_eq!(server.received(to_client), "hello");

    let closed_gate = gate.lock().unwrap();
    let sent = 1000;
    for _ in 0..sent {
        client.send(to_server, vec![0; 64 << 10]);
    }
    client.exit();
    drop(closed_gate);
    server.closed(to_client);
    let arrived = server.exit().1.len();
    assert!(arrived < sent, "{arrived} of {sent} frames were taken from a process that reads none");
}

#[test]
fn a_peer_that_does_not_read_loses_its_connection() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let options = Options { write_bytes: 1 << 20, stalled_timeout: Duration::ZERO, ..Options::default() };
    let client = Probe::start(options);
    let conn: ConnId = client.connect(1, &server.local_addr().unwrap().to_string()).unwrap();
    let _silent = server.accept().unwrap();
    for _ in 0..1000 {
        client.send(conn, vec![0; 64 << 10]);
    }
    let reason = client.closed(conn);
    assert!(reason.starts_with("the peer does not read: "), "{reason}");
}

/// A peer that is frozen or cut off sends nothing, and closes nothing.
#[test]
fn a_connection_that_brings_nothing_is_closed_and_one_with_a_busy_process_is_not() {
    let options = Options { silence_timeout: Some(Duration::from_secs(1)), ..Options::default() };
    let busy = Arc::new(Mutex::new(()));
    let server = Probe::start_gated(options.clone(), busy.clone());
    let client = Probe::start(options.clone());
    let to_server = client.connect(1, &server.listen("127.0.0.1:0").unwrap()).unwrap();
    let to_client = server.accepted();
    client.send(to_server, "hello");
    assert_eq!(server.received(to_client), "hello");

    let held = busy.lock().unwrap();
    let observer = Probe::start(options);
    let mut silent = TcpStream::connect(observer.listen("127.0.0.1:0").unwrap()).unwrap();
    silent.write_all(b"\x05\0\0\0hello").unwrap();
    let to_silent = observer.accepted();
    assert_eq!(observer.received(to_silent), "hello");
    assert_eq!(observer.closed(to_silent), "the peer has been silent for 1000 ms");
    drop(held);

    // For longer than the timeout there were only signs of life between these two.
    client.send(to_server, "still here");
    assert_eq!(server.received(to_client), "still here");
    server.send(to_client, "so am I");
    assert_eq!(client.received(to_server), "so am I");
}
