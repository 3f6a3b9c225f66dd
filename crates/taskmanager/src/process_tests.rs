//! The TaskManager, driven by hand: registration, executables, executors, and the end.

use super::*;
use crate::Machine;
use reflow_config::Config;
use reflow_env::{Location, ObjectMeta, StoreError, StoreOp, StoreReply};
use reflow_protocol::deployment::Artifact;
use reflow_types::inspection::{Inquiry, Inspection, InspectionError};
use reflow_types::{JobId, LeaderEpoch};
use std::time::Duration;

const CONN: ConnId = ConnId(0);
const EXECUTABLE: &[u8] = b"abc";

/// A TaskManager with the outputs that it gave last.
struct Driven {
    process: TaskManager,
    now: Instant,
    out: Vec<Output>,
}

fn start() -> Driven {
    let machine = Machine {
        target: "x86_64-unknown-linux-gnu".into(),
        host: "here".into(),
        user: "flink".into(),
        pid: 7,
        cpu_cores: 1,
        physical_memory: 1 << 30,
        lib: Some("/opt/lib".into()),
        memory_in_use: || 42,
        inspect: |_| Err(InspectionError::NoSuchLog),
    };
    let adoption_timeout = Duration::from_secs(60);
    let settings = Settings { adoption_timeout, ..Settings::new(&Config::default(), machine) };
    let mut driven = Driven {
        process: TaskManager::new(TaskManagerId(5), settings),
        now: Instant(1_000_000),
        out: vec![],
    };
    driven.feed(Input::Start);
    driven
}

/// Taken in, and busy with trying the storage.
fn trying() -> Driven {
    let mut driven = start();
    driven.feed(Input::Connected { conn: CONN, local: "10.0.0.7".into() });
    driven.receive(&taken_in(JobId(3), LeaderEpoch(4)));
    driven
}

/// What a JobManager of this leadership answers.
fn taken_in(job: JobId, epoch: LeaderEpoch) -> ToTaskManager {
    ToTaskManager::Registered {
        heartbeat_interval: Duration::from_secs(1),
        heartbeat_timeout: Duration::from_secs(5),
        storage: StorageProof {
            written: "/c/epoch".into(),
            content: "job 3".into(),
            creates: "/c/data/seen".into(),
        },
        job,
        epoch,
    }
}

fn registered() -> Driven {
    let mut driven = trying();
    driven.see_storage();
    driven
}

fn start_message() -> StartExecutor {
    StartExecutor {
        executor: ExecutorId(9),
        job: JobId(3),
        artifact: Artifact {
            name: "job".into(),
            sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into(),
            len: EXECUTABLE.len() as u64,
            http_port: 8081,
            tls: Default::default(),
        },
        job_args: vec![],
        token: 77,
        slots: 1,
    }
}

/// With executor 9 running as child 0.
fn running() -> Driven {
    let mut driven = registered();
    driven.receive(&ToTaskManager::StartExecutor(start_message()));
    let lib = ObjectMeta { at: Location("/opt/lib/job".into()), len: EXECUTABLE.len() as u64 };
    driven.answer(Ok(StoreReply::Objects(vec![lib])));
    driven.answer(Ok(StoreReply::Bytes(Bytes::from_static(EXECUTABLE))));
    driven
}

impl Driven {
    fn feed(&mut self, input: Input) {
        self.out.clear();
        self.process.handle(self.now, input, &mut self.out);
    }

    fn receive(&mut self, message: &ToTaskManager) {
        self.feed(Input::Received { conn: CONN, frame: reflow_protocol::encode(message) });
    }

    /// The request to storage that was put out last.
    fn asked(&self) -> Option<Ticket> {
        let asked =
            |output: &Output| if let Output::Store { ticket, .. } = output { Some(*ticket) } else { None };
        self.out.iter().find_map(asked)
    }

    fn answer(&mut self, result: StoreResult) {
        let ticket = self.asked().expect("storage is asked");
        self.feed(Input::Stored { ticket, result });
    }

    fn see_storage(&mut self) {
        self.answer(Ok(StoreReply::Bytes("job 3".into())));
        self.answer(Ok(StoreReply::Done));
        self.answer(Ok(StoreReply::Done));
    }

    /// Lets time pass, with wakeups as asked for, and gathers what is put out.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        let mut all = Vec::new();
        while let Some(at) = self.process.next_wakeup().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.feed(Input::Wakeup);
            all.append(&mut self.out);
        }
        self.now = until;
        self.out = all;
    }

    fn sent(&self) -> Vec<FromTaskManager> {
        let frames = self.out.iter().filter_map(|output| match output {
            Output::Send { frame, .. } => reflow_protocol::decode(frame).ok(),
            _ => None,
        });
        frames.collect()
    }

    fn exit(&self) -> Option<(i32, &str)> {
        match self.out.last() {
            Some(Output::Exit { code, reason }) => Some((*code, reason)),
            _ => None,
        }
    }

    fn killed(&self) -> Vec<ChildId> {
        let killed =
            |output: &Output| if let Output::KillChild { child } = output { Some(*child) } else { None };
        self.out.iter().filter_map(killed).collect()
    }
}

#[test]
fn it_registers_and_beats() {
    let mut driven = start();
    assert!(matches!(&driven.out[..], [Output::Connect { address, .. }] if address == "localhost:6123"));
    driven.feed(Input::Connected { conn: CONN, local: "10.0.0.7".into() });
    let Output::Send { frame, .. } = &driven.out[0] else { panic!("a hello comes first") };
    assert_eq!(Hello::decode(frame), Ok(Hello::TaskManager { id: TaskManagerId(5) }));
    let Output::Send { frame, .. } = &driven.out[1] else { panic!("then the registration") };
    let register = reflow_protocol::decode(frame).unwrap();
    assert!(matches!(register, FromTaskManager::Register { slots: 1, pid: 7, .. }), "{register:?}");
    let mut driven = registered();
    driven.pass(Duration::from_millis(2_500));
    assert_eq!(driven.sent(), vec![FromTaskManager::Heartbeat { memory_bytes: 42 }; 2]);
}

#[test]
fn it_keeps_trying_and_gives_up_with_a_reason() {
    let mut driven = start();
    let mut attempts = 1;
    while driven.exit().is_none() {
        driven.feed(Input::Closed { conn: ConnId(attempts - 1), reason: "connection refused".into() });
        driven.pass(Duration::from_secs(1));
        attempts += 1;
    }
    assert!(attempts >= 299, "{attempts} attempts in five minutes");
    let (code, reason) = driven.exit().unwrap();
    assert_eq!(code, 1);
    for part in ["localhost:6123", "300 s", "connection refused", "jobmanager.rpc.address"] {
        assert!(reason.contains(part), "{reason}");
    }
    driven.feed(Input::Wakeup);
    assert!(driven.out.is_empty(), "an ended process is silent");
}

#[test]
fn silence_counts_as_no_answer() {
    let mut driven = start();
    driven.pass(Duration::from_secs(3));
    let closes = |output: &Output| matches!(output, Output::Close { conn: CONN });
    assert!(driven.out.iter().any(closes));
    assert!(matches!(driven.out.last(), Some(Output::Connect { conn: ConnId(1), .. })));
}

#[test]
fn a_pause_of_the_task_manager_is_not_the_job_managers_silence() {
    let mut driven = registered();
    let closes = |output: &Output| matches!(output, Output::Close { conn: CONN });
    driven.now = driven.now + Duration::from_secs(600);
    driven.feed(Input::Wakeup);
    assert!(!driven.out.iter().any(closes), "the answers may wait to be read");
    driven.pass(Duration::from_secs(60));
    assert!(driven.out.iter().any(closes), "they did not come");
}

#[test]
fn a_refusal_ends_it_with_the_reason() {
    let mut driven = start();
    driven.feed(Input::Connected { conn: CONN, local: "10.0.0.7".into() });
    driven.receive(&ToTaskManager::Refused { reason: "release 0.0.9, this is 0.1.0".into() });
    let (code, reason) = driven.exit().unwrap();
    assert!(code == 1 && reason.contains("release 0.0.9"), "{reason}");
}

#[test]
fn it_starts_an_executor_and_passes_secrets_by_standard_input() {
    let mut driven = registered();
    driven.receive(&ToTaskManager::StartExecutor(start_message()));
    let lib = StoreOp::List { below: Location("/opt/lib/job".into()) };
    assert!(matches!(&driven.out[..], [Output::Store { op, .. }] if *op == lib));
    let driven = running();
    let [Output::StartChild { command, .. }, Output::Store { .. }] = &driven.out[..] else {
        panic!("an executor is started")
    };
    assert_eq!(
        (command.program.to_str(), &command.args[..]),
        (Some("/opt/lib/job"), &["executor".to_owned()][..])
    );
    let start = ExecutorStart::decode(&command.stdin[4..]).unwrap();
    assert_eq!((start.start.token, start.task_manager), (77, TaskManagerId(5)));
}

#[test]
fn it_fetches_what_it_does_not_have_and_says_why_it_cannot() {
    let mut driven = registered();
    driven.receive(&ToTaskManager::StartExecutor(start_message()));
    driven.answer(Ok(StoreReply::Objects(vec![])));
    driven.answer(Ok(StoreReply::Objects(vec![])));
    let sha256 = start_message().artifact.sha256;
    let url = Location(format!("http://localhost:8081/artifacts/{sha256}"));
    let refused = || Err(StoreError::Failed { at: url.clone(), reason: "connection refused".into() });
    let get = StoreOp::Get { at: url.clone(), range: Some(0..3) };
    let mut failures = 0;
    while let [Output::Store { op, .. }, ..] = &driven.out[..] {
        assert_eq!(*op, get);
        driven.answer(refused());
        failures += 1;
        if driven.out.is_empty() {
            driven.receive(&ToTaskManager::Heartbeat);
            driven.pass(Duration::from_secs(4));
            driven.out.retain(|output| matches!(output, Output::Store { .. }));
        }
    }
    assert_eq!(failures, 6);
    let sent = driven.sent();
    let [FromTaskManager::ExecutorExited { reason, .. }] = &sent[..] else { panic!("{sent:?}") };
    assert!(reason.contains("connection refused") && reason.contains("rest.bind-address"), "{reason}");
}

#[test]
fn an_answer_to_a_former_request_is_not_taken_for_that_to_the_next_one() {
    let mut driven = registered();
    driven.receive(&ToTaskManager::StartExecutor(start_message()));
    let former = driven.asked().unwrap();
    driven.feed(Input::Closed { conn: CONN, reason: "reset".into() });
    driven.feed(Input::Stored { ticket: former, result: Ok(StoreReply::Objects(vec![])) });
    assert!(driven.out.is_empty());
}

#[test]
fn an_executor_waits_until_the_storage_is_seen() {
    let mut driven = trying();
    let epoch = StoreOp::Get { at: Location("/c/epoch".into()), range: None };
    assert!(matches!(&driven.out[..], [Output::Store { op, .. }] if *op == epoch), "it reads first");
    let ticket = driven.asked().unwrap();
    driven.receive(&ToTaskManager::StartExecutor(start_message()));
    assert!(driven.out.is_empty(), "nothing is started yet");
    driven.feed(Input::Stored { ticket, result: Ok(StoreReply::Bytes("job 3".into())) });
    driven.answer(Ok(StoreReply::Done));
    driven.answer(Ok(StoreReply::Done));
    let lib = StoreOp::List { below: Location("/opt/lib/job".into()) };
    assert!(matches!(&driven.out[..], [Output::Store { op, .. }] if *op == lib), "now it is");
}

#[test]
fn without_the_storage_it_ends_and_says_why_to_both_sides() {
    let mut driven = trying();
    driven.receive(&ToTaskManager::StartExecutor(start_message()));
    driven.out = trying().out;
    let mut said = vec![];
    while driven.exit().is_none() {
        driven.answer(Err(StoreError::NotFound(Location("/c/epoch".into()))));
        said = driven.sent();
        if driven.exit().is_none() {
            driven.receive(&ToTaskManager::Heartbeat);
            driven.pass(Duration::from_secs(4));
        }
    }
    let [FromTaskManager::StorageUnseen { reason }] = &said[..] else { panic!("{said:?}") };
    assert!(reason.contains("/c/epoch is not there"), "{reason}");
    let (code, text) = driven.exit().unwrap();
    assert!(code == 1 && text.contains(reason), "{text}");
}

#[test]
fn a_new_job_manager_is_shown_the_storage_anew() {
    let mut driven = trying();
    let former = driven.asked().unwrap();
    driven.feed(Input::Closed { conn: CONN, reason: "reset".into() });
    driven.feed(Input::Stored {
        ticket: former,
        result: Err(StoreError::NotFound(Location("/c/epoch".into()))),
    });
    assert!(driven.out.is_empty(), "what the former one was to be shown does not matter");
}

/// The name of the JobManager still means the host of the deposed one here.
#[test]
fn a_deposed_job_manager_is_not_followed_again() {
    for (job, epoch, follows) in [(3, 3, false), (3, 4, true), (3, 5, true), (8, 1, true)] {
        let mut driven = registered(); // with leadership 4 of job 3
        driven.feed(Input::Closed { conn: CONN, reason: "reset".into() });
        driven.pass(Duration::from_millis(100));
        let conn = ConnId(1);
        driven.feed(Input::Connected { conn, local: "10.0.0.7".into() });
        driven.out.clear();
        let frame = reflow_protocol::encode(&taken_in(JobId(job), LeaderEpoch(epoch)));
        driven.feed(Input::Received { conn, frame });
        let closed = driven.out.iter().any(|output| matches!(output, Output::Close { conn: ConnId(1) }));
        assert_eq!(closed, !follows, "leadership {epoch} of job {job}");
        assert_eq!(driven.asked().is_some(), follows, "it tries the storage only of whom it follows");
    }
}

#[test]
fn an_executors_end_is_reported_unless_it_was_asked_for() {
    let mut driven = running();
    driven.feed(Input::ChildExited { child: ChildId(0), status: "killed by signal 9".into() });
    let reason = "killed by signal 9".to_owned();
    assert_eq!(driven.sent(), [FromTaskManager::ExecutorExited { executor: ExecutorId(9), reason }]);
    let mut driven = running();
    driven.receive(&ToTaskManager::StopExecutor { executor: ExecutorId(9) });
    assert_eq!(driven.killed(), [ChildId(0)]);
    driven.feed(Input::ChildExited { child: ChildId(0), status: "killed by signal 9".into() });
    assert!(driven.sent().is_empty());
}

#[test]
fn without_its_job_manager_executors_go_on_and_it_registers_with_them() {
    let garbage = Input::Received { conn: CONN, frame: Bytes::from_static(&[0xff; 9]) };
    let next = ConnId(1);
    for input in [Input::Closed { conn: CONN, reason: "reset".into() }, garbage] {
        let mut driven = running();
        driven.feed(input);
        driven.pass(Duration::from_millis(100));
        assert_eq!(driven.killed(), []);
        assert!(matches!(driven.out.last(), Some(Output::Connect { conn, .. }) if *conn == next));
        driven.feed(Input::Connected { conn: next, local: "10.0.0.7".into() });
        let Output::Send { frame, .. } = &driven.out[1] else { panic!("it registers") };
        let FromTaskManager::Register { executors, .. } = reflow_protocol::decode(frame).unwrap() else {
            panic!("it registers first")
        };
        assert_eq!(executors, [start_message()]);
        // The next leadership may be of the same job, or of another one.
        let answer = |job| reflow_protocol::encode(&taken_in(JobId(job), LeaderEpoch(9)));
        driven.feed(Input::Received { conn: next, frame: answer(3) });
        assert_eq!(driven.killed(), []);
        driven.feed(Input::Received { conn: next, frame: answer(4) });
        assert_eq!(driven.killed(), [ChildId(0)]);
    }
    let mut driven = running();
    driven.pass(Duration::from_secs(5));
    assert_eq!(driven.killed(), []);
    assert!(
        driven.out.iter().any(|output| matches!(output, Output::Close { conn } if *conn == CONN)),
        "it is silent"
    );
}

#[test]
fn told_to_end_it_waits_for_the_job_to_leave() {
    let mut driven = running();
    driven.feed(Input::Terminate);
    assert_eq!(driven.sent(), [FromTaskManager::Draining]);
    driven.receive(&ToTaskManager::StartExecutor(start_message()));
    assert!(driven.out.is_empty(), "it starts nothing any more");
    driven.receive(&ToTaskManager::Release);
    assert_eq!((driven.killed(), driven.exit()), (vec![ChildId(0)], Some((0, ""))));
}

#[test]
fn it_goes_on_leaving_under_the_next_job_manager() {
    let next = ConnId(1);
    let lost = || Input::Closed { conn: CONN, reason: "reset".into() };
    for inputs in [[Input::Terminate, lost()], [lost(), Input::Terminate]] {
        let mut driven = running();
        inputs.into_iter().for_each(|input| driven.feed(input));
        driven.pass(Duration::from_millis(100));
        assert_eq!((driven.killed(), driven.exit()), (vec![], None));
        driven.feed(Input::Connected { conn: next, local: "10.0.0.7".into() });
        driven.feed(Input::Received {
            conn: next,
            frame: reflow_protocol::encode(&taken_in(JobId(3), LeaderEpoch(9))),
        });
        let draining = reflow_protocol::encode(&FromTaskManager::Draining);
        let is_draining = |output: &Output| matches!(output, Output::Send { conn, frame } if *conn == next && *frame == draining);
        assert!(driven.out.iter().any(is_draining), "it says that it leaves");
        assert_eq!(driven.exit(), None);
        driven.feed(Input::Received { conn: next, frame: reflow_protocol::encode(&ToTaskManager::Release) });
        assert_eq!((driven.killed(), driven.exit()), (vec![ChildId(0)], Some((0, ""))));
    }
}

#[test]
fn told_by_the_job_manager_to_leave_it_does_as_on_sigterm() {
    let mut driven = running();
    driven.receive(&ToTaskManager::Drain);
    assert_eq!((driven.sent(), driven.exit()), (vec![FromTaskManager::Draining], None));
    driven.receive(&ToTaskManager::Drain);
    assert!(driven.out.is_empty(), "once is enough");
    driven.receive(&ToTaskManager::Release);
    assert_eq!((driven.killed(), driven.exit()), (vec![ChildId(0)], Some((0, ""))));
    let mut driven = running();
    driven.receive(&ToTaskManager::Drain);
    driven.feed(Input::Terminate);
    assert_eq!(driven.exit(), Some((0, "")), "who is told twice does not wait");
}

#[test]
fn told_to_end_it_does_not_wait_for_ever() {
    let ends: [fn(&mut Driven); 4] = [
        |driven| {
            (0..600).for_each(|_| {
                if driven.exit().is_none() {
                    driven.receive(&ToTaskManager::Heartbeat);
                    driven.pass(Duration::from_secs(1));
                }
            })
        },
        |driven| driven.feed(Input::Terminate),
        |driven| {
            driven.feed(Input::Closed { conn: CONN, reason: "reset".into() });
            assert_eq!(driven.exit(), None, "the next JobManager moves the job off it");
            driven.feed(Input::ChildExited { child: ChildId(0), status: "exit code 1".into() });
        },
        |driven| {
            driven.feed(Input::Closed { conn: CONN, reason: "reset".into() });
            driven.feed(Input::Terminate);
        },
    ];
    for end in ends {
        let mut driven = running();
        driven.feed(Input::Terminate);
        assert_eq!(driven.exit(), None);
        end(&mut driven);
        assert_eq!(driven.exit().map(|(code, _)| code), Some(0));
    }
    let mut driven = start();
    driven.feed(Input::Terminate);
    assert_eq!(driven.exit().map(|(code, _)| code), Some(0), "nobody to ask");
}

#[test]
fn inquiries_are_answered_beside_the_event_loop_and_only_to_the_one_who_asked() {
    let inquiry = || ToTaskManager::Inspect { number: 3, inquiry: Inquiry::Threads };
    let called = |driven: &Driven| match &driven.out[..] {
        [Output::Call { ticket, call }] => {
            assert_eq!(call.request().downcast_ref(), Some(&Inquiry::Threads));
            *ticket
        }
        _ => panic!("an inquiry becomes a call"),
    };
    let result = || -> CallResult { Ok(Box::new(Inspection::Err(InspectionError::NoSuchLog))) };
    let mut driven = running();
    driven.receive(&inquiry());
    let ticket = called(&driven);
    driven.feed(Input::Called { ticket, result: result() });
    let inspection = Err(InspectionError::NoSuchLog);
    assert_eq!(driven.sent(), [FromTaskManager::Inspected { number: 3, inspection }]);
    driven.receive(&inquiry());
    let ticket = called(&driven);
    driven.feed(Input::Closed { conn: CONN, reason: "reset".into() });
    driven.feed(Input::Called { ticket, result: result() });
    assert_eq!(driven.sent(), [], "the connection of the one who asked is gone");
}
