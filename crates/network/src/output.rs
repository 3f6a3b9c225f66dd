//! The output of a task on one edge: partitions records over the edge's channels and sends them in batches.

use crate::batch::{Batch, Row};
use crate::codec::SendError;
use crate::sender::Sender;
use crate::size::RecordSize;
use reflow_graph::EdgeId;
use reflow_protocol::data::{ChannelId, LatencyMarker};
use reflow_protocol::failure::{Failure, Fault};
use reflow_types::{
    Bounds, CheckpointId, Data, Key, KeyHash, MIN_WATERMARK, OwnershipTable, Timestamp, injected_fault,
    splitmix64,
};
use std::collections::VecDeque;
use std::sync::Arc;

/// How an output chooses the channel of a record.
pub enum Partitioner {
    /// Sends all records to the first channel, in most graphs the only one.
    Forward,
    /// Sends records to the channels in turn.
    Rebalance {
        /// The channel that got the last record.
        next: usize,
    },
    /// Sends each record to the owner of its key group. The table gives the owner's index, which is the channel's
    /// index.
    Hash(Arc<OwnershipTable>),
    /// Sends each record to every channel.
    Broadcast,
    /// Sends records to the channels at random.
    Shuffle {
        /// The state of the generator.
        random: u64,
    },
    /// Sends each record to the channel that the key selector [chooses](KeySelector::channel).
    Custom,
}

/// The channels of an output in one graph, and how records are partitioned over them.
pub struct Routes<T> {
    /// The channels in the order of the receivers' indices, with a sender for each new one.
    pub channels: Vec<(ChannelId, Option<Sender<T>>)>,
    /// How records are partitioned over them.
    pub partitioner: Partitioner,
}

/// A function from a record to its key.
///
/// ```
/// # mod reflow { pub use reflow_network::output::KeySelector; }
/// use reflow::KeySelector;
///
/// /// The keys of records, whatever selects them.
/// fn keys<T, F: KeySelector<T>>(selector: F, records: &[T]) -> Vec<F::Key> {
///     records.iter().map(|record| selector.key(record)).collect()
/// }
///
/// assert_eq!(keys(|word: &&str| word.len() as u64, &["tea", "salt"]), [3, 4]);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not select a key of `{T}`",
    label = "expected a function from a record to its key",
    note = "for example `key_by(|record: &{T}| record.id)`; names of fields are not keys"
)]
pub trait KeySelector<T>: Clone + Send + 'static {
    /// The type of the key.
    type Key: Key;
    /// The record's key.
    fn key(&self, value: &T) -> Self::Key;
    /// The channel of a record among this many, for [`Partitioner::Custom`].
    fn channel(&self, _: &T, _channels: usize) -> usize {
        0
    }
}

impl<T, K: Key, F: Fn(&T) -> K + Clone + Send + 'static> KeySelector<T> for F {
    type Key = K;
    #[inline]
    fn key(&self, value: &T) -> K {
        self(value)
    }
}

/// The key selector of edges without a key.
#[derive(Clone, Copy, Debug)]
pub struct NoKey;

impl<T> KeySelector<T> for NoKey {
    type Key = ();
    fn key(&self, _: &T) {}
}

/// Selects no key, but the channel itself, by a function of record and number of channels.
#[derive(Clone, Copy, Debug)]
pub struct ByChannel<F>(pub F);

impl<T, F: Fn(&T, usize) -> usize + Clone + Send + 'static> KeySelector<T> for ByChannel<F> {
    type Key = ();
    fn key(&self, _: &T) {}
    #[inline]
    fn channel(&self, value: &T, channels: usize) -> usize {
        (self.0)(value, channels)
    }
}

/// The edge that an output serves.
#[derive(Clone, Debug)]
pub struct OutputEdge {
    /// The sending vertex's name, for errors.
    pub vertex: String,
    pub id: EdgeId,
    /// The bounds of its batches and records.
    pub bounds: Bounds,
}

/// The output of a subtask on one edge.
pub struct Output<T, F = NoKey> {
    edge: OutputEdge,
    channels: Vec<OutputChannel<T>>,
    size: RecordSize<T>,
    /// Whether the credit of a channel is used up.
    full: bool,
    partitioner: Partitioner,
    /// Selects the key of a record, if records are partitioned by key.
    key: F,
    /// Copies a record for each channel of a broadcast edge. A function, so that only types that are broadcast
    /// need `Clone`.
    copy: Option<fn(&T) -> T>,
    /// The channels after the next cut.
    prepared: Option<Routes<T>>,
    /// The signals that were sent last, with which added channels begin.
    last_signals: LastSignals,
    /// The state of the generator that chooses the channels of latency markers.
    markers: u64,
    /// Records and bytes sent on channels that were removed.
    sent_before: (u64, u64),
}

#[derive(Clone, Copy)]
struct LastSignals {
    watermark: Timestamp,
    idle: bool,
    ended: bool,
}

struct OutputChannel<T> {
    id: ChannelId,
    sender: Sender<T>,
    filling: Batch<T>,
    filling_bytes: u64,
    /// The records or bytes at which the batch is sent: those of a full batch, or the remaining credit if that is
    /// less.
    leaves_at: (usize, u64),
    /// Full batches beyond the credit, with their bytes: at most what one record or one timer emits, because the
    /// step then ends.
    overflow: VecDeque<(Batch<T>, u64)>,
}

impl<T: Data, F: KeySelector<T>> Output<T, F> {
    /// An output over these channels, all of which are new.
    pub fn new(edge: OutputEdge, routes: Routes<T>, key: F, copy: Option<fn(&T) -> T>) -> Self {
        let markers = routes.channels.first().map_or(0, |(id, _)| id.from.0);
        let mut output = Self {
            edge,
            channels: Vec::new(),
            size: RecordSize::default(),
            full: false,
            partitioner: Partitioner::Forward,
            key,
            copy,
            prepared: Some(routes),
            last_signals: LastSignals { watermark: MIN_WATERMARK, idle: false, ended: false },
            markers,
            sent_before: (0, 0),
        };
        output.switch();
        output
    }

    /// The edge.
    pub fn edge(&self) -> EdgeId {
        self.edge.id
    }

    /// Whether the output has this channel.
    pub fn has(&self, id: ChannelId) -> bool {
        self.channels.iter().any(|channel| channel.id == id)
    }

    /// Sets the channels for the next [`cut`](Self::cut), in place of any that were prepared before.
    pub fn prepare(&mut self, routes: Routes<T>) {
        self.abandon();
        if injected_fault::is_active("table_switched_before_the_barrier") {
            self.share_out_too_early(&routes);
        }
        self.prepared = Some(routes);
    }

    /// The injected fault: uses the new ownership table at once, if the next graph's channels are the first ones
    /// of the current graph.
    fn share_out_too_early(&mut self, Routes { channels, partitioner }: &Routes<T>) {
        let stays =
            |((id, _), channel): (&(ChannelId, Option<Sender<T>>), &OutputChannel<T>)| *id == channel.id;
        if let Partitioner::Hash(table) = partitioner
            && !channels.is_empty()
            && channels.len() <= self.channels.len()
            && channels.iter().zip(&self.channels).all(stays)
        {
            self.partitioner = Partitioner::Hash(table.clone());
        }
    }

    /// Closes the prepared channels.
    pub fn abandon(&mut self) {
        for (_, sender) in self.prepared.take().into_iter().flat_map(|routes| routes.channels) {
            sender.into_iter().for_each(Sender::close);
        }
    }

    /// Sends the barrier of a cut and switches to the prepared channels. Added channels do not carry the barrier.
    /// They begin with the watermark and idleness that were sent last, unless the cut `resets` these.
    ///
    /// # Panics
    /// If no channels are prepared.
    pub fn cut(&mut self, checkpoint: CheckpointId, resets: bool) {
        self.control(|sender| sender.barrier(checkpoint, resets));
        if resets {
            (self.last_signals.watermark, self.last_signals.idle) = (MIN_WATERMARK, false);
        }
        self.switch();
    }

    fn switch(&mut self) {
        let routes = self.prepared.take().expect("the caller has prepared the channels");
        let mut former = std::mem::take(&mut self.channels);
        for (id, sender) in routes.channels {
            self.channels.push(match sender {
                Some(sender) => OutputChannel::begin(id, sender, self.last_signals, &self.edge.bounds),
                None => {
                    let at = former.iter().position(|channel| channel.id == id);
                    former.swap_remove(at.expect("a channel that stays is there"))
                }
            });
        }
        for channel in former {
            self.sent_before.0 += channel.sender.sent();
            self.sent_before.1 += channel.sender.bytes();
            channel.sender.close();
        }
        self.partitioner = routes.partitioner;
    }

    /// Adds a record to the batch of its channel, and sends the batch if it is full.
    #[inline]
    pub fn push(&mut self, value: T, time: Timestamp) {
        let bytes = self.size.of(&value);
        let (to, hash) = match &mut self.partitioner {
            Partitioner::Hash(table) => {
                let hash = self.key.key(&value).key_hash();
                (table.owner_of(hash).0 as usize, hash)
            }
            Partitioner::Forward => (0, KeyHash(0)),
            Partitioner::Rebalance { next } => {
                *next = if *next + 1 >= self.channels.len() { 0 } else { *next + 1 };
                (*next, KeyHash(0))
            }
            Partitioner::Broadcast => return self.push_to_all(&value, bytes, time),
            Partitioner::Shuffle { random } => (shuffled(random, self.channels.len()), KeyHash(0)),
            Partitioner::Custom => {
                let to = self.key.channel(&value, self.channels.len());
                if to >= self.channels.len() {
                    no_such_channel(&self.edge.vertex, to, self.channels.len());
                }
                (to, KeyHash(0))
            }
        };
        if self.channels[to].push(Row { hash, time, value }, bytes) {
            self.batch_is_full(to);
        }
    }

    fn push_to_all(&mut self, value: &T, bytes: u64, time: Timestamp) {
        let copy = self.copy.expect("an edge that ships to all knows how to copy");
        for to in 0..self.channels.len() {
            if self.channels[to].push(Row { hash: KeyHash(0), time, value: copy(value) }, bytes) {
                self.batch_is_full(to);
            }
        }
    }

    #[cold]
    fn batch_is_full(&mut self, at: usize) {
        let (bytes, limit) = (self.size.last(), self.edge.bounds.record_bytes);
        if bytes > limit {
            fail(&self.edge.vertex, SendError::TooLong { bytes, limit });
        }
        let sent = self.channels[at].full(&self.edge.bounds);
        self.full |= !sent.unwrap_or_else(|error| fail(&self.edge.vertex, error));
    }

    /// Whether a channel's credit is used up, so that the step should end: further records might have to wait
    /// here.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Whether every channel could take a record. Sends overflow first, as far as the credit allows.
    pub fn has_room(&mut self) -> bool {
        self.full = false;
        for channel in &mut self.channels {
            let room = channel.make_room(&self.edge.bounds);
            self.full |= !room.unwrap_or_else(|error| fail(&self.edge.vertex, error));
        }
        !self.full
    }

    /// The number of records that every channel could take, as far as is known; at least one if there [is
    /// room](Self::has_room).
    pub fn room(&self) -> usize {
        self.channels.iter().map(OutputChannel::room).min().unwrap_or(usize::MAX)
    }

    /// Sends the batches that are not full, as far as the credit allows.
    pub fn flush(&mut self) {
        for channel in &mut self.channels {
            channel.flush(&self.edge.bounds).unwrap_or_else(|error| fail(&self.edge.vertex, error));
        }
    }

    /// Sends a watermark behind all records.
    pub fn watermark(&mut self, time: Timestamp) {
        self.last_signals.watermark = time;
        self.control(|sender| sender.watermark(time));
    }

    /// Sends whether this task is idle.
    pub fn idle(&mut self, idle: bool) {
        self.last_signals.idle = idle;
        self.control(|sender| sender.idle(idle));
    }

    /// Sends a barrier behind all records. Behind the end nobody waits for one.
    pub fn barrier(&mut self, checkpoint: CheckpointId) {
        self.control(|sender| sender.barrier(checkpoint, false));
    }

    /// Sends a latency marker on one channel: on all of them, the markers of a source would multiply from edge to edge. The
    /// channel is random, because in turn those of two sources that alternate would never reach some receivers. Called
    /// while there is [room](Self::has_room), since the records before the marker are sent first.
    pub fn latency_marker(&mut self, marker: LatencyMarker) {
        if self.last_signals.ended || self.channels.is_empty() {
            return;
        }
        let at = shuffled(&mut self.markers, self.channels.len());
        let channel = &mut self.channels[at];
        channel.send_all(&self.edge.bounds).unwrap_or_else(|error| fail(&self.edge.vertex, error));
        channel.sender.latency_marker(marker);
    }

    /// Sends the end behind all records.
    pub fn end(&mut self) {
        self.control(|sender| sender.end());
        self.last_signals.ended = true;
    }

    /// The numbers of records sent, and of bytes sent to other processes.
    pub fn sent(&self) -> (u64, u64) {
        let sum = |f: fn(&Sender<T>) -> u64| self.channels.iter().map(|c| f(&c.sender)).sum::<u64>();
        (self.sent_before.0 + sum(Sender::sent), self.sent_before.1 + sum(Sender::bytes))
    }

    /// Sends a signal on every channel. Signals need no credit, but must stay behind the records before them, so
    /// these are sent first, beyond the credit if need be. Nothing follows the end: its receiver does not read on,
    /// so the signals of a long job would pile up in the channel.
    fn control(&mut self, tell: impl Fn(&mut Sender<T>)) {
        if self.last_signals.ended {
            return;
        }
        for channel in &mut self.channels {
            channel.send_all(&self.edge.bounds).unwrap_or_else(|error| fail(&self.edge.vertex, error));
            tell(&mut channel.sender);
        }
    }
}

/// A random number below `channels`.
#[inline]
fn shuffled(random: &mut u64, channels: usize) -> usize {
    ((u128::from(splitmix64::next(random)) * channels as u128) >> 64) as usize
}

#[cold]
fn no_such_channel(vertex: &str, to: usize, channels: usize) -> ! {
    let message = format!(
        "its partitioner has chosen subtask {to} of {channels}: it must return a number below the one that it is given"
    );
    let (fault, operator) = (Fault::User, vertex.to_owned());
    std::panic::resume_unwind(Box::new(Failure { fault, operator, message }))
}

/// Fails the job: after a restart the same record would come again.
#[cold]
fn fail(vertex: &str, error: SendError) -> ! {
    let (fault, operator) = (Fault::Permanent, vertex.to_owned());
    std::panic::resume_unwind(Box::new(Failure { fault, operator, message: error.to_string() }))
}

impl<T: Data> OutputChannel<T> {
    fn begin(id: ChannelId, mut sender: Sender<T>, last_signals: LastSignals, bounds: &Bounds) -> Self {
        if last_signals.watermark > MIN_WATERMARK {
            sender.watermark(last_signals.watermark);
        }
        if last_signals.idle {
            sender.idle(true);
        }
        if last_signals.ended {
            sender.end();
        }
        let mut channel = Self {
            id,
            sender,
            filling: Batch::new(),
            filling_bytes: 0,
            leaves_at: (0, 0),
            overflow: VecDeque::new(),
        };
        channel.look_at_credit(bounds);
        channel
    }

    /// Adds a record. Returns whether the batch is full.
    #[inline]
    fn push(&mut self, row: Row<T>, bytes: u64) -> bool {
        self.filling.push(row);
        self.filling_bytes += bytes;
        self.filling.len() >= self.leaves_at.0 || self.filling_bytes >= self.leaves_at.1
    }

    /// Sends the full batch, or keeps it as overflow if there is no credit. Returns whether there is credit for
    /// another one.
    fn full(&mut self, bounds: &Bounds) -> Result<bool, SendError> {
        let may_leave = self.overflow.is_empty() && self.sender.has_room();
        let batch = self.take(bounds.batch_records);
        if may_leave {
            self.sender.send(batch.0, batch.1)?;
        } else {
            self.overflow.push_back(batch);
        }
        Ok(self.look_at_credit(bounds))
    }

    /// Takes the batch, and leaves an empty one with room for about as many records.
    fn take(&mut self, capacity: usize) -> (Batch<T>, u64) {
        let capacity = self.filling.len().next_power_of_two().min(capacity);
        let batch = std::mem::replace(&mut self.filling, Batch::with_capacity(capacity));
        (batch, std::mem::take(&mut self.filling_bytes))
    }

    /// Sets the size of the next batch by the remaining credit. Returns whether there is any.
    fn look_at_credit(&mut self, bounds: &Bounds) -> bool {
        let room = self.sender.room();
        let (rows, bytes) = (bounds.batch_records.max(1), bounds.batch_bytes);
        if !self.overflow.is_empty() || !room.allows_more() {
            self.leaves_at = (rows, bytes);
            return false;
        }
        let records = usize::try_from(room.records).unwrap_or(usize::MAX);
        self.leaves_at = (rows.min(records), bytes.min(room.bytes));
        true
    }

    /// Sends overflow while there is credit. Returns whether all of it is sent and there is credit for a record.
    fn make_room(&mut self, bounds: &Bounds) -> Result<bool, SendError> {
        while self.sender.has_room() {
            if let Some((batch, bytes)) = self.overflow.pop_front() {
                self.sender.send(batch, bytes)?;
                continue;
            }
            self.look_at_credit(bounds);
            // The records of this batch use up the credit. They are sent now, and the next step waits for new
            // credit.
            if self.filling.len() < self.leaves_at.0 && self.filling_bytes < self.leaves_at.1 {
                return Ok(true);
            }
            self.send_all(bounds)?;
        }
        Ok(false)
    }

    fn room(&self) -> usize {
        self.leaves_at.0.saturating_sub(self.filling.len())
    }

    fn flush(&mut self, bounds: &Bounds) -> Result<(), SendError> {
        if !self.filling.is_empty() && self.make_room(bounds)? {
            self.send_all(bounds)?;
            self.look_at_credit(bounds);
        }
        Ok(())
    }

    fn send_all(&mut self, bounds: &Bounds) -> Result<(), SendError> {
        while let Some((batch, bytes)) = self.overflow.pop_front() {
            self.sender.send(batch, bytes)?;
        }
        if !self.filling.is_empty() {
            let (batch, bytes) = self.take(bounds.batch_records);
            self.sender.send(batch, bytes)?;
        }
        Ok(())
    }
}
