//! Tests of the socket source, against answers that the test chooses. Real sockets are in `examples/tests/output.rs`.

use super::*;
use crate::testing::{Collected, reader_context};
use bytes::Bytes;
use reflow_env::{Answer, Ticket};
use std::io::ErrorKind;

struct Driven {
    reader: SocketReader,
    io: Io,
    out: Collected<String>,
    now: Instant,
}

impl Driven {
    fn new(source: SocketSource) -> Self {
        let io = Io::default();
        let mut reader = source.reader(&ReaderContext { io: io.clone(), ..reader_context() });
        reader.add_split(SocketSplit);
        reader.no_more_splits();
        Self { reader, io, out: Collected::with_room(1_000), now: Instant::from_millis(1) }
    }

    fn poll(&mut self) -> Result<Polled, String> {
        self.reader.poll(self.now, &mut self.out).map_err(|error| error.to_string())
    }

    /// The read that is under way.
    fn read(&mut self) -> Option<Ticket> {
        self.poll().unwrap();
        let submitted = self.io.drain_submitted();
        assert!(submitted.len() <= 1, "one read at a time");
        submitted.first().map(|(ticket, _)| *ticket)
    }

    fn answer(&mut self, answer: Result<FromSocket, ErrorKind>) -> Result<Polled, String> {
        let ticket = self.read().expect("it reads");
        let answer = match answer {
            Ok(answer) => Ok(Box::new(answer) as _),
            Err(kind) => Err(CallError::failed("socket://host:1", std::io::Error::from(kind))),
        };
        self.io.answer(ticket, Answer::External(answer));
        self.poll()
    }

    fn receive(&mut self, text: &str) -> Result<Polled, String> {
        self.answer(Ok(FromSocket::Bytes(Bytes::copy_from_slice(text.as_bytes()))))
    }
}

fn source() -> SocketSource {
    SocketSource::lines("host:1")
}

#[test]
fn lines_may_arrive_in_any_pieces() {
    let text = "to be\r\nor\n\nnot to be, that is\nthe question";
    for size in [1, 2, 5, 100] {
        let mut driven = Driven::new(source());
        for piece in text.as_bytes().chunks(size) {
            let piece = std::str::from_utf8(piece).unwrap();
            assert!(matches!(driven.receive(piece), Ok(Polled::Wait(None))));
        }
        assert_eq!(driven.out.records, ["to be", "or", "", "not to be, that is"], "{size}");
        assert_eq!(driven.answer(Ok(FromSocket::End)), Ok(Polled::End));
        assert_eq!(driven.out.records.last().unwrap(), "the question");
        assert!(driven.reader.snapshot().is_empty(), "an ended stream is not read again");
    }
}

#[test]
fn a_full_output_stops_the_reading() {
    let mut driven = Driven::new(source());
    driven.out.make_room(2);
    assert_eq!(driven.receive("1\n2\n3\n4\n"), Ok(Polled::More));
    assert_eq!(driven.out.records, ["1", "2"]);
    assert!(driven.read().is_none());
    driven.out.make_room(10);
    assert!(driven.read().is_some());
    assert_eq!(driven.out.records, ["1", "2", "3", "4"]);
}

#[test]
fn a_line_without_end_is_refused() {
    let mut driven = Driven::new(source().max_line_bytes(10));
    assert!(driven.receive("0123456789\nabcde").is_ok());
    let error = driven.receive("fghijk").unwrap_err();
    assert!(error.contains("host:1") && error.contains("more than 10 bytes"), "{error}");
    let mut whole = Driven::new(source().max_line_bytes(10));
    assert!(whole.receive("0123456789a\n").is_err());
    let mut rest = Driven::new(source().max_line_bytes(10));
    let mut received = 0;
    while rest.receive("x").is_ok() {
        received += 1;
    }
    assert_eq!(received, 10);
}

#[test]
fn a_lost_connection_fails_unless_it_may_connect_again() {
    let mut once = Driven::new(source());
    let error = once.answer(Err(ErrorKind::ConnectionRefused)).unwrap_err();
    assert!(error.contains("socket://host:1") && error.contains("reconnect"), "{error}");

    let pause = Duration::from_secs(1);
    let mut driven = Driven::new(source().reconnect(2, pause));
    for _ in 0..3 {
        assert!(driven.receive("a\n").is_ok());
        for lost in [Err(ErrorKind::ConnectionReset), Ok(FromSocket::End)] {
            assert_eq!(driven.answer(lost), Ok(Polled::Wait(Some(driven.now + pause))));
            assert!(driven.read().is_none(), "not before its time");
            driven.now = driven.now + pause;
        }
    }
    assert_eq!(driven.out.records, ["a", "a", "a"]);
    let error = driven.answer(Err(ErrorKind::ConnectionRefused)).unwrap_err();
    assert!(error.contains("tried 3 times"), "{error}");
}

#[test]
fn a_stream_ends_when_it_has_connected_often_enough() {
    let mut driven = Driven::new(source().reconnect(1, Duration::ZERO));
    assert!(driven.receive("rest").is_ok());
    assert!(driven.answer(Ok(FromSocket::End)).is_ok());
    assert_eq!(driven.answer(Ok(FromSocket::End)), Ok(Polled::End));
    assert_eq!(driven.out.records, ["rest"]);
}

#[test]
fn what_is_no_text_is_replaced() {
    let mut driven = Driven::new(source());
    driven.answer(Ok(FromSocket::Bytes(Bytes::from_static(b"a\xffb\n")))).unwrap();
    assert_eq!(driven.out.records, ["a\u{fffd}b"]);
}
