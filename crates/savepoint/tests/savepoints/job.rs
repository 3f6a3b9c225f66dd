//! A job that keeps each kind of state.

use reflow::operator_state::{OperatorList, RestoredLists, SnapshotLists};
use reflow::states::{Expiring, ListState, MapState, ReducingState, States, TimeToLive, ValueState};
use reflow::window::TumblingWindows;
use reflow::{
    BroadcastProcessFunction, Context, Data, ProcessFunction, StreamEnv, TimeDomain, UnkeyedContext,
    UnkeyedProcessFunction, UserError, Watermarks,
};
use reflow_testkit::{Collect, Feed, Harness};
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) type Record = (String, u64);

/// A state of each kind for each key.
#[derive(States, Clone)]
pub(crate) struct EachKind {
    total: ValueState<Total>,
    seen: ListState<u64>,
    counts: MapState<u64, u32>,
    highest: ReducingState<u64>,
    recent: ValueState<u64, Expiring>,
}

#[derive(Clone, Debug, Default, Data)]
pub(crate) struct Total {
    sum: u64,
    last: Option<u64>,
}

#[derive(Clone)]
pub(crate) struct KeepEachKind;

impl ProcessFunction for KeepEachKind {
    type Key = String;
    type In = Record;
    type Out = String;
    type State = EachKind;

    fn states(&self) -> EachKind {
        EachKind {
            total: ValueState::new("total"),
            seen: ListState::new("seen"),
            counts: MapState::new("counts"),
            highest: ReducingState::by("highest", u64::max),
            recent: ValueState::new("recent")
                .time_to_live(TimeToLive::since_write(Duration::from_secs(3600))),
        }
    }

    fn process(
        &mut self,
        context: &mut impl Context<String, EachKind, String>,
        (key, number): Record,
    ) -> Result<(), UserError> {
        context.register_timer(TimeDomain::Event, 1_000_000 + number as i64);
        let mut states = context.states();
        let total = states.total.or_default();
        (total.sum, total.last) = (total.sum + number, Some(number));
        states.seen.push(number);
        *states.counts.or_default(number % 2) += 1;
        states.highest.add(number);
        states.recent.set(number);
        let line = format!(
            "{key}: {} {} {} {:?} {:?}",
            states.total.get().map_or(0, |total| total.sum),
            states.seen.len(),
            states.counts.len(),
            states.highest.get(),
            states.recent.get()
        );
        context.emit(line);
        Ok(())
    }
}

#[derive(Clone, Default)]
pub(crate) struct Waiting(Vec<u64>);

impl UnkeyedProcessFunction for Waiting {
    type In = Record;
    type Out = Record;

    fn operator_lists(&self) -> Vec<OperatorList> {
        vec![OperatorList::split::<u64>("waiting")]
    }

    fn restore(&mut self, lists: &mut RestoredLists) -> Result<(), UserError> {
        self.0 = lists.take("waiting")?;
        Ok(())
    }

    fn snapshot(&mut self, lists: &mut SnapshotLists) -> Result<(), UserError> {
        lists.put("waiting", &self.0)
    }

    fn process(
        &mut self,
        context: &mut impl UnkeyedContext<Record>,
        record: Record,
    ) -> Result<(), UserError> {
        self.0.push(record.1);
        context.emit(record);
        Ok(())
    }
}

/// Counts the records of a key, and keeps the rules that are broadcast.
#[derive(Clone)]
pub(crate) struct Ruled;

impl BroadcastProcessFunction for Ruled {
    type Key = String;
    type In = Record;
    type Broadcast = u64;
    type Out = String;
    type State = u64;
    type BroadcastState = BTreeMap<u64, String>;

    fn process(
        &mut self,
        context: &mut impl Context<String, u64, String>,
        rules: &BTreeMap<u64, String>,
        (key, _): Record,
    ) -> Result<(), UserError> {
        *context.state_mut() += 1;
        context.emit(format!("{key} {}", rules.len()));
        Ok(())
    }

    fn process_broadcast(
        &mut self,
        _: &mut impl UnkeyedContext<String>,
        rules: &mut BTreeMap<u64, String>,
        rule: u64,
    ) -> Result<(), UserError> {
        rules.insert(rule, format!("rule {rule}"));
        Ok(())
    }
}

pub(crate) struct Job {
    pub(crate) feed: Feed<Record>,
    pub(crate) rules: Feed<u64>,
    pub(crate) out: Collect<String>,
    pub(crate) harness: Harness<'static>,
}

impl Job {
    /// A job with this number of key groups. Above 512, several groups share a segment, and a segment may have several
    /// owners.
    pub(crate) fn new(max_parallelism: u32) -> Self {
        let (feed, rules, out) = (Feed::new(1), Feed::new(1), Collect::new("out"));
        let (records, broadcast, sink) = (feed.clone(), rules.clone(), out.clone());
        let harness = Harness::new(move |env: &mut StreamEnv| {
            let records = env.source("in", records.clone()).uid("in");
            let records =
                records.assign_event_time(|(_, at)| *at as i64, Watermarks::monotonic()).uid("times");
            let records = records.process(Waiting::default()).uid("waiting").share();
            let each =
                records.stream().key_by(|(key, _): &Record| key.clone()).process(KeepEachKind).uid("each");
            let windows = records.stream().key_by(|(key, _): &Record| key.clone());
            let windows = windows.window(TumblingWindows::of(Duration::from_secs(1))).count().uid("windows");
            let rules = env.source("rules", broadcast.clone()).uid("rules");
            let ruled = records.stream().key_by(|(key, _): &Record| key.clone()).connect_broadcast(rules);
            let ruled = ruled.process(Ruled).uid("ruled");
            let _ = each.sink("each", sink.clone()).uid("out");
            let _ = windows
                .map(|count| format!("{count:?}"))
                .sink("counts", Collect::new("counts"))
                .uid("counts");
            let _ = ruled.sink("ruled", Collect::new("ruled")).uid("out ruled");
        });
        Self { feed, rules, out, harness: harness.max_parallelism(max_parallelism) }
    }

    pub(crate) fn fed() -> Self {
        Self::fed_with(128)
    }

    pub(crate) fn fed_with(max_parallelism: u32) -> Self {
        let mut job = Self::new(max_parallelism);
        job.harness.start(2);
        job.rules.push(0, [7, 8]);
        job.feed.push(0, [("a", 1), ("b", 2), ("a", 3)].map(|(key, number)| (key.to_owned(), number)));
        job.harness.settle();
        assert_eq!(job.harness.failures(), []);
        job
    }

    /// The last line of the operator with a state of each kind.
    pub(crate) fn next(&mut self, key: &str, number: u64) -> String {
        self.feed.push(0, [(key.to_owned(), number)]);
        self.harness.settle();
        assert_eq!(self.harness.failures(), []);
        self.out.written().pop().expect("a line").0
    }
}
