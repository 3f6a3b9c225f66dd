//! A job that reads from and writes to a broker over TCP, and asks it for each record by an asynchronous call. The broker
//! is slow, answers nonsense and dies between the steps of a commit. Each record must be in the output exactly once.
//!
//! This is a test and the executable of its job: it starts itself with `run`, as a user would.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use reflow::{AsyncCalls, JobResult, Retry, StreamEnv, clap};
use reflow_testkit::broker::{
    Broker, BrokerClient, BrokerReply, BrokerRequest, BrokerServer, BrokerSink, BrokerSource, BrokerSplit,
    Trouble,
};
use std::collections::BTreeMap;
use std::process::{Child, Command, ExitCode};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

const IN: &str = "readings";
const OUT: &str = "lines";
const GROUP: &str = "group";

#[derive(clap::Args)]
struct Options {
    /// The broker's host and port.
    #[arg(long)]
    broker: String,
}

fn job(env: &mut StreamEnv, options: Options) -> JobResult {
    let client = Arc::new(BrokerClient::new(&options.broker));
    let calls = AsyncCalls::ordered()
        .call_time_limit(Duration::from_secs(5))
        .retry(Retry::fixed(1_000, Duration::from_millis(20)));
    env.source("readings", BrokerSource::new(&options.broker, IN, GROUP))
        .key_by(|(at, _): &(BrokerSplit, String)| at.partition)
        .async_call(client, calls, look_up, same)
        .map(|(at, value)| format!("{}/{} {value}", at.partition, at.next))
        .sink("lines", BrokerSink::new(&options.broker, OUT));
    Ok(())
}

/// Asks the broker once more for a record.
fn look_up((at, _): &(BrokerSplit, String)) -> BrokerRequest {
    let BrokerSplit { partition, next, .. } = *at;
    BrokerRequest::Fetch { topic: IN.to_owned(), partition, offset: next, most: 1, wait_ms: 0 }
}

/// Checks that the answer is that to the record's own call.
fn same(
    (at, value): (BrokerSplit, String),
    answer: BrokerReply,
) -> Result<(BrokerSplit, String), reflow::UserError> {
    match answer {
        BrokerReply::Records { records, .. } if records == [value.as_str()] => Ok((at, value)),
        other => Err(format!("the broker says of {value}: {other:?}").into()),
    }
}

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("run") => reflow::launch::main("broker", job),
        Some("--list") => ExitCode::SUCCESS,
        _ => {
            each_record_is_written_once_whatever_happens_to_the_broker();
            println!("test each_record_is_written_once_whatever_happens_to_the_broker ... ok");
            ExitCode::SUCCESS
        }
    }
}

/// The job's process, which is killed if the test fails.
struct Job(Child);

impl Job {
    fn start(broker: &str) -> Self {
        let options = ["-Dexecution.checkpointing.interval=100ms", "-Drest.port=0", "--", "--broker", broker];
        Self(Command::new(std::env::current_exe().unwrap()).arg("run").args(options).spawn().unwrap())
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

struct Test {
    broker: Arc<Mutex<Broker>>,
    server: BrokerServer,
    /// How many records each partition has.
    appended: BTreeMap<u32, u64>,
    job: Job,
}

impl Test {
    fn start(partitions: u32) -> Self {
        let broker = Arc::<Mutex<Broker>>::default();
        let server = BrokerServer::start(broker.clone()).unwrap();
        (0..partitions).for_each(|partition| broker.lock().unwrap().append(IN, partition, []));
        let job = Job::start(&server.address().to_string());
        Self { broker, server, appended: BTreeMap::new(), job }
    }

    fn append(&mut self, partition: u32, count: u64) {
        let next = self.appended.entry(partition).or_default();
        let records = (*next..*next + count).map(|number| format!("v{number}"));
        self.broker.lock().unwrap().append(IN, partition, records);
        *next += count;
    }

    /// Waits until all records that were appended are in the output.
    fn wait_for_output(&mut self) {
        let expected = self.appended.values().sum::<u64>() as usize;
        let broker = self.broker.clone();
        self.wait_until("the output", || broker.lock().unwrap().records(OUT).count() >= expected);
    }

    fn wait_until(&mut self, what: &str, condition: impl Fn() -> bool) {
        let (_open, never) = mpsc::channel::<()>();
        for _ in 0..6_000 {
            if condition() {
                return;
            }
            assert_eq!(self.job.0.try_wait().unwrap(), None, "the job has ended");
            assert!(never.recv_timeout(Duration::from_millis(10)).is_err(), "nothing is sent");
        }
        panic!("{what} does not come: {} lines", self.broker.lock().unwrap().records(OUT).count());
    }

    /// Starts the server again at its former address.
    fn restart(&mut self) {
        self.server.kill();
        let address = self.server.address();
        self.server = BrokerServer::start_at(address, self.broker.clone()).unwrap();
    }
}

fn each_record_is_written_once_whatever_happens_to_the_broker() {
    let mut test = Test::start(2);
    test.append(0, 300);
    test.append(1, 300);
    test.wait_for_output();
    let offsets = |broker: &Broker| [0, 1].map(|partition| broker.offset(GROUP, IN, partition));
    let broker = test.broker.clone();
    test.wait_until("the offsets", || offsets(&broker.lock().unwrap()) == [300, 300]);

    for trouble in [Trouble::DiesInPrepare, Trouble::DiesInCommit] {
        test.server.set_trouble(trouble);
        test.append(0, 50);
        test.server.wait_for_death();
        test.restart();
        test.wait_for_output();
    }
    // A partition that did not exist at the start.
    for trouble in [Trouble::Slow(Duration::from_millis(300)), Trouble::Garbage] {
        test.server.set_trouble(trouble);
        test.append(2, 250);
        let server = std::mem::replace(&mut test.server, BrokerServer::start(Arc::default()).unwrap());
        test.wait_until("trouble", || server.struck() >= 10);
        server.set_trouble(Trouble::None);
        test.server = server;
        test.wait_for_output();
    }
    test.append(1, 1);
    {
        let mut broker = test.broker.lock().unwrap();
        (0..3).for_each(|partition| broker.end_partition(IN, partition));
        broker.end_topic(IN);
    }
    assert!(test.job.0.wait().unwrap().success());
    let broker = test.broker.lock().unwrap();
    let mut lines: Vec<&str> = broker.records(OUT).collect();
    lines.sort_unstable();
    let of_partition = |(partition, count): (&u32, &u64)| {
        let partition = *partition;
        (0..*count).map(move |number| format!("{partition}/{number} v{number}")).collect::<Vec<_>>()
    };
    let mut expected: Vec<String> = test.appended.iter().flat_map(of_partition).collect();
    expected.sort_unstable();
    assert_eq!(lines, expected);
    assert_eq!(broker.prepared().count(), 0, "nothing is left behind");
}
