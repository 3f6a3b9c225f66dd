//! Peers that do not speak Reflow.

use crate::probe::Probe;
use reflow_env::real::Options;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The inputs of a process whose peer sends `bytes` and closes its side.
fn check(bytes: &[u8], reason: &str) {
    let probe = Probe::start(Options::default());
    let mut peer = TcpStream::connect(probe.listen("127.0.0.1:0").unwrap()).unwrap();
    peer.write_all(bytes).unwrap();
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    let conn = probe.accepted();
    assert_eq!(probe.closed(conn), reason);
    peer.read_to_end(&mut Vec::new()).ok();
    assert!(probe.exit().1.is_empty());
}

#[test]
fn a_browser_is_cut_off() {
    let reason =
        "the peer announced a frame of 542393671 bytes, above the limit of 4096: it does not speak Reflow";
    check(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", reason);
}

#[test]
fn a_stranger_that_announces_much_gets_no_memory_for_it() {
    let reason =
        "the peer announced a frame of 67108864 bytes, above the limit of 4096: it does not speak Reflow";
    check(&[&(64_u32 << 20).to_le_bytes()[..], &[0; 1000]].concat(), reason);
}

#[test]
fn a_stranger_that_says_nothing_is_cut_off() {
    let impatient = Options { first_frame_timeout: Duration::from_millis(20), ..Options::default() };
    let probe = Probe::start(impatient);
    let mut peer = TcpStream::connect(probe.listen("127.0.0.1:0").unwrap()).unwrap();
    assert_eq!(probe.closed(probe.accepted()), "the peer did not introduce itself within 20ms");
    assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn strangers_do_not_keep_peers_out() {
    let few = Options { max_newcomers: 3, first_frame_timeout: Duration::MAX, ..Options::default() };
    let probe = Probe::start(few);
    let address = probe.listen("127.0.0.1:0").unwrap();
    let connect = || (TcpStream::connect(&address).unwrap(), probe.accepted());
    let (mut peer, of_peer) = connect();
    peer.write_all(b"\x05\0\0\0hello").unwrap();
    assert_eq!(probe.received(of_peer), "hello");
    let strangers: Vec<_> = (0..20).map(|_| connect()).collect();
    for (_, of_stranger) in &strangers[..17] {
        let reason = probe.closed(*of_stranger);
        assert_eq!(reason, "the peer had not introduced itself when many others connected");
    }
    peer.write_all(b"\x04\0\0\0more").unwrap();
    assert_eq!(probe.received(of_peer), "more");
    assert!(probe.exit().1.is_empty(), "the last three wait");
}

#[test]
fn half_a_length_is_no_frame() {
    check(b"\x05\0", "the peer closed the connection within a frame");
}

#[test]
fn half_a_frame_is_no_frame() {
    check(b"\x05\0\0\0abc", "the peer closed the connection within a frame");
}

#[test]
fn nothing_is_a_close() {
    check(b"", "the peer closed the connection");
}
