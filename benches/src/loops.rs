//! The plain loops: the program that a competent engineer writes for each workload if one thread is enough.
//!
//! They are the baseline of every published ratio, so **this source is fixed**: a change makes all earlier
//! ratios incomparable and needs figures of before and after in its commit. One record at a time, tables by
//! `hashbrown` with `foldhash`, no sizes known in advance, no checkpoints.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::workloads::{Outcome, Workload, keyed_count, top_speed, tumbling_sum};

type Map<V> = HashMap<u64, V, FixedState>;

/// Runs the plain loop of `workload` over the events `0..events`.
pub fn run(workload: Workload, events: u64) -> Outcome {
    match workload {
        Workload::KeyedCount => keyed_count(events),
        Workload::TumblingSum => tumbling_sum(events),
        Workload::TopSpeed => top_speed(events),
    }
}

/// Only generates the events `0..events`: the part of every figure that is not the contender's.
pub fn generate(workload: Workload, events: u64) {
    use std::hint::black_box;
    match workload {
        Workload::KeyedCount => (0..events).for_each(|index| {
            black_box(keyed_count::event(index));
        }),
        Workload::TumblingSum => (0..events).for_each(|index| {
            black_box(tumbling_sum::event(index));
            black_box(tumbling_sum::watermark_after(index));
        }),
        Workload::TopSpeed => (0..events).for_each(|index| {
            black_box(top_speed::event(index));
        }),
    }
}

fn keyed_count(events: u64) -> Outcome {
    let mut outcome = Outcome::default();
    let mut counts: Map<u64> = Map::default();
    for index in 0..events {
        let key = keyed_count::event(index);
        let count = counts.entry(key).or_insert(0);
        *count += 1;
        keyed_count::fold(&mut outcome, key, *count);
    }
    outcome
}

/// The open windows in order of their ends, the newest at the back, where nearly all events belong.
#[derive(Default)]
struct OpenWindows {
    windows: VecDeque<(i64, Map<u64>)>,
    /// A fired window's table, kept for the next one.
    spare: Map<u64>,
}

impl OpenWindows {
    #[inline]
    fn sums(&mut self, end_ms: i64) -> &mut Map<u64> {
        let place = match self.windows.back() {
            Some(&(end, _)) if end == end_ms => self.windows.len() - 1,
            _ => self.find_or_open(end_ms),
        };
        &mut self.windows[place].1
    }

    #[cold]
    fn find_or_open(&mut self, end_ms: i64) -> usize {
        self.windows.binary_search_by_key(&end_ms, |&(end, _)| end).unwrap_or_else(|place| {
            self.windows.insert(place, (end_ms, std::mem::take(&mut self.spare)));
            place
        })
    }

    fn fire_up_to(&mut self, watermark_ms: i64, outcome: &mut Outcome) {
        while let Some((end_ms, mut sums)) =
            self.windows.pop_front_if(|(end_ms, _)| *end_ms - 1 <= watermark_ms)
        {
            for (key, sum) in sums.drain() {
                tumbling_sum::fold(outcome, key, end_ms, sum);
            }
            self.spare = sums;
        }
    }
}

fn tumbling_sum(events: u64) -> Outcome {
    let mut outcome = Outcome::default();
    let mut open = OpenWindows::default();
    for index in 0..events {
        let event = tumbling_sum::event(index);
        *open.sums(tumbling_sum::window_end(event.time_ms)).entry(event.key).or_insert(0) += event.value;
        if let Some(watermark_ms) = tumbling_sum::watermark_after(index) {
            open.fire_up_to(watermark_ms, &mut outcome);
        }
    }
    open.fire_up_to(i64::MAX, &mut outcome);
    outcome
}

struct Car {
    /// Time and speed of the reports of the last 10 s.
    reports: VecDeque<(i64, u32)>,
    /// Where the car was at its last result, or at its first report.
    last_distance: f64,
}

fn top_speed(events: u64) -> Outcome {
    let mut outcome = Outcome::default();
    let mut cars: Map<Car> = Map::default();
    for index in 0..events {
        let event = top_speed::event(index);
        let car = cars
            .entry(event.car)
            .or_insert_with(|| Car { reports: VecDeque::new(), last_distance: event.distance });
        car.reports.push_back((event.time_ms, event.speed));
        while car.reports.pop_front_if(|report| report.0 <= event.time_ms - top_speed::KEEP_MS).is_some() {}
        if event.distance - car.last_distance > top_speed::MOVED_METRES {
            car.last_distance = event.distance;
            let top = car.reports.iter().map(|&(_, speed)| speed).max().unwrap_or(event.speed);
            top_speed::fold(&mut outcome, event.car, event.time_ms, top);
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loop_reports_what_is_expected() {
        for workload in Workload::ALL {
            // None, one, within the first window, at its edge and beyond, and after several evictions.
            for events in [0, 1, 1_500, 100_000, 100_001, 654_321] {
                assert_eq!(run(workload, events), workload.expected(events), "{workload}, {events} events");
            }
        }
    }

    #[test]
    fn a_late_window_keeps_the_order_of_ends() {
        let mut open = OpenWindows::default();
        for end_ms in [3_000, 1_000, 2_000, 3_000, 1_000] {
            *open.sums(end_ms).entry(7).or_insert(0) += 1;
        }
        assert_eq!(
            open.windows.iter().map(|w| (w.0, w.1[&7])).collect::<Vec<_>>(),
            [(1_000, 2), (2_000, 1), (3_000, 2)]
        );
        let mut outcome = Outcome::default();
        open.fire_up_to(1_999, &mut outcome);
        assert_eq!((outcome.results, open.windows.len()), (2, 1));
    }
}
