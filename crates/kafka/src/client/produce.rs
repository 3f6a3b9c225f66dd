//! Requests of a sink: producer ids, batches, and the ends of transactions.

use super::cluster::{Cluster, Coordinates, topic_name};
use super::{AbortEarlier, KafkaError, Lost, Produce, Produced, Producer, Transaction, refusal};
use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, DescribeTransactionsRequest, EndTxnRequest, InitProducerIdRequest,
    ListTransactionsRequest, ProduceRequest, ProducerId, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a broker may wait for the replicas of a batch.
const REPLICATED_WITHIN: Duration = Duration::from_secs(15);
/// The last epoch of a producer id. The next use of its transactional id gets another producer id.
const LAST_EPOCH: i16 = i16::MAX - 1;

/// A producer id, with an epoch that replaces all earlier uses of the transactional id and ends their transaction.
pub(super) async fn init(
    cluster: &Cluster,
    transactional_id: Option<&str>,
    timeout: Duration,
) -> Result<Producer, KafkaError> {
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let request = InitProducerIdRequest::default()
        .with_transactional_id(transactional_id.map(id))
        .with_transaction_timeout_ms(timeout_ms)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    let answer = match transactional_id {
        None => cluster.send_to_any(&request).await?,
        Some(name) => cluster.send_to_coordinator(Coordinates::Transaction, name, &request).await?,
    };
    match answer.error_code.err() {
        None => Ok(Producer { id: answer.producer_id.0, epoch: answer.producer_epoch }),
        Some(ResponseError::InvalidTransactionTimeout) => Err(KafkaError::TransactionTimeout(timeout)),
        Some(error) => {
            let subject = transactional_id.map_or("the sink".to_owned(), of_transaction);
            transactional_id.inspect(|name| cluster.forget_coordinator(Coordinates::Transaction, name));
            Err(refusal("getting a producer id", subject, error))
        }
    }
}

/// Appends batches to the partitions whose leader is that of the first one. If no leader is known, asks who they are.
pub(super) async fn produce(cluster: &Cluster, produce: &Produce) -> Result<Vec<Produced>, KafkaError> {
    let leader_of = |at: usize| cluster.leader(&produce.batches[at].topic, produce.batches[at].partition);
    let leader = leader_of(0).and_then(|leader| Some((leader, cluster.address(leader)?)));
    let Some((leader, address)) = leader else {
        let mut names: Vec<String> = produce.batches.iter().map(|batch| batch.topic.to_string()).collect();
        names.dedup();
        cluster.topics(Some(&names)).await?;
        return Ok(produce.batches.iter().map(|_| Produced::NotSent).collect());
    };
    let sent: Vec<usize> = (0..produce.batches.len()).filter(|at| leader_of(*at) == Some(leader)).collect();
    let transactional_id = produce.transaction.as_ref().map(|(name, _)| id(name));
    if let Some((name, producer)) = &produce.transaction
        && !cluster.has_transactions_v2()
    {
        add_partitions(cluster, name, *producer, produce, &sent).await?;
    }
    let mut topics = BTreeMap::<&str, Vec<PartitionProduceData>>::new();
    for at in &sent {
        let batch = &produce.batches[*at];
        let data = PartitionProduceData::default()
            .with_index(batch.partition)
            .with_records(Some(batch.bytes.clone()));
        topics.entry(&batch.topic).or_default().push(data);
    }
    let topic = |(name, data): (&str, _)| {
        TopicProduceData::default().with_name(topic_name(name)).with_partition_data(data)
    };
    let request = ProduceRequest::default()
        .with_transactional_id(transactional_id)
        .with_acks(-1)
        .with_timeout_ms(REPLICATED_WITHIN.as_millis() as i32)
        .with_topic_data(topics.into_iter().map(topic).collect());
    let forget = |at: usize| cluster.forget_leader(&produce.batches[at].topic, produce.batches[at].partition);
    let answer = match cluster.send(&address, &request, REPLICATED_WITHIN).await {
        Ok(answer) => answer,
        Err(error) => {
            // Another broker may lead by now.
            sent.iter().for_each(|at| forget(*at));
            return Err(error);
        }
    };
    let mut errors = BTreeMap::new();
    for topic in answer.responses {
        for partition in topic.partition_responses {
            let reason = partition.error_message.map(|reason| reason.to_string());
            errors.insert((topic.name.to_string(), partition.index), (partition.error_code, reason));
        }
    }
    let mut results: Vec<Produced> = produce.batches.iter().map(|_| Produced::NotSent).collect();
    for at in sent {
        let batch = &produce.batches[at];
        let Some((code, reason)) = errors.remove(&(batch.topic.to_string(), batch.partition)) else {
            forget(at); // so that it is sent again after a pause, to the leader of then
            continue;
        };
        results[at] = match code.err() {
            // The number is known if an earlier try was carried out and its answer was lost.
            None | Some(ResponseError::DuplicateSequenceNumber) => Produced::Appended,
            Some(error) => {
                forget(at);
                Produced::Refused { error, reason }
            }
        };
    }
    Ok(results)
}

/// With version 1 of transactions, a partition must be added before its first batch.
async fn add_partitions(
    cluster: &Cluster,
    name: &str,
    producer: Producer,
    produce: &Produce,
    sent: &[usize],
) -> Result<(), KafkaError> {
    let mut topics = BTreeMap::<&str, Vec<i32>>::new();
    for batch in sent.iter().map(|at| &produce.batches[*at]).filter(|batch| batch.is_first) {
        topics.entry(&batch.topic).or_default().push(batch.partition);
    }
    if topics.is_empty() {
        return Ok(());
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        AddPartitionsToTxnTopic::default().with_name(topic_name(topic)).with_partitions(partitions)
    });
    let request = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(id(name))
        .with_v3_and_below_producer_id(ProducerId(producer.id))
        .with_v3_and_below_producer_epoch(producer.epoch)
        .with_v3_and_below_topics(topics.collect());
    let answer = cluster.send_to_coordinator(Coordinates::Transaction, name, &request).await?;
    let partitions =
        answer.results_by_topic_v3_and_below.iter().flat_map(|topic| &topic.results_by_partition);
    let codes = partitions.map(|partition| partition.partition_error_code);
    // The error of one partition has the consequence that the others are not attempted.
    let errors: Vec<ResponseError> = codes.filter_map(|code| code.err()).collect();
    let error = errors.iter().find(|error| **error != ResponseError::OperationNotAttempted);
    match error.or(errors.first()) {
        None => Ok(()),
        Some(error) => {
            cluster.forget_coordinator(Coordinates::Transaction, name);
            Err(refusal("adding partitions", of_transaction(name), *error))
        }
    }
}

/// Commits a transaction. A repeated commit succeeds.
pub(super) async fn commit(cluster: &Cluster, transaction: &Transaction) -> Result<(), KafkaError> {
    let Some(error) = end(cluster, transaction, true).await? else { return Ok(()) };
    match error {
        ResponseError::ProducerFenced
        | ResponseError::InvalidProducerEpoch
        | ResponseError::InvalidTxnState
        | ResponseError::InvalidProducerIdMapping
        | ResponseError::TransactionalIdNotFound
        | ResponseError::TransactionAbortable => {}
        error => return Err(refusal("committing", of_transaction(&transaction.transactional_id), error)),
    }
    // The broker does not take the commit, perhaps because it was carried out before.
    let now = describe(cluster, &transaction.transactional_id).await?;
    let lost = |reason| Err(KafkaError::TransactionLost { transaction: transaction.clone(), reason });
    match outcome(transaction.producer, cluster.has_transactions_v2(), now.as_ref()) {
        Outcome::Committed => Ok(()),
        Outcome::Open => Err(refusal("committing", of_transaction(&transaction.transactional_id), error)),
        Outcome::Aborted => lost(Lost::Aborted),
        Outcome::Unknown => lost(Lost::Unknown),
    }
}

/// Aborts a transaction of which no checkpoint knows, if the broker has version 2 of transactions. With version 1, requests
/// of the producer that are still on their way would begin another transaction.
pub(super) async fn abort(cluster: &Cluster, transaction: &Transaction) -> Result<(), KafkaError> {
    if cluster.has_transactions_v2() {
        end(cluster, transaction, false).await?;
    }
    Ok(())
}

async fn end(
    cluster: &Cluster,
    transaction: &Transaction,
    committed: bool,
) -> Result<Option<ResponseError>, KafkaError> {
    let Transaction { transactional_id, producer } = transaction;
    let request = EndTxnRequest::default()
        .with_transactional_id(id(transactional_id))
        .with_producer_id(ProducerId(producer.id))
        .with_producer_epoch(producer.epoch)
        .with_committed(committed);
    let answer = cluster.send_to_coordinator(Coordinates::Transaction, transactional_id, &request).await?;
    let error = answer.error_code.err();
    if error.is_some() {
        cluster.forget_coordinator(Coordinates::Transaction, transactional_id);
    }
    Ok(error)
}

/// What the coordinator knows of a transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Described {
    producer: Producer,
    state: String,
}

/// What has become of a transaction.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Open,
    Committed,
    Aborted,
    /// The coordinator has forgotten it.
    Unknown,
}

/// The outcome of a producer's transaction, from the present state of its transactional id.
///
/// A commit leaves the epoch as it is (version 1 of transactions) or raises it by one (version 2); an abort by a clean-up
/// raises it by one, and one by the broker when the time is up by one or, with version 2 before KAFKA-19367, by two. Behind
/// the last epoch comes another producer id. An id is used again only after its transaction is known to be committed, and
/// then begins with another raise: with version 2 by the commit, by the beginning and by the abort, so that the abort of a
/// later use has raised it by three at least, with version 1 by two. So only an abort before that is that of this
/// transaction.
fn outcome(producer: Producer, is_v2: bool, now: Option<&Described>) -> Outcome {
    let Some(now) = now else { return Outcome::Unknown };
    let aborted =
        matches!(now.state.as_str(), "PrepareAbort" | "CompleteAbort" | "PrepareEpochFence" | "Dead");
    let raises = if is_v2 { 2 } else { 1 };
    let is_next = match now.producer.id == producer.id {
        true => i32::from(now.producer.epoch) <= i32::from(producer.epoch) + raises,
        false => {
            i32::from(producer.epoch) > i32::from(LAST_EPOCH) - raises
                && i32::from(now.producer.epoch) < raises
        }
    };
    match now.state.as_str() {
        _ if aborted && is_next => Outcome::Aborted,
        "Ongoing" | "PrepareCommit" if now.producer == producer => Outcome::Open,
        "Empty" if now.producer == producer => Outcome::Aborted,
        _ => Outcome::Committed,
    }
}

async fn describe(cluster: &Cluster, name: &str) -> Result<Option<Described>, KafkaError> {
    let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![id(name)]);
    let answer = cluster.send_to_coordinator(Coordinates::Transaction, name, &request).await?;
    let Some(found) = answer.transaction_states.into_iter().next() else { return Ok(None) };
    match found.error_code.err() {
        None => {
            let producer = Producer { id: found.producer_id.0, epoch: found.producer_epoch };
            Ok(Some(Described { producer, state: found.transaction_state.to_string() }))
        }
        Some(ResponseError::TransactionalIdNotFound) => Ok(None),
        Some(error) => {
            cluster.forget_coordinator(Coordinates::Transaction, name);
            Err(refusal("looking for a transaction", of_transaction(name), error))
        }
    }
}

/// Aborts the open transactions of earlier attempts. Returns how many transactions there are of which the end is not seen.
pub(super) async fn abort_earlier(cluster: &Cluster, request: &AbortEarlier) -> Result<usize, KafkaError> {
    let mut left = 0;
    for name in open_transactions(cluster).await? {
        if !request.name.is_earlier(&name) {
            continue;
        }
        let found = describe(cluster, &name).await?;
        let transaction =
            found.as_ref().map(|found| Transaction { transactional_id: name, producer: found.producer });
        if transaction.as_ref().is_some_and(|transaction| request.but.contains(transaction)) {
            continue;
        }
        left += 1;
        let Some(transaction) = transaction.filter(|_| found.is_some_and(|found| found.state == "Ongoing"))
        else {
            continue;
        };
        tracing::info!("aborting a transaction that an earlier attempt has left open: {transaction}");
        if cluster.has_transactions_v2() {
            // The state stays that of an aborted transaction, by which a commit recognizes it.
            end(cluster, &transaction, false).await?;
        } else {
            // Raises the epoch, and so replaces the writer. The answer is that the abort is under way.
            let aborted = init(cluster, Some(&transaction.transactional_id), request.timeout).await;
            match aborted {
                Ok(_) | Err(KafkaError::Refused { error: ResponseError::ConcurrentTransactions, .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    // A broker that is down lists nothing. As long as checkpoints name open transactions, the traces of them must stay, so
    // that no later attempt aborts them.
    for named in &request.but {
        let found = describe(cluster, &named.transactional_id).await?;
        let open = outcome(named.producer, cluster.has_transactions_v2(), found.as_ref()) == Outcome::Open;
        left += usize::from(open);
    }
    Ok(left)
}

/// The transactional ids that have an open transaction, at all brokers.
async fn open_transactions(cluster: &Cluster) -> Result<Vec<String>, KafkaError> {
    let states = ["Ongoing", "PrepareAbort", "PrepareCommit"].map(StrBytes::from_static_str);
    let request = ListTransactionsRequest::default().with_state_filters(states.to_vec());
    cluster.topics(Some(&[])).await?;
    let mut names = Vec::new();
    for address in cluster.addresses() {
        let answer = cluster.send(&address, &request, Duration::ZERO).await?;
        if let Some(error) = answer.error_code.err() {
            return Err(refusal("listing transactions", format!("the broker at {address}"), error));
        }
        names.extend(answer.transaction_states.iter().map(|found| found.transactional_id.to_string()));
    }
    Ok(names)
}

fn id(name: impl AsRef<str>) -> TransactionalId {
    TransactionalId(StrBytes::from_string(name.as_ref().to_owned()))
}

fn of_transaction(name: impl std::fmt::Display) -> String {
    format!("transactional id {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_commit_is_told_from_a_lost_transaction() {
        use Outcome::{Aborted, Committed, Open};
        let of = |is_v2, (id, epoch): (i64, i16), now: (i64, i16), state: &str| {
            let now = Described { producer: Producer { id: now.0, epoch: now.1 }, state: state.to_owned() };
            outcome(Producer { id, epoch }, is_v2, Some(&now))
        };
        let check = |producer, now, state: &str| {
            let [v1, v2] = [false, true].map(|is_v2| of(is_v2, producer, now, state));
            assert_eq!(v1, v2, "{now:?} {state}");
            v1
        };
        assert_eq!(check((7, 3), (7, 3), "Ongoing"), Open);
        // Version 1 leaves the epoch, version 2 raises it.
        assert_eq!(check((7, 3), (7, 3), "CompleteCommit"), Committed);
        assert_eq!(check((7, 3), (7, 4), "CompleteCommit"), Committed);
        assert_eq!(check((7, 3), (7, 4), "PrepareCommit"), Committed);
        // The broker's time limit, and a clean-up.
        assert_eq!(check((7, 3), (7, 4), "CompleteAbort"), Aborted);
        assert_eq!(check((7, 3), (7, 3), "PrepareAbort"), Aborted);
        assert_eq!(check((7, 3), (7, 3), "Empty"), Aborted, "nothing was written");
        // The id is used again, and then whatever becomes of that use.
        for (epoch, state) in [(4, "Empty"), (5, "Empty"), (5, "Ongoing"), (6, "CompleteAbort")] {
            assert_eq!(check((7, 3), (7, epoch), state), Committed, "{epoch} {state}");
        }
        // The epochs of the producer id are used up.
        assert_eq!(check((7, LAST_EPOCH), (8, 0), "CompleteAbort"), Aborted);
        assert_eq!(check((7, LAST_EPOCH), (8, 0), "CompleteCommit"), Committed);
        assert_eq!(check((7, 3), (8, 9), "CompleteAbort"), Committed);
        // A broker of Kafka 4.0 raises the epoch twice when the time is up; with version 1 it is a later use that was aborted.
        assert_eq!(of(true, (7, 3), (7, 5), "CompleteAbort"), Aborted);
        assert_eq!(of(false, (7, 3), (7, 5), "CompleteAbort"), Committed);
        assert_eq!(of(true, (7, LAST_EPOCH - 1), (8, 0), "CompleteAbort"), Aborted);
        assert_eq!(outcome(Producer { id: 7, epoch: 3 }, true, None), Outcome::Unknown);
    }
}
