//! The enumerator of a Kafka source, which finds partitions.

use super::Settings;
use super::split::KafkaSplit;
use crate::client::{
    Discover, KafkaAnswer, KafkaClient, KafkaError, KafkaRequest, NewPartition, OffsetsInitializer,
    TopicPartition,
};
use bytes::Bytes;
use reflow_api::source::{decode_split, encode_split};
use reflow_api::{CallTicket, Enumerator, EnumeratorContext, UserError};
use reflow_types::{Data, Instant};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const TIME_LIMIT: Duration = Duration::from_secs(60);
/// The pause after a search that has failed.
const PAUSE: Duration = Duration::from_secs(2);
/// The least time between two log lines about failed searches.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Finds partitions, once or repeatedly.
pub(super) struct KafkaEnumerator {
    client: Arc<KafkaClient>,
    settings: Settings,
    call: Option<CallTicket<KafkaClient>>,
    /// When it searches the next time.
    due: Option<Instant>,
    /// Whether a search of this attempt has succeeded.
    searched: bool,
    last_logged: Option<Instant>,
    state: State,
}

/// The partitions that it has found.
#[derive(Default, Data)]
struct State {
    known: BTreeSet<TopicPartition>,
    /// Whether the partitions of the job's start have been found.
    started: bool,
}

impl KafkaEnumerator {
    pub(super) fn new(client: Arc<KafkaClient>, settings: Settings) -> Self {
        Self {
            client,
            settings,
            call: None,
            due: Some(Instant::default()),
            searched: false,
            last_logged: None,
            state: State::default(),
        }
    }

    /// Whether it searches again after a search that has succeeded.
    fn interval(&self) -> Option<Duration> {
        self.settings.discovery.filter(|_| self.settings.stop.is_none())
    }

    fn request(&self) -> Discover {
        let start = match self.state.started {
            false => self.settings.start.clone(),
            // A partition that was added later is read from its beginning, because nothing of it was missed before.
            true => OffsetsInitializer::Earliest,
        };
        let (stop, isolation) = (self.settings.stop.clone(), self.settings.isolation);
        let (topics, known) = (self.settings.topics.clone(), self.state.known.clone());
        Discover { topics, known, start, stop, isolation }
    }

    fn add(&mut self, new: Vec<NewPartition>, context: &mut EnumeratorContext) {
        for NewPartition { topic, topic_id, partition, start: next, stop } in new {
            let number = self.state.known.len() as u64;
            if self.state.known.insert((topic.clone(), partition)) {
                let topic_id = topic_id.as_u128();
                context.found(&KafkaSplit { number, topic, topic_id, partition, next, stop });
            }
        }
    }

    fn failed(&mut self, now: Instant, error: impl std::fmt::Display) {
        self.due = Some(now + PAUSE);
        if self.last_logged.is_none_or(|last| now.since(last) >= LOG_INTERVAL) {
            self.last_logged = Some(now);
            tracing::warn!("cannot look for partitions, trying again: {error}");
        }
    }
}

impl Enumerator for KafkaEnumerator {
    fn poll(&mut self, now: Instant, context: &mut EnumeratorContext) -> Result<Option<Instant>, UserError> {
        if let Some(answer) = self.call.as_ref().and_then(|call| context.io().take_answer(call)) {
            self.call = None;
            match answer {
                Ok(KafkaAnswer::Discovered(new)) => {
                    self.add(new, context);
                    (self.searched, self.state.started) = (true, true);
                    self.due = self.interval().map(|interval| now + interval);
                }
                Ok(other) => return Err(format!("the client answers a search with {other:?}").into()),
                Err(error) => match error.client_error::<KafkaError>() {
                    Some(refused) if !refused.may_pass() => return Err(error.into()),
                    _ => self.failed(now, error),
                },
            }
        }
        if self.call.is_none() && self.due.is_some_and(|due| due <= now) {
            let request = KafkaRequest::Discover(self.request());
            self.call = Some(context.io().call(&self.client, request, TIME_LIMIT));
        }
        Ok(self.due.filter(|_| self.call.is_none()))
    }

    fn is_searching(&self) -> bool {
        !self.searched && !self.is_done()
    }

    fn is_done(&self) -> bool {
        self.state.started && self.interval().is_none()
    }

    fn snapshot(&self) -> Bytes {
        encode_split(&self.state)
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), UserError> {
        self.state = decode_split(snapshot)?;
        self.due = (!self.is_done()).then(Instant::default);
        (self.call, self.searched) = (None, false);
        Ok(())
    }
}
