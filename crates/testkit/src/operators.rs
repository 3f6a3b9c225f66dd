//! A small job for each stateful operator, and for each way of moving records, of the streaming interface.
//!
//! A new operator needs a line here. [`check_rescales`](crate::check_rescales) then tests it with checkpoints,
//! crashes and restarts at another parallelism, and the simulator with live rescales on a cluster with failures.

pub mod called;
pub mod joins;
mod ledger;
mod placed;
pub mod windows;

pub use ledger::{LEDGER_LAST, LedgerStep, ledger_line, ledger_step};

use placed::{Delayed, PassOn};
use reflow_api::window::{
    CountEvictor, CountTrigger, GlobalWindows, SlidingWindows, TimeEvictor, TumblingWindows, Windowed,
};
use reflow_api::{
    Aggregate, AsyncCalls, BroadcastProcessFunction, CoProcessFunction, Context, OutputTag, ProcessFunction,
    TimeDomain, UnkeyedContext, UnkeyedProcessFunction, UserError, Watermarks,
};
use reflow_stream::BoxedStream;
use reflow_types::{Data, Timestamp};
use std::time::Duration;

/// A record of these jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Data)]
pub struct Reading {
    /// The split that it was read from. Records of one split are read in order, those of different splits in any
    /// order.
    pub split: u64,
    /// Its key, which records of other splits may have, too.
    pub key: u64,
    /// Its event time in milliseconds.
    pub time: Timestamp,
    /// The value that is summed up.
    pub value: i64,
}

impl Reading {
    /// A key that no other split has, for results that depend on the order of a key's records.
    fn own_key(&self) -> (u64, u64) {
        (self.split, self.key)
    }
}

/// The disorder of event time.
#[derive(Clone, Copy, Debug)]
pub struct Disorder {
    /// The most by which a record is earlier than a previous one of its split.
    pub in_split: Duration,
    /// The most by which a record is earlier than a previous one of any split.
    pub overall: Duration,
}

/// An operator, or a way of moving records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    /// A reduced value by key, written at each record.
    Reduce,
    /// An aggregate by key, written at each record.
    Aggregate,
    /// Sums of tumbling windows.
    Tumbling,
    /// Sums of sliding windows.
    Sliding,
    /// The greatest of the last five records, at every third.
    GlobalByCount,
    /// The greatest of the last 100 ms, every 50 ms of event time.
    GlobalByDelta,
    /// A process function with timers in event time, some of which are deleted.
    EventTimers,
    /// A process function with a state of each kind, which are cleared now and then.
    States,
    /// Two keyed vertices with different max parallelisms.
    TwoKeyed,
    /// A vertex with one subtask between vertices with several.
    SingleBetween,
    /// A stream that is split in two, which are joined again. All of its chains are boxed.
    SharedUnion,
    /// Many records from each record, which are then rebalanced, in boxed chains up to the sink.
    FlatMapRebalanced,
    /// Event time that is assigned behind an exchange, to records of several readers.
    TimesBehindExchange,
    /// Process functions without a key, behind a source and behind an exchange.
    Unkeyed,
    /// Records that are partitioned in each way that does not depend on a key.
    Partitioned,
    /// Records by key, but without state.
    KeyedMap,
    /// Side outputs of process functions without and with a key, which are joined with the main output again.
    SideOutputs,
    /// Two connected streams without a key, connected by key with a third one.
    Connected,
    /// A keyed stream connected with a broadcast stream. At the end, timers write the state of their key and the
    /// broadcast state.
    Broadcast,
    /// Windows with late records, early firings and purges, and a window function with both kinds of state.
    Lateness,
    /// Windows whose late records go to a side output, which is joined with the main output.
    LateOutput,
    /// Sessions with a gap that depends on the record.
    Sessions,
    /// Windows in processing time.
    ProcessingTime,
    /// Sums of sliding windows over all keys, in two stages.
    WindowAll,
    /// Sums of windows of three records.
    CountWindows,
    /// A sum by key, written at each record.
    RollingSum,
    /// The pairs of records of two streams in tumbling windows.
    WindowJoin,
    /// The records of two streams in sessions, of which one may have none.
    CoGroup,
    /// The pairs of records of two streams whose times are close.
    IntervalJoin,
    /// Records with the version that is valid at their time.
    TemporalJoin,
    /// Records with the latest version.
    LookUpJoin,
    /// Asynchronous calls without a key, whose results are in the order of the answers.
    AsyncCalls,
    /// Asynchronous calls by key, whose results are in the order of the records.
    OrderedAsyncCalls,
}

/// A time after that of all records.
const END: Timestamp = 100_000_000_000_000;
/// The size of tumbling windows.
pub const TUMBLING: Duration = Duration::from_millis(100);
/// The size of sliding windows.
pub const SLIDING: Duration = Duration::from_millis(150);
/// The slide of sliding windows.
pub const SLIDE: Duration = Duration::from_millis(50);
/// The sizes of the windows of [`Operator::TwoKeyed`], which are over all records.
pub const TWO_KEYED: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(200)];
/// The value that [`Operator::SingleBetween`] filters out.
pub const LEFT_OUT: i64 = 7;
/// How long after a record the timers of [`Operator::EventTimers`] are due. The first is deleted if the value is divisible
/// by [`DELETING`].
pub const TIMERS_MS: [Timestamp; 2] = [55, 56];
/// See [`TIMERS_MS`].
pub const DELETING: i64 = 5;
/// The number of records that [`Operator::FlatMapRebalanced`] emits for each record. It keeps those that are
/// divisible by [`FLAT_MAP_KEPT`].
pub const FLAT_MAP: u64 = 100;
/// See [`FLAT_MAP`].
pub const FLAT_MAP_KEPT: u64 = 50;

const NEGATIVE: OutputTag<Reading> = OutputTag::new("negative");
const FIFTH: OutputTag<Reading> = OutputTag::new("fifth");

impl Operator {
    /// All operators.
    pub const ALL: [Self; 33] = [
        Self::Reduce,
        Self::Aggregate,
        Self::Tumbling,
        Self::Sliding,
        Self::GlobalByCount,
        Self::GlobalByDelta,
        Self::EventTimers,
        Self::States,
        Self::TwoKeyed,
        Self::SingleBetween,
        Self::SharedUnion,
        Self::FlatMapRebalanced,
        Self::TimesBehindExchange,
        Self::Unkeyed,
        Self::Partitioned,
        Self::KeyedMap,
        Self::SideOutputs,
        Self::Connected,
        Self::Broadcast,
        Self::Lateness,
        Self::LateOutput,
        Self::Sessions,
        Self::ProcessingTime,
        Self::WindowAll,
        Self::CountWindows,
        Self::RollingSum,
        Self::WindowJoin,
        Self::CoGroup,
        Self::IntervalJoin,
        Self::TemporalJoin,
        Self::LookUpJoin,
        Self::AsyncCalls,
        Self::OrderedAsyncCalls,
    ];

    /// Whether its job calls the system [`called`].
    pub fn calls(self) -> bool {
        matches!(self, Self::AsyncCalls | Self::OrderedAsyncCalls)
    }

    /// Builds its job, from a stream of readings to one of lines. The lines do not depend on the order of records of
    /// different splits.
    ///
    /// Both ends are boxed, so that a source and a sink are compiled once, and not for each operator.
    #[inline] // so it is compiled by its caller: the simulator is optimised, and this crate is not
    pub fn build(self, readings: BoxedStream<Reading>, disorder: Disorder) -> BoxedStream<String> {
        let timed = |readings: BoxedStream<Reading>| {
            readings.assign_event_time(time, Watermarks::bounded_out_of_orderness(disorder.in_split))
        };
        let overall = Watermarks::bounded_out_of_orderness(disorder.overall);
        match self {
            Self::Reduce => {
                let sum = |a: Reading, b: Reading| Reading { value: a.value + b.value, ..b };
                readings.key_by(Reading::own_key).reduce(sum).map(text).boxed()
            }
            Self::Aggregate => {
                let key = |r: &Reading| format!("{} of {}", r.key, r.split);
                readings.key_by(key).aggregate(Sum).map(text).boxed()
            }
            Self::Tumbling => {
                let windows = timed(readings).key_by(key).window(TumblingWindows::of(TUMBLING));
                windows.aggregate(Sum).map(window_text).boxed()
            }
            Self::Sliding => {
                let windows = timed(readings).key_by(key).window(SlidingWindows::of(SLIDING, SLIDE));
                windows.aggregate(Sum).map(window_text).boxed()
            }
            Self::GlobalByCount => {
                let windows = timed(readings).key_by(Reading::own_key).window(GlobalWindows);
                let windows = windows.trigger(CountTrigger::every(3)).evict(CountEvictor::keep_last(5));
                windows.max_by(|r| r.value).map(text).boxed()
            }
            Self::GlobalByDelta => {
                let windows = timed(readings).key_by(Reading::own_key).window(GlobalWindows);
                let windows = windows.evict(TimeEvictor::keep_last(Duration::from_millis(100)));
                let windows = windows.trigger_on_rise(50.0, |r| r.time as f64);
                windows.max_by(|r| r.value).map(text).boxed()
            }
            Self::EventTimers => timed(readings).key_by(Reading::own_key).process(Delayed::default()).boxed(),
            Self::States => readings.key_by(Reading::own_key).process(ledger::KeepLedger).boxed(),
            Self::TwoKeyed => {
                let first = timed(readings).key_by(key).window(TumblingWindows::of(TWO_KEYED[0]));
                let first = first.aggregate(Sum).map(|w: Windowed<u64, i64>| Reading {
                    split: 0,
                    key: 0,
                    time: w.window.max_timestamp(),
                    value: w.value,
                });
                let second = first.max_parallelism(7).key_by(key);
                let second = second.window(TumblingWindows::of(TWO_KEYED[1])).aggregate(Sum);
                second.max_parallelism(32_768).map(window_text).boxed()
            }
            Self::SingleBetween => {
                let single = readings.start_new_chain().filter(|r: &Reading| r.value != LEFT_OUT);
                let single = single.parallelism(1).assign_event_time(time, overall);
                let windows = single.key_by(key).window(TumblingWindows::of(TUMBLING));
                windows.aggregate(Sum).map(window_text).boxed()
            }
            Self::SharedUnion => {
                let times = Watermarks::bounded_out_of_orderness(disorder.in_split);
                let shared = readings.boxed().assign_event_time(time, times).boxed().share();
                let low = shared.filter(|r| r.value < 0).boxed();
                let both = low.union(shared.stream().boxed().filter(|r| r.value >= 0));
                let windows = both.boxed().key_by(key).window(TumblingWindows::of(TUMBLING));
                windows.aggregate(Sum).map(window_text).boxed()
            }
            Self::FlatMapRebalanced => {
                let many =
                    |r: Reading| (0..FLAT_MAP).map(move |n| Reading { key: r.key * FLAT_MAP + n, ..r });
                let kept = |r: &Reading| r.key.is_multiple_of(FLAT_MAP_KEPT);
                let many = readings.boxed().flat_map(many).boxed().rebalance();
                many.boxed().filter(kept).map(text).boxed()
            }
            Self::TimesBehindExchange => {
                let assigned = readings.rebalance().assign_event_time(time, overall);
                let windows = assigned.key_by(key).window(TumblingWindows::of(TUMBLING));
                windows.aggregate(Sum).map(window_text).boxed()
            }
            Self::Unkeyed => {
                let behind_source = timed(readings).process(PassOn::default());
                behind_source.rebalance().process(PassOn::default()).map(text).boxed()
            }
            Self::SideOutputs => {
                let (positive, negative) = timed(readings).process(Divide).side_output(&NEGATIVE);
                let negative = negative.filter(|r: &Reading| r.value < 0).boxed();
                let by_key = positive.key_by(Reading::own_key).process(AtItsTime);
                // The side output ends first, and behind another tag.
                let (by_key, none) = by_key.side_output(&NEGATIVE);
                let (other, fifth) = by_key.side_output(&FIFTH);
                let fifth = fifth.boxed().filter(|r| r.value % 5 == 0);
                let side = negative.union_all([none.boxed(), fifth.boxed()]);
                let other = other.boxed().filter(|r| r.value > 0 && r.value % 5 != 0);
                let windows = side.union(other).key_by(key).window(TumblingWindows::of(TUMBLING));
                windows.aggregate(Sum).map(window_text).boxed()
            }
            Self::Connected => {
                let shared = timed(readings).share();
                let even = shared.filter(|r| r.value >= 0 && r.value % 2 == 0);
                let odd = shared.filter(|r| r.value >= 0 && r.value % 2 == 1).map(|r| (r, "odd".to_owned()));
                let positive = even.connect(odd).map(|r| r, |(r, _)| r).boxed().key_by(Reading::own_key);
                let negative = shared.filter(|r| r.value < 0).map(|r| (r.own_key(), (r.time, r.value)));
                let merged = positive.connect(negative.key_by(|(key, _)| *key)).process(Merge);
                let windows = merged.key_by(key).window(TumblingWindows::of(TUMBLING));
                windows.aggregate(Sum).map(window_text).boxed()
            }
            Self::Partitioned => {
                let left_in = |r: Reading| (r.value != LEFT_OUT).then_some(r);
                let spread = timed(readings).shuffle().filter_map(left_in).rescale().map(|r: Reading| r);
                let by_split = spread.partition_custom(|r, subtasks| r.split as usize % subtasks);
                let first = by_split.map(|r: Reading| r).global();
                let windows = first.map(|r: Reading| r).key_by(key).window(TumblingWindows::of(TUMBLING));
                windows.aggregate(Sum).map(window_text).boxed()
            }
            Self::Broadcast => {
                let shared = timed(readings).share();
                let values = shared.stream().map(|r| r.value);
                let keyed = shared.stream().key_by(Reading::own_key);
                keyed.connect_broadcast(values).process(Totals).boxed()
            }
            Self::Lateness => windows::lateness(readings, disorder.in_split),
            Self::LateOutput => windows::late_output(readings, disorder.in_split),
            Self::Sessions => windows::sessions(timed(readings)),
            Self::ProcessingTime => windows::processing_time(readings),
            Self::WindowAll => {
                let windows = timed(readings).window_all(SlidingWindows::of(SLIDING, SLIDE));
                windows.aggregate(Sum).map(|of| window_line(0, of.window.end, of.value)).boxed()
            }
            Self::CountWindows => {
                let sums = readings.key_by(Reading::own_key).count_window(3).sum(|r| r.value);
                sums.map(text).boxed()
            }
            Self::RollingSum => readings.key_by(Reading::own_key).sum(|r| r.value).map(text).boxed(),
            Self::WindowJoin => joins::window_join(timed(readings)),
            Self::CoGroup => joins::co_group(timed(readings)),
            Self::IntervalJoin => joins::interval_join(timed(readings)),
            Self::TemporalJoin => joins::temporal_join(timed(readings)),
            Self::LookUpJoin => joins::look_up_join(readings),
            Self::AsyncCalls => {
                let calls = called::patient(AsyncCalls::unordered().capacity(5));
                let results = timed(readings).async_call(called::client(), calls, |r| *r, called::result);
                let in_time = results.process(PassOn::default());
                let windows = in_time.key_by(key).window(TumblingWindows::of(TUMBLING));
                windows.aggregate(Sum).map(window_text).boxed()
            }
            Self::OrderedAsyncCalls => {
                let calls = called::patient(AsyncCalls::ordered().capacity(4));
                let keyed = timed(readings).key_by(Reading::own_key);
                let results = keyed.async_call(called::client(), calls, |r| *r, called::result);
                let sum = |a: Reading, b: Reading| Reading { value: a.value + b.value, ..b };
                results.key_by(Reading::own_key).reduce(sum).map(text).boxed()
            }
            Self::KeyedMap => {
                readings.key_by(key).map(text).key_by(|line| line.clone()).map(|line| line).boxed()
            }
        }
    }
}

fn key(reading: &Reading) -> u64 {
    reading.key
}

fn time(reading: &Reading) -> Timestamp {
    reading.time
}

fn text(value: impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

fn window_text(windowed: Windowed<u64, i64>) -> String {
    window_line(windowed.key, windowed.window.end, windowed.value)
}

/// The line of a window's sum.
pub fn window_line(key: u64, end: Timestamp, sum: i64) -> String {
    format!("{key} until {end}: {sum}")
}

/// Adds up values.
#[derive(Clone)]
struct Sum;

impl Aggregate for Sum {
    type In = Reading;
    type Acc = i64;
    type Out = i64;

    fn create(&self) -> i64 {
        0
    }

    fn add(&self, acc: &mut i64, reading: Reading) {
        *acc += reading.value;
    }

    fn result(&self, acc: &i64) -> i64 {
        *acc
    }
}

/// Sends negative readings to a side output.
#[derive(Clone)]
struct Divide;

impl UnkeyedProcessFunction for Divide {
    type In = Reading;
    type Out = Reading;

    fn process(
        &mut self,
        context: &mut impl UnkeyedContext<Reading>,
        reading: Reading,
    ) -> Result<(), UserError> {
        match reading.value {
            ..0 => context.emit_to(&NEGATIVE, reading),
            _ => context.emit(reading),
        }
        Ok(())
    }
}

/// Emits each reading when the watermark reaches its time; those that are divisible by five to a side output.
#[derive(Clone)]
struct AtItsTime;

impl ProcessFunction for AtItsTime {
    type Key = (u64, u64);
    type In = Reading;
    type Out = Reading;
    type State = Vec<Reading>;

    fn process(
        &mut self,
        context: &mut impl Context<(u64, u64), Vec<Reading>, Reading>,
        reading: Reading,
    ) -> Result<(), UserError> {
        context.state_mut().push(reading);
        context.register_timer(TimeDomain::Event, reading.time);
        Ok(())
    }

    fn on_timer(
        &mut self,
        context: &mut impl Context<(u64, u64), Vec<Reading>, Reading>,
        time: Timestamp,
        _: TimeDomain,
    ) -> Result<(), UserError> {
        for reading in context.state_mut().extract_if(.., |reading| reading.time == time).collect::<Vec<_>>()
        {
            match reading.value % 5 {
                0 => context.emit_to(&FIFTH, reading),
                _ => context.emit(reading),
            }
        }
        Ok(())
    }
}

/// Emits the readings of both streams when the watermark reaches their times.
#[derive(Clone)]
struct Merge;

/// The times and values of a key's readings.
type Readings = Vec<(Timestamp, i64)>;

impl CoProcessFunction for Merge {
    type Key = (u64, u64);
    type First = Reading;
    type Second = ((u64, u64), (Timestamp, i64));
    type Out = Reading;
    type State = Readings;

    fn process_first(
        &mut self,
        context: &mut impl Context<(u64, u64), Readings, Reading>,
        reading: Reading,
    ) -> Result<(), UserError> {
        context.state_mut().push((reading.time, reading.value));
        context.register_timer(TimeDomain::Event, reading.time);
        Ok(())
    }

    fn process_second(
        &mut self,
        context: &mut impl Context<(u64, u64), Readings, Reading>,
        (_, (time, value)): ((u64, u64), (Timestamp, i64)),
    ) -> Result<(), UserError> {
        context.state_mut().push((time, value));
        context.register_timer(TimeDomain::Event, time);
        Ok(())
    }

    fn on_timer(
        &mut self,
        context: &mut impl Context<(u64, u64), Readings, Reading>,
        now: Timestamp,
        _: TimeDomain,
    ) -> Result<(), UserError> {
        let (split, key) = *context.key();
        for (time, value) in context.state_mut().extract_if(.., |(time, _)| *time == now).collect::<Vec<_>>()
        {
            context.emit(Reading { split, key, time, value });
        }
        Ok(())
    }
}

/// Adds up the values of each key, and those of all keys as broadcast state. Emits both at the end.
#[derive(Clone)]
struct Totals;

impl BroadcastProcessFunction for Totals {
    type Key = (u64, u64);
    type In = Reading;
    type Broadcast = i64;
    type Out = String;
    type State = i64;
    type BroadcastState = (i64, u64);

    fn process(
        &mut self,
        context: &mut impl Context<(u64, u64), i64, String>,
        _: &(i64, u64),
        reading: Reading,
    ) -> Result<(), UserError> {
        *context.state_mut() += reading.value;
        context.register_timer(TimeDomain::Event, END);
        Ok(())
    }

    fn process_broadcast(
        &mut self,
        _: &mut impl UnkeyedContext<String>,
        (sum, count): &mut (i64, u64),
        value: i64,
    ) -> Result<(), UserError> {
        *sum += value;
        *count += 1;
        Ok(())
    }

    fn on_timer(
        &mut self,
        context: &mut impl Context<(u64, u64), i64, String>,
        (sum, count): &(i64, u64),
        _: Timestamp,
        _: TimeDomain,
    ) -> Result<(), UserError> {
        let own = context.state().copied().unwrap_or_default();
        context.emit(totals_line(*context.key(), own, *sum, *count));
        Ok(())
    }
}

/// The line of a split's key at the end: the sum of its values, and sum and count of those of all keys.
pub fn totals_line((split, key): (u64, u64), own: i64, sum: i64, count: u64) -> String {
    format!("{key} of {split}: {own}, of all: {sum} in {count}")
}
