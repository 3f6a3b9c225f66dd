//! Tests that functions are opened and closed once in each attempt, whatever ends it.

use reflow_api::{Context, ProcessFunction, RuntimeContext, TimeDomain, UserError};
use reflow_protocol::failure::Fault;
use reflow_testkit::{Collect, Feed, Harness};
use reflow_types::Timestamp;
use std::sync::{Arc, Mutex};

type Log = Arc<Mutex<Vec<String>>>;

/// The failure of a [`Logging`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mistake {
    None,
    OpenFails,
    ProcessPanics,
    CloseFails,
    ClosePanics,
}

/// Counts the records of each key, and logs the calls of its life cycle.
#[derive(Clone)]
struct Logging {
    log: Log,
    mistake: Mistake,
    opened: Option<RuntimeContext>,
}

impl Logging {
    fn note(&self, text: String) {
        self.log.lock().expect("no test panics with it").push(text);
    }
}

impl ProcessFunction for Logging {
    type Key = u64;
    type In = u64;
    type Out = (u64, u64);
    type State = u64;

    fn open(&mut self, context: &RuntimeContext) -> Result<(), UserError> {
        let (index, parallelism) = (context.subtask_index(), context.parallelism());
        let operator = (context.operator_name(), context.operator_uid());
        self.note(format!("open {operator:?} {index}/{parallelism} of {}", context.max_parallelism()));
        assert_eq!(context.job_parameters().parse("threshold", 0.0)?, 0.5, "in each attempt");
        self.opened = Some(context.clone());
        if self.mistake == Mistake::OpenFails { Err("cannot connect".into()) } else { Ok(()) }
    }

    fn process(&mut self, context: &mut impl Context<u64, u64, (u64, u64)>, n: u64) -> Result<(), UserError> {
        assert_eq!(self.opened.as_ref(), Some(context.runtime()), "opened, and nothing has changed since");
        if self.mistake == Mistake::ProcessPanics && n == 2 {
            panic!("no twos");
        }
        *context.state_mut() += 1;
        let count = *context.state().expect("it was just set");
        context.emit((*context.key(), count));
        Ok(())
    }

    fn on_timer(
        &mut self,
        _: &mut impl Context<u64, u64, (u64, u64)>,
        _: Timestamp,
        _: TimeDomain,
    ) -> Result<(), UserError> {
        Ok(())
    }

    fn close(&mut self) -> Result<(), UserError> {
        let place = self.opened.take().map(|context| context.subtask_index());
        self.note(format!("close {place:?}"));
        match self.mistake {
            Mistake::CloseFails => Err("cannot disconnect".into()),
            Mistake::ClosePanics => panic!("a torn connection"),
            _ => Ok(()),
        }
    }
}

struct Rig {
    job: Harness<'static>,
    feed: Feed<u64>,
    out: Collect<(u64, u64)>,
    log: Log,
}

impl Rig {
    fn new(mistake: Mistake) -> Self {
        let (feed, out, log) = (Feed::new(1), Collect::new("out"), Log::default());
        let (source, sink, shared) = (feed.clone(), out.clone(), log.clone());
        let job = Harness::new(move |env| {
            env.job_parameters([("threshold", "0.5")]);
            let function = Logging { log: shared.clone(), mistake, opened: None };
            let keyed = env.source("numbers", source.clone()).key_by(|n: &u64| *n);
            let counted = keyed.process(function).name("Count").uid("count");
            let _ = counted.boxed().sink("out", sink.clone());
        });
        Self { job: job.max_parallelism(4), feed, out, log }
    }

    fn take_log(&self) -> Vec<String> {
        let mut log = std::mem::take(&mut *self.log.lock().expect("no test panics with it"));
        log.sort();
        log
    }
}

#[test]
fn each_subtask_is_opened_and_closed_in_each_attempt() {
    let mut t = Rig::new(Mistake::None);
    t.job.start(1);
    t.feed.push(0, [1, 2, 3]);
    t.job.settle();
    assert_eq!(t.take_log(), [r#"open ("Count", "count") 0/1 of 4"#]);
    assert!(t.job.checkpoint());
    t.job.fail_over(2);
    let opened = [r#"open ("Count", "count") 0/2 of 4"#, r#"open ("Count", "count") 1/2 of 4"#];
    assert_eq!(t.take_log(), [["close Some(0)"].as_slice(), &opened].concat());
    t.feed.push(0, [1, 2, 3]);
    t.feed.end();
    assert!(t.job.finish(), "{}", t.job.state());
    assert_eq!(t.take_log(), ["close Some(0)", "close Some(1)"]);
    let mut committed = t.out.committed(&t.job);
    committed.sort_unstable();
    assert_eq!(committed, [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2)]);
}

/// Feeds 1, 2, 3 and ends the job. Returns the failures and the logged calls.
fn run(mistake: Mistake) -> (Vec<(Fault, String, String)>, Vec<String>) {
    let mut t = Rig::new(mistake);
    t.job.start(1);
    t.feed.push(0, [1, 2, 3]);
    t.feed.end();
    t.job.settle();
    t.job.finish();
    let failures = t.job.failures().iter();
    let failures = failures.map(|f| (f.fault, f.operator.clone(), f.message.clone())).collect();
    (failures, t.take_log())
}

#[test]
fn a_function_that_cannot_be_opened_is_named_and_closed() {
    let (failures, log) = run(Mistake::OpenFails);
    let failure = (Fault::User, "Count (uid count)".to_owned(), "cannot connect".to_owned());
    assert_eq!(failures, [failure]);
    assert_eq!(log, ["close Some(0)", r#"open ("Count", "count") 0/1 of 4"#]);
}

#[test]
fn a_function_that_panicked_is_closed() {
    let (failures, log) = run(Mistake::ProcessPanics);
    let [(Fault::User, _, message)] = &failures[..] else { panic!("{failures:?}") };
    let (first, backtrace) = message.split_once("\nstack backtrace:\n").unwrap();
    assert!(first.starts_with("panicked at ") && first.contains("lifecycle.rs:"), "{first}");
    assert!(first.ends_with(": no twos"), "{first}");
    assert!(backtrace.contains("process"), "{backtrace}");
    assert_eq!(log[0], "close Some(0)");
}

#[test]
fn a_function_that_cannot_be_closed_fails_its_task_once() {
    let (failures, log) = run(Mistake::CloseFails);
    let failure = (Fault::User, "Count (uid count)".to_owned(), "cannot disconnect".to_owned());
    assert_eq!(failures, [failure]);
    assert_eq!(log[0], "close Some(0)");

    let (failures, _) = run(Mistake::ClosePanics);
    let [(Fault::User, operator, message)] = &failures[..] else { panic!("{failures:?}") };
    assert_eq!(operator, "Count (uid count)");
    assert!(message.contains(": a torn connection\nstack backtrace:"), "{message}");
}

#[test]
fn an_attempt_that_ends_while_close_fails_ends_all_the_same() {
    let mut t = Rig::new(Mistake::ClosePanics);
    t.job.start(1);
    t.feed.push(0, [1, 2, 3]);
    assert!(t.job.checkpoint());
    t.job.fail_over(2);
    assert_eq!(t.job.failures(), []);
    assert_eq!(t.take_log().len(), 4);
}
