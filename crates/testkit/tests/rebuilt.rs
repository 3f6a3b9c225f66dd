//! A savepoint or a checkpoint of one build of a job, restored by another: what may change, and what is refused by name.

use reflow_api::operator_state::{OperatorList, RestoredLists, SnapshotLists};
use reflow_api::{UnkeyedContext, UnkeyedProcessFunction, UserError};
use reflow_network::output::KeySelector;
use reflow_protocol::failure::Fault;
use reflow_stream::{KeyedStream, Pipeline, Stream, StreamEnv};
use reflow_testkit::{Collect, Feed, Harness};
use reflow_types::Data;

extern crate reflow_types as reflow;

type Payment = (u64, i64);

/// What the first build keeps of an account.
#[derive(Clone, Data)]
struct Account {
    owner: u64,
    balance: i64,
    last: i64,
}

impl From<Payment> for Account {
    fn from((owner, amount): Payment) -> Self {
        Self { owner, balance: amount, last: amount }
    }
}

/// `last` is dropped, two fields are new.
#[derive(Clone, Data)]
#[data(removed = "last")]
struct Grown {
    owner: u64,
    balance: i64,
    #[data(default)]
    payments: u32,
    #[data(default = unknown)]
    currency: String,
}

fn unknown() -> String {
    "unknown".to_owned()
}

impl From<Payment> for Grown {
    fn from((owner, balance): Payment) -> Self {
        Self { owner, balance, payments: 1, currency: "EUR".to_owned() }
    }
}

/// The balance is a text.
#[derive(Clone, Data)]
#[data(removed = "last")]
struct Changed {
    owner: u64,
    balance: String,
}

impl From<Payment> for Changed {
    fn from((owner, amount): Payment) -> Self {
        Self { owner, balance: amount.to_string() }
    }
}

/// A field is new, and nothing says what it is in what was written before.
#[derive(Clone, Data)]
#[data(removed = "last")]
struct Demanding {
    owner: u64,
    balance: i64,
    limit: i64,
}

impl From<Payment> for Demanding {
    fn from((owner, balance): Payment) -> Self {
        Self { owner, balance, limit: 0 }
    }
}

/// Whose an account is, and how two become one.
type ByOwner<A> = (fn(&A) -> u64, fn(A, A) -> A);

/// A job that keeps an `A` for each owner.
fn build<A>(
    (feed, out): (&Feed<Payment>, &Collect<String>),
    uid: &'static str,
    (owner, add): ByOwner<A>,
    show: fn(A) -> String,
) -> impl Fn(&mut StreamEnv) + 'static + use<A>
where
    A: From<Payment> + Clone + Data,
{
    let (feed, out) = (feed.clone(), out.clone());
    move |env| {
        let accounts = env.source("payments", feed.clone()).uid("payments").map(A::from);
        let accounts = accounts.key_by(move |account: &A| owner(account)).reduce(add).uid(uid);
        let _ = accounts.map(show).sink("out", out.clone()).uid("out");
    }
}

/// What the first build leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Left {
    Savepoint,
    /// The second of two checkpoints, which contains only what has changed since the first.
    Checkpoint,
}

/// What the first build has left, with its job ended.
struct Saved {
    feed: Feed<Payment>,
    out: Collect<String>,
    job: Harness<'static>,
    savepoint: Option<String>,
}

impl Saved {
    /// Each kind of it.
    fn each() -> [Self; 2] {
        [Left::Savepoint, Left::Checkpoint].map(Self::new)
    }

    fn new(left: Left) -> Self {
        let (feed, out) = (Feed::new(1), Collect::new("out"));
        let first = build::<Account>(
            (&feed, &out),
            "accounts",
            (|account| account.owner, |a, b| Account { balance: a.balance + b.balance, ..b }),
            |account| format!("{} has {}, last {}", account.owner, account.balance, account.last),
        );
        let mut job = Harness::new(first);
        job.start(2);
        feed.push(0, [(1, 10), (2, 20)]);
        job.settle();
        let checkpoint = || left == Left::Checkpoint;
        assert!(!checkpoint() || job.checkpoint());
        feed.push(0, [(1, 5)]);
        job.settle();
        assert!(!checkpoint() || job.checkpoint());
        let savepoint = (!checkpoint()).then(|| job.savepoint().expect("a savepoint"));
        job.kill();
        assert_eq!(out.written().len(), 3);
        Self { feed, out, job, savepoint }
    }

    /// Starts the rebuilt job from what is left.
    fn start(&mut self, parallelism: u32) {
        match &self.savepoint {
            Some(savepoint) => self.job.start_from_savepoint(savepoint, parallelism),
            None => self.job.start(parallelism),
        }
    }

    fn grown(&self, uid: &'static str) -> impl Fn(&mut StreamEnv) + 'static + use<> {
        let add = |a: Grown, b: Grown| Grown {
            balance: a.balance + b.balance,
            payments: a.payments + b.payments,
            ..a
        };
        let show = |account: Grown| {
            let Grown { owner, balance, payments, currency } = account;
            format!("{owner} has {balance} {currency} after {payments}")
        };
        build::<Grown>((&self.feed, &self.out), uid, (|account| account.owner, add), show)
    }

    fn written(&self) -> Vec<String> {
        let mut written: Vec<String> = self.out.written().into_iter().map(|(line, _)| line).collect();
        written.sort();
        written
    }

    /// All failures are of the state of accounts, and say this.
    fn refused(&mut self, with: &[&str]) {
        self.start(2);
        let failures = self.job.failures();
        assert!(!failures.is_empty(), "{}", self.job.state());
        for failure in failures {
            assert!(with.iter().all(|text| failure.message.contains(text)), "{failure:?}");
        }
    }
}

#[test]
fn fields_may_be_removed_and_added_with_a_default_at_any_parallelism() {
    for parallelism in 1..=3 {
        for mut saved in Saved::each() {
            saved.job.rebuild(saved.grown("accounts"));
            saved.start(parallelism);
            saved.feed.push(0, [(1, 1), (3, 7)]);
            saved.job.settle();
            assert_eq!(saved.job.failures(), []);
            assert_eq!(saved.written(), ["1 has 16 unknown after 1", "3 has 7 EUR after 1"]);
        }
    }
}

/// The first checkpoint of the rebuilt job contains everything, so that no chain mixes two types, also what has not
/// changed.
#[test]
fn checkpoints_of_the_rebuilt_job_have_its_types_alone() {
    for mut saved in Saved::each() {
        saved.job.rebuild(saved.grown("accounts"));
        saved.start(2);
        saved.feed.push(0, [(1, 1)]);
        saved.job.settle();
        assert!(saved.job.checkpoint(), "{:?}", saved.job.failed_checkpoints());
        saved.feed.push(0, [(1, 1)]);
        saved.job.settle();
        assert!(saved.job.checkpoint(), "{:?}", saved.job.failed_checkpoints());
        saved.job.kill();
        assert_eq!(saved.written(), ["1 has 16 unknown after 1", "1 has 17 unknown after 2"]);
        saved.job.start(3);
        saved.feed.push(0, [(1, 1), (2, 1)]);
        saved.job.settle();
        assert_eq!(saved.job.failures(), []);
        assert_eq!(saved.written(), ["1 has 18 unknown after 3", "2 has 21 unknown after 1"]);
    }
}

/// A build that has not changed its state adds to the checkpoint of another one.
#[test]
fn the_checkpoint_of_a_build_with_the_same_types_is_continued() {
    let mut saved = Saved::new(Left::Checkpoint);
    let first = build::<Account>(
        (&saved.feed, &saved.out),
        "accounts",
        (|account| account.owner, |a, b| Account { balance: a.balance + b.balance, ..b }),
        |account| format!("{}: {}", account.owner, account.balance),
    );
    let objects = |job: &Harness| -> Vec<String> {
        job.latest().expect("a checkpoint").objects().into_iter().map(str::to_owned).collect()
    };
    let before = objects(&saved.job);
    saved.job.rebuild(first);
    saved.start(2);
    saved.feed.push(0, [(1, 1)]);
    saved.job.settle();
    assert!(saved.job.checkpoint(), "{:?}", saved.job.failed_checkpoints());
    assert!(before.iter().any(|object| objects(&saved.job).contains(object)), "{before:?}");
    assert_eq!(saved.written(), ["1: 16"]);
}

/// Where the position of an operator is its uid, operators must stay where they are.
#[test]
fn state_without_a_uid_is_refused_if_the_operators_have_changed() {
    type Sums = fn(&mut StreamEnv, &Feed<Payment>, &Collect<Payment>);
    fn summed(
        records: KeyedStream<impl Pipeline<Out = Payment>, impl KeySelector<Payment>>,
    ) -> Stream<impl Pipeline<Out = Payment>> {
        records.reduce(|(key, a), (_, b)| (key, a + b))
    }
    let one: Sums = |env, feed, out| {
        let _ = summed(env.source("in", feed.clone()).key_by(|r| r.0)).sink("out", out.clone());
    };
    let two: Sums = |env, feed, out| {
        let highest = env.source("in", feed.clone()).key_by(|r| r.1).reduce(|a, _| a);
        let _ = summed(highest.key_by(|r| r.0)).sink("out", out.clone());
    };
    let named: Sums = |env, feed, out| {
        let doubled = env.source("in", feed.clone()).uid("source-1").map(|r| r);
        let sums = summed(doubled.key_by(|r| r.0)).uid("reduce-1");
        let _ = sums.sink("out", out.clone()).uid("sink-1");
    };
    let (feed, out) = (Feed::new(1), Collect::new("out"));
    let job = |build: Sums| {
        let (feed, out) = (feed.clone(), out.clone());
        move |env: &mut StreamEnv| build(env, &feed, &out)
    };
    let mut harness = Harness::new(job(one));
    harness.start(1);
    feed.push(0, [(1, 10)]);
    harness.settle();
    assert!(harness.checkpoint());
    harness.kill();
    harness.rebuild(job(two));
    harness.start(1);
    let [failure] = harness.failures() else { panic!("{}", harness.state()) };
    assert!(failure.message.contains("'Reduce' (uid reduce-1)"), "{failure:?}");
    harness.rebuild(job(named));
    harness.start(1);
    feed.push(0, [(1, 5)]);
    harness.settle();
    assert_eq!(harness.failures(), []);
    assert_eq!(out.written().last().map(|(record, _)| *record), Some((1, 15)));
}

#[test]
fn items_of_lists_are_translated_or_refused() {
    #[derive(Clone)]
    struct Keep<T>(Vec<T>);
    impl<T: Data + Clone + From<u32> + std::fmt::Debug> UnkeyedProcessFunction for Keep<T> {
        type In = u32;
        type Out = String;
        fn operator_lists(&self) -> Vec<OperatorList> {
            vec![OperatorList::split::<T>("kept")]
        }
        fn restore(&mut self, lists: &mut RestoredLists) -> Result<(), UserError> {
            self.0 = lists.take("kept")?;
            Ok(())
        }
        fn snapshot(&mut self, lists: &mut SnapshotLists) -> Result<(), UserError> {
            lists.put("kept", &self.0)
        }
        fn process(
            &mut self,
            context: &mut impl UnkeyedContext<String>,
            record: u32,
        ) -> Result<(), UserError> {
            self.0.push(T::from(record));
            context.emit(format!("{:?}", self.0));
            Ok(())
        }
    }
    #[derive(Clone, Debug, Data)]
    struct Text(String);
    impl From<u32> for Text {
        fn from(number: u32) -> Self {
            Self(number.to_string())
        }
    }
    let (feed, out) = (Feed::new(1), Collect::new("out"));
    fn job<T: Data + Clone + From<u32> + std::fmt::Debug>(
        feed: &Feed<u32>,
        out: &Collect<String>,
    ) -> impl Fn(&mut StreamEnv) + 'static + use<T> {
        let (feed, out) = (feed.clone(), out.clone());
        move |env| {
            let records = env.source("in", feed.clone()).uid("in");
            let kept = records.process(Keep::<T>(Vec::new())).uid("keep");
            let _ = kept.sink("out", out.clone()).uid("out");
        }
    }
    let mut harness = Harness::new(job::<u32>(&feed, &out));
    harness.start(1);
    feed.push(0, [1]);
    harness.settle();
    assert!(harness.checkpoint());
    harness.kill();
    harness.rebuild(job::<Text>(&feed, &out));
    harness.start(1);
    let [failure] = harness.failures() else { panic!("{}", harness.state()) };
    for part in ["state 'kept' of operator 'keep'", "written as u32"] {
        assert!(failure.message.contains(part), "{failure:?}");
    }
    harness.rebuild(job::<u64>(&feed, &out));
    harness.start(1);
    feed.push(0, [2]);
    harness.settle();
    assert_eq!(harness.failures(), []);
    let last = out.written().pop().map(|(line, _)| line);
    assert_eq!(last.as_deref(), Some("[1, 2]"));
}

#[test]
fn a_field_of_another_type_is_refused_by_name() {
    for mut saved in Saved::each() {
        let changed = build::<Changed>(
            (&saved.feed, &saved.out),
            "accounts",
            (|account| account.owner, |_, b| b),
            |account| account.balance,
        );
        saved.job.rebuild(changed);
        saved.refused(&["field `balance`", "written as i64 and is String now"]);
    }
}

#[test]
fn a_new_field_without_a_default_is_refused_by_name() {
    for mut saved in Saved::each() {
        let demanding = build::<Demanding>(
            (&saved.feed, &saved.out),
            "accounts",
            (|account| account.owner, |_, b| b),
            |account| format!("{} {}", account.balance, account.limit),
        );
        saved.job.rebuild(demanding);
        saved.refused(&["`limit: i64` was not written", "#[data(default)]"]);
    }
}

/// Keys go to subtasks by their encoding, which follows the order of their fields.
#[test]
fn a_key_whose_fields_have_another_order_is_refused_with_both_types() {
    mod before {
        use super::*;
        #[derive(Clone, Debug, PartialEq, Eq, Data, reflow::Key)]
        pub(super) struct Route {
            pub(super) from: u64,
            pub(super) to: u64,
        }
    }
    mod now {
        use super::*;
        #[derive(Clone, Debug, PartialEq, Eq, Data, reflow::Key)]
        pub(super) struct Route {
            pub(super) to: u64,
            pub(super) from: u64,
        }
    }
    fn job<K: reflow::Key>(
        (feed, out): (&Feed<Payment>, &Collect<String>),
        key: fn(&Payment) -> K,
    ) -> impl Fn(&mut StreamEnv) + 'static + use<K> {
        let (feed, out) = (feed.clone(), out.clone());
        move |env| {
            let payments = env.source("payments", feed.clone()).uid("payments").key_by(key);
            let sums = payments.reduce(|(key, a), (_, b)| (key, a + b)).uid("routes");
            let _ = sums.map(|sum| format!("{sum:?}")).sink("out", out.clone()).uid("out");
        }
    }
    let streams = (&Feed::new(1), &Collect::new("out"));
    let mut harness = Harness::new(job(streams, |(from, _)| before::Route { from: *from, to: 2 }));
    harness.start(1);
    streams.0.push(0, [(1, 10)]);
    harness.settle();
    assert!(harness.checkpoint());
    harness.kill();
    harness.rebuild(job(streams, |(from, _)| now::Route { from: *from, to: 2 }));
    harness.start(1);
    let [failure] = harness.failures() else { panic!("{}", harness.state()) };
    let message = &failure.message;
    assert_eq!(failure.fault, Fault::Permanent);
    for text in ["'routes'", "Route { from: u64, to: u64 }", "Route { to: u64, from: u64 }"] {
        assert!(message.contains(text), "{message}");
    }
}

#[test]
fn state_of_an_operator_that_is_gone_is_refused_unless_it_is_to_be_dropped() {
    for mut saved in Saved::each() {
        saved.job.rebuild(saved.grown("accounts of another name"));
        saved.start(1);
        let [failure] = saved.job.failures() else { panic!("{}", saved.job.state()) };
        assert_eq!(failure.fault, Fault::Permanent);
        assert!(failure.message.contains("'accounts'"), "{failure:?}");
        assert!(failure.message.contains("--allowNonRestoredState"), "{failure:?}");

        saved.job.rebuild(saved.grown("accounts of another name"));
        saved.job.drop_unclaimed_state();
        saved.start(1);
        saved.feed.push(0, [(1, 1)]);
        saved.job.settle();
        assert_eq!(
            saved.written(),
            ["1 has 1 EUR after 1"],
            "it begins anew; the source goes on where it was"
        );
    }
}
