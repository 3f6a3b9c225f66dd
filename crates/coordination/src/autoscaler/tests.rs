//! The autoscaler on load traces, with a job that has a source and a keyed vertex in each slot.

use super::policy::raised;
use super::*;
use crate::event::ParallelismBounds;
use reflow_types::{Instant, VertexId};
use std::time::Duration;

/// Records per second that a slot can process.
const SLOT_RATE: f64 = 1000.0;
/// Seconds from a decision to the new parallelism, if the slots are there.
const RESCALE_S: u64 = 1;
/// The part of a slot's work that its source is.
const SOURCE_SHARE: f64 = 0.2;

/// A job under a load, a second at a time.
struct Model {
    policy: Policy,
    now: u64,
    slots: u32,
    /// Slots that the machines have.
    available: u32,
    change: Option<(u64, u32)>,
    backlog: f64,
    counters: Counters,
    state_bytes: u64,
    memory_per_slot: Option<u64>,
    bounds: ParallelismBounds,
    /// Records per second beyond which the outside cannot go.
    outside_limit: f64,
    /// What happened.
    slot_seconds: f64,
    decisions: Vec<Decision>,
    longest_lag_s: f64,
}

#[derive(Clone, Copy, Default)]
struct Counters {
    records: f64,
    busy: [f64; 2],
    counted: f64,
}

impl Model {
    fn new(settings: Settings, slots: u32) -> Self {
        Self {
            policy: Policy::new(settings),
            now: 1_000,
            slots,
            available: 64,
            change: None,
            backlog: 0.0,
            counters: Counters::default(),
            state_bytes: 0,
            memory_per_slot: None,
            bounds: ParallelismBounds { lower: 1, upper: 64 },
            outside_limit: f64::MAX,
            slot_seconds: 0.0,
            decisions: Vec::new(),
            longest_lag_s: 0.0,
        }
    }

    fn at(&self) -> Instant {
        Instant(0) + Duration::from_secs(self.now)
    }

    /// A second in which this many records arrive.
    fn second(&mut self, arriving: f64) {
        self.now += 1;
        if self.change.is_some_and(|(at, _)| at <= self.now) {
            self.slots = self.change.take().unwrap().1.min(self.available);
        }
        let capacity = (f64::from(self.slots) * SLOT_RATE).min(self.outside_limit);
        let read = (arriving + self.backlog).min(capacity);
        self.backlog += arriving - read;
        self.slot_seconds += f64::from(self.slots);
        if arriving > 0.0 {
            self.longest_lag_s = self.longest_lag_s.max(self.backlog / arriving);
        }
        // Where the outside is the limit, the keyed vertex waits for it and counts as busy.
        let saturated = self.backlog > 0.0;
        let keyed = if saturated { f64::from(self.slots) } else { read / SLOT_RATE };
        self.counters.records += read;
        self.counters.busy[0] += SOURCE_SHARE * read / SLOT_RATE;
        self.counters.busy[1] += keyed;
        self.counters.counted += f64::from(self.slots);
        let observation = self.observation();
        let at = self.at();
        if let Some(decision) = self.policy.observe(at, observation) {
            self.change = Some((self.now + RESCALE_S, decision.to));
            self.decisions.push(decision);
        }
    }

    fn observation(&self) -> Observation {
        let vertex = |index: usize, inputs: &[usize]| VertexLoad {
            vertex: VertexId(index as u128 + 1),
            name: ["Source", "Window"][index].to_owned(),
            group: 0,
            inputs: inputs.to_vec(),
            parallelism: self.slots,
            bounds: self.bounds,
            records_in: self.counters.records as u64,
            records_out: self.counters.records as u64,
            busy_s: self.counters.busy[index],
            backpressured_s: 0.0,
            counted_s: self.counters.counted,
            pending: (index == 0).then_some(self.backlog as u64),
            state_bytes: if index == 1 { self.state_bytes } else { 0 },
        };
        Observation {
            vertices: vec![vertex(0, &[]), vertex(1, &[0])],
            slots_per_task_manager: 2,
            memory_per_slot: self.memory_per_slot,
        }
    }

    fn seconds(&mut self, seconds: u64, load: impl Fn(u64) -> f64) {
        (0..seconds).for_each(|second| self.second(load(second)));
    }

    /// How often the parallelism went down after it had gone up, or the reverse.
    fn turns(&self) -> usize {
        let ups: Vec<bool> = self.decisions.iter().map(|decision| decision.to > decision.from).collect();
        ups.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }
}

/// A deterministic noise between −1 and 1.
fn noise(second: u64) -> f64 {
    let mixed = (second + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    mixed as f64 / f64::from(1u32 << 23) - 1.0
}

#[test]
fn a_step_is_followed_at_once_and_its_lag_is_gone_within_15_seconds() {
    let mut model = Model::new(Settings::default(), 1);
    model.seconds(120, |_| 600.0);
    assert_eq!(model.decisions, [], "{}", model.policy.assessment().status);
    model.seconds(15, |_| 2400.0);
    assert!(model.backlog < 1.0, "{} records wait, {:#?}", model.backlog, model.decisions);
    model.seconds(200, |_| 2400.0);
    let first = &model.decisions[0];
    assert!(first.to > first.from && first.at <= Instant(0) + Duration::from_secs(1_124), "{first:#?}");
    assert!(first.reason.contains("Window would be") && first.reason.contains("lag"), "{}", first.reason);
    assert!((3..=4).contains(&model.slots), "{} slots, {:#?}", model.slots, model.decisions);
    assert!(model.turns() <= 1, "{:#?}", model.decisions);
    assert_eq!(model.policy.assessment().task_managers, Some(model.slots.div_ceil(2)));
}

#[test]
fn noise_changes_nothing() {
    let mut model = Model::new(Settings::default(), 4);
    model.seconds(1800, |second| 2700.0 * (1.0 + 0.2 * noise(second)));
    assert_eq!(model.decisions, []);
}

#[test]
fn a_drift_is_followed_in_one_direction() {
    let mut model = Model::new(Settings::default(), 1);
    model.seconds(1200, |second| 500.0 + second as f64 * 5.0);
    assert!(model.turns() == 0 && model.slots >= 8, "{} slots, {:#?}", model.slots, model.decisions);
    assert!(model.longest_lag_s < 3.0, "{} s", model.longest_lag_s);
}

#[test]
fn a_day_costs_little_more_than_an_oracle_pays_and_does_not_flap() {
    let day = |second: u64| {
        let curve = 3000.0 - 2000.0 * (second as f64 / 1800.0 * std::f64::consts::TAU).cos();
        curve * (1.0 + 0.1 * noise(second))
    };
    let mut model = Model::new(Settings::default(), 2);
    model.seconds(3600, day);
    let oracle: f64 = (0..3600).map(|second| (day(second) / SLOT_RATE / 0.7).ceil()).sum();
    let cost = model.slot_seconds / oracle;
    assert!(cost < 1.2, "{cost:.2} of the oracle");
    assert!(model.turns() <= 4, "two days have four turns: {:#?}", model.decisions);
    assert!(model.longest_lag_s < 3.0, "{} s", model.longest_lag_s);
}

#[test]
fn a_burst_is_not_followed_by_a_hasty_retreat() {
    let mut model = Model::new(Settings::default(), 2);
    model.seconds(100, |_| 1100.0);
    model.seconds(10, |_| 6000.0);
    model.seconds(20, |_| 1100.0);
    let high = model.slots;
    assert!(high > 2);
    model.seconds(30, |_| 1100.0);
    assert_eq!(model.slots, high, "a minute has not passed");
    model.seconds(300, |_| 1100.0);
    assert_eq!((model.slots, model.turns()), (2, 1), "{:#?}", model.decisions);
}

#[test]
fn the_bounds_of_the_user_hold_and_are_said() {
    let mut model = Model::new(Settings::default(), 1);
    model.bounds.upper = 3;
    model.seconds(300, |_| 9000.0);
    assert_eq!(model.slots, 3);
    assert!(model.policy.assessment().status.contains("bounds"), "{}", model.policy.assessment().status);
    let mut model = Model::new(Settings { max_parallelism: 2, ..Settings::default() }, 1);
    model.seconds(300, |_| 9000.0);
    assert_eq!(model.slots, 2);
}

#[test]
fn no_slots_are_added_that_no_task_manager_may_have() {
    let settings = Settings { max_task_managers: 2, ..Settings::default() };
    let mut model = Model::new(settings.clone(), 1);
    model.seconds(300, |_| 9000.0);
    assert!(model.decisions.iter().all(|decision| decision.to <= 4), "{:#?}", model.decisions);
    assert_eq!((model.slots, model.policy.assessment().task_managers), (4, Some(2)));
    assert!(model.policy.assessment().status.contains("bounds"), "{}", model.policy.assessment().status);

    // What there is already is not taken away.
    let mut model = Model::new(settings, 6);
    model.seconds(300, |_| 9000.0);
    assert_eq!((model.slots, model.decisions.len()), (6, 0), "{:#?}", model.decisions);
}

#[test]
fn the_last_slots_go_to_the_busiest_groups() {
    assert_eq!(raised(&[1, 2], &[4, 8], &[4.0, 8.0], 100), [4, 8]);
    assert_eq!(raised(&[1, 2], &[4, 8], &[4.0, 8.0], 6), [2, 4]);
    assert_eq!(raised(&[1, 2], &[1, 8], &[4.0, 8.0], 4), [1, 3]);
    assert_eq!(raised(&[3, 2], &[2, 8], &[1.0, 8.0], 4), [3, 2], "there is no room");
}

#[test]
fn no_fewer_slots_than_the_state_fits_in() {
    let mut model = Model::new(Settings::default(), 8);
    (model.state_bytes, model.memory_per_slot) = (3_500_000_000, Some(1_000_000_000));
    model.seconds(600, |_| 100.0);
    assert_eq!(model.slots, 5);
    model.memory_per_slot = None;
    model.seconds(600, |_| 100.0);
    assert_eq!(model.slots, 1);
}

#[test]
fn what_a_user_sets_is_kept_for_a_while_and_then_followed_by_the_load() {
    let mut model = Model::new(Settings::default(), 2);
    model.seconds(100, |_| 1100.0);
    model.policy.begin_anew(model.at());
    model.change = Some((model.now + 2, 6));
    model.seconds(58, |_| 1100.0);
    assert_eq!((model.slots, &*model.decisions), (6, &[][..]));
    model.seconds(300, |_| 1100.0);
    assert_eq!(model.slots, 2, "{:#?}", model.decisions);
}

#[test]
fn slots_that_do_not_help_are_not_added_again_and_again() {
    let mut model = Model::new(Settings::default(), 2);
    model.outside_limit = 1_900.0;
    model.seconds(60, |_| 3000.0);
    assert!(model.slots <= 6, "{:#?}", model.decisions);
    let status = &model.policy.assessment().status;
    assert!(model.decisions.len() == 1 && status.contains("not raised the throughput"), "{status}");
}

#[test]
fn slots_that_do_not_come_are_asked_for_once() {
    let mut model = Model::new(Settings::default(), 1);
    model.available = 1;
    model.seconds(8, |_| 600.0);
    model.seconds(20, |_| 1800.0);
    let asked = model.policy.assessment().task_managers;
    assert!(asked >= Some(2), "{asked:?}");
    assert_eq!(model.slots, 1);
}

#[test]
fn advice_is_given_without_being_followed() {
    let mut model = Model::new(Settings { scaling: false, ..Settings::default() }, 1);
    model.available = 1;
    model.seconds(60, |_| 2000.0);
    let reasons: Vec<&str> = model.decisions.iter().map(|decision| &*decision.reason).collect();
    assert!(reasons.iter().all(|reason| reason.starts_with("would scale from 1 to")), "{reasons:#?}");
    assert!(!reasons.is_empty() && model.policy.assessment().task_managers >= Some(2));
}

#[test]
fn state_that_outgrows_its_slots_gets_more() {
    let mut model = Model::new(Settings::default(), 2);
    model.memory_per_slot = Some(1 << 30);
    model.state_bytes = 1 << 30;
    model.seconds(30, |_| 1200.0);
    assert_eq!(model.decisions, []);
    model.state_bytes = 3 << 30;
    model.seconds(30, |_| 1200.0);
    assert_eq!((model.slots, model.decisions.len()), (5, 1), "{:#?}", model.decisions);
    assert!(model.decisions[0].reason.ends_with("the state fits in"), "{:#?}", model.decisions);
}

#[test]
fn bounds_count_from_the_start() {
    for (settings, before, after) in [
        (Settings { min_parallelism: 4, ..Settings::default() }, 1, 4),
        (Settings { max_parallelism: 2, ..Settings::default() }, 8, 2),
    ] {
        let mut model = Model::new(settings, before);
        model.seconds(30, |_| 100.0);
        assert_eq!(model.slots, after, "{:#?}", model.decisions);
    }
}

#[test]
fn a_change_by_a_user_counts_however_long_it_takes() {
    for delay in [2, 8, 40] {
        let mut model = Model::new(Settings::default(), 2);
        model.seconds(120, |_| 1200.0);
        model.policy.begin_anew(model.at());
        for _ in 0..delay {
            model.now += 1;
            // A restart: there is nothing to observe.
            model.policy.pause(model.at(), "restarting");
        }
        model.slots = 6;
        model.seconds(40, |_| 1200.0);
        assert_eq!((model.slots, model.decisions.len()), (6, 0), "{delay}: {:#?}", model.decisions);
        assert_eq!(model.policy.assessment().task_managers, Some(3), "{delay}");
    }
}

#[test]
fn nothing_is_asked_for_before_the_job_was_seen() {
    let mut policy = Policy::new(Settings { max_task_managers: 9, ..Settings::default() });
    assert_eq!(policy.assessment().task_managers, None);
    policy.wait_for(0);
    assert_eq!(policy.assessment().task_managers, Some(1));
    policy.wait_for(12);
    assert_eq!(policy.assessment().task_managers, Some(9));
    let model = Model::new(Settings::default(), 4);
    policy.observe(model.at(), model.observation());
    assert_eq!(policy.assessment().task_managers, Some(2));
    policy.wait_for(12);
    assert_eq!(policy.assessment().task_managers, Some(2));
}
