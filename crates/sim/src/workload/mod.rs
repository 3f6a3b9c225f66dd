//! The workloads: jobs to run in the world, and their expected output.
//!
//! The expected output is computed from the readings alone, by code that shares nothing with the engine, except
//! for the operator suite. Readings of different splits may be read in any order, so the output must not depend
//! on it. Those of one split must be read in order; the jobs check that and write a line with `disorder`
//! otherwise, which no expectation contains.

pub mod alignment;
mod broker;
pub mod counts;
mod files;
pub mod idle;
pub mod late;
pub mod operators;
pub mod pipelines;
pub mod reading;
pub mod sink;
pub mod slow;
pub mod source;
pub mod timers;
pub mod windows;

use crate::check::Checker;
use crate::cluster::job::SimulatedJob;
use crate::faults::Probe;
use crate::redone::TransactionText;
use crate::rng::Rng;
use crate::world::{Storage, System, Work};
use alignment::Alignment;
use reading::{Reading, Readings};
use reflow_api::source::HandOut;
use reflow_api::{UserError, Watermarks};
use reflow_stream::{Pipeline, Stream, StreamEnv};
use reflow_testkit::operators::{Operator, called};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Lines, with their numbers in the output.
pub type Lines = BTreeMap<String, u64>;

/// A job with its input.
#[derive(Clone, Debug)]
pub struct Workload {
    shape: Shape,
    readings: Arc<Readings>,
    probe: Probe,
    max_parallelism: [u32; 2],
    /// The size of windows.
    window: Duration,
    /// The number of records that a burst makes from one.
    fan_out: u64,
    /// The time that slow operators take for a record, by their place.
    cost: [Duration; 3],
    work: Work,
    /// Whether splits wait for each other.
    alignment: Option<Alignment>,
    /// Whether the engine lets them wait, so that none is much further ahead in event time than they are from the beginning.
    event_time_alignment: Option<Duration>,
    hand_out: HandOut,
}

/// The kind of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// Source → count by key → sink.
    Counts,
    /// Source → rebalanced → count by key → count by another → sink.
    CountsOfCounts,
    /// Source → sum by key and tumbling window → sink.
    Windows,
    /// Two sources in one, of which one may end early → sum by key and sliding window → sink.
    SlidingUnion,
    /// Source → a process function with timers → sink.
    Timers,
    /// Source with late records → windows of two sizes → sink.
    Late,
    /// Source with a split that pauses → slow → window → slow → sink.
    Idle,
    /// Source → slow → rebalanced → slow → count by key → rebalanced → slow → sink.
    Slow,
    /// Source → hundreds of records from each → count by key → slow → sink.
    Bursts,
    /// Broker → count by key → broker.
    Broker,
    /// Source → count by key → files.
    Files,
    /// Source → count by key → sink, twice, in slots of their own or in the same ones.
    Pipelines,
    /// Source → an operator of the operator suite → sink.
    Operator(Operator),
}

impl Shape {
    /// The kinds with their own model.
    const MODELLED: [Shape; 12] = [
        Shape::Counts,
        Shape::CountsOfCounts,
        Shape::Windows,
        Shape::SlidingUnion,
        Shape::Timers,
        Shape::Late,
        Shape::Idle,
        Shape::Slow,
        Shape::Bursts,
        Shape::Broker,
        Shape::Files,
        Shape::Pipelines,
    ];

    /// All kinds.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::MODELLED.into_iter().chain(Operator::ALL.map(Self::Operator))
    }

    /// Whether the output does not depend on event time.
    fn is_timeless(self) -> bool {
        matches!(
            self,
            Self::Counts
                | Self::CountsOfCounts
                | Self::Slow
                | Self::Bursts
                | Self::Broker
                | Self::Files
                | Self::Pipelines
        )
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
    /// A random workload that keeps a cluster busy for about this long, of the kind `only` if given.
    pub fn random(rng: &mut Rng, probe: Probe, busy: Duration, only: Option<Shape>) -> Self {
        let any = Shape::random(rng);
        let shape = only.unwrap_or(any);
        let mut readings = Readings::random(rng, busy);
        let (fan_out, place, cost_ms) =
            (rng.within(100..=500), rng.within(0..=2) as usize, rng.skewed(1..=50));
        let mut cost = [Duration::ZERO; 3];
        let place = match shape {
            Shape::Slow => Some(place),
            Shape::Idle => (place < 2).then_some(place),
            Shape::Bursts => (place == 0).then_some(0),
            _ => None,
        };
        // Few enough that a single slot processes them in a minute or two.
        let mut most_records = u64::MAX;
        if let Some(place) = place {
            let cost_ms = if shape == Shape::Bursts { 1 } else { cost_ms };
            cost[place] = Duration::from_millis(cost_ms);
            most_records = 60_000 / cost_ms;
        }
        if shape == Shape::Bursts {
            most_records = most_records.min(60_000) / fan_out;
        }
        readings.per_split = readings.per_split.min(most_records / u64::from(readings.splits)).max(20);
        // Splits that wait for others in two ways could wait for each other.
        let mut of_event_time = Rng::new(readings.seed).fork("alignment");
        let event_time_alignment = of_event_time.chance(0.5).then(|| {
            let steps = of_event_time.within(1..=10);
            Duration::from_millis(readings.lead_ms + readings.disorder_ms + steps * readings.step_ms)
        });
        let max_parallelism = [rng.skewed(1..=32_768) as u32, rng.skewed(1..=32_768) as u32];
        let window = Duration::from_millis(rng.skewed(100..=20_000));
        // A split that waits for one that pauses would become idle as well, and then be late.
        let alignment = rng.chance(0.5).then(|| Alignment::random(rng)).filter(|_| shape != Shape::Idle);
        Self {
            shape,
            readings: Arc::new(readings),
            fan_out,
            cost,
            work: Work::default(),
            probe,
            max_parallelism,
            window,
            event_time_alignment: event_time_alignment.filter(|_| alignment.is_none()),
            alignment,
            // The records of a split that is handed out late may be late.
            hand_out: match rng.chance(0.5) && shape.is_timeless() {
                true => HandOut::OnRequest,
                false => HandOut::AtOnce,
            },
        }
    }

    /// The workload with fewer records, so that all but the last of each split are read long before the cluster
    /// is left alone.
    #[must_use]
    pub fn shortened(mut self) -> Self {
        let readings = Arc::make_mut(&mut self.readings);
        readings.per_split = (readings.per_split / 3).max(20);
        self
    }

    /// The job function.
    fn build(&self, env: &mut StreamEnv) {
        match self.shape {
            Shape::Counts => counts::build(env, self),
            Shape::CountsOfCounts => counts::build_twice(env, self),
            Shape::Windows => windows::build_tumbling(env, self),
            Shape::SlidingUnion => windows::build_sliding_union(env, self),
            Shape::Timers => timers::build(env, self),
            Shape::Late => late::build(env, self),
            Shape::Idle => idle::build(env, self),
            Shape::Slow => slow::build(env, self),
            Shape::Bursts => slow::build_bursts(env, self),
            Shape::Broker => broker::build(env, self),
            Shape::Files => files::build(env, self),
            Shape::Pipelines => pipelines::build(env, self),
            Shape::Operator(operator) => operators::build(env, self, operator),
        }
    }

    /// Whether the output consists of lines `key count`, which are in the order of their counts for each key.
    fn is_ordered(&self) -> bool {
        matches!(self.shape, Shape::Counts | Shape::CountsOfCounts | Shape::Broker)
    }

    /// The lines that must be committed at the end.
    fn expected(&self) -> Lines {
        match self.shape {
            Shape::Counts | Shape::Slow | Shape::Broker | Shape::Files => {
                counts::expected(self.readings.all())
            }
            Shape::CountsOfCounts => counts::expected_twice(&self.readings),
            Shape::Windows => windows::expected_tumbling(self),
            Shape::SlidingUnion => windows::expected_sliding_union(self),
            Shape::Timers => timers::expected(self),
            Shape::Late => late::expected(self).0,
            Shape::Idle => idle::expected(self),
            Shape::Bursts => slow::expected_bursts(&self.readings, self.fan_out),
            Shape::Pipelines => pipelines::expected(self),
            Shape::Operator(_) => operators::expected(self),
        }
    }

    /// The lines that may be committed in addition, each at most that often.
    fn possible(&self) -> Lines {
        if self.shape == Shape::Late { late::expected(self).1 } else { Lines::new() }
    }

    /// The workload with so much state that it exceeds the bounds of production.
    #[must_use]
    pub fn enlarged(mut self, rng: &mut Rng) -> Self {
        let readings = Arc::make_mut(&mut self.readings);
        readings.keys = rng.within(20_000..=40_000);
        readings.per_split = 60_000 / u64::from(readings.splits);
        readings.interval = Duration::from_millis(20);
        readings.burst = readings.per_split / 300 + 1;
        (self.fan_out, self.cost, self.alignment) = (1, [Duration::ZERO; 3], None);
        self
    }

    /// The stream of readings, with user code that sometimes fails.
    fn readings(&self, env: &mut StreamEnv, name: &str) -> Stream<impl Pipeline<Out = Reading> + use<>> {
        self.readings_of(env, name, self.source())
    }

    /// The stream of a source's readings, with user code that sometimes fails.
    fn readings_of(
        &self,
        env: &mut StreamEnv,
        name: &str,
        source: source::ReadingSource,
    ) -> Stream<impl Pipeline<Out = Reading> + use<>> {
        let probe = self.probe.clone();
        env.source(name, source).map(move |reading: Reading| {
            if probe.called() {
                // `resume_unwind` calls no panic hook, so nothing is printed.
                std::panic::resume_unwind(Box::new("user code panics this time".to_owned()));
            }
            reading
        })
    }

    /// Watermarks by which no reading is late.
    fn watermarks(&self) -> Watermarks {
        let disorder = Duration::from_millis(self.readings.disorder_ms);
        let watermarks = Watermarks::bounded_out_of_orderness(disorder);
        let aligned = self.event_time_alignment.map(|ahead| watermarks.with_alignment("readings", ahead));
        aligned.unwrap_or(watermarks)
    }

    /// A function that takes time for each record, if the operator at this place is slow.
    fn slow<T>(&self, place: usize) -> impl Fn(T) -> T + Clone + Send + Sync + 'static + use<T> {
        let (work, cost) = (self.work.clone(), self.cost[place]);
        move |record| {
            if !cost.is_zero() {
                work.spend(cost);
            }
            record
        }
    }

    fn source(&self) -> source::ReadingSource {
        let pause = if self.shape == Shape::Idle { idle::pause(&self.readings) } else { None };
        source::ReadingSource::new(self.readings.clone(), self.probe.clone())
            .with_pause(pause)
            .handing_out(self.hand_out)
            .aligned(self.alignment.clone())
    }

    /// Whether the pipelines of [`Shape::Pipelines`] run in slots of their own.
    fn has_slots_for_each_pipeline(&self) -> bool {
        self.max_parallelism[1].is_multiple_of(2)
    }

    /// Whether [`Shape::Pipelines`] has a third one.
    fn has_third_pipeline(&self) -> bool {
        self.max_parallelism[1].is_multiple_of(3)
    }

    /// The number of slots without which it cannot run.
    pub fn least_slots(&self) -> u64 {
        match self.shape {
            Shape::Pipelines if self.has_slots_for_each_pipeline() => {
                2 + u64::from(self.has_third_pipeline())
            }
            _ => 1,
        }
    }

    /// The kind of job.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The number of records that it reads.
    pub fn records(&self) -> u64 {
        self.readings.count()
    }
}

impl SimulatedJob for Workload {
    fn build(&self, env: &mut StreamEnv, work: &Work) -> Result<(), UserError> {
        Self { work: work.clone(), ..self.clone() }.build(env);
        Ok(())
    }

    fn extend(&self, env: &mut StreamEnv) {
        let nothing = Arc::new(Readings { splits: 0, ..(*self.readings).clone() });
        let source = source::ReadingSource::new(nothing, self.probe.clone());
        env.source("nothing", source)
            .map(|_: reading::Reading| String::new())
            .sink("nothing", sink::LineSink);
    }

    fn system(&self) -> Option<(&'static str, Box<dyn System>)> {
        match self.shape {
            Shape::Broker => {
                let broker = broker::GrowingBroker::new(self.readings.clone(), self.probe.clone());
                Some((broker::SYSTEM, Box::new(broker)))
            }
            Shape::Operator(operator) if operator.calls() => {
                Some((called::CALLED, Box::new(operators::Called)))
            }
            _ => None,
        }
    }

    fn transaction_text(&self) -> TransactionText {
        match self.shape {
            Shape::Broker => TransactionText(broker::file_of_encoded),
            _ => TransactionText::default(),
        }
    }

    fn is_timeless(&self) -> bool {
        self.shape.is_timeless()
    }

    fn is_at_its_end(&self) -> bool {
        self.probe.reached() >= u64::from(self.readings.splits) * (self.readings.per_split - 1)
    }

    fn judge(&self, checker: &mut Checker, storage: &Storage, or_less: bool) {
        checker.compare(storage, (&self.expected(), &self.possible()), or_less);
        if self.is_ordered() {
            checker.check_order(storage);
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Readings { splits, per_split, keys, interval, burst, .. } = &*self.readings;
        let (shape, max) = (self.shape, self.max_parallelism);
        write!(
            f,
            "{shape}: {splits} splits of {per_split}, {burst} each {interval:?}, {keys} keys, max {max:?}"
        )?;
        let slow = self.cost.iter().enumerate().find(|(_, cost)| !cost.is_zero());
        slow.map_or(Ok(()), |(place, cost)| write!(f, ", {cost:?} a record at place {place}"))
    }
}

/// The lines that are committed.
pub fn committed(storage: &Storage) -> Lines {
    let mut lines = Lines::new();
    for (_, body) in storage.below(sink::COMMITTED).filter(|(name, _)| sink::is_committed(name)) {
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
