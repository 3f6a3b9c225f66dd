//! The effect of an event on records: their delays, and the processes that have processed them.
//!
//! A record's delay is the time from when it was due to when it left the keyed operator. A key group has moved if
//! another process puts out its records afterwards than did before.

use super::log::Seen;
use super::schedule::Schedule;
use reflow_types::KeyGroup;
use std::collections::{BTreeMap, BTreeSet};

/// How long before an event the delays are those of a job at rest.
const REST_US: u64 = 2_000_000;

/// The figures of an event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gaps {
    /// The 99.9th percentile of the delays before.
    pub quiet_p999_ms: f64,
    /// The largest delay after it of any record, …
    pub all_ms: f64,
    /// … of a key group that moved; `None` if none did, …
    pub moving_ms: Option<f64>,
    /// … and of one that stayed.
    pub staying_ms: Option<f64>,
    /// The longest time without any output, counted from the last one before the event.
    pub silence_ms: f64,
    /// Key groups that moved, …
    pub moved: usize,
    /// … of this number that had records before and after.
    pub groups: usize,
    /// From the event to the first output of a group that moved at its new place, …
    pub first_ms: Option<f64>,
    /// … and until all of them had one.
    pub last_ms: Option<f64>,
    /// Outputs of records that had left the operator before.
    pub reprocessed: u64,
}

impl Gaps {
    /// The figures of an event at `event_us`, from the entries around it in the order of their moments.
    pub fn of(schedule: &Schedule, seen: &[Seen], event_us: u64) -> Self {
        let split = seen.partition_point(|seen| seen.entry.at_us < event_us);
        let (before, after) = seen.split_at(split);
        let (owned, owned_after) = (owners(before), owners(after));
        let both: Vec<KeyGroup> =
            owned.keys().filter(|group| owned_after.contains_key(group)).copied().collect();
        let moved: BTreeSet<KeyGroup> =
            both.iter().filter(|group| owned[group] != owned_after[group]).copied().collect();
        let largest = |wanted: &dyn Fn(&KeyGroup) -> bool| {
            let those = after.iter().filter(|seen| wanted(&seen.entry.group));
            those.filter_map(|seen| delay_us(schedule, seen)).max().map(millis)
        };
        let mut first_of = BTreeMap::new();
        for seen in after {
            let group = seen.entry.group;
            if moved.contains(&group) && owned_after[&group] == seen.process {
                first_of.entry(group).or_insert(seen.entry.at_us - event_us);
            }
        }
        let rest: Vec<u64> = before
            .iter()
            .filter(|seen| seen.entry.at_us + REST_US >= event_us)
            .filter_map(|seen| delay_us(schedule, seen))
            .collect();
        Self {
            quiet_p999_ms: percentile(rest, 0.999).map_or(0.0, millis),
            all_ms: largest(&|_| true).unwrap_or(0.0),
            moving_ms: largest(&|group| moved.contains(group)),
            staying_ms: largest(&|group| !moved.contains(group)),
            silence_ms: millis(longest_pause_us(before.last().into_iter().chain(after))),
            moved: moved.len(),
            groups: both.len(),
            first_ms: first_of.values().min().copied().map(millis),
            last_ms: first_of.values().max().copied().map(millis),
            reprocessed: reprocessed(before, after),
        }
    }
}

/// The delay below which this share of the records is; `None` without records.
pub fn percentile(mut delays_us: Vec<u64>, share: f64) -> Option<u64> {
    delays_us.sort_unstable();
    let index = ((delays_us.len() as f64 * share) as usize).min(delays_us.len().checked_sub(1)?);
    Some(delays_us[index])
}

/// How late a record was; `None` while keys are loaded.
pub fn delay_us(schedule: &Schedule, seen: &Seen) -> Option<u64> {
    let due_us = schedule.due_us(seen.entry.record.into())?;
    Some(seen.entry.at_us.saturating_sub(due_us))
}

fn millis(us: u64) -> f64 {
    us as f64 / 1e3
}

fn longest_pause_us<'a>(seen: impl Iterator<Item = &'a Seen> + Clone) -> u64 {
    let pauses = seen.clone().zip(seen.skip(1)).map(|(one, next)| next.entry.at_us - one.entry.at_us);
    pauses.max().unwrap_or(0)
}

/// Where each group was processed last.
fn owners(seen: &[Seen]) -> BTreeMap<KeyGroup, u32> {
    seen.iter().map(|seen| (seen.entry.group, seen.process)).collect()
}

fn reprocessed(before: &[Seen], after: &[Seen]) -> u64 {
    let mut known: BTreeSet<u32> = before.iter().map(|seen| seen.entry.record).collect();
    after.iter().map(|seen| u64::from(!known.insert(seen.entry.record))).sum()
}

#[cfg(test)]
mod tests {
    use super::super::log::Entry;
    use super::*;

    /// Groups by record: 0 and 1 stay on process 7, 2 moves from it to 8, 3 is not seen again.
    #[test]
    fn delays_are_told_apart_by_what_became_of_the_group() {
        let schedule = Schedule { keys: 0, rate: 1_000, begin_us: 0 };
        let seen = |record: u32, late_us: u64, group: u16, process: u32| Seen {
            entry: Entry { at_us: u64::from(record) * 1_000 + late_us, record, group: KeyGroup(group) },
            process,
        };
        let mut all = vec![seen(10, 3, 0, 7), seen(11, 4, 1, 7), seen(12, 5, 2, 7), seen(13, 6, 3, 7)];
        let event_us = 14_500;
        all.extend([
            seen(14, 2_000, 0, 7),
            seen(15, 7_000, 2, 8),
            seen(16, 1_000, 2, 7),
            seen(12, 90_000, 1, 7),
        ]);
        all.sort_by_key(|seen| seen.entry.at_us);
        let gaps = Gaps::of(&schedule, &all, event_us);
        let expected = Gaps {
            quiet_p999_ms: 0.006,
            all_ms: 90.0,
            moving_ms: Some(7.0),
            staying_ms: Some(90.0),
            silence_ms: 80.0,
            moved: 1,
            groups: 3,
            first_ms: Some(7.5),
            last_ms: Some(7.5),
            reprocessed: 1,
        };
        assert_eq!(gaps, expected);
    }

    #[test]
    fn nothing_seen_is_nothing_found() {
        let schedule = Schedule { keys: 0, rate: 1_000, begin_us: 0 };
        assert_eq!(Gaps::of(&schedule, &[], 5), Gaps::default());
        assert_eq!(percentile(vec![3, 1, 2], 0.5), Some(2));
    }
}
