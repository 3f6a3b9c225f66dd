//! A task's output on one edge: records are shared out over the edge's channels and leave in batches.

use crate::batch::{BATCH_ROWS, Batch, Row};
use crate::sender::Sender;
use reflow_graph::EdgeId;
use reflow_protocol::data::ChannelId;
use reflow_types::{CheckpointId, Key, KeyHash, MIN_WATERMARK, OwnershipTable, Timestamp, canary};
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Arc;

/// How an output chooses the channel of a record.
pub enum Partitioner {
    /// All to the only channel.
    Forward,
    /// To the channels in turn.
    Rebalance {
        /// Whose turn it is.
        next: usize,
    },
    /// To the owner of the key's group: by this table, group to subtask index, and so to channel.
    Hash(Arc<OwnershipTable>),
    /// To every channel.
    Broadcast,
}

/// Channels in order, with a sender for those that are new, and how records are shared out over them.
pub type Routes<T> = (Vec<(ChannelId, Option<Sender<T>>)>, Partitioner);

/// Names a record's key.
pub trait KeySelector<T>: Clone + Send + 'static {
    /// By what the stream is keyed.
    type Key: Key;
    /// The record's key.
    fn key(&self, value: &T) -> Self::Key;
}

impl<T, K: Key, F: Fn(&T) -> K + Clone + Send + 'static> KeySelector<T> for F {
    type Key = K;
    #[inline]
    fn key(&self, value: &T) -> K {
        self(value)
    }
}

/// For edges without a key.
#[derive(Clone, Copy, Debug)]
pub struct NoKey;

impl<T> KeySelector<T> for NoKey {
    type Key = ();
    fn key(&self, _: &T) {}
}

/// One edge's output of one subtask.
pub struct Output<T, F = NoKey> {
    edge: EdgeId,
    channels: Vec<OutputChannel<T>>,
    partitioner: Partitioner,
    /// The record's key, where records are shared out by it.
    key: F,
    /// How a record is copied, where every channel gets it: only types that are broadcast need to be `Clone`.
    copy: Option<fn(&T) -> T>,
    /// The channels after the next cut.
    prepared: Option<Routes<T>>,
    /// What was said last, for channels that are yet to come.
    said: Said,
    /// Records and bytes sent over channels that are gone.
    sent_before: (u64, u64),
}

#[derive(Clone, Copy)]
struct Said {
    watermark: Timestamp,
    idle: bool,
    ended: bool,
}

struct OutputChannel<T> {
    id: ChannelId,
    sender: Sender<T>,
    filling: Batch<T>,
    /// Full batches beyond the credit: at most what one step emits.
    overflow: VecDeque<Batch<T>>,
}

impl<T: Serialize + Send + 'static, F: KeySelector<T>> Output<T, F> {
    /// An output over these channels, all new, in the order of the receivers' indices.
    pub fn new(edge: EdgeId, routes: Routes<T>, key: F, copy: Option<fn(&T) -> T>) -> Self {
        let said = Said { watermark: MIN_WATERMARK, idle: false, ended: false };
        let (prepared, sent_before) = (Some(routes), (0, 0));
        let (channels, partitioner) = (Vec::new(), Partitioner::Forward);
        let mut output = Self { edge, channels, partitioner, key, copy, prepared, said, sent_before };
        output.switch();
        output
    }

    /// The edge.
    pub fn edge(&self) -> EdgeId {
        self.edge
    }

    /// Whether there is such a channel.
    pub fn has(&self, id: ChannelId) -> bool {
        self.channels.iter().any(|channel| channel.id == id)
    }

    /// The channels that there will be after the next [`cut`](Self::cut), in the order of the receivers'
    /// indices.
    pub fn prepare(&mut self, routes: Routes<T>) {
        self.abandon();
        if canary::sings("table_switched_before_the_barrier") {
            self.share_out_too_early(&routes);
        }
        self.prepared = Some(routes);
    }

    /// The canary: where the channels that stay are the first ones, their new table is used at once.
    fn share_out_too_early(&mut self, (channels, partitioner): &Routes<T>) {
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

    /// Forgets what was prepared.
    pub fn abandon(&mut self) {
        for (_, sender) in self.prepared.take().into_iter().flat_map(|(channels, _)| channels) {
            sender.into_iter().for_each(Sender::close);
        }
    }

    /// Sends the barrier of a cut, and goes over to the prepared channels. Those that come do not carry it: they begin with
    /// what was said last of time and idleness, unless it `resets` that.
    ///
    /// # Panics
    /// If nothing was prepared.
    pub fn cut(&mut self, checkpoint: CheckpointId, resets: bool) {
        self.control(|sender| sender.barrier(checkpoint, resets));
        if resets {
            (self.said.watermark, self.said.idle) = (MIN_WATERMARK, false);
        }
        self.switch();
    }

    fn switch(&mut self) {
        let (prepared, partitioner) = self.prepared.take().expect("the caller has prepared the channels");
        let mut former = std::mem::take(&mut self.channels);
        for (id, sender) in prepared {
            self.channels.push(match sender {
                Some(sender) => OutputChannel::begin(id, sender, self.said),
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
        self.partitioner = partitioner;
    }

    /// Takes a record.
    #[inline]
    pub fn push(&mut self, value: T, time: Timestamp) {
        match &mut self.partitioner {
            Partitioner::Hash(table) => {
                let hash = self.key.key(&value).key_hash();
                let owner = table.owner_of(hash).0 as usize;
                self.channels[owner].push(Row { hash, time, value });
            }
            Partitioner::Forward => self.channels[0].push(Row { hash: KeyHash(0), time, value }),
            Partitioner::Rebalance { next } => {
                *next = if *next + 1 >= self.channels.len() { 0 } else { *next + 1 };
                self.channels[*next].push(Row { hash: KeyHash(0), time, value });
            }
            Partitioner::Broadcast => {
                let copy = self.copy.expect("an edge that ships to all knows how to copy");
                for channel in &mut self.channels {
                    channel.push(Row { hash: KeyHash(0), time, value: copy(&value) });
                }
            }
        }
    }

    /// Whether every channel could take a batch. Each passes on what it can of its overflow.
    pub fn has_room(&mut self) -> bool {
        let mut all = true;
        for channel in &mut self.channels {
            all &= channel.drain_overflow();
        }
        all
    }

    /// How many records every channel could take; at least one where there [is room](Self::has_room).
    pub fn room(&self) -> u64 {
        self.channels.iter().map(OutputChannel::room).min().unwrap_or(u64::MAX)
    }

    /// Sends what has been collected, as far as the credit reaches.
    pub fn flush(&mut self) {
        self.channels.iter_mut().for_each(OutputChannel::flush);
    }

    /// Sends a watermark after all records.
    pub fn watermark(&mut self, time: Timestamp) {
        self.said.watermark = time;
        self.control(|sender| sender.watermark(time));
    }

    /// Says whether this task is idle.
    pub fn idle(&mut self, idle: bool) {
        self.said.idle = idle;
        self.control(|sender| sender.idle(idle));
    }

    /// Sends a barrier after all records.
    pub fn barrier(&mut self, checkpoint: CheckpointId) {
        self.control(|sender| sender.barrier(checkpoint, false));
    }

    /// Says that nothing follows.
    pub fn end(&mut self) {
        self.said.ended = true;
        self.control(|sender| sender.end());
    }

    /// Records sent, and bytes sent to other processes.
    pub fn sent(&self) -> (u64, u64) {
        let sum = |f: fn(&Sender<T>) -> u64| self.channels.iter().map(|c| f(&c.sender)).sum::<u64>();
        (self.sent_before.0 + sum(Sender::sent), self.sent_before.1 + sum(Sender::bytes))
    }

    /// What stands between records needs no credit, but stays behind the records before it.
    fn control(&mut self, tell: impl Fn(&mut Sender<T>)) {
        for channel in &mut self.channels {
            channel.send_all();
            tell(&mut channel.sender);
        }
    }
}

impl<T: Serialize + Send + 'static> OutputChannel<T> {
    fn begin(id: ChannelId, mut sender: Sender<T>, said: Said) -> Self {
        if said.watermark > MIN_WATERMARK {
            sender.watermark(said.watermark);
        }
        if said.idle {
            sender.idle(true);
        }
        if said.ended {
            sender.end();
        }
        Self { id, sender, filling: Batch::with_capacity(BATCH_ROWS), overflow: VecDeque::new() }
    }

    #[inline]
    fn push(&mut self, row: Row<T>) {
        self.filling.push(row);
        if self.filling.len() >= BATCH_ROWS {
            self.full();
        }
    }

    #[cold]
    fn full(&mut self) {
        let batch = std::mem::replace(&mut self.filling, Batch::with_capacity(BATCH_ROWS));
        if self.overflow.is_empty() && self.sender.has_room() {
            self.sender.send(batch);
        } else {
            self.overflow.push_back(batch);
        }
    }

    /// Sends overflow while there is credit, and says whether all of it is gone and a batch could follow.
    fn drain_overflow(&mut self) -> bool {
        while self.sender.has_room() {
            match self.overflow.pop_front() {
                Some(batch) => self.sender.send(batch),
                // What is collected would use the credit up: it leaves now, the step after waits.
                None if self.room() == 0 => self.send_all(),
                None => return true,
            }
        }
        false
    }

    fn room(&self) -> u64 {
        self.sender.room().saturating_sub(self.filling.len() as u64)
    }

    fn flush(&mut self) {
        if !self.filling.is_empty() && self.drain_overflow() {
            let capacity = self.filling.len().next_power_of_two().min(BATCH_ROWS);
            let batch = std::mem::replace(&mut self.filling, Batch::with_capacity(capacity));
            self.sender.send(batch);
        }
    }

    fn send_all(&mut self) {
        while let Some(batch) = self.overflow.pop_front() {
            self.sender.send(batch);
        }
        if !self.filling.is_empty() {
            let batch = std::mem::replace(&mut self.filling, Batch::with_capacity(BATCH_ROWS));
            self.sender.send(batch);
        }
    }
}
