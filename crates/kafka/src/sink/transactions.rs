//! The transactions of a writer: their ids, and when an id may be used again.
//!
//! A transactional id has one open transaction at a time, so a writer uses several in turn. One is used again when its commit
//! is confirmed and a later checkpoint is complete, because until then a restored job may repeat the commit, which would
//! end the next transaction or be refused. If a savepoint names a transaction, its id is never used again.
//!
//! # Invariants
//! - An id is in at most one of: free, spare, the uses.
//! - At most one use is open; its transaction is in no checkpoint.

use super::{DeliveryGuarantee, Settings};
use crate::client::{Producer, Transaction};
use reflow_api::sink::WriterContext;
use reflow_types::{Attempt, CheckpointId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The name of a writer, with which its transactional ids begin.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct WriterName {
    /// The prefix, the job and the sink.
    sink: String,
    attempt: Attempt,
    subtask: u64,
}

impl WriterName {
    pub(super) fn new(prefix: &str, context: &WriterContext) -> Self {
        let sink = format!("{prefix}-{}-{}", context.job, context.uid);
        Self { sink, attempt: context.attempt, subtask: context.subtask.0 }
    }

    pub(super) fn subtask(&self) -> u64 {
        self.subtask
    }

    fn transactional_id(&self, number: u32) -> String {
        format!("{}-{}-{}-{number}", self.sink, self.attempt, self.subtask)
    }

    /// Whether a transactional id is that of a writer of this sink and an earlier attempt.
    pub(crate) fn is_earlier(&self, transactional_id: &str) -> bool {
        let attempt = || -> Option<Attempt> {
            let rest = transactional_id.strip_prefix(&self.sink)?.strip_prefix('-')?;
            let mut fields = rest.split('-');
            let (epoch, number) = fields.next()?.split_once('.')?;
            let (_subtask, _number) =
                (fields.next()?.parse::<u64>().ok()?, fields.next()?.parse::<u32>().ok()?);
            let attempt = Attempt {
                epoch: epoch.parse::<u64>().ok()?.into(),
                number: number.parse::<u32>().ok()?.into(),
            };
            fields.next().is_none().then_some(attempt)
        };
        attempt().is_some_and(|attempt| attempt < self.attempt)
    }
}

/// The transactions of a writer or, if it has none, its producer.
#[derive(Debug)]
pub(super) struct Transactions {
    guarantee: DeliveryGuarantee,
    name: WriterName,
    spare: Spare,
    /// By the number of the span of records between two barriers. Without transactions there is one use, 0.
    uses: BTreeMap<u64, Use>,
    free: Vec<u32>,
    /// How many ids there are.
    ids: u32,
}

/// The producer of the next transaction.
#[derive(Debug)]
enum Spare {
    /// None has been asked for.
    Missing,
    Asked(u32),
    Ready(u32, Producer),
}

/// A use of a transactional id.
#[derive(Debug)]
pub(super) struct Use {
    number: u32,
    /// `None` without transactions.
    pub(super) transactional_id: Option<Arc<str>>,
    pub(super) producer: Producer,
    /// The numbers of the next records, by the indices of partitions.
    sequences: BTreeMap<usize, i32>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Part of checkpoints.
    Prepared,
    /// Part of a savepoint, too.
    Saved,
    Committed,
    /// Its id may be used again when this checkpoint is complete.
    Settled(CheckpointId),
}

impl Use {
    /// The number of the next record for a partition, of `count`.
    pub(super) fn number(&mut self, partition: usize, count: i32) -> i32 {
        if self.producer.id < 0 {
            return -1;
        }
        let next = self.sequences.entry(partition).or_default();
        let first = *next;
        // Behind the greatest number comes 0.
        *next = first.wrapping_add(count) & i32::MAX;
        first
    }

    /// Goes back to a number, because the records from it on were refused.
    pub(super) fn renumber(&mut self, partition: usize, first: i32) {
        if self.producer.id >= 0 {
            self.sequences.insert(partition, first);
        }
    }

    fn transaction(&self) -> Option<Transaction> {
        let transactional_id = self.transactional_id.as_ref()?.to_string();
        Some(Transaction { transactional_id, producer: self.producer })
    }
}

impl Transactions {
    pub(super) fn new(settings: &Settings, name: WriterName) -> Self {
        let mut uses = BTreeMap::new();
        if settings.guarantee == DeliveryGuarantee::None {
            uses.insert(0, of(0, None, Producer { id: -1, epoch: -1 }));
        }
        let guarantee = settings.guarantee;
        Self { guarantee, name, spare: Spare::Missing, uses, free: Vec::new(), ids: 0 }
    }

    pub(super) fn name(&self) -> &WriterName {
        &self.name
    }

    /// The number of the use for records of this span.
    pub(super) fn of_span(&self, span: u64) -> u64 {
        if self.guarantee == DeliveryGuarantee::ExactlyOnce { span } else { 0 }
    }

    /// Whether records of this span have a producer, or can get one.
    pub(super) fn may_begin(&self, span: u64) -> bool {
        self.uses.contains_key(&self.of_span(span)) || matches!(self.spare, Spare::Ready(..))
    }

    /// Makes sure that records of this span have a producer. False if there is none.
    pub(super) fn begin(&mut self, span: u64) -> bool {
        let span = self.of_span(span);
        if !self.uses.contains_key(&span) {
            let Spare::Ready(number, producer) = self.spare else { return false };
            let id = self.is_transactional().then(|| self.name.transactional_id(number).into());
            self.uses.insert(span, of(number, id, producer));
            self.spare = Spare::Missing;
        }
        true
    }

    fn is_transactional(&self) -> bool {
        self.guarantee == DeliveryGuarantee::ExactlyOnce
    }

    pub(super) fn get_mut(&mut self, number: u64) -> &mut Use {
        self.uses.get_mut(&number).expect("a use stays until its records are acknowledged")
    }

    /// The transactional id for which a producer is needed, if one must be asked for now.
    pub(super) fn ask(&mut self) -> Option<Option<String>> {
        if !matches!(self.spare, Spare::Missing) || (!self.is_transactional() && !self.uses.is_empty()) {
            return None;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.ids += 1;
            self.ids - 1
        });
        self.spare = Spare::Asked(number);
        Some(self.is_transactional().then(|| self.name.transactional_id(number)))
    }

    /// The answer to what was asked. `None`: it has to be asked again.
    pub(super) fn answered(&mut self, producer: Option<Producer>) {
        let Spare::Asked(number) = self.spare else { return };
        self.spare = match producer {
            Some(producer) => Spare::Ready(number, producer),
            None => {
                self.free.push(number);
                Spare::Missing
            }
        };
        if !self.is_transactional() {
            self.begin(0);
        }
    }

    /// Prepares the transaction of a span, if it has begun.
    pub(super) fn prepare(&mut self, span: u64) -> Option<Transaction> {
        let open = self.uses.get_mut(&span).filter(|open| open.transactional_id.is_some())?;
        open.state = State::Prepared;
        open.transaction()
    }

    /// A checkpoint contains what is not committed.
    pub(super) fn snapshot(&mut self, checkpoint: CheckpointId) {
        for settled in self.uses.values_mut().filter(|each| each.state == State::Committed) {
            settled.state = State::Settled(checkpoint);
        }
    }

    /// A savepoint contains what is not committed.
    pub(super) fn save(&mut self) {
        for saved in self.uses.values_mut().filter(|each| each.state == State::Prepared) {
            saved.state = State::Saved;
        }
    }

    pub(super) fn completed(&mut self, checkpoint: CheckpointId) {
        let settled = |each: &mut Use| matches!(each.state, State::Settled(at) if at <= checkpoint);
        let settled = self.uses.extract_if(.., |_, each| settled(each));
        self.free.extend(settled.map(|(_, settled)| settled.number));
    }

    pub(super) fn committed(&mut self, transaction: &Transaction) {
        let found = self.uses.iter().find(|(_, each)| each.transaction().as_ref() == Some(transaction));
        let Some((span, state)) = found.map(|(span, each)| (*span, each.state)) else { return };
        match state {
            State::Prepared => self.get_mut(span).state = State::Committed,
            State::Saved => drop(self.uses.remove(&span)),
            State::Open | State::Committed | State::Settled(_) => {}
        }
    }

    /// The transactions that checkpoints name and that are not known to be committed.
    pub(super) fn uncommitted(&self) -> impl Iterator<Item = Transaction> {
        let is_uncommitted = |each: &&Use| matches!(each.state, State::Prepared | State::Saved);
        self.uses.values().filter(is_uncommitted).filter_map(Use::transaction)
    }

    /// The transaction that no checkpoint names, if something of it was sent.
    pub(super) fn unprepared(&self) -> Option<Transaction> {
        let mut open = self.uses.values().filter(|each| each.state == State::Open);
        open.find(|open| !open.sequences.is_empty())?.transaction()
    }
}

fn of(number: u32, transactional_id: Option<Arc<str>>, producer: Producer) -> Use {
    Use { number, transactional_id, producer, sequences: BTreeMap::new(), state: State::Open }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(epoch: u64, number: u32) -> WriterName {
        let attempt = Attempt { epoch: epoch.into(), number: number.into() };
        WriterName { sink: "p-0a-sink-1".to_owned(), attempt, subtask: 7 }
    }

    fn transactions() -> Transactions {
        let settings = Settings { guarantee: DeliveryGuarantee::ExactlyOnce, ..Settings::default() };
        Transactions::new(&settings, name(2, 3))
    }

    impl Transactions {
        /// Begins and prepares the transaction of a span. Returns the last field of its id, and the transaction.
        fn run(&mut self, span: u64) -> (String, Transaction) {
            let asked = self.ask().unwrap().unwrap();
            assert!(!self.begin(span), "it has no producer yet");
            self.answered(Some(Producer { id: 1, epoch: span as i16 }));
            assert!(self.begin(span));
            let prepared = self.prepare(span).unwrap();
            assert_eq!(prepared.transactional_id, asked);
            (asked.rsplit('-').next().unwrap().to_owned(), prepared)
        }
    }

    #[test]
    fn earlier_attempts_of_the_same_sink_are_recognized() {
        let earlier = |id: &str| name(2, 3).is_earlier(id);
        assert!(earlier("p-0a-sink-1-2.2-9-0") && earlier("p-0a-sink-1-1.77-7-12"));
        let of_others =
            ["2.3-9-0", "2.4-9-0", "3.0-9-0", "1-2.2-9-0", "2.2-9", "2.2-9-0-1", "2-9-0", "x.2-9-0"];
        for other in of_others {
            assert!(!earlier(&format!("p-0a-sink-1-{other}")), "{other}");
        }
        assert!(!earlier("p-0a-sink-11-2.2-9-0") && !earlier("q-0a-sink-1-2.2-9-0") && !earlier(""));
        assert_eq!(name(2, 3).transactional_id(4), "p-0a-sink-1-2.3-7-4");
    }

    #[test]
    fn an_id_is_used_again_after_its_commit_and_a_later_checkpoint() {
        let mut t = transactions();
        let (id, first) = t.run(0);
        t.snapshot(CheckpointId(1));
        t.completed(CheckpointId(1));
        assert_eq!(id, "0");
        let (id, second) = t.run(1);
        assert_eq!(id, "1", "the first one is not committed");
        assert_eq!(t.uncommitted().collect::<Vec<_>>(), [first.clone(), second]);
        t.committed(&first);
        assert_eq!(t.run(2).0, "2", "the first one may be committed again");
        t.snapshot(CheckpointId(2));
        t.completed(CheckpointId(1));
        assert_eq!(t.run(3).0, "3", "checkpoint 2 may fail");
        t.completed(CheckpointId(2));
        assert_eq!(t.run(4).0, "0");
        assert_eq!(t.uncommitted().count(), 4);
    }

    #[test]
    fn an_id_of_a_savepoint_is_never_used_again() {
        let mut t = transactions();
        let (_, first) = t.run(0);
        t.save();
        t.committed(&first);
        assert_eq!(t.uncommitted().count(), 0);
        for span in 1..5 {
            t.snapshot(CheckpointId(span));
            t.completed(CheckpointId(span));
            let (id, transaction) = t.run(span);
            assert!(id == "1" || id == "2", "{id}");
            t.committed(&transaction);
        }
    }

    #[test]
    fn numbers_go_on_in_each_partition_and_begin_again_behind_the_greatest() {
        let mut t = transactions();
        t.run(0);
        let first = t.get_mut(0);
        assert_eq!([first.number(0, 5), first.number(1, 2), first.number(0, 1)], [0, 0, 5]);
        first.renumber(0, i32::MAX - 1);
        assert_eq!([first.number(0, 3), first.number(0, 1)], [i32::MAX - 1, 1]);
    }
}
