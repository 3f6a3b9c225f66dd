//! Declared states: found by name in savepoints and checkpoints, whatever else the function declares, and with a time
//! to live that goes on over restarts and rescales. And lists that belong to subtasks.

extern crate reflow_api as reflow;

use reflow::states::{Expiring, ListState, MapState, SortedMapState, States, TimeToLive, ValueState};
use reflow_api::operator_state::{OperatorList, RestoredLists, SnapshotLists};
use reflow_api::{Context, ProcessFunction, UnkeyedContext, UnkeyedProcessFunction, UserError};
use reflow_protocol::failure::Fault;
use reflow_stream::StreamEnv;
use reflow_testkit::{Collect, Feed, Harness};
use std::time::Duration;

type Line = (u64, String);

/// A function over records `(key, number)`, whose states are made by `declare` and read and changed by `change`.
#[derive(Clone)]
struct Stateful<S: States<u64>> {
    declare: fn() -> S,
    change: fn(&mut reflow::states::Access<'_, u64, S>, u64) -> String,
}

impl<S: States<u64>> ProcessFunction for Stateful<S>
where
    Self: Clone,
{
    type Key = u64;
    type In = (u64, u64);
    type Out = Line;
    type State = S;

    fn states(&self) -> S {
        (self.declare)()
    }

    fn process(
        &mut self,
        context: &mut impl Context<u64, S, Line>,
        (key, number): (u64, u64),
    ) -> Result<(), UserError> {
        let line = (self.change)(&mut context.states(), number);
        context.emit((key, line));
        Ok(())
    }
}

type Streams = (Feed<(u64, u64)>, Collect<Line>);

fn build<S: States<u64>>(
    (feed, out): &Streams,
    function: Stateful<S>,
) -> impl Fn(&mut StreamEnv) + 'static + use<S>
where
    Stateful<S>: Clone,
{
    let (feed, out) = (feed.clone(), out.clone());
    move |env| {
        let keyed = env.source("in", feed.clone()).uid("in").key_by(|(key, _)| *key);
        let _ = keyed.process(function.clone()).uid("stateful").sink("out", out.clone()).uid("out");
    }
}

fn streams() -> Streams {
    (Feed::new(1), Collect::new("out"))
}

/// The lines since the last call, sorted.
fn lines((_, out): &Streams) -> Vec<Line> {
    let mut lines: Vec<_> = out.written().into_iter().map(|(line, _)| line).collect();
    lines.sort();
    lines
}

#[derive(States, Clone)]
struct Before {
    sum: ValueState<u64>,
    counts: MapState<u64, u64>,
    last: ListState<u64>,
}

fn before() -> Stateful<Before> {
    Stateful {
        declare: || Before {
            sum: ValueState::new("sum"),
            counts: MapState::new("counts"),
            last: ListState::new("last"),
        },
        change: |states, number| {
            *states.sum.or_default() += number;
            *states.counts.or_default(number % 3) += 1;
            states.last.push(number);
            format!("{:?}", (states.sum.get(), states.counts.len(), states.last.len()))
        },
    }
}

/// One state is gone, one is new, and the others are declared elsewhere.
#[derive(States, Clone)]
struct After {
    greatest: ValueState<u64>,
    last: ListState<u64>,
    renamed_field: ValueState<u64>,
}

fn after() -> Stateful<After> {
    Stateful {
        declare: || After {
            greatest: ValueState::new("greatest"),
            last: ListState::new("last"),
            renamed_field: ValueState::new("sum"),
        },
        change: |states, number| {
            states.last.push(number);
            let greatest = states.greatest.or_default();
            *greatest = number.max(*greatest);
            *states.renamed_field.or_default() += number;
            let last: Vec<_> = states.last.iter().copied().collect();
            format!("{:?} {last:?} {:?}", states.greatest.get(), states.renamed_field.get())
        },
    }
}

#[test]
fn states_are_found_by_name_and_one_that_is_gone_is_refused_unless_it_is_to_be_dropped() {
    for savepoint in [true, false] {
        let streams = streams();
        let mut job = Harness::new(build(&streams, before())).on_executors(2);
        job.start(2);
        streams.0.push(0, [(1, 10), (1, 11), (2, 20)]);
        job.settle();
        let directory = if savepoint { job.savepoint() } else { job.checkpoint().then(String::new) };
        let directory = directory.expect("it is complete");
        job.kill();
        assert_eq!(lines(&streams).len(), 3);
        let start = |job: &mut Harness, parallelism| match savepoint {
            true => job.start_from_savepoint(&directory, parallelism),
            false => job.start(parallelism),
        };

        job.rebuild(build(&streams, after()));
        start(&mut job, 1);
        let [failure] = job.failures() else { panic!("{}", job.state()) };
        assert_eq!(failure.fault, Fault::Permanent);
        assert!(failure.message.contains("'counts' of 'stateful'"), "{failure:?}");
        assert!(failure.message.contains("--allowNonRestoredState"), "{failure:?}");

        job.rebuild(build(&streams, after()));
        job.drop_unclaimed_state();
        start(&mut job, 3);
        streams.0.push(0, [(1, 3), (2, 30)]);
        job.settle();
        assert_eq!(job.failures(), []);
        let restored = |key, line: &str| (key, line.to_owned());
        let expected =
            [restored(1, "Some(3) [10, 11, 3] Some(24)"), restored(2, "Some(30) [20, 30] Some(50)")];
        assert_eq!(lines(&streams), expected, "savepoint: {savepoint}");

        // The next checkpoint is without the state that is gone.
        assert!(job.checkpoint(), "{}", job.state());
        let manifest = job.latest().expect("it is complete");
        let tables = manifest.vertices.iter().flat_map(|vertex| vertex.runs()).map(|run| run.table);
        let number = reflow::states::TableId::of_name("counts").0;
        assert!(tables.into_iter().all(|table| table != number));
        job.rescale(2);
        streams.0.push(0, [(1, 4)]);
        job.settle();
        assert!(lines(&streams).contains(&restored(1, "Some(4) [10, 11, 3, 4] Some(28)")));
    }
}

#[test]
fn names_of_states_are_checked_when_the_job_is_built() {
    #[derive(States, Clone)]
    struct Two {
        one: ValueState<u64>,
        other: MapState<u64, u64>,
    }
    let error = |declare: fn() -> Two| {
        let job = build(&streams(), Stateful { declare, change: |_, _| String::new() });
        let built = StreamEnv::build("job", |env| {
            job(env);
            Ok(())
        });
        built.err().expect("the names are not valid").to_string()
    };
    let twice = error(|| Two { one: ValueState::new("same"), other: MapState::new("same") });
    assert!(twice.contains("operator 'Process' declares two states with the name 'same'"), "{twice}");
    let unnamed = error(|| Two { one: ValueState::new(""), other: MapState::new("other") });
    assert!(unnamed.contains("operator 'Process' declares a state without a name"), "{unnamed}");
}

#[test]
fn two_operators_of_one_uid_are_refused_when_the_job_is_built() {
    let declare = || {
        let time_to_live = TimeToLive::since_write(Duration::from_secs(10));
        Short {
            sum: ValueState::new("sum").time_to_live(time_to_live),
            seen: MapState::new("seen").time_to_live(time_to_live),
        }
    };
    let job = build(&streams(), Stateful { declare, change: |_, _| String::new() });
    let built = StreamEnv::build("job", |env| {
        job(env);
        job(env);
        Ok(())
    });
    let error = built.err().expect("all uids are there twice").to_string();
    assert!(error.contains("two operators have the uid '") && error.contains("give each its own"), "{error}");
}

#[derive(States, Clone)]
struct Short {
    sum: ValueState<u64, Expiring>,
    seen: MapState<u64, u64, Expiring>,
}

#[test]
fn a_time_to_live_goes_on_over_restarts_and_rescales() {
    let streams = streams();
    let short = Stateful {
        declare: || {
            let time_to_live = TimeToLive::since_write(Duration::from_secs(10));
            Short {
                sum: ValueState::new("sum").time_to_live(time_to_live),
                seen: MapState::new("seen").time_to_live(time_to_live),
            }
        },
        change: |states: &mut reflow::states::Access<'_, u64, Short>, number| {
            if number > 0 {
                states.sum.set(number);
                states.seen.insert(number, number);
            }
            format!("{:?} {}", states.sum.get(), states.seen.len())
        },
    };
    let mut job = Harness::new(build(&streams, short)).on_executors(2);
    job.start(2);
    streams.0.push(0, (0..20).map(|key| (key, 1)));
    job.advance(Duration::from_secs(4));
    streams.0.push(0, [(7, 2)]);
    job.settle();
    assert_eq!(lines(&streams).len(), 21);
    let entries = |job: &mut Harness| job.metrics().iter().map(|metrics| metrics.state_bytes).sum::<u64>();
    let full = entries(&mut job);
    job.rescale(3);
    job.advance(Duration::from_secs(5));
    streams.0.push(0, [(7, 0), (8, 0)]);
    job.settle();
    let restored = |key, line: &str| (key, line.to_owned());
    assert_eq!(lines(&streams), [restored(7, "Some(2) 2"), restored(8, "Some(1) 1")]);
    let savepoint = job.savepoint().expect("a savepoint");
    job.kill();
    job.start_from_savepoint(&savepoint, 1);
    job.advance(Duration::from_secs(1));
    streams.0.push(0, [(7, 0), (9, 0)]);
    job.settle();
    assert_eq!(lines(&streams), [restored(7, "Some(2) 1"), restored(9, "None 0")]);
    // The walk removes the rest, also while no records come.
    for _ in 0..100 {
        job.advance(Duration::from_secs(1));
    }
    assert!(entries(&mut job) <= full, "{} of {full} bytes", entries(&mut job));
    assert!(job.checkpoint());
    let manifest = job.latest().expect("it is complete");
    assert_eq!(manifest.vertices.iter().flat_map(|vertex| vertex.runs()).count(), 0);
}

#[derive(States, Clone)]
struct Unsorted {
    seen: MapState<u64, u64>,
}

#[derive(States, Clone)]
struct InOrder {
    seen: SortedMapState<u64, u64>,
    recent: SortedMapState<u64, u64, Expiring>,
}

#[test]
fn a_sorted_map_has_ranges_and_reads_what_an_unsorted_one_wrote() {
    let streams = streams();
    let unsorted = Stateful {
        declare: || Unsorted { seen: MapState::new("seen") },
        change: |states, number| {
            states.seen.insert(number, number * 2);
            String::new()
        },
    };
    let in_order = Stateful {
        declare: || InOrder {
            seen: SortedMapState::new("seen"),
            recent: SortedMapState::new("recent")
                .time_to_live(TimeToLive::since_write(Duration::from_secs(10))),
        },
        change: |states: &mut reflow::states::Access<'_, u64, InOrder>, number| {
            states.recent.insert(number, number);
            let seen: Vec<_> = states.seen.range(number..number + 3).collect();
            let ends = (states.seen.first(), states.seen.last());
            let line = format!("{seen:?} of {ends:?}");
            let recent: Vec<_> = states.recent.range(5..).rev().map(|(key, _)| *key).collect();
            format!("{line}, recent {recent:?}")
        },
    };
    let mut job = Harness::new(build(&streams, unsorted)).on_executors(2);
    job.start(2);
    streams.0.push(0, (0..50).map(|number| (1, number * 7 % 50)));
    job.settle();
    assert_eq!(lines(&streams).len(), 50);
    let savepoint = job.savepoint().expect("a savepoint");
    job.kill();
    job.rebuild(build(&streams, in_order));
    job.start_from_savepoint(&savepoint, 3);
    let lines_of = |job: &mut Harness, number| {
        streams.0.push(0, [(1, number)]);
        job.settle();
        lines(&streams).into_iter().map(|(_, line)| line).collect::<Vec<_>>()
    };
    let of = "of (Some((0, 0)), Some((49, 98)))";
    assert_eq!(lines_of(&mut job, 20), [format!("[(20, 40), (21, 42), (22, 44)] {of}, recent [20]")]);
    job.advance(Duration::from_secs(6));
    assert_eq!(lines_of(&mut job, 48), [format!("[(48, 96), (49, 98)] {of}, recent [48, 20]")]);
    job.rescale(2);
    job.advance(Duration::from_secs(6));
    assert_eq!(lines_of(&mut job, 0), [format!("[(0, 0), (1, 2), (2, 4)] {of}, recent [48]")]);
}

/// Adds each record to a list of each kind, and emits the lists at record 0.
#[derive(Clone, Default)]
struct KeepLists {
    split: Vec<u64>,
    union: Vec<u64>,
    broadcast: Vec<u64>,
}

impl UnkeyedProcessFunction for KeepLists {
    type In = u64;
    type Out = (Vec<u64>, Vec<u64>, Vec<u64>);

    fn operator_lists(&self) -> Vec<OperatorList> {
        vec![
            OperatorList::split::<u64>("split"),
            OperatorList::union::<u64>("union"),
            OperatorList::broadcast::<u64>("broadcast"),
        ]
    }

    fn restore(&mut self, lists: &mut RestoredLists) -> Result<(), UserError> {
        self.split = lists.take("split")?;
        self.union = lists.take("union")?;
        self.broadcast = lists.take("broadcast")?;
        Ok(())
    }

    fn snapshot(&mut self, lists: &mut SnapshotLists) -> Result<(), UserError> {
        lists.put("split", &self.split)?;
        lists.put("union", &self.union)?;
        lists.put("broadcast", &self.broadcast)
    }

    fn process(
        &mut self,
        context: &mut impl UnkeyedContext<Self::Out>,
        record: u64,
    ) -> Result<(), UserError> {
        if record == 0 {
            let sorted = |list: &Vec<u64>| {
                let mut list = list.clone();
                list.sort_unstable();
                list
            };
            context.emit((sorted(&self.split), sorted(&self.union), sorted(&self.broadcast)));
        } else {
            if record % 2 == u64::from(context.runtime().subtask_index()) % 2 {
                self.split.push(record);
                self.union.push(record);
            }
            self.broadcast.push(record);
        }
        Ok(())
    }
}

#[test]
fn lists_are_redistributed_as_they_are_declared() {
    let (feed, out) = (Feed::new(1), Collect::new("out"));
    let (source, sink) = (feed.clone(), out.clone());
    let mut job = Harness::new(move |env| {
        let records = env.source("in", source.clone()).broadcast();
        let _ = records.process(KeepLists::default()).uid("lists").sink("out", sink.clone()).uid("out");
    })
    .on_executors(2);
    job.start(2);
    feed.push(0, 1..=4);
    job.settle();
    let all = vec![1, 2, 3, 4];
    let check = |job: &mut Harness, parallelism: usize, about: &str| {
        feed.push(0, [0]);
        job.settle();
        assert_eq!(job.failures(), [], "{about}");
        let lists: Vec<_> = out.written().into_iter().map(|(lists, _)| lists).collect();
        assert_eq!(lists.len(), parallelism, "{about}: {}", job.state());
        let mut split: Vec<_> = lists.iter().flat_map(|(split, ..)| split.clone()).collect();
        split.sort_unstable();
        assert_eq!(split, all, "{about}: each item is somewhere");
        let most = lists.iter().map(|(split, ..)| split.len()).max();
        assert_eq!(most, Some(all.len().div_ceil(parallelism)), "{about}: {lists:?}");
        assert!(lists.iter().all(|(_, _, broadcast)| *broadcast == all), "{about}: {lists:?}");
        lists.into_iter().map(|(_, union, _)| union.len()).collect::<Vec<_>>()
    };
    assert_eq!(check(&mut job, 2, "before"), [2, 2]);
    job.rescale(3);
    assert_eq!(check(&mut job, 3, "from 2 to 3"), [4, 4, 4], "each has the items of all");
    assert!(job.checkpoint());
    job.fail_over(1);
    assert_eq!(check(&mut job, 1, "from 3 to 1"), [12]);
    let savepoint = job.savepoint().expect("a savepoint");
    job.kill();
    job.start_from_savepoint(&savepoint, 2);
    assert_eq!(check(&mut job, 2, "from a savepoint"), [12, 12]);

    // Without the function, its lists are missing from the job.
    let savepoint = job.savepoint().expect("a savepoint");
    job.kill();
    let (source, sink) = (feed.clone(), out.clone());
    job.rebuild(move |env| {
        let records = env.source("in", source.clone()).broadcast();
        let other = records.map(|n: u64| (vec![n], vec![], vec![])).uid("lists");
        let _ = other.sink("out", sink.clone()).uid("out");
    });
    job.start_from_savepoint(&savepoint, 2);
    let [failure] = job.failures() else { panic!("{}", job.state()) };
    assert!(failure.message.contains("'broadcast' of 'lists', 'split' of 'lists'"), "{failure:?}");
}
