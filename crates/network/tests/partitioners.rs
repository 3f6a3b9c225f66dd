//! Partitioners that do not depend on a key.

use reflow_env::Signal;
use reflow_graph::EdgeId;
use reflow_network::output::{ByChannel, KeySelector, NoKey};
use reflow_network::{Hub, Outgoing, Output, OutputEdge, Partitioner, Routes, Sender};
use reflow_protocol::data::{ChannelId, Limit, ToSender};
use reflow_protocol::failure::{Failure, Fault};
use reflow_types::{Bounds, ExecutorId, SubtaskId};
use std::collections::BTreeMap;

/// Sends the numbers below `records` over four channels. Returns the bytes that each receiver gets.
fn send(partitioner: Partitioner, key: impl KeySelector<u64>, records: u64) -> BTreeMap<u128, usize> {
    let hub = Hub::new(Signal::default());
    let channel = |to: u64| {
        let id = ChannelId { edge: EdgeId(0), from: SubtaskId(1), to: SubtaskId(to) };
        hub.credit(ToSender::Open { channel: id, limit: Limit { records: 10_000, bytes: 1 << 20 } });
        (id, Some(Sender::remote(&hub, id, Signal::default(), ExecutorId(to.into()))))
    };
    let routes = Routes { channels: (0..4).map(channel).collect(), partitioner };
    let edge = OutputEdge { vertex: "orders".to_owned(), id: EdgeId(0), bounds: Bounds::default() };
    let mut output = Output::<u64, _>::new(edge, routes, key, None);
    (0..records).for_each(|number| output.push(number, 0));
    output.flush();
    let mut bytes = BTreeMap::new();
    for outgoing in hub.take_outgoing() {
        if let Outgoing::Data(ExecutorId(to), frame) = outgoing {
            *bytes.entry(to).or_default() += frame.len();
        }
    }
    bytes
}

#[test]
fn a_shuffle_reaches_every_receiver_about_as_often() {
    let bytes = send(Partitioner::Shuffle { random: 7 }, NoKey, 4_000);
    let (least, most) = (bytes.values().min().unwrap(), bytes.values().max().unwrap());
    assert!(bytes.len() == 4 && most - least < most / 5, "{bytes:?}");
}

#[test]
fn a_function_chooses_the_receiver() {
    let by_parity = ByChannel(|number: &u64, channels: usize| channels - 1 - (*number % 2) as usize);
    assert_eq!(send(Partitioner::Custom, by_parity, 10).into_keys().collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn a_receiver_that_does_not_exist_fails_the_attempt_and_names_the_vertex() {
    let beyond = ByChannel(|_: &u64, channels: usize| channels);
    let unwound = std::panic::catch_unwind(|| send(Partitioner::Custom, beyond, 1)).unwrap_err();
    let Failure { fault, operator, message } = *unwound.downcast().unwrap();
    assert_eq!((fault, operator.as_str()), (Fault::User, "orders"));
    assert!(message.contains("has chosen subtask 4 of 4"), "{message}");
}
