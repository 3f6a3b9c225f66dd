//! Tests of the hub: a channel between two processes, whose ends are created in either order.

use crate::{Element, Hub, Outgoing, Receiver, Row, Sender};
use reflow_env::Signal;
use reflow_graph::EdgeId;
use reflow_protocol::data::{ChannelId, DataFrame, Limit};
use reflow_types::{Bounds, ExecutorId, KeyHash, SubtaskId};

const ID: ChannelId = ChannelId { edge: EdgeId(0), from: SubtaskId(1), to: SubtaskId(2) };

const ONE: Limit = Limit { records: 1, bytes: 1 << 20 };

/// Delivers the frames that wait in either hub to the other.
fn exchange(one: &Hub, other: &Hub) {
    for (from, to) in [(one, other), (other, one)] {
        for outgoing in from.take_outgoing() {
            match outgoing {
                Outgoing::Data(_, bytes) => to.deliver(DataFrame::decode(bytes).unwrap()),
                Outgoing::Credit(_, message) => to.credit(message),
            }
        }
    }
}

#[test]
fn a_channel_opened_before_its_sender_is_deployed_has_credit() {
    for receiver_first in [true, false] {
        let (ours, theirs) = (Hub::new(Signal::default()), Hub::new(Signal::default()));
        let open = || Receiver::<u32>::remote(&theirs, ID, Signal::default(), ExecutorId(1));
        let early = receiver_first.then(open);
        exchange(&ours, &theirs);
        let wakes = Signal::default();
        let mut sender = Sender::<u32>::remote(&ours, ID, wakes.clone(), ExecutorId(2));
        assert_eq!(sender.has_room(), receiver_first);
        let mut receiver = early.unwrap_or_else(open);
        exchange(&ours, &theirs);
        assert!(sender.has_room());
        assert_eq!(wakes.take(), !receiver_first, "who waited is woken");
        sender.send(vec![Row { hash: KeyHash(7), time: 3, value: 5 }], 0).unwrap();
        exchange(&ours, &theirs);
        let Some(Element::Encoded { count, bytes }) = receiver.pop() else { panic!("nothing came") };
        let batch = receiver.decode(count, &bytes).unwrap();
        assert_eq!(batch, [Row { hash: KeyHash(7), time: 3, value: 5 }]);
    }
}

#[test]
fn a_window_of_one_lets_one_record_through_at_a_time() {
    let (ours, theirs) = (Hub::new(Signal::default()), Hub::new(Signal::default()));
    let mut sender = Sender::<u32>::remote(&ours, ID, Signal::default(), ExecutorId(2));
    let mut receiver = Receiver::<u32>::remote(&theirs, ID, Signal::default(), ExecutorId(1));
    exchange(&ours, &theirs);
    let send = |sender: &mut Sender<u32>, records: u64| {
        let batch = vec![Row { hash: KeyHash(0), time: 0, value: 0 }; records as usize];
        sender.send(batch, 0).unwrap();
        assert!(!sender.has_room());
        exchange(&ours, &theirs);
    };
    let first = sender.room().records;
    send(&mut sender, first);
    assert!(receiver.pop().is_some());
    receiver.consumed(ONE);
    for _ in 0..10 {
        exchange(&ours, &theirs);
        assert_eq!(sender.room().records, 1);
        send(&mut sender, 1);
        assert!(receiver.pop().is_some());
        receiver.consumed(ONE);
    }
}

#[test]
fn a_channel_has_no_more_bytes_under_way_than_its_receiver_grants_and_one_batch() {
    let bounds = Bounds { batch_bytes: 1_000, ..Bounds::default() };
    let hub = || Hub::with_bounds(Signal::default(), bounds);
    let (ours, theirs) = (hub(), hub());
    let mut sender = Sender::<String>::remote(&ours, ID, Signal::default(), ExecutorId(2));
    let mut receiver = Receiver::<String>::remote(&theirs, ID, Signal::default(), ExecutorId(1));
    exchange(&ours, &theirs);
    let row = || Row { hash: KeyHash(0), time: 0, value: "x".repeat(400) };
    for _ in 0..10 {
        let mut batches = 0;
        while sender.has_room() {
            sender.send(vec![row(), row()], 802).unwrap();
            batches += 1;
        }
        assert_eq!(batches, 2, "the first leaves a part of the 1000 bytes");
        exchange(&ours, &theirs);
        while receiver.pop().is_some() {
            receiver.consumed(Limit { records: 100, bytes: 1_000 });
        }
        exchange(&ours, &theirs);
    }
}

#[test]
fn channels_of_an_attempt_to_come_survive_the_end_of_the_one_before() {
    let (ours, theirs) = (Hub::new(Signal::default()), Hub::new(Signal::default()));
    let _receiver = Receiver::<u32>::remote(&theirs, ID, Signal::default(), ExecutorId(1));
    exchange(&ours, &theirs);
    ours.clear(ID.from);
    assert!(Sender::<u32>::remote(&ours, ID, Signal::default(), ExecutorId(2)).has_room());
}

#[test]
fn what_is_said_before_the_receiver_is_there_is_not_lost() {
    let (ours, theirs) = (Hub::new(Signal::default()), Hub::new(Signal::default()));
    let wakes = Signal::default();
    let mut sender = Sender::<u32>::remote(&ours, ID, wakes.clone(), ExecutorId(2));
    sender.watermark(3);
    sender.watermark(4);
    sender.idle(true);
    exchange(&ours, &theirs);
    let mut receiver = Receiver::<u32>::remote(&theirs, ID, Signal::default(), ExecutorId(1));
    exchange(&ours, &theirs);
    assert!(wakes.take() && sender.has_room());
    sender.barrier(reflow_types::CheckpointId(7), false);
    exchange(&ours, &theirs);
    let seen: Vec<String> = std::iter::from_fn(|| receiver.pop()).map(|e| format!("{e:?}")).collect();
    assert_eq!(
        seen,
        ["Watermark(4)", "Idle(true)", "Barrier { checkpoint: CheckpointId(7), resets: false }"]
    );
}

#[test]
fn a_channel_that_was_prepared_in_vain_can_be_prepared_again() {
    let (ours, theirs) = (Hub::new(Signal::default()), Hub::new(Signal::default()));
    let sender = Sender::<u32>::remote(&ours, ID, Signal::default(), ExecutorId(2));
    let receiver = Receiver::<u32>::remote(&theirs, ID, Signal::default(), ExecutorId(1));
    exchange(&ours, &theirs);
    receiver.close();
    // The second opening arrives while the first sender is still there.
    let mut receiver = Receiver::<u32>::remote(&theirs, ID, Signal::default(), ExecutorId(1));
    exchange(&ours, &theirs);
    sender.close();
    let mut sender = Sender::<u32>::remote(&ours, ID, Signal::default(), ExecutorId(2));
    assert!(sender.has_room());
    sender.watermark(1);
    exchange(&ours, &theirs);
    assert!(matches!(receiver.pop(), Some(Element::Watermark(1))));
}
