//! What is known of the brokers: their addresses, the leaders of partitions, coordinators, and connections that are free.

use super::connection::{Api, Connection};
use super::{KafkaError, Topic, refusal};
use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{FindCoordinatorRequest, MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Connections to each broker that are kept while they are not used.
const MAX_IDLE: usize = 16;
/// Coordinators that are kept. Each attempt of a job has transactional ids of its own.
const MAX_COORDINATORS: usize = 10_000;

pub(super) struct Cluster {
    bootstrap: Vec<String>,
    /// How connections are secured, if they are.
    #[cfg(feature = "tls")]
    sessions: Option<super::session::Sessions>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: BTreeMap<String, Vec<Connection>>,
    /// The addresses of brokers by their ids.
    brokers: BTreeMap<i32, String>,
    /// The leaders of partitions.
    leaders: BTreeMap<(String, i32), i32>,
    coordinators: BTreeMap<(Coordinates, String), String>,
    /// The version of transactions that the cluster has enabled.
    transactions: i16,
}

/// What a coordinator is responsible for, with Kafka's number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Coordinates {
    Group = 0,
    Transaction = 1,
}

impl Cluster {
    pub(super) fn new(bootstrap: &str) -> Self {
        let bootstrap = bootstrap.split(',').map(|address| address.trim().to_owned()).collect();
        Self {
            bootstrap,
            #[cfg(feature = "tls")]
            sessions: None,
            state: Mutex::default(),
        }
    }

    /// A client of the same brokers, whose connections are secured.
    #[cfg(feature = "tls")]
    pub(super) fn secured(&self, security: crate::security::KafkaSecurity) -> Self {
        let sessions = Some(super::session::Sessions::new(security));
        Self { bootstrap: self.bootstrap.clone(), sessions, state: Mutex::default() }
    }

    async fn open(&self, address: &str) -> Result<Connection, KafkaError> {
        #[cfg(feature = "tls")]
        if let Some(sessions) = &self.sessions {
            return sessions.open(address).await;
        }
        Connection::open(address).await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The leader of a partition, if it and its address are known.
    pub(super) fn leader(&self, topic: &str, partition: i32) -> Option<i32> {
        let state = self.state();
        let leader = state.leaders.get(&(topic.to_owned(), partition)).copied();
        leader.filter(|leader| state.brokers.contains_key(leader))
    }

    /// Forgets the leader of a partition, which is another one now.
    pub(super) fn forget_leader(&self, topic: &str, partition: i32) {
        self.state().leaders.remove(&(topic.to_owned(), partition));
    }

    pub(super) fn forget_coordinator(&self, of: Coordinates, name: &str) {
        self.state().coordinators.remove(&(of, name.to_owned()));
    }

    /// Whether the cluster has enabled version 2 of transactions, with which each end of one raises the epoch.
    pub(super) fn has_transactions_v2(&self) -> bool {
        self.state().transactions >= 2
    }

    /// The addresses of all brokers.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.state().brokers.values().cloned().collect()
    }

    /// Sends a request to a broker.
    pub(super) async fn send<R: Api>(
        &self,
        address: &str,
        request: &R,
        wait: Duration,
    ) -> Result<R::Response, KafkaError> {
        // A connection that was not used for long may be closed, so its failure says nothing of the broker.
        let idle = self.state().idle.get_mut(address).and_then(Vec::pop);
        if let Some(connection) = idle.filter(Connection::is_usable) {
            match self.send_by(connection, request, wait).await {
                Err(KafkaError::Disconnected { .. }) => drop(self.state().idle.remove(address)),
                answer => return answer,
            }
        }
        let connection = self.open(address).await?;
        {
            let mut state = self.state();
            if state.transactions != connection.transactions() {
                // The version was changed. A connection that does not know it would send what the broker refuses now.
                state.idle.clear();
                state.transactions = connection.transactions();
            }
        }
        self.send_by(connection, request, wait).await
    }

    async fn send_by<R: Api>(
        &self,
        mut connection: Connection,
        request: &R,
        wait: Duration,
    ) -> Result<R::Response, KafkaError> {
        let answer = connection.send(request, wait).await?;
        let mut state = self.state();
        let is_current = connection.transactions() == state.transactions;
        let idle = state.idle.entry(connection.address().to_owned()).or_default();
        if is_current && idle.len() < MAX_IDLE {
            idle.push(connection);
        }
        Ok(answer)
    }

    /// Sends a request to any broker that answers.
    pub(super) async fn send_to_any<R: Api>(&self, request: &R) -> Result<R::Response, KafkaError> {
        let known: Vec<String> = self.state().brokers.values().cloned().collect();
        let mut last = None;
        for address in known.iter().chain(&self.bootstrap) {
            match self.send(address, request, Duration::ZERO).await {
                Ok(answer) => return Ok(answer),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or(KafkaError::NoAddress))
    }

    /// Asks for the partitions of topics, or of all.
    pub(super) async fn topics(&self, names: Option<&[String]>) -> Result<Vec<Topic>, KafkaError> {
        let topic = |name: &String| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        let topics = names.map(|names| names.iter().map(topic).collect());
        let request = MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(false);
        let answer = self.send_to_any(&request).await?;
        self.keep(&answer);
        let topics = answer.topics.into_iter().filter_map(|topic| {
            let name = topic.name?.to_string();
            let partitions = topic.partitions.iter().map(|partition| partition.partition_index).collect();
            let error = topic.error_code.err();
            Some(Topic { name, id: topic.topic_id, is_internal: topic.is_internal, partitions, error })
        });
        Ok(topics.collect())
    }

    /// How many partitions a topic has.
    pub(super) async fn partitions(&self, name: &str) -> Result<usize, KafkaError> {
        let found = self.topics(Some(&[name.to_owned()])).await?;
        match found.into_iter().next() {
            Some(Topic { error: None, partitions, .. }) if !partitions.is_empty() => Ok(partitions.len()),
            None | Some(Topic { error: None | Some(ResponseError::UnknownTopicOrPartition), .. }) => {
                Err(KafkaError::NoTopic(name.to_owned()))
            }
            Some(Topic { error: Some(error), .. }) => {
                Err(refusal("looking for partitions", format!("topic {name}"), error))
            }
        }
    }

    fn keep(&self, answer: &MetadataResponse) {
        let mut state = self.state();
        let brokers = answer
            .brokers
            .iter()
            .map(|broker| (broker.node_id.0, format!("{}:{}", &*broker.host, broker.port)));
        state.brokers = brokers.collect();
        for topic in &answer.topics {
            let Some(name) = &topic.name else { continue };
            for partition in &topic.partitions {
                let key = (name.to_string(), partition.partition_index);
                match partition.leader_id.0 {
                    ..0 => drop(state.leaders.remove(&key)),
                    leader => drop(state.leaders.insert(key, leader)),
                }
            }
        }
    }

    /// The address of a broker.
    pub(super) fn address(&self, broker: i32) -> Option<String> {
        self.state().brokers.get(&broker).cloned()
    }

    /// Sends a request to the coordinator of a consumer group or of a transactional id.
    pub(super) async fn send_to_coordinator<R: Api>(
        &self,
        of: Coordinates,
        name: &str,
        request: &R,
    ) -> Result<R::Response, KafkaError> {
        let address = self.coordinator(of, name).await?;
        self.send(&address, request, Duration::ZERO).await.inspect_err(|_| self.forget_coordinator(of, name))
    }

    async fn coordinator(&self, of: Coordinates, name: &str) -> Result<String, KafkaError> {
        let known = (of, name.to_owned());
        if let Some(address) = self.state().coordinators.get(&known) {
            return Ok(address.clone());
        }
        let key = StrBytes::from_string(name.to_owned());
        let request =
            FindCoordinatorRequest::default().with_key_type(of as i8).with_coordinator_keys(vec![key]);
        let answer = self.send_to_any(&request).await?;
        let found = answer.coordinators.first();
        let code = found.map_or(answer.error_code, |found| found.error_code);
        if let Some(error) = code.err() {
            let subject = match of {
                Coordinates::Group => format!("group {name}"),
                Coordinates::Transaction => format!("transactional id {name}"),
            };
            return Err(refusal("finding the coordinator", subject, error));
        }
        let address = found.map(|found| format!("{}:{}", &*found.host, found.port)).unwrap_or_default();
        let coordinators = &mut self.state().coordinators;
        if coordinators.len() >= MAX_COORDINATORS {
            coordinators.clear(); // they are found again
        }
        coordinators.insert(known, address.clone());
        Ok(address)
    }
}

pub(super) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}
