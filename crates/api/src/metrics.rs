//! Metrics of functions: counters and other accumulators, gauges, meters and histograms.
//!
//! A function makes its metrics in `open`. They are shown beside the metrics of its subtask, as Flink names them: `GET /jobs/:id/vertices/:v/metrics` has `0.Parse.broken`. Counters, other
//! accumulators and meters continue when the job restarts or rescales. `GET /jobs/:id/accumulators` has what the subtasks
//! of each operator have accumulated together.

pub use reflow_types::metric::{Accumulated, MetricValue, UserMetric, operator_scope};

use reflow_types::metric::Distribution;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most metrics of one task. They are reported with each heartbeat, so a function must not make one for each key.
pub const MAX_METRICS: usize = 200;
/// The longest name of a metric, with its groups, in bytes.
pub const MAX_NAME_BYTES: usize = 200;

/// The values that a histogram keeps: the latest ones, as many as those of Flink.
const WINDOW: usize = 1024;

/// The metrics of one task, which its functions make and its slot reports.
#[doc(hidden)]
#[derive(Clone, Default)]
pub struct TaskMetrics(Arc<Mutex<Registry>>);

#[derive(Default)]
struct Registry {
    metrics: Vec<(String, Arc<Shared>)>,
    /// Why metrics could not be made.
    refused: Vec<String>,
}

/// What a metric shares with its reader. Both are used from the slot's thread, so a write is a load and a store instead of
/// one atomic operation, which is several times slower.
struct Shared {
    kind: Kind,
    /// The count, or the bits of a gauge or of what was accumulated.
    value: AtomicU64,
    /// The number of values of an average.
    added: AtomicU64,
    /// The bits of the latest values of a histogram.
    latest: Box<[AtomicU64]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Meter,
    Histogram,
    Accumulator(Accumulation),
}

/// How an [`Accumulator`] makes one value of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accumulation {
    /// Their sum, as Flink's `DoubleCounter`.
    #[default]
    Sum,
    /// The lowest, as Flink's `DoubleMinimum`.
    Minimum,
    /// The highest, as Flink's `DoubleMaximum`.
    Maximum,
    /// Their mean, as Flink's `AverageAccumulator`.
    Average,
}

impl Accumulation {
    /// The value before there are any.
    fn first(self) -> f64 {
        match self {
            Self::Sum | Self::Average => 0.0,
            Self::Minimum => f64::INFINITY,
            Self::Maximum => f64::NEG_INFINITY,
        }
    }

    fn accumulated(self, value: f64, count: u64) -> Accumulated {
        match self {
            Self::Sum => Accumulated::Sum(value),
            Self::Minimum => Accumulated::Minimum(value),
            Self::Maximum => Accumulated::Maximum(value),
            Self::Average => Accumulated::Average { sum: value, count },
        }
    }
}

impl Shared {
    fn new(kind: Kind) -> Self {
        let latest = if kind == Kind::Histogram { WINDOW } else { 0 };
        Self { latest: (0..latest).map(|_| AtomicU64::new(0)).collect(), ..Self::detached(kind) }
    }

    /// What nobody reads.
    fn detached(kind: Kind) -> Self {
        let first = match kind {
            Kind::Accumulator(accumulation) => accumulation.first().to_bits(),
            _ => 0,
        };
        Self { kind, value: AtomicU64::new(first), added: AtomicU64::new(0), latest: Box::default() }
    }

    #[inline]
    fn get(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }

    #[inline]
    fn set(&self, value: u64) {
        self.value.store(value, Ordering::Relaxed);
    }

    fn accumulated(&self, accumulation: Accumulation) -> Accumulated {
        accumulation.accumulated(f64::from_bits(self.get()), self.added.load(Ordering::Relaxed))
    }

    fn value(&self) -> MetricValue {
        match self.kind {
            Kind::Counter => MetricValue::Accumulated(Accumulated::Count(self.get())),
            Kind::Accumulator(accumulation) => MetricValue::Accumulated(self.accumulated(accumulation)),
            Kind::Gauge => MetricValue::Gauge(f64::from_bits(self.get())),
            Kind::Meter => MetricValue::Meter(self.get()),
            Kind::Histogram => {
                let latest = self.latest.iter().take(usize::try_from(self.get()).unwrap_or(WINDOW));
                let mut latest: Vec<f64> =
                    latest.map(|bits| f64::from_bits(bits.load(Ordering::Relaxed))).collect();
                MetricValue::Histogram(Distribution::of(self.get(), &mut latest))
            }
        }
    }
}

/// The metrics of a function, or a group of them.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::metrics::{Counter, Histogram};
/// use reflow::{RuntimeContext, UnkeyedContext, UnkeyedProcessFunction, UserError};
///
/// /// Parses numbers, and counts and measures the lines.
/// #[derive(Clone, Default)]
/// struct Parse {
///     broken: Counter,
///     length: Histogram,
/// }
///
/// impl UnkeyedProcessFunction for Parse {
///     type In = String;
///     type Out = u64;
///
///     fn open(&mut self, context: &RuntimeContext) -> Result<(), UserError> {
///         self.broken = context.metrics().counter("broken");
///         self.length = context.metrics().group("line").histogram("length");
///         Ok(())
///     }
///
///     fn process(&mut self, context: &mut impl UnkeyedContext<u64>, line: String) -> Result<(), UserError> {
///         self.length.record(line.len() as f64);
///         match line.parse() {
///             Ok(number) => context.emit(number),
///             Err(_) => self.broken.inc(),
///         }
///         Ok(())
///     }
/// }
/// # let _ = Parse::default();
/// ```
#[derive(Clone)]
pub struct MetricGroup {
    task: TaskMetrics,
    /// With a dot at its end.
    scope: String,
}

impl TaskMetrics {
    /// The metrics of one of the task's operators.
    #[doc(hidden)]
    #[must_use]
    pub fn of_operator(&self, name: &str) -> MetricGroup {
        MetricGroup { task: self.clone(), scope: format!("{}.", operator_scope(name)) }
    }

    /// The current values.
    #[doc(hidden)]
    #[must_use]
    pub fn values(&self) -> Vec<UserMetric> {
        let value =
            |(id, shared): &(String, Arc<Shared>)| UserMetric { id: id.clone(), value: shared.value() };
        self.registry().metrics.iter().map(value).collect()
    }

    /// Takes the reasons why metrics could not be made since the last call.
    #[doc(hidden)]
    pub fn take_refused(&self) -> Vec<String> {
        std::mem::take(&mut self.registry().refused)
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for TaskMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.values()).finish()
    }
}

impl MetricGroup {
    /// A group within this one, whose name precedes those of its metrics.
    ///
    /// ```
    /// # extern crate reflow_api as reflow;
    /// use reflow::RuntimeContext;
    ///
    /// let context = RuntimeContext::new("Parse", "parse");
    /// let broken = context.metrics().group("lines").counter("broken");
    /// broken.inc();
    /// broken.add(2);
    /// assert_eq!(broken.count(), 3);
    /// assert_eq!(context.metrics().values().len(), 1);
    /// ```
    #[must_use]
    pub fn group(&self, name: &str) -> Self {
        Self { task: self.task.clone(), scope: format!("{}{name}.", self.scope) }
    }

    /// A counter.
    ///
    /// A second metric of the same name, one beyond [`MAX_METRICS`], and one with a name that is too long are not shown;
    /// a warning is logged. A name can be used again when the former metric was dropped; a counter then continues.
    #[must_use]
    pub fn counter(&self, name: &str) -> Counter {
        Counter { shared: self.make(name, Kind::Counter), one_thread: PhantomData }
    }

    /// A gauge, at first 0. See [`counter`](Self::counter) for its name.
    #[must_use]
    pub fn gauge(&self, name: &str) -> Gauge {
        Gauge { shared: self.make(name, Kind::Gauge), one_thread: PhantomData }
    }

    /// A meter. See [`counter`](Self::counter) for its name.
    #[must_use]
    pub fn meter(&self, name: &str) -> Meter {
        Meter { shared: self.make(name, Kind::Meter), one_thread: PhantomData }
    }

    /// An accumulator of values, of which users see one for all subtasks, in `GET /jobs/:id/accumulators`. See
    /// [`counter`](Self::counter) for its name.
    ///
    /// ```
    /// # extern crate reflow_api as reflow;
    /// use reflow::RuntimeContext;
    /// use reflow::metrics::{Accumulated, Accumulation, Accumulator};
    ///
    /// let context = RuntimeContext::new("Bids", "bids");
    /// let dearest: Accumulator = context.metrics().accumulator("dearest", Accumulation::Maximum);
    /// dearest.add(3.5);
    /// dearest.add(2.0);
    /// assert_eq!(dearest.accumulated(), Accumulated::Maximum(3.5));
    /// ```
    #[must_use]
    pub fn accumulator(&self, name: &str, accumulation: Accumulation) -> Accumulator {
        Accumulator {
            shared: self.make(name, Kind::Accumulator(accumulation)),
            accumulation,
            one_thread: PhantomData,
        }
    }

    /// A histogram. See [`counter`](Self::counter) for its name.
    #[must_use]
    pub fn histogram(&self, name: &str) -> Histogram {
        Histogram { shared: self.make(name, Kind::Histogram), one_thread: PhantomData }
    }

    /// The current values of the metrics of all functions of the task, for tests of functions.
    #[must_use]
    pub fn values(&self) -> Vec<UserMetric> {
        self.task.values()
    }

    fn make(&self, name: &str, kind: Kind) -> Arc<Shared> {
        let id = format!("{}{name}", self.scope);
        let mut registry = self.task.registry();
        let Registry { metrics, refused } = &mut *registry;
        let why = match metrics.iter().find(|(known, _)| *known == id) {
            Some((_, shared)) if shared.kind == kind && Arc::strong_count(shared) == 1 => {
                return shared.clone();
            }
            Some(_) => "the operator has a metric of that name: give each a name of its own".to_owned(),
            None if id.len() > MAX_NAME_BYTES => format!("its name has more than {MAX_NAME_BYTES} bytes"),
            None if metrics.len() >= MAX_METRICS => {
                format!("the task has {MAX_METRICS} metrics: do not make one for each key or value")
            }
            None => {
                metrics.push((id, Arc::new(Shared::new(kind))));
                return metrics[metrics.len() - 1].1.clone();
            }
        };
        if refused.len() < MAX_METRICS {
            let id: String = id.chars().take(MAX_NAME_BYTES).collect();
            refused.push(format!("the metric {id} is not shown: {why}"));
        }
        Arc::new(Shared::detached(kind))
    }
}

/// Whether both are the same group of one task.
impl PartialEq for MetricGroup {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.task.0, &other.task.0) && self.scope == other.scope
    }
}

impl Eq for MetricGroup {}

impl fmt::Debug for MetricGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MetricGroup({:?})", self.scope)
    }
}

/// Keeps a metric on one thread: it can move to another one, but cannot be shared.
type OneThread = PhantomData<Cell<()>>;

/// Metrics that are not shown: those of a function before `open`, and the clones of others, because the function of each
/// subtask counts for itself.
macro_rules! detached {
    ($metric:ident) => {
        impl Default for $metric {
            /// One that is not shown. It is for the time before `open`.
            fn default() -> Self {
                Self { shared: Arc::new(Shared::detached(Kind::$metric)), one_thread: PhantomData }
            }
        }

        detached_clones!($metric);
    };
}

macro_rules! detached_clones {
    ($metric:ident) => {
        impl Clone for $metric {
            /// One that is not shown and has counted nothing.
            fn clone(&self) -> Self {
                Self::default()
            }
        }

        impl fmt::Debug for $metric {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.shared.value().fmt(f)
            }
        }
    };
}

detached!(Counter);
detached!(Gauge);
detached!(Meter);
detached!(Histogram);
detached_clones!(Accumulator);

/// A number that only grows.
pub struct Counter {
    shared: Arc<Shared>,
    one_thread: OneThread,
}

impl Counter {
    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `number`.
    #[inline]
    pub fn add(&self, number: u64) {
        self.shared.set(self.shared.get().wrapping_add(number));
    }

    /// What it has counted since the function was opened.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.shared.get()
    }
}

/// A number that rises and falls.
///
/// ```
/// # extern crate reflow_api as reflow;
/// let queued = reflow::RuntimeContext::new("Look up", "look-up").metrics().gauge("queued");
/// queued.set(7.0);
/// assert_eq!(queued.value(), 7.0);
/// ```
pub struct Gauge {
    shared: Arc<Shared>,
    one_thread: OneThread,
}

impl Gauge {
    /// Sets the value.
    #[inline]
    pub fn set(&self, value: f64) {
        self.shared.set(value.to_bits());
    }

    /// The value that was set last.
    #[must_use]
    pub fn value(&self) -> f64 {
        f64::from_bits(self.shared.get())
    }
}

/// Events, of which users see the number per second over the last seconds.
///
/// ```
/// # extern crate reflow_api as reflow;
/// let requests = reflow::RuntimeContext::new("Look up", "look-up").metrics().meter("requests");
/// requests.mark();
/// requests.mark_all(10);
/// ```
pub struct Meter {
    shared: Arc<Shared>,
    one_thread: OneThread,
}

impl Meter {
    /// Counts one event.
    #[inline]
    pub fn mark(&self) {
        self.mark_all(1);
    }

    /// Counts `events`.
    #[inline]
    pub fn mark_all(&self, events: u64) {
        self.shared.set(self.shared.get().wrapping_add(events));
    }
}

/// One value that is made of many: their sum, the lowest, the highest, or their mean. Whole numbers are exact up to 2⁵³.
pub struct Accumulator {
    shared: Arc<Shared>,
    accumulation: Accumulation,
    one_thread: OneThread,
}

impl Default for Accumulator {
    /// One that is not shown. It is for the time before `open`.
    fn default() -> Self {
        let accumulation = Accumulation::default();
        let shared = Arc::new(Shared::detached(Kind::Accumulator(accumulation)));
        Self { shared, accumulation, one_thread: PhantomData }
    }
}

impl Accumulator {
    /// Adds a value. NaN is ignored.
    #[inline]
    pub fn add(&self, value: f64) {
        if value.is_nan() {
            return;
        }
        let before = f64::from_bits(self.shared.get());
        let after = match self.accumulation {
            Accumulation::Sum | Accumulation::Average => before + value,
            Accumulation::Minimum => before.min(value),
            Accumulation::Maximum => before.max(value),
        };
        self.shared.set(after.to_bits());
        let added = self.shared.added.load(Ordering::Relaxed);
        self.shared.added.store(added.wrapping_add(1), Ordering::Relaxed);
    }

    /// What it has accumulated since the function was opened.
    #[must_use]
    pub fn accumulated(&self) -> Accumulated {
        self.shared.accumulated(self.accumulation)
    }
}

/// The distribution of values, of which the latest 1,024 count.
pub struct Histogram {
    shared: Arc<Shared>,
    one_thread: OneThread,
}

impl Histogram {
    /// Adds a value. NaN is ignored.
    #[inline]
    pub fn record(&self, value: f64) {
        if value.is_nan() {
            return;
        }
        let count = self.shared.get();
        if let Some(place) = self.shared.latest.get(count as usize % WINDOW) {
            place.store(value.to_bits(), Ordering::Relaxed);
            self.shared.set(count + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_what_was_counted() {
        let task = TaskMetrics::default();
        let group = task.of_operator("Source: cars");
        let (counter, gauge) = (group.counter("read"), group.gauge("lag"));
        let (meter, histogram) = (group.group("io").meter("calls"), group.histogram("size"));
        counter.inc();
        counter.add(4);
        gauge.set(-1.5);
        meter.mark_all(3);
        (0..2 * WINDOW).for_each(|value| histogram.record(value as f64));
        histogram.record(f64::NAN);
        let values: Vec<_> = task.values().into_iter().map(|metric| (metric.id, metric.value)).collect();
        let (latest, count) = ((WINDOW..2 * WINDOW).map(|value| value as f64), 2 * WINDOW as u64);
        let expected = [
            ("Source__cars.read", MetricValue::Accumulated(Accumulated::Count(5))),
            ("Source__cars.lag", MetricValue::Gauge(-1.5)),
            ("Source__cars.io.calls", MetricValue::Meter(3)),
            (
                "Source__cars.size",
                MetricValue::Histogram(Distribution::of(count, &mut latest.collect::<Vec<_>>())),
            ),
        ];
        assert_eq!(values, expected.map(|(id, value)| (id.to_owned(), value)));
    }

    #[test]
    fn values_are_accumulated_in_four_ways() {
        let group = TaskMetrics::default().of_operator("bids");
        let accumulate = |accumulation| {
            let accumulator = group.accumulator(&format!("{accumulation:?}"), accumulation);
            [3.0, f64::NAN, -1.0, 7.0].into_iter().for_each(|value| accumulator.add(value));
            accumulator.accumulated()
        };
        assert_eq!(accumulate(Accumulation::Sum), Accumulated::Sum(9.0));
        assert_eq!(accumulate(Accumulation::Minimum), Accumulated::Minimum(-1.0));
        assert_eq!(accumulate(Accumulation::Maximum), Accumulated::Maximum(7.0));
        assert_eq!(accumulate(Accumulation::Average), Accumulated::Average { sum: 9.0, count: 3 });
        // Another one of the name and kind continues; one of another kind is not shown.
        let again = group.accumulator("Maximum", Accumulation::Maximum);
        assert_eq!(again.accumulated(), Accumulated::Maximum(7.0));
        let other = group.accumulator("Maximum", Accumulation::Minimum);
        other.add(0.0);
        assert_eq!(group.values().len(), 4);
        assert_eq!(group.task.take_refused().len(), 1);
    }

    #[test]
    fn a_name_belongs_to_one_metric_and_a_task_has_a_limited_number() {
        let task = TaskMetrics::default();
        let group = task.of_operator("map");
        let first = group.counter("seen");
        first.add(2);
        group.counter("seen").add(40);
        group.gauge("seen").set(1.0);
        assert_eq!(task.take_refused().len(), 2);
        drop(first);
        group.counter("seen").inc();
        assert_eq!(
            task.values()[0].value,
            MetricValue::Accumulated(Accumulated::Count(3)),
            "a counter that is made again continues"
        );
        (0..2 * MAX_METRICS).for_each(|key| group.counter(&key.to_string()).inc());
        assert_eq!(task.values().len(), MAX_METRICS);
        let refused = task.take_refused();
        assert!(refused[0].contains("do not make one for each key"), "{}", refused[0]);
        let _ = group.counter(&"long".repeat(MAX_NAME_BYTES));
        assert!(task.take_refused()[0].ends_with("has more than 200 bytes"));
    }
}
