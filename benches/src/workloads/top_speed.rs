//! W3, TopSpeedWindowing: a thousand cars report in turn, each once in 100 ms of event time; per car, the
//! highest speed of the last 10 s each time the car has moved on by more than 50 m.
//!
//! A car's speed walks up or down by 5 within 0…100 with each report, and its distance grows by speed / 3.6,
//! as in Flink's example. To make an event a function of its index, all cars drive one closed random walk of
//! 1,024 reports over and over, each from a place of its own.

use std::collections::VecDeque;

use super::{Outcome, splitmix64};

/// The number of cars.
pub const CARS: u64 = 1_000;
/// Event time between two reports of a car, in milliseconds.
pub const REPORT_INTERVAL_MS: i64 = 100;
/// How far back the highest speed looks, in milliseconds: a report is kept while it is younger than this.
pub const KEEP_MS: i64 = 10_000;
/// A car has a result when it has moved by more than this since its last one (or its first report), in metres.
pub const MOVED_METRES: f64 = 50.0;

/// One report of a car.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// Which car, below [`CARS`].
    pub car: u64,
    /// Event time in milliseconds.
    pub time_ms: i64,
    /// The speed in km/h, 0…100.
    pub speed: u32,
    /// The distance since the car's first report, in metres.
    pub distance: f64,
}

/// Event `index`.
#[inline]
pub fn event(index: u64) -> Event {
    report(index % CARS, index / CARS)
}

/// The report of `car` in round `round`.
#[inline]
fn report(car: u64, round: u64) -> Event {
    let start = splitmix64(car) as usize % LAP;
    let place = start + round as usize;
    let stretch = &WALK[place % LAP];
    let speeds =
        (place / LAP) as u64 * LAP_SPEEDS + u64::from(stretch.speeds) - u64::from(WALK[start].speeds);
    Event {
        car,
        time_ms: round as i64 * REPORT_INTERVAL_MS,
        speed: u32::from(stretch.speed),
        distance: speeds as f64 / 3.6,
    }
}

/// Folds one result: the car, the time of the report that caused it, and the highest speed.
#[inline]
pub fn fold(outcome: &mut Outcome, car: u64, time_ms: i64, top_speed: u32) {
    outcome.add(car.wrapping_add(time_ms as u64), u64::from(top_speed));
}

/// Drives car by car, with a queue of falling speeds whose front is always the highest.
pub(super) fn expected(events: u64) -> Outcome {
    let mut outcome = Outcome::default();
    for car in 0..CARS.min(events) {
        let mut falling: VecDeque<(i64, u32)> = VecDeque::new();
        let mut last_distance = report(car, 0).distance;
        for round in 0..(events - car).div_ceil(CARS) {
            let event = report(car, round);
            while falling.back().is_some_and(|&(_, speed)| speed <= event.speed) {
                falling.pop_back();
            }
            falling.push_back((event.time_ms, event.speed));
            while falling[0].0 <= event.time_ms - KEEP_MS {
                falling.pop_front();
            }
            if event.distance - last_distance > MOVED_METRES {
                last_distance = event.distance;
                fold(&mut outcome, car, event.time_ms, falling[0].1);
            }
        }
    }
    outcome
}

/// Reports in the closed walk.
const LAP: usize = 1_024;
/// The sum of all speeds of the walk.
const LAP_SPEEDS: u64 = {
    // `speeds` of the last place covers the whole walk but the speed at place 0.
    let walk = walk();
    walk[LAP - 1].speeds as u64 + walk[0].speed as u64
};

/// One place of the walk.
#[derive(Clone, Copy)]
struct Stretch {
    speed: u8,
    /// The sum of the speeds from place 1 up to this place.
    speeds: u32,
}

static WALK: [Stretch; LAP] = walk();

/// A walk by steps of 5 that turns back at 0 and at 100 and ends one step from where it began.
const fn walk() -> [Stretch; LAP] {
    const START: u8 = 50;
    let mut walk = [Stretch { speed: START, speeds: 0 }; LAP];
    let mut place = 1;
    while place < LAP {
        let before = walk[place - 1];
        let steps_away = before.speed.abs_diff(START) as usize / 5;
        let up = if before.speed == 0 {
            true
        } else if before.speed == 100 {
            false
        } else if steps_away + 1 >= LAP - place {
            // Only just enough places are left to return.
            before.speed < START
        } else {
            // Of the random bits, this one yields a lap that visits all speeds about equally often.
            (splitmix64(place as u64) >> 4) & 1 == 1
        };
        let speed = if up { before.speed + 5 } else { before.speed - 5 };
        walk[place] = Stretch { speed, speeds: before.speeds + speed as u32 };
        place += 1;
    }
    walk
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_car_walks_by_five_and_its_distance_adds_up() {
        for car in [0, 1, CARS - 1] {
            let mut before = report(car, 0);
            assert_eq!(before.distance, 0.0);
            let mut speeds = 0;
            for round in 1..3 * LAP as u64 {
                let event = event(round * CARS + car);
                assert_eq!((event.car, event.time_ms), (car, round as i64 * REPORT_INTERVAL_MS));
                assert!(
                    event.speed <= 100 && event.speed.abs_diff(before.speed) == 5,
                    "{before:?} {event:?}"
                );
                speeds += event.speed;
                assert_eq!(event.distance, f64::from(speeds) / 3.6);
                before = event;
            }
        }
    }

    #[test]
    fn the_walk_uses_the_whole_range() {
        assert_eq!(WALK.iter().map(|s| s.speed).min(), Some(0));
        assert_eq!(WALK.iter().map(|s| s.speed).max(), Some(100));
    }
}
