//! Tests of the input gate: elements go into two local channels, events come out.

use super::*;
use crate::{Hub, LocalChannelId, Sender};
use reflow_env::Signal;
use reflow_graph::{EdgeId, VertexIndex};
use reflow_types::{Bounds, GraphVersion, SubtaskId};

fn local(channel: ChannelId) -> LocalChannelId {
    LocalChannelId { channel, since: GraphVersion(0) }
}

fn gate() -> (Vec<Sender<u32>>, Gate<u32>) {
    gate_over([0, 0])
}

/// A gate with a channel on each of these edges.
fn gate_over<const N: usize>(edges: [u16; N]) -> (Vec<Sender<u32>>, Gate<u32>) {
    let hub = Hub::new(Signal::default());
    let mut from = 0..;
    let ids = edges.map(|edge| {
        let from = SubtaskId(from.next().expect("there are enough"));
        ChannelId { edge: EdgeId(edge), from, to: SubtaskId(9) }
    });
    let senders = ids.map(|id| Sender::local(&hub, local(id), Signal::default(), Signal::default()));
    let receivers = ids.map(|id| (id, Receiver::local(&hub, local(id), Signal::default())));
    (senders.into(), Gate::new(receivers.into(), MIN_WATERMARK, Bounds::default()))
}

/// All events that are available, each as text.
fn check(gate: &mut Gate<u32>, expect: &[&str]) {
    let mut seen = Vec::new();
    while let Some(event) = gate.poll(Instant(0)).unwrap() {
        seen.push(match event {
            GateEvent::Batch(batch) => format!("{} records", batch.len()),
            GateEvent::Watermark(time) => format!("watermark {time}"),
            GateEvent::Idle(idle) => format!("idle {idle}"),
            GateEvent::Barrier { checkpoint, .. } => format!("barrier {checkpoint}"),
            GateEvent::InputEnded(EdgeId(edge)) => format!("input {edge} ended"),
            GateEvent::End => "end".to_owned(),
            GateEvent::LatencyMarker(marker) => format!("marker {}", marker.sent.as_millis()),
        });
    }
    assert_eq!(seen, expect);
}

fn records(n: usize) -> Batch<u32> {
    vec![crate::Row { hash: reflow_types::KeyHash(0), time: 0, value: 0 }; n]
}

#[test]
fn latency_markers_keep_their_place_and_do_not_pile_up() {
    let (mut senders, mut gate) = gate_over([0]);
    let sender = &mut senders[0];
    let marker = |ms| LatencyMarker { source: VertexIndex(0), sent: Instant::from_millis(ms) };
    sender.send(records(2), 8).unwrap();
    for ms in 1..=1_000 {
        sender.latency_marker(marker(ms));
        sender.watermark(ms as i64);
    }
    sender.send(records(3), 12).unwrap();
    check(&mut gate, &["2 records", "marker 1", "watermark 1000", "3 records"]);
    let sender = &mut senders[0];
    sender.latency_marker(marker(1_001));
    check(&mut gate, &["marker 1001"]);
}

#[test]
fn a_channel_that_has_delivered_the_barrier_waits_for_the_others() {
    let (mut senders, mut gate) = gate();
    senders[0].barrier(CheckpointId(1), false);
    senders[0].send(records(3), 0).unwrap();
    check(&mut gate, &[]);
    senders[1].send(records(2), 0).unwrap();
    senders[1].barrier(CheckpointId(1), false);
    check(&mut gate, &["2 records", "barrier 1", "3 records"]);
}

#[test]
fn a_later_barrier_overtakes_one_that_was_given_up() {
    let (mut senders, mut gate) = gate();
    senders[0].barrier(CheckpointId(1), false);
    check(&mut gate, &[]);
    senders[1].barrier(CheckpointId(2), false);
    senders[0].barrier(CheckpointId(2), false);
    check(&mut gate, &["barrier 2"]);
}

#[test]
fn the_end_of_an_input_completes_barrier_and_watermark() {
    let (mut senders, mut gate) = gate();
    senders[0].watermark(50);
    senders[1].watermark(10);
    check(&mut gate, &["watermark 10"]);
    senders[0].barrier(CheckpointId(1), false);
    senders[1].end();
    check(&mut gate, &["barrier 1", "watermark 50"]);
    senders[0].end();
    check(&mut gate, &["input 0 ended", "end"]);
    assert!(gate.is_ended() && gate.watermark() == MAX_WATERMARK);
}

#[test]
fn an_input_has_ended_when_all_its_channels_have_and_before_the_barrier_that_waited_for_it() {
    let (mut senders, mut gate) = gate_over([3, 3, 5]);
    senders[0].end();
    senders[2].watermark(50);
    check(&mut gate, &[]);
    senders[2].barrier(CheckpointId(1), false);
    senders[1].watermark(10);
    senders[1].end();
    check(&mut gate, &["watermark 10", "input 3 ended", "barrier 1", "watermark 50"]);
    senders[2].end();
    check(&mut gate, &["input 5 ended", "end"]);
}

#[test]
fn an_input_ends_once_however_channels_change_behind_its_end() {
    let (mut senders, mut gate) = gate_over([3, 3, 5]);
    let [first, second, other] = [0, 1, 2].map(|at: usize| gate.channels[at].id);
    senders[0].end();
    senders[1].barrier(CheckpointId(1), false);
    senders[2].barrier(CheckpointId(1), false);
    check(&mut gate, &["barrier 1"]);
    gate.prepare(vec![(first, None), (other, None)]);
    gate.switch();
    check(&mut gate, &["input 3 ended"]);
    let hub = Hub::new(Signal::default());
    let mut added = Sender::<u32>::local(&hub, local(second), Signal::default(), Signal::default());
    let receiver = Receiver::local(&hub, local(second), Signal::default());
    senders[2].barrier(CheckpointId(2), false);
    check(&mut gate, &["barrier 2"]);
    gate.prepare(vec![(first, None), (second, Some(receiver)), (other, None)]);
    gate.switch();
    check(&mut gate, &[]);
    added.end();
    check(&mut gate, &[]);
}

#[test]
fn idle_inputs_do_not_count_until_they_are_back() {
    let (mut senders, mut gate) = gate();
    senders[0].watermark(50);
    senders[1].idle(true);
    check(&mut gate, &["watermark 50"]);
    senders[0].idle(true);
    check(&mut gate, &["idle true"]);
    senders[1].idle(false);
    senders[1].watermark(20);
    check(&mut gate, &["idle false"]);
    senders[1].watermark(60);
    check(&mut gate, &["watermark 60"]);
}

/// A reader without splits sends the last watermark, while the split of another reader is idle for a while.
#[test]
fn an_idle_input_is_not_late_because_all_others_are_at_the_last_watermark() {
    let (mut senders, mut gate) = gate();
    senders[1].watermark(20);
    senders[1].idle(true);
    senders[0].watermark(10);
    check(&mut gate, &["watermark 10"]);
    senders[0].watermark(MAX_WATERMARK);
    check(&mut gate, &["idle true"]);
    senders[1].idle(false);
    senders[1].watermark(60);
    check(&mut gate, &["idle false", "watermark 20", "watermark 60"]);
    senders[1].watermark(MAX_WATERMARK);
    check(&mut gate, &[&format!("watermark {MAX_WATERMARK}")]);
}

#[test]
fn channels_change_at_a_barrier_and_those_that_come_are_past_it() {
    let hub = Hub::new(Signal::default());
    let id = |from| ChannelId { edge: EdgeId(0), from: SubtaskId(from), to: SubtaskId(9) };
    let receiver = |n| Receiver::local(&hub, local(id(n)), Signal::default());
    let mut senders: Vec<Sender<u32>> =
        (0..3).map(|n| Sender::local(&hub, local(id(n)), Signal::default(), Signal::default())).collect();
    let inputs = vec![(id(0), receiver(0)), (id(1), receiver(1))];
    let mut gate = Gate::new(inputs, MIN_WATERMARK, Bounds::default());
    gate.prepare(vec![(id(2), Some(receiver(2))), (id(1), None)]);
    senders[2].watermark(70);
    senders[2].send(records(4), 0).unwrap();
    senders[0].watermark(50);
    senders[1].watermark(40);
    senders[1].barrier(CheckpointId(1), false);
    check(&mut gate, &["watermark 40"]);
    senders[0].barrier(CheckpointId(1), false);
    let event = gate.poll(Instant(0)).unwrap();
    assert!(matches!(event, Some(GateEvent::Barrier { .. })), "{event:?}");
    gate.switch();
    check(&mut gate, &["4 records"]);
    senders[1].watermark(60);
    check(&mut gate, &["watermark 60"]);
    senders[2].barrier(CheckpointId(2), false);
    check(&mut gate, &[]);
    senders[1].barrier(CheckpointId(2), false);
    check(&mut gate, &["barrier 2"]);
    assert!(gate.has(id(2)) && !gate.has(id(0)));
}

#[test]
fn a_gate_that_loses_all_channels_is_quiet() {
    let (mut senders, mut gate) = gate();
    gate.prepare(Vec::new());
    gate.abandon();
    gate.prepare(Vec::new());
    senders.iter_mut().for_each(|sender| sender.barrier(CheckpointId(1), false));
    let event = gate.poll(Instant(0)).unwrap();
    assert!(matches!(event, Some(GateEvent::Barrier { .. })), "{event:?}");
    gate.switch();
    senders[0].watermark(5);
    check(&mut gate, &[]);
}

/// A sender that the cut removes may be the only one that has not ended, because its input ended after the
/// trigger.
#[test]
fn the_inputs_have_ended_when_the_last_open_one_is_removed() {
    let (mut senders, mut gate) = gate();
    senders[1].end();
    check(&mut gate, &[]);
    senders[0].barrier(CheckpointId(1), false);
    check(&mut gate, &["barrier 1"]);
    let stays = gate.channels[1].id;
    gate.prepare(vec![(stays, None)]);
    gate.switch();
    gate.reset();
    check(&mut gate, &["input 0 ended", "end"]);
    assert!(gate.is_ended() && gate.watermark() == MAX_WATERMARK);
    check(&mut gate, &[]);
}

#[test]
fn a_sender_that_resets_its_time_holds_the_watermark_until_it_has_said_it_anew() {
    let (mut senders, mut gate) = gate();
    senders[0].watermark(50);
    senders[1].watermark(90);
    check(&mut gate, &["watermark 50"]);
    gate.prepare(vec![(ChannelId { edge: EdgeId(0), from: SubtaskId(1), to: SubtaskId(9) }, None)]);
    senders[0].barrier(CheckpointId(1), false);
    senders[1].barrier(CheckpointId(1), true);
    let event = gate.poll(Instant(0)).unwrap();
    assert!(matches!(event, Some(GateEvent::Barrier { .. })), "{event:?}");
    gate.switch();
    check(&mut gate, &[]);
    senders[1].watermark(60);
    check(&mut gate, &["watermark 60"]);
    gate.reset();
    check(&mut gate, &["watermark 60"]);
    senders[1].idle(true);
    check(&mut gate, &["idle true"]);
    gate.reset();
    check(&mut gate, &["idle true"]);
    senders[1].end();
    check(&mut gate, &["input 0 ended", "end"]);
    gate.reset();
    assert_eq!(gate.watermark(), MAX_WATERMARK);
}

/// The most records that are queued, once the rate is known, before a receiver that takes `cost` per record and
/// then waits for the task behind it.
fn most_queued(records: usize, cost: Duration, wait: Duration) -> u64 {
    let (mut senders, mut gate) = gate();
    let (mut now, mut queued, mut most) = (Instant(0), 0, 0);
    for round in 0..300 {
        while senders[0].has_room() {
            let batch = senders[0].room().records.min(records as u64);
            senders[0].send(self::records(batch as usize), 16 * batch).unwrap();
            queued += batch;
        }
        most = if round < 100 { 0 } else { most.max(queued) };
        let Some(GateEvent::Batch(batch)) = gate.poll(now).unwrap() else { panic!("the channel is full") };
        queued -= batch.len() as u64;
        now = now + cost * batch.len() as u32;
        gate.rate().had_turn(batch.len() as u64);
        gate.consumed();
        now = now + wait * batch.len() as u32;
    }
    most
}

#[test]
fn a_sender_may_be_ahead_by_what_is_consumed_in_20_ms_waiting_included() {
    let (micro, milli) = (Duration::from_micros(1), Duration::from_millis(1));
    // Two channels share it.
    assert_eq!(most_queued(1_024, micro, Duration::ZERO), 10_000);
    assert_eq!(most_queued(64, 10 * micro, Duration::ZERO), 1_000);
    assert_eq!(most_queued(1_024, micro, milli), 10, "of 1 us, but the next task takes 1 ms");
    assert_eq!(most_queued(1_024, micro, 5 * milli), 2);
    assert_eq!(most_queued(1_024, 50 * milli, 50 * milli), 1);
}

#[test]
fn a_window_that_nobody_uses_does_not_grow() {
    let (mut senders, mut gate) = gate();
    let mut now = Instant(0);
    for _ in 0..100 {
        senders[0].send(records(1), 16).unwrap();
        assert!(gate.poll(now).unwrap().is_some());
        gate.consumed();
        now = now + Duration::from_micros(1);
        assert!(gate.poll(now).unwrap().is_none());
        now = now + Duration::from_secs(1);
    }
    assert!(senders[0].room().records <= 8, "a burst meets the rate of now before it is let in");
}

#[test]
fn what_follows_the_end_is_dropped_and_its_sender_gets_credit() {
    let (mut senders, mut gate) = gate();
    let (mut late, receiver) = {
        let hub = Hub::new(Signal::default());
        let id = ChannelId { edge: EdgeId(0), from: SubtaskId(7), to: SubtaskId(9) };
        let sender = Sender::local(&hub, local(id), Signal::default(), Signal::default());
        (sender, (id, Some(Receiver::local(&hub, local(id), Signal::default()))))
    };
    senders.iter_mut().for_each(Sender::end);
    check(&mut gate, &["input 0 ended", "end"]);
    gate.prepare(vec![receiver]);
    gate.switch();
    for _ in 0..100 {
        let most = late.room().records as usize;
        assert!(most > 0, "the sender would wait for ever");
        late.send(records(most), 0).unwrap();
        gate.discard_input();
    }
    late.end();
    gate.discard_input();
    assert!(!gate.has_input());
    check(&mut gate, &[]);
}
