//! Peers that do not speak Reflow.

use crate::probe::Probe;
use reflow_env::real::Options;
use std::io::{Read, Write};
use std::net::TcpStream;

/// What the process is told when a peer sends `bytes` and closes its side.
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
    let reason = "the peer announced a frame of 542393671 bytes, above the limit of 67108864: it does not speak Reflow";
    check(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", reason);
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
