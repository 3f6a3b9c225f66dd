//! The job that reads from and writes to a broker outside the cluster, exactly once. The requests of its source and
//! sink go to a simulated broker, which gets records and partitions while the job runs.

use super::Workload;
use super::counts::{Count, Counted};
use super::reading::{Reading, Readings};
use super::sink::{COMMITTED, PENDING};
use crate::faults::Probe;
use crate::world::{BEGIN, Storage, System, Time};
use bytes::Bytes;
use reflow_env::{CallError, CallResult};
use reflow_stream::StreamEnv;
use reflow_testkit::broker::{
    Broker, BrokerError, BrokerRequest, BrokerSink, BrokerSource, BrokerSplit, TransactionId,
};
use reflow_types::data;
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

/// Where the broker listens. Nothing connects to it.
const ADDRESS: &str = "broker:9092";
/// The system's name, as its client gives it.
pub(super) const SYSTEM: &str = "broker://broker:9092";
const IN: &str = "readings";
const OUT: &str = "lines";
/// The time from one partition to the next.
const NEXT_PARTITION: Duration = Duration::from_secs(2);

pub(super) fn build(env: &mut StreamEnv, workload: &Workload) {
    let (probe, readings) = (workload.probe.clone(), workload.readings.clone());
    env.source("readings", BrokerSource::new(ADDRESS, IN, "group"))
        .map(move |(at, number): (BrokerSplit, String)| {
            if probe.called() {
                // `resume_unwind` calls no panic hook, so nothing is printed.
                std::panic::resume_unwind(Box::new("user code panics this time".to_owned()));
            }
            probe.emitted(at.partition, at.next + 1);
            readings.reading(at.partition, number.parse().unwrap_or(u64::MAX))
        })
        .key_by(|reading: &Reading| reading.key)
        .aggregate(Count)
        .max_parallelism(workload.max_parallelism[0])
        .map(|counted: Counted| counted.line())
        .sink("lines", BrokerSink::new(ADDRESS, OUT));
}

/// A broker whose first topic grows as time passes. What users see of its transactions is on the disk, as files of
/// other sinks are, so that the same checks apply.
pub(super) struct GrowingBroker {
    broker: Broker,
    readings: Arc<Readings>,
    probe: Probe,
    /// The number of records of each partition.
    appended: Vec<u64>,
}

impl GrowingBroker {
    pub(super) fn new(readings: Arc<Readings>, probe: Probe) -> Self {
        let mut broker = Broker::default();
        broker.append(IN, 0, []);
        Self { broker, readings, probe, appended: Vec::new() }
    }

    /// Adds the partitions and records that are due.
    fn grow(&mut self, now: Time) {
        let passed = Duration::from_micros(now - BEGIN);
        let Readings { splits, per_split, burst, interval, .. } = *self.readings;
        // A partition keeps its last record until the simulator lets the inputs end.
        let last = per_split - u64::from(self.probe.holds_end());
        for partition in 0..splits {
            let Some(passed) = passed.checked_sub(NEXT_PARTITION * partition) else { return };
            if self.appended.len() <= partition as usize {
                self.appended.push(0);
            }
            let appended = &mut self.appended[partition as usize];
            let bursts = (passed.as_micros() / interval.as_micros().max(1)) as u64;
            let due = bursts.saturating_mul(burst).min(last).max(*appended);
            self.broker.append(IN, partition, (*appended..due).map(|number| number.to_string()));
            *appended = due;
            if due == per_split {
                self.broker.end_partition(IN, partition);
            }
        }
        self.broker.end_topic(IN);
    }
}

impl System for GrowingBroker {
    fn answer(
        &mut self,
        now: Time,
        request: &(dyn Any + Send + Sync),
        disk: &mut Storage,
    ) -> Option<CallResult> {
        let request: &BrokerRequest = request.downcast_ref().expect("the request of a broker's client");
        self.grow(now);
        let answer = self.broker.handle(request)?;
        if answer.is_ok() {
            show(request, disk);
        }
        Some(match answer {
            Ok(reply) => Ok(Box::new(reply)),
            Err(refusal) => Err(CallError::failed(SYSTEM, BrokerError::Refused(refusal))),
        })
    }
}

/// Shows the effect of a request on the disk.
fn show(request: &BrokerRequest, disk: &mut Storage) {
    match request {
        BrokerRequest::Prepare { transaction, records, .. } => {
            let (pending, committed) = names(transaction);
            // A request that is repeated has no effect.
            if disk.get(&pending).is_none() && disk.get(&committed).is_none() {
                let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
                disk.put(&pending, Bytes::from(lines));
            }
        }
        BrokerRequest::Commit { transaction } => {
            let (pending, committed) = names(transaction);
            let lines = disk.get(&pending).cloned().expect("only what is prepared can be committed");
            disk.lose(&pending);
            disk.put(&committed, lines);
        }
        _ => {}
    }
}

/// The names of a transaction's file, before and after its commit.
fn names(transaction: &TransactionId) -> (String, String) {
    let file = file(transaction);
    (format!("{PENDING}{file}"), format!("{COMMITTED}{file}"))
}

fn file(TransactionId { writer, number }: &TransactionId) -> String {
    format!("{writer}-{number}")
}

/// The name of the file of a transaction, as checkpoints have it.
pub(super) fn file_of_encoded(transaction: &[u8]) -> String {
    file(&data::decode(transaction).expect("a transaction of the broker's sink"))
}
