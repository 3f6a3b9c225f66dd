//! Every stateful operator, rescaled and killed with open windows and pending timers; what it writes is compared with
//! what a few lines without the engine compute.

use reflow_api::Watermarks;
use reflow_api::window::{Assigner, Window, Windowed};
use reflow_testkit::operators::joins::{
    self, AFTER, BEFORE, SESSION_GAP, is_deletion, is_first, is_second, product, version_line,
};
use reflow_testkit::operators::windows::{gap_ms, late_time, session_line, total_line};
use reflow_testkit::operators::{
    DELETING, Disorder, FLAT_MAP, FLAT_MAP_KEPT, LEDGER_LAST, LEFT_OUT, Operator, Reading, SLIDE, SLIDING,
    TIMERS_MS, TUMBLING, TWO_KEYED, ledger_line, ledger_step, totals_line, window_line,
};
use reflow_testkit::{Collect, Feed, Harness, check_rescales};
use reflow_types::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const SPLITS: u64 = 5;

/// Five splits, each in order of time.
fn readings() -> Vec<Vec<Reading>> {
    let reading = |split: u64, n: u64| Reading {
        split,
        key: n * n % 7 % 4,
        time: (n * 10 + split) as Timestamp,
        value: ((n * 31 + split * 17) % 100) as i64 - 50,
    };
    (0..SPLITS).map(|split| (0..80).map(|n| reading(split, n)).collect()).collect()
}

fn all_readings() -> impl Iterator<Item = Reading> {
    readings().into_iter().flatten()
}

/// What the operator's job commits, whatever happens to it.
fn committed(operator: Operator) -> Vec<String> {
    let disorder = Disorder { in_split: Duration::ZERO, overall: Duration::from_secs(10) };
    check_rescales(readings(), move |env, feed, out| {
        operator.build(env.source("in", feed).boxed(), disorder).sink("out", out);
    })
}

/// The sums by key and window.
fn sums(readings: impl Iterator<Item = Reading>, size: Duration, slide: Duration) -> Vec<String> {
    let [size, slide] = [size, slide].map(|duration| duration.as_millis() as Timestamp);
    let mut sums = BTreeMap::new();
    for Reading { key, time, value, .. } in readings {
        let mut start = time.div_euclid(slide) * slide;
        while start > time - size {
            *sums.entry((key, start + size)).or_insert(0) += value;
            start -= slide;
        }
    }
    sorted(sums.into_iter().map(|((key, end), sum)| window_line(key, end, sum)))
}

fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines
}

/// Folds each split's keys, record by record.
fn folded(line: impl Fn(Reading, i64) -> String) -> Vec<String> {
    let mut sums = BTreeMap::new();
    sorted(all_readings().map(|reading| {
        let sum = sums.entry((reading.split, reading.key)).or_insert(0);
        *sum += reading.value;
        line(reading, *sum)
    }))
}

#[test]
fn reduce() {
    let expected = folded(|reading, value| format!("{:?}", Reading { value, ..reading }));
    assert_eq!(committed(Operator::Reduce), expected);
}

#[test]
fn aggregate() {
    assert_eq!(committed(Operator::Aggregate), folded(|_, sum| format!("{sum:?}")));
}

#[test]
fn tumbling_windows() {
    assert_eq!(committed(Operator::Tumbling), sums(all_readings(), TUMBLING, TUMBLING));
}

#[test]
fn sliding_windows() {
    assert_eq!(committed(Operator::Sliding), sums(all_readings(), SLIDING, SLIDE));
}

/// Windows of different starts with one end, two of them without end.
#[derive(Clone)]
struct SeveralStarts;

impl Assigner for SeveralStarts {
    fn assign(&mut self, time: Timestamp, mut each: impl FnMut(Window)) {
        let end = time - time.rem_euclid(100) + 100;
        each(Window { start: end - 100, end });
        if time >= end - 30 {
            each(Window { start: end - 30, end });
        }
        each(Window { start: time.rem_euclid(2), end: Timestamp::MAX });
    }
}

#[test]
fn windows_of_one_end_and_different_starts_are_different_windows() {
    let committed = check_rescales(readings(), |env, feed, out| {
        let timed = env.source("in", feed).assign_event_time(
            |reading: &Reading| reading.time,
            Watermarks::bounded_out_of_orderness(Duration::from_secs(10)),
        );
        let counted = timed.key_by(|reading: &Reading| reading.key).window(SeveralStarts).count();
        let _ = counted
            .map(|w: Windowed<u64, u64>| (w.key, w.window.end, w.window.start, w.value))
            .sink("out", out);
    });
    let mut counts = BTreeMap::new();
    for Reading { key, time, .. } in all_readings() {
        SeveralStarts.assign(time, |w| *counts.entry((key, w.end, w.start)).or_insert(0) += 1);
    }
    let expected: Vec<_> = counts.into_iter().map(|((key, end, start), n)| (key, end, start, n)).collect();
    assert_eq!(committed, expected);
}

#[test]
fn times_that_are_assigned_behind_an_exchange() {
    assert_eq!(committed(Operator::TimesBehindExchange), sums(all_readings(), TUMBLING, TUMBLING));
}

#[test]
fn process_functions_without_a_key() {
    let expected = sorted(all_readings().map(|reading| format!("{reading:?}")));
    assert_eq!(committed(Operator::Unkeyed), expected);
}

#[test]
fn async_calls_let_no_result_be_late() {
    assert_eq!(committed(Operator::AsyncCalls), sums(all_readings(), TUMBLING, TUMBLING));
}

#[test]
fn ordered_async_calls_keep_the_order_of_a_key() {
    let expected = folded(|reading, value| format!("{:?}", Reading { value, ..reading }));
    assert_eq!(committed(Operator::OrderedAsyncCalls), expected);
}

#[test]
fn global_windows_by_count() {
    let mut seen: BTreeMap<_, Vec<Reading>> = BTreeMap::new();
    let greatest = all_readings().filter_map(|reading| {
        let records = seen.entry((reading.split, reading.key)).or_default();
        records.push(reading);
        let last = &records[records.len().saturating_sub(5)..];
        // Of equal ones the first.
        let greatest = last.iter().rev().max_by_key(|reading| reading.value);
        (records.len() % 3 == 0).then(|| format!("{:?}", greatest.expect("three records")))
    });
    assert_eq!(committed(Operator::GlobalByCount), sorted(greatest.collect::<Vec<_>>().into_iter()));
}

#[test]
fn global_windows_by_delta() {
    let mut seen: BTreeMap<_, (Timestamp, Vec<Reading>)> = BTreeMap::new();
    let greatest = all_readings().filter_map(|reading| {
        let (since, records) = seen.entry((reading.split, reading.key)).or_insert((reading.time, Vec::new()));
        records.push(reading);
        if reading.time - *since <= 50 {
            return None;
        }
        *since = reading.time;
        records.retain(|record| record.time >= reading.time - 100);
        let greatest = records.iter().rev().max_by_key(|reading| reading.value);
        greatest.map(|greatest| format!("{greatest:?}"))
    });
    assert_eq!(committed(Operator::GlobalByDelta), sorted(greatest.collect::<Vec<_>>().into_iter()));
}

#[test]
fn event_time_timers() {
    let mut due = BTreeSet::new();
    for Reading { split, key, time, value } in all_readings() {
        due.extend(TIMERS_MS.map(|after| (split, key, time + after)));
        if value % DELETING == 0 {
            due.remove(&(split, key, time + TIMERS_MS[0]));
        }
    }
    let lines = due.into_iter().map(|(split, key, time)| format!("{key} of {split} at {time}"));
    assert_eq!(committed(Operator::EventTimers), sorted(lines));
}

#[test]
fn states_of_each_kind() {
    #[derive(Default)]
    struct Ledger {
        count: u64,
        map: BTreeMap<i64, u64>,
        list: Vec<i64>,
        greatest: Option<i64>,
    }
    let mut ledgers: BTreeMap<_, Ledger> = BTreeMap::new();
    let lines = all_readings().map(|reading| {
        let Ledger { count, map, list, greatest } = ledgers.entry((reading.split, reading.key)).or_default();
        *count += 1;
        let step = ledger_step(*count, reading.value);
        *map.entry(step.counted).or_default() += 1;
        step.removed.map(|removed| map.remove(&removed));
        list.push(reading.value);
        list.drain(..list.len().saturating_sub(LEDGER_LAST));
        *greatest = (*greatest).max(Some(reading.value));
        let entries: Vec<_> = map.iter().map(|(key, value)| (*key, *value)).collect();
        let line = ledger_line(&reading, *count, &entries, list, greatest.expect("it was just set"));
        if step.clears_map {
            map.clear();
        }
        if step.clears_list {
            list.clear();
        }
        if step.clears_rest {
            (*count, *greatest) = (0, None);
        }
        line
    });
    assert_eq!(committed(Operator::States), sorted(lines.collect::<Vec<_>>().into_iter()));
}

#[test]
fn two_keyed_vertices_with_max_parallelisms_of_their_own() {
    let all = all_readings().map(|reading| Reading { key: 0, ..reading });
    assert_eq!(committed(Operator::TwoKeyed), sums(all, TWO_KEYED[1], TWO_KEYED[1]));
}

#[test]
fn a_single_subtask_between_many() {
    let kept = all_readings().filter(|reading| reading.value != LEFT_OUT);
    assert_eq!(committed(Operator::SingleBetween), sums(kept, TUMBLING, TUMBLING));
}

#[test]
fn union_of_shared_streams() {
    assert_eq!(committed(Operator::SharedUnion), sums(all_readings(), TUMBLING, TUMBLING));
}

#[test]
fn connected_streams() {
    assert_eq!(committed(Operator::Connected), sums(all_readings(), TUMBLING, TUMBLING));
}

#[test]
fn broadcast_state() {
    let mut own = BTreeMap::new();
    all_readings().for_each(|r| *own.entry((r.split, r.key)).or_default() += r.value);
    let (sum, count) = (all_readings().map(|r| r.value).sum(), all_readings().count() as u64);
    let expected = sorted(own.into_iter().map(|(key, own)| totals_line(key, own, sum, count)));
    assert_eq!(committed(Operator::Broadcast), expected);
}

#[test]
fn side_outputs() {
    assert_eq!(committed(Operator::SideOutputs), sums(all_readings(), TUMBLING, TUMBLING));
}

#[test]
fn every_way_of_partitioning() {
    let left_in = all_readings().filter(|reading| reading.value != LEFT_OUT);
    assert_eq!(committed(Operator::Partitioned), sums(left_in, TUMBLING, TUMBLING));
}

#[test]
fn windows_with_late_records() {
    let mut sums: BTreeMap<u64, BTreeMap<Timestamp, i64>> = BTreeMap::new();
    for reading in all_readings() {
        let end = late_time(&reading).div_euclid(100) * 100 + 100;
        *sums.entry(reading.key).or_default().entry(end).or_default() += reading.value;
    }
    let lines = sums.into_iter().flat_map(|(key, windows)| {
        let mut total = 0;
        windows.into_iter().map(move |(end, sum)| {
            total += sum;
            total_line(key, end, sum, total)
        })
    });
    assert_eq!(committed(Operator::Lateness), sorted(lines));
}

#[test]
fn late_records_in_a_side_output() {
    let lines = all_readings().map(|reading| format!("{reading:?}"));
    assert_eq!(committed(Operator::LateOutput), sorted(lines));
}

#[test]
fn sessions_by_gaps_of_records() {
    let mut sessions: BTreeMap<u64, Vec<(Window, i64)>> = BTreeMap::new();
    let mut in_order: Vec<Reading> = all_readings().collect();
    in_order.sort_by_key(|reading| reading.time);
    for reading in in_order {
        let window = Window { start: reading.time, end: reading.time + gap_ms(&reading) };
        let of_key = sessions.entry(reading.key).or_default();
        match of_key.last_mut().filter(|(last, _)| last.end >= window.start) {
            Some((last, sum)) => {
                last.end = last.end.max(window.end);
                *sum += reading.value;
            }
            None => of_key.push((window, reading.value)),
        }
    }
    assert!(sessions.values().map(Vec::len).sum::<usize>() > 20, "{sessions:?}");
    let line = |key| move |(window, sum)| session_line(key, window, sum);
    let lines = sessions.into_iter().flat_map(|(key, of_key)| of_key.into_iter().map(line(key)));
    assert_eq!(committed(Operator::Sessions), sorted(lines));
}

#[test]
fn joined_windows() {
    let pairs = all_readings().filter(is_first).flat_map(|first| {
        let same = move |other: &Reading| {
            other.key == first.key && other.time.div_euclid(100) == first.time.div_euclid(100)
        };
        let pair = move |second: Reading| Reading {
            value: product((first.time, first.value), (second.time, second.value)),
            ..second
        };
        all_readings().filter(is_second).filter(same).map(pair).collect::<Vec<_>>()
    });
    let pairs: Vec<Reading> = pairs.collect();
    assert!(pairs.len() > 100, "{pairs:?}");
    assert_eq!(committed(Operator::WindowJoin), sums(pairs.into_iter(), TUMBLING, TUMBLING));
}

#[test]
fn co_grouped_sessions() {
    let mut sessions: BTreeMap<u64, Vec<(Window, i64, i64)>> = BTreeMap::new();
    let mut in_order: Vec<Reading> = all_readings().filter(|r| is_first(r) || is_second(r)).collect();
    in_order.sort_by_key(|reading| reading.time);
    for reading in in_order {
        let window = Window { start: reading.time, end: reading.time + SESSION_GAP.as_millis() as Timestamp };
        let (first, second) = if is_first(&reading) { (reading.value, 0) } else { (0, reading.value) };
        let of_key = sessions.entry(reading.key).or_default();
        match of_key.last_mut().filter(|(last, _, _)| last.end >= window.start) {
            Some((last, firsts, seconds)) => {
                last.end = window.end;
                (*firsts, *seconds) = (*firsts + first, *seconds + second);
            }
            None => of_key.push((window, first, second)),
        }
    }
    let all = || sessions.iter().flat_map(|(key, of_key)| of_key.iter().map(move |session| (*key, session)));
    assert!(all().filter(|(_, (_, first, second))| *first != 0 && *second != 0).count() > 5, "{sessions:?}");
    assert!(all().any(|(_, (_, _, second))| *second == 0), "{sessions:?}");
    let lines =
        all().map(|(key, (window, first, second))| joins::session_line(key, *window, *first, *second));
    assert_eq!(committed(Operator::CoGroup), sorted(lines));
}

#[test]
fn interval_join() {
    let [before, after] = [BEFORE, AFTER].map(|duration| duration.as_millis() as Timestamp);
    let mut pairs = Vec::new();
    for first in all_readings().filter(is_first) {
        let matches = |other: &Reading| {
            other.key == first.key && (first.time - before..first.time + after).contains(&other.time)
        };
        pairs.extend(all_readings().filter(is_second).filter(matches).map(|second| Reading {
            time: first.time.max(second.time),
            value: product((first.time, first.value), (second.time, second.value)),
            ..second
        }));
    }
    assert!(pairs.len() > 50, "{pairs:?}");
    assert_eq!(committed(Operator::IntervalJoin), sums(pairs.into_iter(), TUMBLING, TUMBLING));
}

#[test]
fn temporal_join() {
    let lines: Vec<String> = all_readings()
        .filter(is_first)
        .map(|first| {
            let of_key = all_readings().filter(is_second);
            let of_key = of_key.filter(|other| (other.split, other.key) == (first.split, first.key));
            let valid = of_key.filter(|version| version.time <= first.time).last();
            let valid = valid.filter(|version| !is_deletion(version.value));
            version_line(&first, valid.map(|version| (version.time, version.value)))
        })
        .collect();
    let with = lines.iter().filter(|line| line.contains("Some")).count();
    assert!((10..lines.len() - 10).contains(&with), "{with} of {}", lines.len());
    assert_eq!(committed(Operator::TemporalJoin), sorted(lines.into_iter()));
}

#[test]
fn look_up_join() {
    let lines = all_readings().filter(is_first).map(|reading| format!("{reading:?}"));
    assert_eq!(committed(Operator::LookUpJoin), sorted(lines));
}

#[test]
fn windows_over_all_keys() {
    let of_one_key = all_readings().map(|reading| Reading { key: 0, ..reading });
    assert_eq!(committed(Operator::WindowAll), sums(of_one_key, SLIDING, SLIDE));
}

#[test]
fn windows_in_processing_time() {
    let mut numbers = BTreeMap::new();
    let lines = all_readings().map(|reading| {
        let number = numbers.entry(reading.key).or_insert(0);
        *number += 1;
        format!("{:?}", (reading.key, *number))
    });
    assert_eq!(committed(Operator::ProcessingTime), sorted(lines.collect::<Vec<_>>().into_iter()));
}

#[test]
fn count_windows() {
    let mut open: BTreeMap<_, Vec<i64>> = BTreeMap::new();
    let lines = all_readings().filter_map(|reading| {
        let key = (reading.split, reading.key);
        let values = open.entry(key).or_default();
        values.push(reading.value);
        let sum: i64 = values.iter().sum();
        (values.len() == 3).then(|| {
            values.clear();
            format!("{:?}", Windowed { key, window: Window::GLOBAL, value: sum })
        })
    });
    assert_eq!(committed(Operator::CountWindows), sorted(lines.collect::<Vec<_>>().into_iter()));
}

#[test]
fn rolling_sums() {
    let lines = folded(|reading, sum| format!("{:?}", ((reading.split, reading.key), sum)));
    assert_eq!(committed(Operator::RollingSum), lines);
}

#[test]
fn flat_map_over_full_batches() {
    let made =
        all_readings().flat_map(|r| (0..FLAT_MAP).map(move |n| Reading { key: r.key * FLAT_MAP + n, ..r }));
    let kept = made.filter(|reading| reading.key % FLAT_MAP_KEPT == 0);
    assert_eq!(committed(Operator::FlatMapRebalanced), sorted(kept.map(|reading| format!("{reading:?}"))));
}

#[test]
fn records_by_key_without_state() {
    let lines = all_readings().map(|reading| format!("{reading:?}"));
    assert_eq!(committed(Operator::KeyedMap), sorted(lines));
}

/// A broadcast gives each record to every subtask: as many copies as there are.
#[test]
fn broadcast() {
    for parallelism in 1..=3 {
        let (feed, out) = (Feed::new(2), Collect::new("out"));
        let (source, sink) = (feed.clone(), out.clone());
        let mut job = Harness::new(move |env| {
            let _ = env.source("in", source.clone()).broadcast().map(|n: u32| n).sink("out", sink.clone());
        })
        .on_executors(2);
        job.start(parallelism);
        feed.push(0, [1, 2]);
        feed.push(1, [3]);
        feed.end();
        assert!(job.finish());
        let copies = |n| std::iter::repeat_n(n, parallelism as usize);
        assert_eq!(out.committed(&job), [1, 2, 3].into_iter().flat_map(copies).collect::<Vec<u32>>());
    }
}
