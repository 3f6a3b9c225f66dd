//! A savepoint of one build of a job, restored by another: what may change, and what is refused by name.

use reflow_protocol::failure::Fault;
use reflow_stream::StreamEnv;
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

/// A savepoint of the first build, with its job ended.
struct Saved {
    feed: Feed<Payment>,
    out: Collect<String>,
    job: Harness,
    savepoint: String,
}

impl Saved {
    fn new() -> Self {
        let (feed, out) = (Feed::new(1), Collect::new("out"));
        let first = build::<Account>(
            (&feed, &out),
            "accounts",
            (|account| account.owner, |a, b| Account { balance: a.balance + b.balance, ..b }),
            |account| format!("{} has {}, last {}", account.owner, account.balance, account.last),
        );
        let mut job = Harness::new(first);
        job.start(2);
        feed.push(0, [(1, 10), (2, 20), (1, 5)]);
        let savepoint = job.savepoint().expect("a savepoint");
        job.kill();
        assert_eq!(out.written().len(), 3);
        Self { feed, out, job, savepoint }
    }

    /// Starts the rebuilt job from the savepoint.
    fn start(&mut self, parallelism: u32) {
        self.job.start_from_savepoint(&self.savepoint, parallelism);
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
        let mut saved = Saved::new();
        saved.job.rebuild(saved.grown("accounts"));
        saved.start(parallelism);
        saved.feed.push(0, [(1, 1), (3, 7)]);
        saved.job.settle();
        assert_eq!(saved.job.failures(), []);
        assert_eq!(saved.written(), ["1 has 16 unknown after 1", "3 has 7 EUR after 1"]);
    }
}

#[test]
fn a_field_of_another_type_is_refused_by_name() {
    let mut saved = Saved::new();
    let changed = build::<Changed>(
        (&saved.feed, &saved.out),
        "accounts",
        (|account| account.owner, |_, b| b),
        |account| account.balance,
    );
    saved.job.rebuild(changed);
    saved.refused(&["field `balance`", "written as i64 and is String now"]);
}

#[test]
fn a_new_field_without_a_default_is_refused_by_name() {
    let mut saved = Saved::new();
    let demanding = build::<Demanding>(
        (&saved.feed, &saved.out),
        "accounts",
        (|account| account.owner, |_, b| b),
        |account| format!("{} {}", account.balance, account.limit),
    );
    saved.job.rebuild(demanding);
    saved.refused(&["`limit: i64` was not written", "#[data(default)]"]);
}

#[test]
fn state_of_an_operator_that_is_gone_is_refused_unless_it_is_to_be_dropped() {
    let mut saved = Saved::new();
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
    assert_eq!(saved.written(), ["1 has 1 EUR after 1"], "it begins anew; the source goes on where it was");
}
