//! An output whose task has ended, while the job goes on.

use reflow_env::Signal;
use reflow_graph::EdgeId;
use reflow_network::output::NoKey;
use reflow_network::{Hub, Output, OutputEdge, Partitioner, Routes, Sender};
use reflow_protocol::data::{ChannelId, Limit, ToSender};
use reflow_types::{Bounds, CheckpointId, ExecutorId, SubtaskId};

/// The receiver reads nothing behind the end, so the barriers of a long job would pile up there.
#[test]
fn nothing_follows_the_end() {
    let id = ChannelId { edge: EdgeId(0), from: SubtaskId(1), to: SubtaskId(2) };
    let hub = Hub::new(Signal::default());
    hub.credit(ToSender::Open { channel: id, limit: Limit { records: 10, bytes: 1_000 } });
    let sender = Sender::remote(&hub, id, Signal::default(), ExecutorId(7));
    let routes = Routes { channels: vec![(id, Some(sender))], partitioner: Partitioner::Forward };
    let edge = OutputEdge { vertex: "counts".to_owned(), id: EdgeId(0), bounds: Bounds::default() };
    let mut output = Output::<u32>::new(edge, routes, NoKey, None);
    output.push(7, 0);
    output.barrier(CheckpointId(1));
    output.end();
    assert_eq!(hub.take_outgoing().len(), 3, "records, barrier and end");
    output.barrier(CheckpointId(2));
    output.watermark(5);
    assert_eq!(hub.take_outgoing(), []);
}
