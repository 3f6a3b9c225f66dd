//! Tests of records that are longer than a batch, between two processes.

use reflow_env::Signal;
use reflow_graph::EdgeId;
use reflow_network::output::NoKey;
use reflow_network::{Hub, Outgoing, Output, OutputEdge, Partitioner, Routes, Sender};
use reflow_protocol::data::{ChannelId, Limit, ToSender};
use reflow_protocol::failure::{Failure, Fault};
use reflow_types::{Bounds, ExecutorId, SubtaskId};

const ID: ChannelId = ChannelId { edge: EdgeId(0), from: SubtaskId(1), to: SubtaskId(2) };

/// A hub, and an output to another process that has granted this credit.
fn output(bounds: Bounds, limit: Limit) -> (Hub, Output<Vec<u8>>) {
    let hub = Hub::with_bounds(Signal::default(), bounds);
    hub.credit(ToSender::Open { channel: ID, limit });
    let sender = Sender::remote(&hub, ID, Signal::default(), ExecutorId(7));
    let routes = Routes { channels: vec![(ID, Some(sender))], partitioner: Partitioner::Forward };
    let edge = OutputEdge { vertex: "counts".to_owned(), id: EdgeId(0), bounds };
    let output = Output::new(edge, routes, NoKey, None);
    (hub, output)
}

/// Works as a task does: while there is room, a step that pushes records until the output is full. Returns the
/// lengths of the frames.
fn send(hub: &Hub, output: &mut Output<Vec<u8>>, bytes: usize) -> Vec<usize> {
    while output.has_room() {
        while !output.is_full() {
            output.push(vec![7; bytes], 0);
        }
    }
    output.flush();
    let len = |outgoing| if let Outgoing::Data(_, frame) = outgoing { frame.len() } else { 0 };
    hub.take_outgoing().into_iter().map(len).collect()
}

#[test]
fn no_batch_of_long_records_is_above_what_a_connection_takes() {
    let bounds = Bounds::default();
    let (hub, mut output) = output(bounds, Limit { records: 16 << 10, bytes: 8 << 20 });
    let frames = send(&hub, &mut output, 1 << 20);
    assert_eq!(frames.len(), 8, "{frames:?}");
    assert!(frames.iter().all(|frame| *frame < (1 << 20) + 100), "one record each: {frames:?}");
}

#[test]
fn long_records_after_short_ones_leave_in_batches_of_few_bytes() {
    let bounds = Bounds::default();
    let (hub, mut output) = output(bounds, Limit { records: 1_000, bytes: 64 << 20 });
    for _ in 0..100 {
        output.push(vec![7; 10], 0);
    }
    let frames = send(&hub, &mut output, 100_000);
    let most = bounds.batch_bytes as usize;
    assert!(frames.iter().all(|frame| *frame < most + 100_100), "{frames:?}");
}

#[test]
fn a_record_above_the_limit_fails_the_job_and_names_the_vertex() {
    for first in [10, 1_000] {
        let bounds = Bounds { record_bytes: 5_000, ..Bounds::default() };
        let (hub, mut output) = output(bounds, Limit { records: 100, bytes: 1 << 20 });
        output.push(vec![7; first], 0);
        let sending = std::panic::AssertUnwindSafe(|| {
            output.push(vec![7; 6_000], 0);
            output.flush();
        });
        let failure = std::panic::catch_unwind(sending).unwrap_err().downcast::<Failure>().unwrap();
        assert_eq!((failure.fault, &failure.operator[..]), (Fault::Permanent, "counts"));
        assert!(failure.message.contains("limit is 5000"), "{}", failure.message);
        assert!(hub.take_outgoing().is_empty());
    }
}
