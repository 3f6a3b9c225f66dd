//! Mistakes that jobs have, and what the simulator says about them.
//!
//! Each job here is right as long as nothing happens to it, so ordinary tests pass.

use reflow::prelude::*;
use reflow::sink::{Prepared, WriterContext};
use reflow::store::{Location, PutMode, StoreOp};
use reflow::testing::{Collect, Fault, Feed, Simulation};
use reflow::{Io, Request, Sink, Transaction, Writer};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};

type Counts = Collect<(u64, u64)>;

/// Numbers of ten keys.
fn numbers() -> Vec<u64> {
    (0..200).map(|number| number * 7 % 10).collect()
}

/// Each number with how often it has come so far.
fn counted(numbers: &[u64]) -> Vec<(u64, u64)> {
    let mut counts = BTreeMap::new();
    let mut count = |number: u64| {
        let count = counts.entry(number).or_insert(0);
        *count += 1;
        (number, *count)
    };
    numbers.iter().map(|number| count(*number)).collect()
}

/// A simulation of a job that should count numbers.
fn counting(
    job: impl Fn(&mut StreamEnv, Feed<u64>, Counts) -> JobResult + Send + Sync + 'static,
) -> Simulation<Vec<u64>, Counts> {
    Simulation::new(numbers(), job).checkpoint_interval(Duration::from_secs(1))
}

/// Runs a test that must fail, and checks what its report says.
#[track_caller]
fn check_report(test: impl FnOnce(), says: &[&str]) {
    let failed = catch_unwind(AssertUnwindSafe(test)).expect_err("the simulation finds the mistake");
    let constant = || failed.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let report = failed.downcast_ref::<String>().cloned().or_else(constant).expect("the report is a text");
    for text in says {
        assert!(report.contains(text), "the report does not say '{text}':\n{report}");
    }
}

#[test]
fn a_job_without_mistakes_passes() {
    counting(|env, numbers, counts| {
        let counted = env.source("numbers", numbers).map(|number| (number, 1)).key_by(|(number, _)| *number);
        counted.reduce(|(number, a), (_, b)| (number, a + b)).sink("counts", counts);
        Ok(())
    })
    .assert_output(|numbers| counted(numbers));
}

/// Counts in a field, which no checkpoint contains.
#[derive(Clone, Default)]
struct CountInField {
    counts: HashMap<u64, u64>,
}

impl ProcessFunction for CountInField {
    type Key = u64;
    type In = u64;
    type Out = (u64, u64);
    type State = ();

    fn process(&mut self, context: &mut impl Context<u64, (), (u64, u64)>, number: u64) -> JobResult {
        let count = self.counts.entry(number).or_default();
        *count += 1;
        context.emit((number, *count));
        Ok(())
    }
}

fn count_in_field(env: &mut StreamEnv, numbers: Feed<u64>, counts: Counts) -> JobResult {
    env.source("numbers", numbers)
        .key_by(|number| *number)
        .process(CountInField::default())
        .sink("counts", counts);
    Ok(())
}

#[test]
fn state_in_a_field_is_lost_when_a_process_is() {
    let test = counting(count_in_field).faults([Fault::KilledExecutor]);
    check_report(
        || test.assert_output(|numbers| counted(numbers)),
        &[
            "the committed output is wrong",
            "are missing: (",
            "It fails only if a process is lost.",
            "Look for a field of a function",
            "1 of ",
            "a task executor is killed",
            "checkpoint 1 is complete",
            "REFLOW_SIM_SEED=",
            "cargo test state_in_a_field_is_lost_when_a_process_is",
        ],
    );
}

#[test]
fn state_in_a_field_does_not_move_when_the_job_is_rescaled() {
    let test = counting(count_in_field).faults([Fault::Rescale]);
    check_report(
        || test.assert_output(|numbers| counted(numbers)),
        &["the committed output is wrong", "It fails only if the job is rescaled."],
    );
}

#[test]
fn a_captured_counter_is_one_for_each_subtask() {
    let test = Simulation::new(numbers(), |env, numbers: Feed<u64>, numbered: Collect<u64>| {
        let mut next = 0;
        env.source("numbers", numbers)
            .rebalance()
            .map(move |_| {
                next += 1;
                next
            })
            .sink("numbered", numbered);
        Ok(())
    });
    check_report(
        || test.faults([]).assert_output(|numbers| (1..=numbers.len() as u64).collect()),
        &["It fails without any fault, but only with several subtasks.", "0 of 0 faults"],
    );
}

#[test]
fn a_key_that_differs_from_call_to_call() {
    let test = counting(|env, numbers, counts| {
        env.source("numbers", numbers)
            .map(|number| (number, 1))
            .key_by(|(number, _)| RandomState::new().hash_one(number) % 4)
            .reduce(|(_, a), (number, b)| (number, a + b))
            .sink("counts", counts);
        Ok(())
    });
    check_report(
        || test.assert_output(|numbers| counted(numbers)),
        &["The same run had another outcome when it was repeated.", "random numbers"],
    );
}

#[test]
fn a_function_that_reads_the_machines_clock() {
    let test = Simulation::new(numbers(), |env, numbers: Feed<u64>, times: Collect<u128>| {
        #[expect(clippy::disallowed_methods, reason = "this is the mistake")]
        let now = || std::time::SystemTime::now();
        env.source("numbers", numbers)
            .map(move |_| now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_nanos()))
            .sink("times", times);
        Ok(())
    });
    check_report(
        || test.assert_output(|numbers| numbers.iter().map(|_| 0).collect()),
        &[
            "The same run had another outcome when it was repeated.",
            "the machine's clock (use `processing_time`",
        ],
    );
}

#[test]
fn a_job_function_that_builds_another_job_each_time() {
    let calls = AtomicU32::new(1);
    let test = counting(move |env, numbers, counts| {
        let parallelism = calls.fetch_add(1, Ordering::Relaxed) % 2 + 1;
        let numbers = env.source("numbers", numbers).rebalance().parallelism(parallelism);
        numbers.map(|number| (number, 1)).sink("counts", counts);
        Ok(())
    });
    check_report(
        || test.seeds(1).assert_output(|_| Vec::new()),
        &["the job function builds another job graph each time it is called"],
    );
}

#[test]
fn a_function_that_panics() {
    let test = counting(|env, numbers, counts| {
        env.source("numbers", numbers).map(|number| (number, 10 / (9 - number))).sink("counts", counts);
        Ok(())
    });
    check_report(
        || test.seeds(1).assert_output(|_| Vec::new()),
        &["the job does not come to its end", "attempt to divide by zero", "1 of 200 records", "\n    9\n"],
    );
}

#[test]
fn an_expectation_that_is_wrong() {
    let test = counting(|env, numbers, counts| {
        env.source("numbers", numbers).map(|number| (number, 1)).sink("counts", counts);
        Ok(())
    });
    check_report(
        || test.assert_output(|numbers| counted(numbers)),
        &["It fails without any fault and with one subtask for each operator.", "2 of 200 records"],
    );
}

#[test]
fn an_error_of_the_job_function() {
    let test = counting(|_, _, _| Err("there is no such table".into()));
    check_report(|| test.assert_output(|_| Vec::new()), &["the job function failed: there is no such table"]);
}

/// Writes each record to an object at once, without a transaction.
#[derive(Clone)]
struct WriteAtOnce;

struct AtOnce {
    writer: String,
    io: Io,
    written: u64,
}

impl Sink for WriteAtOnce {
    type Item = u64;
    type Writer = AtOnce;

    fn writer(&self, context: &WriterContext) -> Result<AtOnce, UserError> {
        Ok(AtOnce { writer: context.subtask.to_string(), io: context.io.clone(), written: 0 })
    }
}

impl Writer for AtOnce {
    type Item = u64;

    fn write(&mut self, number: u64, _: Timestamp) -> JobResult {
        let at = Location(format!("/direct/{}-{}", self.writer, self.written));
        self.written += 1;
        let put = StoreOp::Put { at, body: number.to_string().into(), mode: PutMode::Overwrite };
        let ticket = self.io.submit(put);
        self.io.forget(ticket);
        Ok(())
    }

    fn prepare(&mut self) -> Result<Option<Prepared>, UserError> {
        Ok(None)
    }

    fn commit(&self, _: &Transaction) -> Result<Request, UserError> {
        Err("nothing is committed".into())
    }
}

#[test]
fn a_sink_that_does_not_wait_for_the_checkpoint() {
    let test = Simulation::new(numbers(), |env, numbers: Feed<u64>, (): ()| {
        env.source("numbers", numbers).sink("direct", WriteAtOnce);
        Ok(())
    });
    check_report(
        || {
            test.faults([Fault::KilledExecutor, Fault::LostTaskManager]).assert_that(|committed| {
                let files = committed.files("/direct").len();
                assert!(files == committed.input.len(), "{files} files, {} records", committed.input.len());
            });
        },
        &["files, ", "It fails only if a process is lost.", "it writes again"],
    );
}

/// Commits by creating an object, which fails the second time.
#[derive(Clone)]
struct CreateOnce;

struct Once {
    writer: String,
    transactions: u64,
    open: String,
}

impl Sink for CreateOnce {
    type Item = u64;
    type Writer = Once;

    fn writer(&self, context: &WriterContext) -> Result<Once, UserError> {
        Ok(Once { writer: context.subtask.to_string(), transactions: 0, open: String::new() })
    }
}

impl Writer for Once {
    type Item = u64;

    fn write(&mut self, number: u64, _: Timestamp) -> JobResult {
        self.open += &format!("{number}\n");
        Ok(())
    }

    fn prepare(&mut self) -> Result<Option<Prepared>, UserError> {
        if self.open.is_empty() {
            return Ok(None);
        }
        self.transactions += 1;
        let transaction = format!("{}-{} {}", self.writer, self.transactions, std::mem::take(&mut self.open));
        let (requests, wait_for) = (Vec::new(), Vec::new());
        Ok(Some(Prepared { transaction: Transaction(transaction.into()), requests, wait_for }))
    }

    fn commit(&self, transaction: &Transaction) -> Result<Request, UserError> {
        let text = std::str::from_utf8(&transaction.0)?;
        let (name, body) = text.split_once(' ').ok_or("a name and a body")?;
        let (at, body) = (Location(format!("/once/{name}")), body.to_owned().into());
        Ok(StoreOp::Put { at, body, mode: PutMode::Create }.into())
    }

    fn commit_time_limit(&self) -> Duration {
        Duration::from_secs(10)
    }
}

#[test]
fn a_commit_that_cannot_be_repeated() {
    let test = Simulation::new(numbers(), |env, numbers: Feed<u64>, (): ()| {
        env.source("numbers", numbers).sink("once", CreateOnce);
        Ok(())
    });
    check_report(
        || test.faults([Fault::FailingStorage, Fault::LostJobManager]).shrink_runs(60).assert_that(|_| ()),
        &["the job does not come to its end", "exists already"],
    );
}

/// Two inputs and two outputs, each of which must be right.
#[test]
fn several_inputs_and_outputs() {
    let letters: Vec<char> = "abcdefghij".repeat(10).chars().collect();
    let test = |wrong: u64| {
        Simulation::new(
            (numbers(), letters.clone()),
            move |env, (numbers, letters): (Feed<u64>, Feed<char>), (a, b): (Collect<u64>, Collect<char>)| {
                env.source("numbers", numbers).map(move |number| number + wrong).sink("a", a);
                env.source("letters", letters).sink("b", b);
                Ok(())
            },
        )
        .splits(3)
        .seeds(3)
    };
    test(0).assert_output(|input| input.clone());
    check_report(
        || test(1).assert_output(|input| input.clone()),
        &["output 0: 1 records are missing: ", "1 of 200 records of input 0", "0 of 100 records of input 1"],
    );
}
