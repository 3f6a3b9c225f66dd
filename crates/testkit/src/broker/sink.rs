//! A sink that writes to a topic, exactly once.
//!
//! A transaction is prepared at the broker with the checkpoint and committed when that is complete. The answer to a
//! commit can be lost, so the broker tells a repeated commit from one of a transaction that it does not have.

use super::{BrokerClient, BrokerError, BrokerReply, BrokerRequest, Refusal, TransactionId, WriterName};
use bytes::Bytes;
use reflow_api::sink::{CommitFailure, Prepared, WriterContext};
use reflow_api::{CallTicket, Io, Sink, Transaction, UserError, Writer};
use reflow_env::{Request, RequestError};
use reflow_types::{Data, Instant, Timestamp, data};
use std::sync::Arc;
use std::time::Duration;

/// How long an answer may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// The pause before leftovers are looked for again, while transactions of earlier attempts wait for their commits.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Writes records to the first partition of a topic.
#[derive(Clone, Debug)]
pub struct BrokerSink {
    client: Arc<BrokerClient>,
    topic: String,
}

impl BrokerSink {
    /// Writes to a topic of the broker at `address`.
    pub fn new(address: impl Into<String>, topic: impl Into<String>) -> Self {
        Self { client: Arc::new(BrokerClient::new(address)), topic: topic.into() }
    }
}

impl Sink for BrokerSink {
    type Item = String;
    type Writer = BrokerWriter;

    fn writer(&self, context: &WriterContext) -> Result<BrokerWriter, UserError> {
        Ok(BrokerWriter {
            sink: self.clone(),
            name: WriterName {
                job: context.job.0,
                attempt: (context.attempt.epoch.0, context.attempt.number.0),
                subtask: context.subtask.0,
            },
            io: context.io.clone(),
            transactions: 0,
            records: Vec::new(),
            abort: None,
            abort_at: None,
            now: context.opened,
        })
    }
}

/// Writes one subtask's records.
pub struct BrokerWriter {
    sink: BrokerSink,
    name: WriterName,
    io: Io,
    /// The number of prepared transactions.
    transactions: u64,
    records: Vec<String>,
    /// The request that aborts what earlier writers have left behind.
    abort: Option<CallTicket<BrokerClient>>,
    /// When it is sent again.
    abort_at: Option<Instant>,
    now: Instant,
}

/// What a checkpoint says of a writer, so that a later attempt can abort what it has prepared since.
#[derive(Data)]
struct Trace {
    writer: WriterName,
    transactions: u64,
}

impl BrokerWriter {
    fn request(&self, request: BrokerRequest) -> Request {
        Request::call(&self.sink.client, request, TIME_LIMIT)
    }
}

impl Writer for BrokerWriter {
    type Item = String;

    fn write(&mut self, record: String, _: Timestamp) -> Result<(), UserError> {
        self.records.push(record);
        Ok(())
    }

    fn prepare(&mut self) -> Result<Option<Prepared>, UserError> {
        if self.records.is_empty() {
            return Ok(None);
        }
        let transaction = TransactionId { writer: self.name.clone(), number: self.transactions };
        self.transactions += 1;
        let encoded = Transaction(data::to_vec(&transaction)?.into());
        let (topic, records) = (self.sink.topic.clone(), std::mem::take(&mut self.records));
        let requests = vec![self.request(BrokerRequest::Prepare { transaction, topic, records })];
        Ok(Some(Prepared { transaction: encoded, requests, wait_for: Vec::new() }))
    }

    fn commit(&self, transaction: &Transaction) -> Result<Request, UserError> {
        let transaction = data::decode(&transaction.0)?;
        Ok(self.request(BrokerRequest::Commit { transaction }))
    }

    fn commit_failed(&self, error: &RequestError) -> CommitFailure {
        let RequestError::External(error) = error else { return CommitFailure::Transient };
        match error.client_error() {
            Some(BrokerError::Refused(Refusal::AlreadyCommitted(..))) => CommitFailure::AlreadyCommitted,
            Some(BrokerError::Refused(_)) => CommitFailure::Lost,
            _ => CommitFailure::Transient,
        }
    }

    fn trace(&self) -> Option<Bytes> {
        let trace = Trace { writer: self.name.clone(), transactions: self.transactions };
        Some(data::to_vec(&trace).expect("a name and a number do not nest").into())
    }

    fn clean_up(&mut self, traces: &[Bytes]) -> bool {
        if let Some(abort) = &self.abort {
            let Some(answer) = self.io.take_answer(abort) else { return false };
            self.abort = None;
            match answer {
                Ok(BrokerReply::Left(0)) => return true,
                Ok(_) => self.abort_at = Some(self.now + AGAIN_AFTER),
                Err(error) => {
                    tracing::warn!(
                        "cannot abort what failed attempts have left behind, trying again: {error}"
                    );
                    self.abort_at = Some(self.now + AGAIN_AFTER);
                }
            }
        }
        if self.abort_at.is_none_or(|at| at <= self.now) {
            let trace = |trace: &Bytes| data::decode::<Trace>(trace).ok();
            let but = traces.iter().filter_map(trace).map(|trace| (trace.writer, trace.transactions));
            let request = BrokerRequest::AbortEarlier { than: self.name.clone(), but: but.collect() };
            self.abort = Some(self.io.call(&self.sink.client, request, TIME_LIMIT));
            self.abort_at = None;
        }
        false
    }

    fn tick(&mut self, now: Instant) -> Result<(), UserError> {
        self.now = now;
        Ok(())
    }

    fn next_wakeup(&self) -> Option<Instant> {
        self.abort_at
    }

    fn keep(&self) -> Option<Request> {
        let (writer, count) = (self.name.clone(), self.transactions);
        Some(self.request(BrokerRequest::Keep { writer, count }))
    }
}
