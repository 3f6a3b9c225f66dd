//! Partitions, and the offsets at which they are read.

use super::cluster::{Cluster, Coordinates, topic_name};
use super::{
    Discover, Isolation, KafkaError, NewPartition, OffsetsInitializer, TopicPartition, Topics, refusal,
};
use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::{
    BrokerId, GroupId, ListOffsetsRequest, OffsetCommitRequest, OffsetFetchRequest,
};
use kafka_protocol::protocol::StrBytes;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

type Offsets = BTreeMap<TopicPartition, i64>;

pub(super) async fn discover(cluster: &Cluster, request: &Discover) -> Result<Vec<NewPartition>, KafkaError> {
    let topics = match &request.topics {
        Topics::Named(names) => cluster.topics(Some(names)).await?,
        Topics::Matching(pattern) => {
            let mut topics = cluster.topics(None).await?;
            topics.retain(|topic| !topic.is_internal && pattern.is_match(&topic.name));
            if topics.is_empty() && request.known.is_empty() {
                return Err(KafkaError::NoMatch(pattern.to_string()));
            }
            topics
        }
    };
    let mut ids = BTreeMap::new();
    for topic in topics {
        match topic.error {
            None => {}
            // A topic that was read and is gone is the reader's concern.
            Some(ResponseError::UnknownTopicOrPartition)
                if request.known.iter().any(|(name, _)| *name == topic.name) => {}
            Some(ResponseError::UnknownTopicOrPartition) => return Err(KafkaError::NoTopic(topic.name)),
            Some(error) => {
                return Err(refusal("looking for partitions", format!("topic {}", topic.name), error));
            }
        }
        for partition in topic.partitions {
            let at = (topic.name.clone(), partition);
            if !request.known.contains(&at) {
                ids.insert(at, topic.id);
            }
        }
    }
    let new: BTreeSet<TopicPartition> = ids.keys().cloned().collect();
    let starts = resolve(cluster, &new, &request.start, request.isolation).await?;
    let stops = match &request.stop {
        Some(stop) => Some(resolve(cluster, &new, stop, request.isolation).await?),
        None => None,
    };
    let found = ids.into_iter().map(|(at, topic_id)| NewPartition {
        start: starts[&at],
        stop: stops.as_ref().map(|stops| stops[&at]),
        topic: at.0,
        partition: at.1,
        topic_id,
    });
    Ok(found.collect())
}

/// The offset of each partition.
pub(super) async fn resolve(
    cluster: &Cluster,
    partitions: &BTreeSet<TopicPartition>,
    position: &OffsetsInitializer,
    isolation: Isolation,
) -> Result<Offsets, KafkaError> {
    const EARLIEST: i64 = -2;
    const LATEST: i64 = -1;
    let (given, otherwise) = match position {
        OffsetsInitializer::Earliest => return list(cluster, partitions, EARLIEST, isolation).await,
        OffsetsInitializer::Latest | OffsetsInitializer::Fail => {
            return list(cluster, partitions, LATEST, isolation).await;
        }
        OffsetsInitializer::Timestamp(time) => {
            let mut found = list(cluster, partitions, *time, isolation).await?;
            let none: BTreeSet<_> =
                found.iter().filter(|(_, offset)| **offset < 0).map(|(at, _)| at.clone()).collect();
            found.extend(list(cluster, &none, LATEST, isolation).await?);
            return Ok(found);
        }
        OffsetsInitializer::Committed { group, otherwise } => {
            let found = committed(cluster, group, partitions).await?;
            let missing = partitions.iter().find(|at| !found.contains_key(at));
            if let Some((topic, partition)) = missing
                && **otherwise == OffsetsInitializer::Fail
            {
                let (group, topic, partition) = (group.clone(), topic.clone(), *partition);
                return Err(KafkaError::NothingCommitted { group, topic, partition });
            }
            (found, otherwise)
        }
        OffsetsInitializer::Offsets { offsets, otherwise } => (offsets.iter().cloned().collect(), otherwise),
    };
    let is_given = |at: &&TopicPartition| given.contains_key(*at);
    let others: BTreeSet<_> = partitions.iter().filter(|at| !is_given(at)).cloned().collect();
    let mut found = Box::pin(resolve(cluster, &others, otherwise, isolation)).await?;
    found.extend(partitions.iter().filter(is_given).map(|at| (at.clone(), given[at])));
    Ok(found)
}

/// Asks the leaders for the offsets at a time, or at the beginning or end. An offset of −1: there is none.
async fn list(
    cluster: &Cluster,
    partitions: &BTreeSet<TopicPartition>,
    timestamp: i64,
    isolation: Isolation,
) -> Result<Offsets, KafkaError> {
    let names: BTreeSet<String> = partitions.iter().map(|(topic, _)| topic.clone()).collect();
    if partitions.iter().any(|(topic, partition)| cluster.leader(topic, *partition).is_none()) {
        cluster.topics(Some(&names.into_iter().collect::<Vec<_>>())).await?;
    }
    let mut leaders = BTreeMap::<String, BTreeMap<&String, Vec<ListOffsetsPartition>>>::new();
    for (topic, partition) in partitions {
        let leader = cluster.leader(topic, *partition).and_then(|leader| cluster.address(leader));
        let Some(leader) = leader else {
            let subject = format!("topic {topic}, partition {partition}");
            return Err(refusal("looking for the leader", subject, ResponseError::LeaderNotAvailable));
        };
        let at = ListOffsetsPartition::default().with_partition_index(*partition).with_timestamp(timestamp);
        leaders.entry(leader).or_default().entry(topic).or_default().push(at);
    }
    let mut found = Offsets::new();
    for (address, topics) in leaders {
        let topic = |(name, partitions): (&String, _)| {
            ListOffsetsTopic::default().with_name(topic_name(name)).with_partitions(partitions)
        };
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_isolation_level(isolation.level())
            .with_topics(topics.into_iter().map(topic).collect());
        let answer = cluster.send(&address, &request, Duration::ZERO).await?;
        for topic in answer.topics {
            for partition in topic.partitions {
                let at = (topic.name.to_string(), partition.partition_index);
                if let Some(error) = partition.error_code.err() {
                    cluster.forget_leader(&at.0, at.1);
                    let subject = format!("topic {}, partition {}", at.0, at.1);
                    return Err(refusal("looking for an offset", subject, error));
                }
                found.insert(at, partition.offset);
            }
        }
    }
    match partitions.iter().find(|at| !found.contains_key(at)) {
        None => Ok(found),
        Some((topic, partition)) => {
            let subject = format!("topic {topic}, partition {partition}");
            Err(refusal("looking for an offset", subject, ResponseError::UnknownTopicOrPartition))
        }
    }
}

/// The offsets that a group has committed.
async fn committed(
    cluster: &Cluster,
    group: &str,
    partitions: &BTreeSet<TopicPartition>,
) -> Result<Offsets, KafkaError> {
    let mut topics = BTreeMap::<&String, Vec<i32>>::new();
    partitions.iter().for_each(|(topic, partition)| topics.entry(topic).or_default().push(*partition));
    let id = GroupId(StrBytes::from_string(group.to_owned()));
    let of_group = topics.iter().map(|(name, partitions)| {
        OffsetFetchRequestTopics::default()
            .with_name(topic_name(name))
            .with_partition_indexes(partitions.clone())
    });
    let of_group = OffsetFetchRequestGroup::default().with_group_id(id).with_topics(Some(of_group.collect()));
    let request = OffsetFetchRequest::default().with_groups(vec![of_group]).with_require_stable(true);
    let answer = cluster.send_to_coordinator(Coordinates::Group, group, &request).await?;
    let mut found = Offsets::new();
    let mut errors: Vec<i16> = vec![answer.error_code];
    for of_group in answer.groups {
        errors.push(of_group.error_code);
        for topic in of_group.topics {
            for partition in topic.partitions {
                errors.push(partition.error_code);
                found.insert((topic.name.to_string(), partition.partition_index), partition.committed_offset);
            }
        }
    }
    if let Some(error) = errors.into_iter().find_map(|code| code.err()) {
        cluster.forget_coordinator(Coordinates::Group, group);
        return Err(refusal("looking for committed offsets", format!("group {group}"), error));
    }
    found.retain(|_, offset| *offset >= 0);
    Ok(found)
}

pub(super) async fn commit(
    cluster: &Cluster,
    group: &str,
    offsets: &[(TopicPartition, i64)],
) -> Result<(), KafkaError> {
    let mut topics = BTreeMap::<&String, Vec<OffsetCommitRequestPartition>>::new();
    for ((topic, partition), offset) in offsets {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(*partition)
            .with_committed_offset(*offset)
            .with_committed_metadata(Some(StrBytes::default()));
        topics.entry(topic).or_default().push(partition);
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        OffsetCommitRequestTopic::default().with_name(topic_name(name)).with_partitions(partitions)
    });
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(StrBytes::from_string(group.to_owned())))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(topics.collect());
    let answer = cluster.send_to_coordinator(Coordinates::Group, group, &request).await?;
    let mut codes =
        answer.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code);
    match codes.find_map(|code| code.err()) {
        None => Ok(()),
        Some(error) => {
            cluster.forget_coordinator(Coordinates::Group, group);
            Err(refusal("committing offsets", format!("group {group}"), error))
        }
    }
}
