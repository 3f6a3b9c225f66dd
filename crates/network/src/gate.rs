//! The input gate of a task: reads the task's channels in turn, aligns them at barriers and keeps one watermark
//! for all of them.
//!
//! ```
//! use reflow_env::Signal;
//! use reflow_graph::EdgeId;
//! use reflow_network::{Gate, GateEvent, Hub, LocalChannelId, Receiver, Row, Sender};
//! use reflow_protocol::data::ChannelId;
//! use reflow_types::{Bounds, CheckpointId, GraphVersion, Instant, KeyHash, MIN_WATERMARK, SubtaskId};
//!
//! let hub = Hub::new(Signal::default());
//! let channels = [1, 2].map(|from| ChannelId { edge: EdgeId(0), from: SubtaskId(from), to: SubtaskId(9) });
//! let local = |channel| LocalChannelId { channel, since: GraphVersion(0) };
//! let [mut first, mut second] =
//!     channels.map(|id| Sender::<u32>::local(&hub, local(id), Signal::default(), Signal::default()));
//! let receivers = channels.map(|id| (id, Receiver::<u32>::local(&hub, local(id), Signal::default())));
//! let mut gate = Gate::new(receivers.into(), MIN_WATERMARK, Bounds::default());
//! let mut poll = || gate.poll(Instant(0)).expect("the records can be decoded");
//!
//! // Alignment: records behind the barrier of the first channel wait for the barrier of the second.
//! first.barrier(CheckpointId(1), false);
//! first.send(vec![Row { hash: KeyHash(0), time: 0, value: 7 }], 4).expect("it is short");
//! assert!(poll().is_none());
//! second.barrier(CheckpointId(1), false);
//! assert!(matches!(poll(), Some(GateEvent::Barrier { checkpoint: CheckpointId(1), .. })));
//! assert!(matches!(poll(), Some(GateEvent::Batch(_))));
//!
//! // One watermark: the lower of both.
//! first.watermark(50);
//! assert!(poll().is_none());
//! second.watermark(20);
//! assert!(matches!(poll(), Some(GateEvent::Watermark(20))));
//! ```
//!
//! # Invariants
//! - A channel that has delivered barrier *n* is not read until every channel has delivered it or has ended, or
//!   until checkpoint *n* is [aborted](Gate::abort), because then some senders never send its barrier.
//! - The gate's watermark is the lowest of the channels that are neither idle nor ended. It goes back only by
//!   [`Gate::reset`], which the task calls.
//! - Channels change only at a barrier that all have delivered ([`Gate::switch`]). A new channel begins behind
//!   that barrier.

use crate::batch::{Batch, Element};
use crate::codec::CodecError;
use crate::rate::ConsumptionRate;
use crate::receiver::Receiver;
use reflow_graph::EdgeId;
use reflow_protocol::data::{ChannelId, LatencyMarker, Limit};
use reflow_types::{
    Bounds, CheckpointId, Data, Instant, MAX_WATERMARK, MIN_WATERMARK, Timestamp, injected_fault,
};
use std::time::Duration;

/// The gate grants the records, over all its channels together, that the task consumes in about this time.
const QUEUED_TIME: Duration = Duration::from_millis(20);

/// An event for the task.
#[derive(Debug)]
pub enum GateEvent<T> {
    /// Records. The task calls [`Gate::consumed`] when it has processed them.
    Batch(Batch<T>),
    /// The watermark has risen.
    Watermark(Timestamp),
    /// Whether all channels are idle has changed.
    Idle(bool),
    /// All channels have delivered the barrier of this checkpoint.
    Barrier {
        checkpoint: CheckpointId,
        /// The time since the first channel delivered it.
        alignment: Duration,
    },
    /// All channels of this edge have ended. Precedes a barrier that the end was waited for.
    InputEnded(EdgeId),
    /// All channels have ended.
    End,
    /// A latency marker, behind the records before it.
    LatencyMarker(LatencyMarker),
}

/// The input gate of a task.
pub struct Gate<T> {
    channels: Vec<Input<T>>,
    /// The channels after the next switch; those that exist already have no receiver here.
    prepared: Option<Channels<T>>,
    next: usize,
    aligning: Option<(CheckpointId, Instant)>,
    /// The highest checkpoint that was aborted. Barriers up to it are ignored.
    aborted: Option<CheckpointId>,
    watermark: Timestamp,
    /// More may be due together with the event that was returned last; the next poll returns that first.
    more_due: bool,
    idle: bool,
    /// The edges whose end was returned.
    ended_edges: Vec<EdgeId>,
    ended: bool,
    last_from: usize,
    /// Bytes received on channels that were removed.
    bytes_before: u64,
    rate: ConsumptionRate,
    bounds: Bounds,
}

/// The channels of a graph in order, with a receiver for each new one.
pub type Channels<T> = Vec<(ChannelId, Option<Receiver<T>>)>;

struct Input<T> {
    id: ChannelId,
    receiver: Receiver<T>,
    watermark: Timestamp,
    idle: bool,
    ended: bool,
    blocked: bool,
    /// The last barrier resets event time: from the switch on, the channel has no watermark until it delivers
    /// one.
    resets: bool,
}

impl<T> Input<T> {
    fn new(id: ChannelId, receiver: Receiver<T>) -> Self {
        Self {
            id,
            receiver,
            watermark: MIN_WATERMARK,
            idle: false,
            ended: false,
            blocked: false,
            resets: false,
        }
    }
}

impl<T: Data> Gate<T> {
    /// A gate over these channels, with the restored watermark.
    pub fn new(receivers: Vec<(ChannelId, Receiver<T>)>, watermark: Timestamp, bounds: Bounds) -> Self {
        Self {
            channels: receivers.into_iter().map(|(id, receiver)| Input::new(id, receiver)).collect(),
            prepared: None,
            next: 0,
            aligning: None,
            aborted: None,
            watermark,
            more_due: false,
            idle: false,
            ended_edges: Vec::new(),
            ended: false,
            last_from: 0,
            bytes_before: 0,
            rate: ConsumptionRate::default(),
            bounds,
        }
    }

    /// Whether the gate has this channel.
    pub fn has(&self, id: ChannelId) -> bool {
        self.channels.iter().any(|input| input.id == id)
    }

    /// Sets the channels for the next [`switch`](Self::switch), in place of any that were prepared before.
    pub fn prepare(&mut self, channels: Channels<T>) {
        self.abandon();
        self.prepared = Some(channels);
    }

    /// Closes the prepared channels.
    pub fn abandon(&mut self) {
        for (_, receiver) in self.prepared.take().into_iter().flatten() {
            receiver.into_iter().for_each(Receiver::close);
        }
    }

    /// Switches to the prepared channels. Called when all channels have just delivered a barrier or have ended.
    ///
    /// # Panics
    /// If the gate is aligning, or no channels are prepared.
    pub fn switch(&mut self) {
        assert!(self.aligning.is_none(), "channels change at an aligned barrier only");
        let prepared = self.prepared.take().expect("the caller has prepared the channels");
        let mut former = std::mem::take(&mut self.channels);
        for (id, receiver) in prepared {
            self.channels.push(match receiver {
                Some(receiver) => Input::new(id, receiver),
                None => {
                    let at = former.iter().position(|input| input.id == id);
                    let mut input = former.swap_remove(at.expect("a channel that stays is there"));
                    if std::mem::take(&mut input.resets) {
                        (input.watermark, input.idle) = (MIN_WATERMARK, false);
                    }
                    input
                }
            });
        }
        for input in former {
            self.bytes_before += input.receiver.bytes();
            input.receiver.close();
        }
        (self.next, self.last_from) = (0, 0);
        // The removed channels may have held the watermark back, or may have been the only ones that had not
        // ended.
        self.more_due = !self.ended;
    }

    /// Starts event time anew, because after a rescale the gate may read records that are earlier than those
    /// before it: the gate has no watermark and is not idle, like the channels that were reset. No effect once
    /// all channels have ended.
    pub fn reset(&mut self) {
        if !self.ended {
            (self.watermark, self.idle, self.more_due) = (MIN_WATERMARK, false, true);
        }
    }

    /// Raises the watermark to that of installed key groups: records that were late at the old owner are late
    /// here, too.
    pub fn raise(&mut self, watermark: Timestamp) {
        self.watermark = self.watermark.max(watermark);
    }

    /// Ends the alignment for an aborted checkpoint, so that the channels that have delivered its barrier are
    /// read again.
    pub fn abort(&mut self, checkpoint: CheckpointId) {
        if !injected_fault::is_active("given_up_checkpoint_blocks") {
            self.aborted = self.aborted.max(Some(checkpoint));
        }
        if self.aligning.is_some_and(|(aligning, _)| aligning <= checkpoint) {
            self.unblock();
        }
    }

    /// The next event, if there is one. Calling this means that the task has processed the previous event.
    pub fn poll(&mut self, now: Instant) -> Result<Option<GateEvent<T>>, CodecError> {
        let event = self.next_event(now)?;
        match &event {
            Some(GateEvent::Batch(batch)) => self.rate.begin(now, batch.len() as u64),
            None => self.rate.pause(now),
            // The time of windows and timers that a watermark fires counts for the records before it, which made
            // them due.
            Some(_) => {}
        }
        Ok(event)
    }

    fn next_event(&mut self, now: Instant) -> Result<Option<GateEvent<T>>, CodecError> {
        if std::mem::take(&mut self.more_due)
            && let Some(event) = self.due(now)
        {
            return Ok(Some(event));
        }
        loop {
            if let Some(event) = self.poll_channels(now)? {
                return Ok(Some(event));
            }
            // A barrier may have unblocked a channel that this round had already passed.
            if !self.has_input() {
                return Ok(None);
            }
        }
    }

    /// Reads each channel once, beginning behind the one that was read last.
    fn poll_channels(&mut self, now: Instant) -> Result<Option<GateEvent<T>>, CodecError> {
        let count = self.channels.len();
        for _ in 0..count {
            let at = self.next;
            self.next = if at + 1 == count { 0 } else { at + 1 };
            while !self.channels[at].blocked && !self.channels[at].ended {
                let Some(element) = self.channels[at].receiver.pop() else { break };
                if let Some(event) = self.take(at, element, now)? {
                    return Ok(Some(event));
                }
            }
        }
        Ok(None)
    }

    fn take(
        &mut self,
        at: usize,
        element: Element<T>,
        now: Instant,
    ) -> Result<Option<GateEvent<T>>, CodecError> {
        self.last_from = at;
        let input = &mut self.channels[at];
        Ok(match element {
            Element::Batch { rows, .. } => Some(GateEvent::Batch(rows)),
            Element::Encoded { count, bytes } => {
                Some(GateEvent::Batch(input.receiver.decode(count, &bytes)?))
            }
            Element::Watermark(time) => {
                input.watermark = input.watermark.max(time);
                self.advance()
            }
            Element::Idle(idle) => {
                input.idle = idle;
                self.advance()
            }
            Element::LatencyMarker(marker) => Some(GateEvent::LatencyMarker(marker)),
            Element::Barrier { checkpoint, resets } => {
                if self.aborted >= Some(checkpoint) {
                    return Ok(None);
                }
                // A barrier of a later checkpoint ends the alignment for an earlier one: that one was aborted,
                // and the message has not arrived yet.
                if self.aligning.is_some_and(|(aligning, _)| checkpoint > aligning) {
                    self.unblock();
                }
                if self.aligning.is_some_and(|(aligning, _)| checkpoint < aligning) {
                    return Ok(None);
                }
                (self.channels[at].blocked, self.channels[at].resets) = (true, resets);
                let since = self.aligning.map_or(now, |(_, since)| since);
                self.aligning = Some((checkpoint, since));
                self.try_align(now)
            }
            Element::End => {
                input.ended = true;
                self.due(now)
            }
        })
    }

    /// What is due because channels have ended or were removed. An ended channel counts as past every barrier and every
    /// watermark, so both may be due. The barrier goes first: records before it must not meet a watermark that came behind
    /// it.
    fn due(&mut self, now: Instant) -> Option<GateEvent<T>> {
        let before_end = self.input_ended();
        if before_end.is_none()
            && let Some(end) = self.end()
        {
            return Some(end);
        }
        let event = before_end.or_else(|| self.try_align(now));
        self.more_due |= event.is_some();
        event.or_else(|| self.advance())
    }

    /// The end of an edge, once, if all its channels have ended.
    fn input_ended(&mut self) -> Option<GateEvent<T>> {
        let is_open = |edge: EdgeId| self.channels.iter().any(|input| input.id.edge == edge && !input.ended);
        let mut edges = self.channels.iter().map(|input| input.id.edge);
        let edge = edges.find(|edge| !self.ended_edges.contains(edge) && !is_open(*edge))?;
        self.ended_edges.push(edge);
        Some(GateEvent::InputEnded(edge))
    }

    /// The end, once, if all channels have ended. A gate without channels belongs to a task that is being removed
    /// and does not end.
    fn end(&mut self) -> Option<GateEvent<T>> {
        if self.ended || self.channels.is_empty() || self.channels.iter().any(|input| !input.ended) {
            return None;
        }
        self.ended = true;
        self.watermark = MAX_WATERMARK;
        Some(GateEvent::End)
    }

    fn try_align(&mut self, now: Instant) -> Option<GateEvent<T>> {
        let (checkpoint, since) = self.aligning?;
        if self.channels.iter().any(|input| !input.blocked && !input.ended)
            && !injected_fault::is_active("barrier_not_awaited")
        {
            return None;
        }
        self.unblock();
        Some(GateEvent::Barrier { checkpoint, alignment: now.since(since) })
    }

    fn unblock(&mut self) {
        self.aligning = None;
        self.channels.iter_mut().for_each(|input| input.blocked = false);
    }

    fn advance(&mut self) -> Option<GateEvent<T>> {
        if self.channels.is_empty() {
            return None;
        }
        // A channel at the last watermark sends nothing more, although its sender runs until the others have
        // ended. It does not count here: if it were the only channel that is not idle, the watermark would jump
        // to the end, and the records of an idle channel would be late.
        let open = || self.channels.iter().filter(|input| !input.ended && input.watermark < MAX_WATERMARK);
        let any_open = open().next().is_some();
        let idle = any_open && open().all(|input| input.idle);
        if idle != self.idle {
            self.idle = idle;
            self.more_due = true;
            return Some(GateEvent::Idle(idle));
        }
        let lowest = match open().filter(|input| !input.idle).map(|input| input.watermark).min() {
            Some(lowest) => lowest,
            None if any_open => return None,
            // The end then brings the last watermark with it.
            None if injected_fault::is_active("input_ends_while_windows_fire") => return None,
            None => MAX_WATERMARK,
        };
        if lowest <= self.watermark {
            return None;
        }
        self.watermark = lowest;
        Some(GateEvent::Watermark(lowest))
    }

    /// The task has processed the last batch. Grants new credit to its channel.
    pub fn consumed(&mut self) {
        let channels = self.channels.len();
        let records = self.rate.window(QUEUED_TIME, channels).unwrap_or(self.bounds.first_credit);
        let records = records.min(self.bounds.most_credit);
        let bytes = (self.bounds.credit_bytes / channels as u64).max(self.bounds.batch_bytes);
        self.channels[self.last_from].receiver.consumed(Limit { records, bytes });
    }

    /// Drops what arrives after all channels have ended. Channels that a rescale opens later carry the end again,
    /// and before it records of timers that an added sender fires although the input of its vertex has ended.
    pub fn discard_input(&mut self) {
        for at in 0..self.channels.len() {
            while let Some(element) = self.channels[at].receiver.pop() {
                if matches!(element, Element::Batch { .. } | Element::Encoded { .. }) {
                    self.last_from = at;
                    self.consumed();
                }
            }
        }
    }

    /// The task's consumption rate, to which the task adds what the gate cannot see.
    pub fn rate(&mut self) -> &mut ConsumptionRate {
        &mut self.rate
    }

    /// The number of records that the task consumes in about this time; at least one.
    pub fn consumed_in(&self, time: Duration) -> u64 {
        self.rate.window(time, 1).unwrap_or(self.bounds.first_credit)
    }

    /// Whether an element can be read now.
    pub fn has_input(&self) -> bool {
        self.channels.iter().any(|input| !input.blocked && !input.ended && input.receiver.has_input())
    }

    /// Whether some channels have delivered a barrier that others have not.
    pub fn is_aligning(&self) -> bool {
        self.aligning.is_some()
    }

    /// The gate's watermark.
    pub fn watermark(&self) -> Timestamp {
        self.watermark
    }

    /// Whether all channels have ended.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// The number of bytes received from other processes.
    pub fn bytes(&self) -> u64 {
        self.bytes_before + self.channels.iter().map(|input| input.receiver.bytes()).sum::<u64>()
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
