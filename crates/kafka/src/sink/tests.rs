//! Tests of the writer against answers that the test chooses. Real brokers are in `crates/testkit/tests/kafka`.

use super::*;
use crate::batch::Batches;
use crate::client::{KafkaAnswer, KafkaError, KafkaRequest, Produce, Produced, Producer, Transaction};
use bytes::Bytes;
use reflow_api::sink::{Barrier, FollowedBy, WriterContext};
use reflow_api::{Io, Writer};
use reflow_env::{Answer, CallError, Request, Ticket};
use reflow_types::{Attempt, CheckpointId, Instant, JobId, SubtaskId, SubtaskIndex};

/// The number of partitions of each topic.
const PARTITIONS: usize = 3;

type Set = fn(&String, &mut ProducerRecord);
type TextSink = KafkaSink<String, WithRecord<Text, Set>>;

/// Lines go to the partition and the topic that their first characters name, as `1:line` or `1/topic:line`.
fn sink() -> TextSink {
    let set: Set = |line, record| {
        let (at, _) = line.split_once(':').unwrap();
        let (partition, topic) = at.split_once('/').unwrap_or((at, "t"));
        record.set_partition(partition.parse().unwrap()).set_topic(topic);
    };
    KafkaSink::text::<String>("host:1", "t").with_record(set)
}

fn context(io: &Io) -> WriterContext {
    WriterContext {
        job: JobId(5),
        uid: "out".to_owned(),
        attempt: Attempt::default(),
        subtask: SubtaskId(0),
        index: SubtaskIndex(0),
        parallelism: 1,
        opened: Instant::from_millis(1_000),
        io: io.clone(),
    }
}

struct Driven {
    io: Io,
    writer: KafkaWriter<String, WithRecord<Text, Set>>,
    now: Instant,
    waiting: Vec<(Ticket, Request)>,
    /// Producer ids that were given.
    producers: i64,
}

/// A batch of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    partition: i32,
    producer: i64,
    sequence: i32,
    values: Vec<String>,
}

fn seen(partition: i32, producer: i64, sequence: i32, values: &[&str]) -> Seen {
    Seen { partition, producer, sequence, values: values.iter().map(|value| (*value).to_owned()).collect() }
}

fn read(batch: &crate::client::ToProduce) -> Seen {
    let bytes = batch.bytes.clone();
    let producer = i64::from_be_bytes(bytes[43..51].try_into().unwrap());
    let sequence = i32::from_be_bytes(bytes[53..57].try_into().unwrap());
    let mut values = Vec::new();
    let (found, _) = Batches::new(bytes, Vec::new()).next().unwrap().unwrap();
    let mut found = found.unwrap();
    while let Some(record) = found.next().unwrap() {
        values.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
    }
    Seen { partition: batch.partition, producer, sequence, values }
}

impl Driven {
    fn new(sink: &TextSink) -> Self {
        let io = Io::default();
        let writer = sink.writer(&context(&io)).unwrap();
        Self { io, writer, now: Instant::from_millis(1_000), waiting: Vec::new(), producers: 0 }
    }

    /// A writer whose topic is known and which has a producer.
    fn ready(sink: &TextSink) -> Self {
        let mut driven = Self::new(sink);
        assert!(!driven.writer.has_room(), "neither topic nor producer are known");
        driven.settle();
        assert!(driven.writer.has_room());
        driven
    }

    fn tick(&mut self) -> Result<(), UserError> {
        self.writer.tick(self.now)
    }

    fn advance(&mut self, ms: u64) {
        self.now = self.now + Duration::from_millis(ms);
    }

    /// The next request that waits.
    fn request(&mut self) -> Option<(Ticket, Request)> {
        self.waiting.extend(self.io.drain_submitted());
        (!self.waiting.is_empty()).then(|| self.waiting.remove(0))
    }

    /// Answers requests for topics and producers, and leaves the others.
    fn settle(&mut self) {
        loop {
            self.tick().unwrap();
            let submitted = self.io.drain_submitted();
            if submitted.is_empty() {
                return;
            }
            for (ticket, request) in submitted {
                let answer = match of(&request) {
                    KafkaRequest::Partitions(_) => KafkaAnswer::Count(PARTITIONS),
                    KafkaRequest::InitProducer { .. } => {
                        self.producers += 1;
                        KafkaAnswer::Producer(Producer { id: self.producers, epoch: 0 })
                    }
                    _ => {
                        self.waiting.push((ticket, request));
                        continue;
                    }
                };
                self.io.answer(ticket, Answer::External(Ok(Box::new(answer))));
            }
        }
    }

    fn write(&mut self, lines: &[&str]) {
        lines.iter().for_each(|line| self.writer.write((*line).to_owned(), 7).unwrap());
    }

    /// The batches of the next request to append some, and how to answer it.
    fn produce(&mut self) -> (Ticket, Vec<Seen>) {
        self.settle();
        let (ticket, request) = self.request().expect("a request");
        let KafkaRequest::Produce(Produce { batches, .. }) = of(&request) else { panic!("{request:?}") };
        (ticket, batches.iter().map(read).collect())
    }

    fn answer(&mut self, ticket: Ticket, results: Vec<Produced>) -> Result<(), UserError> {
        self.io.answer(ticket, Answer::External(Ok(Box::new(KafkaAnswer::Produced(results)))));
        self.tick()
    }

    /// Answers the next request to append batches.
    fn acknowledge(&mut self) -> Vec<Seen> {
        let (ticket, batches) = self.produce();
        self.answer(ticket, batches.iter().map(|_| Produced::Appended).collect()).unwrap();
        batches
    }

    fn refuse(&mut self, error: ResponseError) -> Result<(), UserError> {
        let (ticket, batches) = self.produce();
        let refused = |_| Produced::Refused { error, reason: None };
        self.answer(ticket, batches.iter().map(refused).collect())
    }

    fn barrier(&mut self, checkpoint: u64, followed_by: FollowedBy) -> Vec<Transaction> {
        let barrier = Barrier { checkpoint: CheckpointId(checkpoint), followed_by };
        let output = self.writer.snapshot(barrier).unwrap();
        let decode = |prepared: &reflow_api::Transaction| reflow_types::data::decode(&prepared.0).unwrap();
        output.transactions.iter().map(decode).collect()
    }

    fn is_prepared(&mut self, checkpoint: u64) -> bool {
        self.writer.is_prepared(CheckpointId(checkpoint))
    }
}

fn of(request: &Request) -> &KafkaRequest {
    let Request::External(call) = request else { panic!("{request:?}") };
    call.request().downcast_ref().unwrap()
}

#[test]
fn a_checkpoint_is_prepared_when_its_batches_are_acknowledged() {
    let mut driven = Driven::ready(&sink());
    assert_eq!(driven.barrier(1, FollowedBy::Records), [], "nothing was written");
    assert!(driven.is_prepared(1));
    driven.write(&["0:a", "1:b", "0:c"]);
    let transactions = driven.barrier(2, FollowedBy::Records);
    let [transaction] = &transactions[..] else { panic!("one transaction: {transactions:?}") };
    assert_eq!(transaction.transactional_id, format!("reflow-{}-out-0.0-0-0", JobId(5)));
    assert_eq!(transaction.producer, Producer { id: 1, epoch: 0 });
    assert!(!driven.is_prepared(2));
    assert!(!driven.writer.has_room(), "the next transaction has no producer yet");
    let (ticket, batches) = driven.produce();
    assert_eq!(batches, [seen(0, 1, 0, &["0:a", "0:c"]), seen(1, 1, 0, &["1:b"])]);
    assert!(driven.writer.has_room() && !driven.is_prepared(2));
    // The next transaction waits for the last one in the same partition, and not in others.
    driven.write(&["0:d", "2:e"]);
    driven.writer.flush().unwrap();
    assert_eq!(driven.acknowledge(), [seen(2, 2, 0, &["2:e"])]);
    driven.answer(ticket, vec![Produced::Appended, Produced::Appended]).unwrap();
    assert!(driven.is_prepared(2));
    driven.advance(5);
    driven.tick().unwrap();
    assert_eq!(driven.acknowledge(), [seen(0, 2, 0, &["0:d"])]);
}

#[test]
fn at_least_once_has_one_producer_and_no_transactions() {
    let mut driven = Driven::ready(&sink().delivery_guarantee(DeliveryGuarantee::AtLeastOnce));
    for (checkpoint, sequence) in [(1, 0), (2, 2)] {
        driven.write(&["0:a", "0:b"]);
        assert_eq!(driven.barrier(checkpoint, FollowedBy::Records), []);
        assert!(!driven.is_prepared(checkpoint));
        assert_eq!(driven.acknowledge(), [seen(0, 1, sequence, &["0:a", "0:b"])]);
        assert!(driven.is_prepared(checkpoint));
    }
    assert!(driven.writer.clean_up(&[]));
}

#[test]
fn without_a_guarantee_only_the_last_checkpoint_waits() {
    let mut driven = Driven::new(&sink().delivery_guarantee(DeliveryGuarantee::None));
    driven.settle();
    driven.write(&["0:a"]);
    driven.barrier(1, FollowedBy::Records);
    assert!(driven.is_prepared(1));
    driven.barrier(2, FollowedBy::Nothing);
    assert!(!driven.is_prepared(2));
    assert_eq!(driven.acknowledge(), [seen(0, -1, -1, &["0:a"])]);
    assert!(driven.is_prepared(2));
}

#[test]
fn a_batch_is_sent_again_with_its_number_until_its_time_is_up() {
    let mut driven = Driven::ready(&sink().delivery_timeout(Duration::from_secs(3)));
    driven.write(&["1:a"]);
    driven.writer.flush().unwrap();
    driven.refuse(ResponseError::NotLeaderOrFollower).unwrap();
    driven.write(&["1:b"]);
    driven.writer.flush().unwrap();
    driven.settle();
    assert!(driven.request().is_none(), "it pauses");
    assert!(driven.writer.next_wakeup().unwrap() <= driven.now + Duration::from_millis(100));
    driven.advance(100);
    driven.tick().unwrap();
    let (ticket, batches) = driven.produce();
    assert_eq!(batches, [seen(1, 1, 0, &["1:a"])]);
    let lost = CallError::TimedOut { system: "kafka".to_owned(), limit: Duration::ZERO };
    driven.io.answer(ticket, Answer::External(Err(lost)));
    driven.advance(300);
    driven.tick().unwrap();
    driven.advance(3_000);
    driven.tick().unwrap();
    let error = driven.refuse(ResponseError::NotEnoughReplicas).unwrap_err().to_string();
    assert!(error.starts_with("cannot write to topic t, partition 1, tried for 3s"), "{error}");
}

#[test]
fn a_batch_that_is_too_large_is_divided() {
    let mut driven = Driven::ready(&sink());
    driven.write(&["0:a", "0:b", "0:c"]);
    driven.barrier(1, FollowedBy::Records);
    driven.refuse(ResponseError::MessageTooLarge).unwrap();
    assert_eq!(driven.acknowledge(), [seen(0, 1, 0, &["0:a", "0:b"])]);
    assert!(!driven.is_prepared(1));
    assert_eq!(driven.acknowledge(), [seen(0, 1, 2, &["0:c"])]);
    assert!(driven.is_prepared(1));
    driven.write(&["2:a"]);
    driven.writer.flush().unwrap();
    let error = driven.refuse(ResponseError::MessageTooLarge).unwrap_err().to_string();
    assert!(error.contains("too large for topic t, partition 2: raise max.message.bytes"), "{error}");
}

#[test]
fn errors_name_topic_partition_and_transactional_id() {
    let error = |error| {
        let mut driven = Driven::ready(&sink());
        driven.write(&["1:a"]);
        driven.writer.flush().unwrap();
        driven.refuse(error).unwrap_err().to_string()
    };
    let fenced = error(ResponseError::InvalidProducerEpoch);
    assert!(fenced.contains("topic t, partition 1") && fenced.contains("-out-0.0-0-0"), "{fenced}");
    let refused = error(ResponseError::TopicAuthorizationFailed);
    assert!(refused.starts_with("cannot write to topic t, partition 1: "), "{refused}");
    let mut driven = Driven::ready(&sink());
    let missing = driven.writer.write("3:a".to_owned(), 0).unwrap_err().to_string();
    assert_eq!(missing, "topic t has no partition 3: it has 3");
}

#[test]
fn the_buffer_is_bounded_and_batches_are_full() {
    let mut driven = Driven::ready(&sink().batch_bytes(1_000).max_bytes_buffered(5_000));
    let line = format!("0:{}", "x".repeat(300));
    let mut written = 0;
    while driven.writer.has_room() {
        driven.write(&[&line]);
        written += 1;
    }
    assert!((10..20).contains(&written), "{written}");
    driven.tick().unwrap();
    let mut sent = 0;
    while sent < written {
        driven.advance(5);
        driven.tick().unwrap();
        let batches = driven.acknowledge();
        let [batch] = &batches[..] else { panic!("one partition: {batches:?}") };
        sent += batch.values.len();
        assert!(batch.values.len() == 2 || sent == written, "{batch:?}");
        assert!(driven.writer.has_room());
    }
}

#[test]
fn records_for_a_topic_that_is_looked_for_belong_to_their_checkpoint() {
    let mut driven = Driven::ready(&sink());
    driven.write(&["0/u:a", "0:b"]);
    assert!(!driven.writer.has_room());
    let transactions = driven.barrier(1, FollowedBy::Records);
    assert_eq!(transactions.len(), 1);
    assert!(!driven.is_prepared(1));
    driven.settle();
    driven.advance(5);
    assert!(!driven.is_prepared(1) && driven.writer.has_room());
    driven.write(&["0/u:c"]);
    driven.writer.flush().unwrap();
    let mut batches = driven.acknowledge();
    batches.sort_by_key(|batch| batch.values.clone());
    assert_eq!(batches, [seen(0, 1, 0, &["0/u:a"]), seen(0, 1, 0, &["0:b"])]);
    assert!(driven.is_prepared(1));
    driven.advance(5);
    assert_eq!(driven.acknowledge(), [seen(0, 2, 0, &["0/u:c"])]);
}

#[test]
fn leftovers_are_aborted_except_what_will_be_committed() {
    let mut former = Driven::ready(&sink());
    assert_eq!(former.writer.trace(), None);
    former.write(&["0:a"]);
    let prepared = former.barrier(1, FollowedBy::Records);
    let trace: Bytes = former.writer.trace().unwrap();
    let mut driven = Driven::ready(&sink());
    for left in [2, 1, 0] {
        assert!(!driven.writer.clean_up(std::slice::from_ref(&trace)));
        assert!(!driven.writer.clean_up(std::slice::from_ref(&trace)), "it waits");
        driven.settle();
        let (ticket, request) = driven.request().unwrap();
        let KafkaRequest::AbortEarlier(abort) = of(&request) else { panic!("{request:?}") };
        assert_eq!(abort.but, prepared);
        driven.io.answer(ticket, Answer::External(Ok(Box::new(KafkaAnswer::Count(left)))));
        driven.tick().unwrap();
        driven.advance(500);
        driven.tick().unwrap();
    }
    assert!(driven.writer.clean_up(&[trace]));
}

#[test]
fn a_topic_may_be_unknown_for_a_while_once_it_was_found() {
    let mut driven = Driven::new(&sink());
    let not_found = || {
        let no_topic = CallError::failed("kafka://host:1", KafkaError::NoTopic("t".to_owned()));
        Answer::External(Err(no_topic))
    };
    let (ticket, request) = driven.request().unwrap();
    assert!(matches!(of(&request), KafkaRequest::Partitions(_)), "{request:?}");
    driven.io.answer(ticket, not_found());
    assert!(driven.tick().unwrap_err().to_string().contains("topic t"), "nobody has created it");

    let mut driven = Driven::ready(&sink());
    driven.advance(5 * 60_000);
    driven.tick().unwrap();
    let (ticket, request) = driven.request().unwrap();
    assert!(matches!(of(&request), KafkaRequest::Partitions(_)), "{request:?}");
    driven.io.answer(ticket, not_found());
    driven.tick().unwrap();
    assert!(driven.writer.has_room());
    driven.advance(100);
    driven.tick().unwrap();
    let (_, request) = driven.request().expect("it is looked for again");
    assert!(matches!(of(&request), KafkaRequest::Partitions(_)), "{request:?}");
}

#[test]
fn a_writer_that_ends_aborts_only_what_no_checkpoint_names() {
    let mut driven = Driven::ready(&sink());
    driven.write(&["0:a"]);
    driven.barrier(1, FollowedBy::Records);
    driven.acknowledge();
    driven.settle();
    driven.write(&["0:b"]);
    driven.writer.flush().unwrap();
    driven.acknowledge();
    let Driven { io, writer, .. } = driven;
    io.drain_submitted();
    drop(writer);
    let aborted = io.drain_submitted();
    let [(_, request)] = &aborted[..] else { panic!("{aborted:?}") };
    let KafkaRequest::Abort(transaction) = of(request) else { panic!("{request:?}") };
    assert_eq!(transaction.producer.id, 2);
}

#[test]
fn a_lost_transaction_fails_the_job_unless_it_may_be_skipped() {
    let transaction =
        Transaction { transactional_id: "id".to_owned(), producer: Producer { id: 1, epoch: 2 } };
    let lost = KafkaError::TransactionLost { transaction, reason: crate::client::Lost::Aborted };
    let lost = reflow_env::RequestError::External(CallError::failed("kafka://host:1", lost));
    let fenced = ResponseError::ConcurrentTransactions;
    let passes = KafkaError::Refused { step: "committing", subject: "id".to_owned(), error: fenced };
    let passes = reflow_env::RequestError::External(CallError::failed("kafka://host:1", passes));
    use reflow_api::sink::CommitFailure::{AlreadyCommitted, Lost, Transient};
    let failure = |sink: &TextSink, error| Driven::new(sink).writer.commit_failed(error);
    assert_eq!((failure(&sink(), &lost), failure(&sink(), &passes)), (Lost, Transient));
    let skipping = sink().on_lost_transaction(LostTransaction::Skip);
    assert_eq!(failure(&skipping, &lost), AlreadyCommitted);
    let limit = Driven::new(&sink().transaction_timeout(Duration::from_secs(60))).writer.commit_time_limit();
    assert_eq!(limit, Duration::from_secs(40));
}
