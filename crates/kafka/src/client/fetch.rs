//! Fetches: one request to the leader of several partitions.

use super::cluster::{Cluster, topic_name};
use super::{Fetch, FetchFrom, Fetched, KafkaError, LONG_POLL};
use crate::batch::Aborted;
use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{BrokerId, FetchRequest};
use std::collections::BTreeMap;

/// Fetches the partitions whose leader is that of the first one. If no leader is known, asks who they are.
pub(super) async fn fetch(cluster: &Cluster, fetch: &Fetch) -> Result<Vec<Fetched>, KafkaError> {
    let leader_of = |at: &FetchFrom| cluster.leader(&at.topic, at.partition);
    let leader = fetch.partitions.first().and_then(leader_of);
    let Some((leader, address)) = leader.and_then(|leader| Some((leader, cluster.address(leader)?))) else {
        let mut names: Vec<String> = fetch.partitions.iter().map(|at| at.topic.clone()).collect();
        names.dedup();
        cluster.topics(Some(&names)).await?;
        return Ok(fetch.partitions.iter().map(|_| Fetched::NotFetched).collect());
    };
    let of_leader = || fetch.partitions.iter().filter(|at| leader_of(at) == Some(leader));
    let mut topics = BTreeMap::<_, FetchTopic>::new();
    for at in of_leader() {
        let topic = FetchTopic::default().with_topic(topic_name(&at.topic)).with_topic_id(at.topic_id);
        let topic = topics.entry((&at.topic, at.topic_id)).or_insert(topic);
        let partition = FetchPartition::default().with_partition(at.partition).with_fetch_offset(at.offset);
        topic.partitions.push(partition.with_partition_max_bytes(saturate(at.max_bytes)));
    }
    let most = of_leader().map(|at| at.max_bytes).sum();
    let request = FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(LONG_POLL.as_millis() as i32)
        .with_min_bytes(1)
        .with_max_bytes(saturate(most))
        .with_isolation_level(fetch.isolation.level())
        .with_session_epoch(-1)
        .with_topics(topics.into_values().collect());
    let answer = match cluster.send(&address, &request, LONG_POLL).await {
        Ok(answer) => answer,
        Err(error) => {
            // Another broker may lead by now.
            of_leader().for_each(|at| cluster.forget_leader(&at.topic, at.partition));
            return Err(error);
        }
    };
    if let Some(error) = answer.error_code.err() {
        return Ok(fetch.partitions.iter().map(|_| Fetched::Refused(error)).collect());
    }
    let mut data: BTreeMap<_, PartitionData> = BTreeMap::new();
    for topic in answer.responses {
        for partition in topic.partitions {
            // By name or by id, depending on the version.
            data.insert((topic.topic.to_string(), topic.topic_id, partition.partition_index), partition);
        }
    }
    let answers = fetch.partitions.iter().map(|at| {
        let by_name = (at.topic.clone(), uuid::Uuid::nil(), at.partition);
        let by_id = (String::new(), at.topic_id, at.partition);
        match data.remove(&by_id).or_else(|| data.remove(&by_name)) {
            None => Fetched::NotFetched,
            Some(data) => fetched(cluster, fetch, at, data),
        }
    });
    Ok(answers.collect())
}

fn fetched(cluster: &Cluster, fetch: &Fetch, at: &FetchFrom, data: PartitionData) -> Fetched {
    if let Some(error) = data.error_code.err() {
        cluster.forget_leader(&at.topic, at.partition);
        return Fetched::Refused(error);
    }
    let end = match fetch.isolation {
        super::Isolation::ReadCommitted => data.last_stable_offset,
        super::Isolation::ReadUncommitted => data.high_watermark,
    };
    let aborted = data.aborted_transactions.unwrap_or_default();
    let aborted = aborted
        .iter()
        .map(|aborted| Aborted { producer: aborted.producer_id.0, first: aborted.first_offset })
        .collect();
    Fetched::Records { bytes: data.records.unwrap_or_default(), aborted, end }
}

fn saturate(bytes: usize) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}
