//! The inputs and outputs of a simulated job.

use crate::faults::Probe;
use crate::world::{BEGIN, Storage};
use reflow_testkit::{Collect, Feed};
use reflow_types::data;
use reflow_types::{Data, Instant};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

/// The directory of outputs in the simulated storage.
const COLLECTED: &str = "/collected";
/// The time after the start of a cluster at which the first record arrives. The job runs then.
const FIRST_RECORD: Duration = Duration::from_secs(2);
/// The most records of a difference that are shown.
const SHOWN: usize = 8;

/// When the records of a run arrive.
#[derive(Debug)]
pub struct Pace {
    pub(super) lasts: Duration,
    pub(super) splits: usize,
    /// For each input, the positions of the records that the run has.
    pub(super) kept: Vec<Vec<usize>>,
    pub(super) probe: Probe,
}

impl Pace {
    /// The records arrive at the same times, whichever others are left out.
    fn feed<T: Clone + Send + 'static>(&self, input: usize, records: &[T]) -> Feed<T> {
        let feed = Feed::new(self.splits);
        for &at in &self.kept[input] {
            let due = FIRST_RECORD + self.lasts.mul_f64(at as f64 / records.len() as f64);
            let due = Instant(BEGIN + due.as_micros() as u64);
            feed.push_due(at % self.splits, due, records[at].clone());
        }
        feed.end();
        let (probe, before) = (self.probe.clone(), input * self.splits);
        feed.observe(move |split, position| probe.emitted((before + split) as u32, position as u64));
        feed
    }
}

/// The records that a simulated job reads: a vector, a tuple of vectors, or `()` for a job with its own sources.
///
/// ```
/// # mod reflow {
/// #     pub use reflow_stream::*;
/// #     pub mod testing { pub use reflow_testkit::*; pub use reflow_sim::simulation::*; }
/// # }
/// use reflow::testing::{Feed, Inputs};
///
/// /// What the job function gets for an input.
/// fn gets<I: Inputs<Feeds = F>, F>() {}
///
/// gets::<Vec<u64>, Feed<u64>>();
/// gets::<(Vec<u64>, Vec<String>), (Feed<u64>, Feed<String>)>();
/// gets::<(), ()>();
/// ```
pub trait Inputs: Sized {
    /// The sources of the job: a [`Feed`] for each vector.
    type Feeds: Clone + Send + Sync + 'static;
    /// The number of records of each vector.
    #[doc(hidden)]
    fn lengths(&self) -> Vec<usize>;
    /// The sources of a run.
    #[doc(hidden)]
    fn feeds(&self, pace: &Pace) -> Self::Feeds;
    /// The records at the given positions of each vector.
    #[doc(hidden)]
    fn keep(&self, kept: &[Vec<usize>]) -> Self;
    /// The records as text, by vector.
    #[doc(hidden)]
    fn texts(&self) -> Vec<Vec<String>>;
}

fn keep<T: Clone>(records: &[T], kept: &[usize]) -> Vec<T> {
    kept.iter().map(|at| records[*at].clone()).collect()
}

fn texts<T: Debug>(records: &[T]) -> Vec<String> {
    records.iter().map(|record| format!("{record:?}")).collect()
}

impl<T: Clone + Debug + Send + 'static> Inputs for Vec<T> {
    type Feeds = Feed<T>;

    fn lengths(&self) -> Vec<usize> {
        vec![self.len()]
    }

    fn feeds(&self, pace: &Pace) -> Feed<T> {
        pace.feed(0, self)
    }

    fn keep(&self, kept: &[Vec<usize>]) -> Self {
        keep(self, &kept[0])
    }

    fn texts(&self) -> Vec<Vec<String>> {
        vec![texts(self)]
    }
}

/// The sinks of a simulated job: a [`Collect`], a tuple of them, or `()` for a job with its own sinks.
///
/// ```
/// # mod reflow {
/// #     pub use reflow_stream::*;
/// #     pub mod testing { pub use reflow_testkit::*; pub use reflow_sim::simulation::*; }
/// # }
/// use reflow::testing::{Collect, Outputs};
///
/// /// What is compared for an output.
/// fn compares<O: Outputs<Records = R>, R>() {}
///
/// compares::<Collect<u64>, Vec<u64>>();
/// compares::<(Collect<u64>, Collect<String>), (Vec<u64>, Vec<String>)>();
/// compares::<(), ()>();
/// ```
pub trait Outputs: Clone + Send + Sync + 'static {
    /// The committed records: a vector for each sink.
    type Records;
    /// The sinks of a run.
    #[doc(hidden)]
    fn create() -> Self;
    /// What they have committed.
    #[doc(hidden)]
    fn committed(&self, storage: &Storage) -> Self::Records;
    /// What is wrong with the committed records.
    #[doc(hidden)]
    fn difference(expected: &Self::Records, committed: &Self::Records) -> Vec<String>;
    /// The records of all sinks, encoded and in order, to compare two runs.
    #[doc(hidden)]
    fn encoded(records: &Self::Records) -> Vec<Vec<u8>>;
}

fn collect<T: Data + Clone>(number: usize) -> Collect<T> {
    Collect::new(&format!("{COLLECTED}/{number}"))
}

fn committed<T: Data>(sink: &Collect<T>, storage: &Storage) -> Vec<T> {
    sink.decode(storage.below(&sink.committed_prefix()))
}

fn encode<T: Data>(record: &T) -> Vec<u8> {
    data::to_vec(record).expect("what was written to a sink can be encoded")
}

fn encode_all<T: Data>(records: &[T]) -> Vec<Vec<u8>> {
    let mut encoded: Vec<Vec<u8>> = records.iter().map(encode).collect();
    encoded.sort_unstable();
    encoded
}

/// Two records are the same if their encoding is, so that they need no order and may have floats.
fn difference<T: Data + Debug>(about: &str, expected: &[T], committed: &[T]) -> Vec<String> {
    let mut balance: BTreeMap<Vec<u8>, (i64, &T)> = BTreeMap::new();
    for (records, one) in [(expected, -1), (committed, 1)] {
        for record in records {
            balance.entry(encode(record)).or_insert((0, record)).0 += one;
        }
    }
    let list = |what: &str, sign: i64| {
        let differs: Vec<(i64, &T)> =
            balance.values().map(|(count, record)| (count * sign, *record)).filter(|(n, _)| *n > 0).collect();
        let total: i64 = differs.iter().map(|(count, _)| count).sum();
        let text = |(count, record): &(i64, &T)| match count {
            1 => format!("{record:?}"),
            more => format!("{more} times {record:?}"),
        };
        let shown: Vec<String> = differs.iter().take(SHOWN).map(text).collect();
        let more = if differs.len() > SHOWN { ", …" } else { "" };
        (total > 0).then(|| format!("{about}{total} records {what}: {}{more}", shown.join(", ")))
    };
    [list("are missing", -1), list("are not expected", 1)].into_iter().flatten().collect()
}

impl<T: Data + Clone + Debug> Outputs for Collect<T> {
    type Records = Vec<T>;

    fn create() -> Self {
        collect(0)
    }

    fn committed(&self, storage: &Storage) -> Vec<T> {
        committed(self, storage)
    }

    fn difference(expected: &Vec<T>, committed: &Vec<T>) -> Vec<String> {
        difference("", expected, committed)
    }

    fn encoded(records: &Vec<T>) -> Vec<Vec<u8>> {
        encode_all(records)
    }
}

impl Inputs for () {
    type Feeds = ();

    fn lengths(&self) -> Vec<usize> {
        Vec::new()
    }

    fn feeds(&self, _: &Pace) {}

    fn keep(&self, _: &[Vec<usize>]) {}

    fn texts(&self) -> Vec<Vec<String>> {
        Vec::new()
    }
}

impl Outputs for () {
    type Records = ();

    fn create() {}

    fn committed(&self, _: &Storage) {}

    fn difference((): &(), (): &()) -> Vec<String> {
        Vec::new()
    }

    fn encoded((): &()) -> Vec<Vec<u8>> {
        Vec::new()
    }
}

macro_rules! tuples {
    ($($type:ident $number:tt),+) => {
        impl<$($type: Clone + Debug + Send + 'static),+> Inputs for ($(Vec<$type>,)+) {
            type Feeds = ($(Feed<$type>,)+);

            fn lengths(&self) -> Vec<usize> {
                vec![$(self.$number.len()),+]
            }

            fn feeds(&self, pace: &Pace) -> Self::Feeds {
                ($(pace.feed($number, &self.$number),)+)
            }

            fn keep(&self, kept: &[Vec<usize>]) -> Self {
                ($(keep(&self.$number, &kept[$number]),)+)
            }

            fn texts(&self) -> Vec<Vec<String>> {
                vec![$(texts(&self.$number)),+]
            }
        }

        impl<$($type: Data + Clone + Debug),+> Outputs for ($(Collect<$type>,)+) {
            type Records = ($(Vec<$type>,)+);

            fn create() -> Self {
                ($(collect::<$type>($number),)+)
            }

            fn committed(&self, storage: &Storage) -> Self::Records {
                ($(committed(&self.$number, storage),)+)
            }

            fn difference(expected: &Self::Records, committed: &Self::Records) -> Vec<String> {
                let mut wrong = Vec::new();
                $(wrong.extend(difference(
                    &format!("output {}: ", $number),
                    &expected.$number,
                    &committed.$number,
                ));)+
                wrong
            }

            fn encoded(records: &Self::Records) -> Vec<Vec<u8>> {
                let mut all = Vec::new();
                $(all.extend(encode_all(&records.$number));)+
                all
            }
        }
    };
}

tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
