//! A sink that writes to a topic, exactly once.
//!
//! A transaction is prepared at the broker with the checkpoint and committed when that is complete. The answer to a
//! commit can be lost, so the broker tells a repeated commit from one of a transaction that it does not have.

use super::{BrokerClient, BrokerError, BrokerRequest, Refusal, TransactionId};
use bytes::Bytes;
use reflow_api::sink::{CommitFailure, Prepared, WriterContext};
use reflow_api::{CallTicket, Io, Sink, Transaction, UserError, Writer};
use reflow_env::{Request, RequestError};
use reflow_types::{Data, Timestamp, data};
use std::sync::Arc;
use std::time::Duration;

/// How long an answer may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);

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
            name: format!("{:x}-{}", context.opened.0, context.subtask),
            io: context.io.clone(),
            transactions: 0,
            records: Vec::new(),
            aborts: Vec::new(),
        })
    }
}

/// Writes one subtask's records.
pub struct BrokerWriter {
    sink: BrokerSink,
    name: String,
    io: Io,
    /// The number of prepared transactions.
    transactions: u64,
    records: Vec<String>,
    /// The requests that abort what former writers have left behind.
    aborts: Vec<CallTicket<BrokerClient>>,
}

/// What a checkpoint says of a writer, so that a later attempt can abort what it has prepared since.
#[derive(Data)]
struct Trace {
    writer: String,
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
        if self.aborts.is_empty() {
            for trace in traces.iter().filter_map(|trace| data::decode::<Trace>(trace).ok()) {
                let request = BrokerRequest::AbortFrom { writer: trace.writer, number: trace.transactions };
                self.aborts.push(self.io.call(&self.sink.client, request, TIME_LIMIT));
            }
        }
        let mut failed = false;
        self.aborts.retain(|abort| match self.io.take_answer(abort) {
            None => true,
            Some(answer) => {
                failed |= answer.is_err();
                false
            }
        });
        // What could not be aborted is left to the next attempt.
        if failed {
            tracing::warn!("cannot abort all transactions of failed attempts at {}", self.sink.topic);
        }
        self.aborts.is_empty()
    }

    fn keep(&self) -> Option<Request> {
        let (writer, count) = (self.name.clone(), self.transactions);
        Some(self.request(BrokerRequest::Keep { writer, count }))
    }
}
