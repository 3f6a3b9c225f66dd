//! Watches the slots from the executor's thread: steps that do not end, memory above the limit, and free memory to return to
//! the system.

use reflow_protocol::control::SubtaskMetrics;
use reflow_runtime::step::Step;
use reflow_types::{Instant, SubtaskId};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often slots and memory are checked.
pub(super) const WATCH_INTERVAL: Duration = Duration::from_millis(200);
/// A longer step is logged, because it delays barriers and the slot's other tasks.
const LONG_STEP: Duration = Duration::from_millis(100);
/// The longest time between two messages about one step. A step that does not end is logged again when it has
/// lasted ten times as long as when it was last logged, and at the latest after this time. Other long steps of
/// the same subtask are logged at most once in this time.
const REMIND_AFTER: Duration = Duration::from_secs(60);

/// The long steps that were logged.
#[derive(Default)]
pub(super) struct LongSteps {
    reported: BTreeMap<SubtaskId, Reported>,
}

struct Reported {
    /// The start of the step, which identifies it.
    since: Instant,
    at: Instant,
}

impl LongSteps {
    /// The steps in progress that are to be logged now, with their durations so far.
    pub(super) fn due(&mut self, now: Instant, steps: impl Iterator<Item = Step>) -> Vec<(Step, Duration)> {
        self.reported.retain(|_, reported| now.since(reported.at) < REMIND_AFTER);
        let mut due = Vec::new();
        for step in steps {
            let lasted = now.since(step.since);
            let is_due = lasted >= LONG_STEP
                && self.reported.get(&step.subtask).is_none_or(|reported| {
                    reported.since == step.since && lasted >= 10 * reported.at.since(reported.since)
                });
            if is_due {
                self.reported.insert(step.subtask, Reported { since: step.since, at: now });
                due.push((step, lasted));
            }
        }
        due
    }
}

/// Adds the steps in progress to the metrics that the slots have last reported. A slot in a long step reports
/// nothing, so it would look idle.
pub(super) fn with_steps(
    metrics: impl Iterator<Item = SubtaskMetrics>,
    steps: &[Step],
    now: Instant,
) -> Vec<SubtaskMetrics> {
    let counted = |mut subtask: SubtaskMetrics| {
        let lasted = steps.iter().find(|step| step.subtask == subtask.subtask).map(|s| now.since(s.since));
        if let Some(lasted) = lasted.filter(|lasted| *lasted >= LONG_STEP) {
            subtask.busy += lasted;
            subtask.longest_step = subtask.longest_step.max(lasted);
        }
        subtask
    };
    metrics.map(counted).collect()
}

/// The reason of the exit, if the process uses more memory than its limit. `largest` is the subtask with the most state, with
/// the bytes of that.
pub(super) fn out_of_memory(used: u64, limit: Option<u64>, largest: Option<(String, u64)>) -> Option<String> {
    let (mib, limit) = (1 << 20, limit.filter(|limit| used > *limit)?);
    let state = largest.map_or(String::new(), |(subtask, bytes)| {
        format!("; the state of {subtask} takes {} MiB of it", bytes / mib)
    });
    Some(format!(
        "the process uses {} MiB of memory, its limit is {} MiB{state}: raise taskmanager.memory.process.size or \
         add TaskManagers",
        used / mib,
        limit / mib,
    ))
}

/// Decides when free memory is returned to the system: some time after tasks were added or dropped, or when the
/// tasks hold much less state than before. While nothing changes memory is kept, because the next checkpoint
/// needs as much as this one.
#[derive(Default)]
pub(super) struct GiveBack {
    due: Option<Instant>,
    /// The most state since memory was last given back.
    most_state: u64,
    state: u64,
}

/// The delay after a change: the next tasks may need the memory that is free right after it, and memory is freed
/// gradually.
const GIVE_BACK_AFTER: Duration = Duration::from_secs(5);

impl GiveBack {
    /// Notes that tasks were added or dropped.
    pub(super) fn on_change(&mut self, now: Instant) {
        self.due.get_or_insert(now + GIVE_BACK_AFTER);
    }

    /// Notes the size of the tasks' state.
    pub(super) fn on_state(&mut self, now: Instant, bytes: u64) {
        (self.state, self.most_state) = (bytes, self.most_state.max(bytes));
        if bytes < self.most_state / 4 * 3 {
            self.on_change(now);
        }
    }

    /// Whether memory is to be returned now.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.due.is_some_and(|due| now >= due);
        if is_due {
            (self.due, self.most_state) = (None, self.state);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reflow_graph::VertexIndex;

    fn step(subtask: u64, since_ms: u64) -> Step {
        Step { vertex: VertexIndex(1), subtask: SubtaskId(subtask), since: Instant::from_millis(since_ms) }
    }

    #[test]
    fn a_step_that_does_not_end_is_told_of_at_growing_distances() {
        let mut long = LongSteps::default();
        let reported: Vec<u64> = (0..3_000)
            .map(|look| look * 200)
            .filter(|ms| !long.due(Instant::from_millis(*ms), std::iter::once(step(1, 0))).is_empty())
            .collect();
        assert_eq!(reported[..5], [200, 2_000, 20_000, 80_000, 140_000]);
    }

    #[test]
    fn steps_of_one_subtask_are_told_of_once_a_minute() {
        let mut long = LongSteps::default();
        let mut due =
            |now_ms, steps: &[Step]| long.due(Instant::from_millis(now_ms), steps.iter().copied()).len();
        assert_eq!(due(1_050, &[step(1, 1_000)]), 0, "it is short");
        assert_eq!(due(1_100, &[step(1, 1_000)]), 1);
        assert_eq!(due(1_400, &[step(1, 1_200), step(2, 1_000)]), 1, "of the other subtask");
        assert_eq!(due(59_000, &[step(1, 40_000)]), 0);
        assert_eq!(due(61_200, &[step(1, 61_000)]), 1);
    }

    #[test]
    fn a_slot_in_a_long_step_is_busy() {
        let reported = SubtaskMetrics {
            subtask: SubtaskId(1),
            busy: Duration::from_secs(1),
            ..SubtaskMetrics::default()
        };
        let other = SubtaskMetrics { subtask: SubtaskId(2), ..reported.clone() };
        let now = Instant::from_millis(5_000);
        let seen = with_steps([reported, other.clone()].into_iter(), &[step(1, 2_000)], now);
        assert_eq!((seen[0].busy, seen[0].longest_step), (Duration::from_secs(4), Duration::from_secs(3)));
        assert_eq!(seen[1], other);
    }

    #[test]
    fn memory_above_the_limit_is_a_reason_whether_or_not_a_subtask_is_known() {
        assert_eq!(out_of_memory(256 << 20, Some(256 << 20), None), None);
        assert_eq!(out_of_memory(1 << 40, None, None), None);
        let why = out_of_memory(300 << 20, Some(256 << 20), None).unwrap();
        assert!(why.starts_with("the process uses 300 MiB of memory, its limit is 256 MiB: raise"), "{why}");
        let largest = ("count (2/4)".to_owned(), 9 << 20);
        let why = out_of_memory(300 << 20, Some(256 << 20), Some(largest)).unwrap();
        assert!(why.contains("; the state of count (2/4) takes 9 MiB of it: raise"), "{why}");
    }

    #[test]
    fn memory_is_given_back_once_after_a_change_and_never_without() {
        let mut memory = GiveBack::default();
        let at = Instant::from_millis;
        let mut given = Vec::new();
        for second in 0..60 {
            match second {
                10 | 12 => memory.on_change(at(second * 1_000)), // an attempt ends, the next one begins
                _ => memory.on_state(at(second * 1_000), if second < 40 { 1_000 } else { 500 }),
            }
            if memory.is_due(at(second * 1_000)) {
                given.push(second);
            }
        }
        assert_eq!(given, [15, 45]);
    }
}
