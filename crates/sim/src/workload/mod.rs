//! Jobs to run in the world, and what they must have written at the end.
//!
//! The expectation is computed from the readings alone, by code that shares nothing with the engine, but for the
//! suite of operators. Readings of different splits may come in any order, so what a job writes must not depend on it; those of one split
//! must come in theirs, which the jobs check themselves and write down as `disorder`, a line that no
//! expectation holds.

pub mod counts;
pub mod operators;
pub mod reading;
pub mod sink;
pub mod source;
pub mod timers;
pub mod windows;

use crate::faults::Probe;
use crate::rng::Rng;
use crate::world::Storage;
use reading::Readings;
use reflow_api::UserError;
use reflow_stream::StreamEnv;
use reflow_testkit::operators::Operator;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Lines, and how often each stands in the output.
pub type Lines = BTreeMap<String, u64>;

/// A job with all that it reads.
#[derive(Clone, Debug)]
pub struct Workload {
    shape: Shape,
    readings: Arc<Readings>,
    probe: Probe,
    max_parallelism: [u32; 2],
    /// The size of windows.
    window: Duration,
}

/// What kind of job it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// Source → count by key → sink.
    Counts,
    /// Source → rebalanced → count by key → count by another → sink.
    CountsOfCounts,
    /// Source → sum by key and tumbling window → sink.
    Windows,
    /// Two sources in one → sum by key and sliding window → sink.
    SlidingUnion,
    /// Source → a process function with timers → sink.
    Timers,
    /// Source → an operator of the suite → sink.
    Operator(Operator),
}

impl Shape {
    /// Those with a model of their own.
    const MODELLED: [Shape; 5] =
        [Shape::Counts, Shape::CountsOfCounts, Shape::Windows, Shape::SlidingUnion, Shape::Timers];

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::MODELLED.into_iter().chain(Operator::ALL.map(Self::Operator))
    }

    fn random(rng: &mut Rng) -> Self {
        if rng.chance(0.5) {
            return *rng.pick(&Self::MODELLED).expect("there are shapes");
        }
        Self::Operator(*rng.pick(&Operator::ALL).expect("there are operators"))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator(operator) => write!(f, "{operator:?}"),
            modelled => write!(f, "{modelled:?}"),
        }
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::all().find(|shape| shape.to_string() == name);
        found.ok_or_else(|| {
            let names: Vec<_> = Self::all().map(|shape| shape.to_string()).collect();
            format!("there is no such job; there are {}", names.join(", "))
        })
    }
}

impl Workload {
    /// A workload that keeps a cluster busy for about this long, of any shape or of one.
    pub fn random(rng: &mut Rng, probe: Probe, busy: Duration, only: Option<Shape>) -> Self {
        let any = Shape::random(rng);
        Self {
            shape: only.unwrap_or(any),
            readings: Arc::new(Readings::random(rng, busy)),
            probe,
            max_parallelism: [rng.skewed(1..=32_768) as u32, rng.skewed(1..=32_768) as u32],
            window: Duration::from_millis(rng.skewed(100..=20_000)),
        }
    }

    /// The same with fewer records, so that all but the last of each split are read long before a cluster is left
    /// alone.
    #[must_use]
    pub fn shortened(mut self) -> Self {
        let readings = Arc::make_mut(&mut self.readings);
        readings.per_split = (readings.per_split / 3).max(50);
        self
    }

    /// Whether all records but the last of each split have been read.
    pub fn is_at_its_end(&self) -> bool {
        self.probe.reached() >= u64::from(self.readings.splits) * (self.readings.per_split - 1)
    }

    /// The job function.
    ///
    /// # Errors
    /// None: the signature is that of job functions.
    pub fn build(&self, env: &mut StreamEnv) -> Result<(), UserError> {
        match self.shape {
            Shape::Counts => counts::build(env, self),
            Shape::CountsOfCounts => counts::build_twice(env, self),
            Shape::Windows => windows::build_tumbling(env, self),
            Shape::SlidingUnion => windows::build_sliding_union(env, self),
            Shape::Timers => timers::build(env, self),
            Shape::Operator(operator) => operators::build(env, self, operator),
        }
        Ok(())
    }

    /// Adds to the job function a part that reads nothing, so that the graph is another.
    pub fn extend(&self, env: &mut StreamEnv) {
        let nothing = Arc::new(Readings { splits: 0, ..(*self.readings).clone() });
        let source = source::ReadingSource::new(nothing, self.probe.clone());
        env.source("nothing", source)
            .map(|_: reading::Reading| String::new())
            .sink("nothing", sink::LineSink);
    }

    /// Whether the output is lines of the form `key count`, which come in the order of their counts for each key.
    pub fn is_ordered(&self) -> bool {
        matches!(self.shape, Shape::Counts | Shape::CountsOfCounts)
    }

    /// What must have been committed at the end.
    pub fn expected(&self) -> Lines {
        match self.shape {
            Shape::Counts => counts::expected(&self.readings),
            Shape::CountsOfCounts => counts::expected_twice(&self.readings),
            Shape::Windows => windows::expected_tumbling(self),
            Shape::SlidingUnion => windows::expected_sliding_union(self),
            Shape::Timers => timers::expected(self),
            Shape::Operator(_) => operators::expected(self),
        }
    }

    fn source(&self) -> source::ReadingSource {
        source::ReadingSource::new(self.readings.clone(), self.probe.clone())
    }

    /// What kind of job it is.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// How many records it reads.
    pub fn records(&self) -> u64 {
        self.readings.count()
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Readings { splits, per_split, keys, interval, burst, .. } = &*self.readings;
        let (shape, max) = (self.shape, self.max_parallelism);
        write!(
            f,
            "{shape}: {splits} splits of {per_split}, {burst} each {interval:?}, {keys} keys, max {max:?}"
        )
    }
}

/// What has been committed so far.
pub fn committed(storage: &Storage) -> Lines {
    let mut lines = Lines::new();
    for (_, body) in storage.below(sink::COMMITTED) {
        for line in String::from_utf8_lossy(body).lines() {
            *lines.entry(line.to_owned()).or_default() += 1;
        }
    }
    lines
}

/// Counts lines.
fn lines(of: impl IntoIterator<Item = String>) -> Lines {
    let mut lines = Lines::new();
    for line in of {
        *lines.entry(line).or_default() += 1;
    }
    lines
}
