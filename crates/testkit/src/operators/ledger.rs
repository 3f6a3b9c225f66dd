//! The process function of [`Operator::States`](super::Operator::States), with a state of each kind.

use super::Reading;
use reflow_api::states::{ListState, MapState, ReducingState, States, ValueState};
use reflow_api::{Context, ProcessFunction, UserError};

/// The states of [`Operator::States`](super::Operator::States).
#[derive(States)]
pub(super) struct Ledger {
    count: ValueState<u64>,
    by_remainder: MapState<i64, u64>,
    last: ListState<i64>,
    greatest: ReducingState<i64>,
}

/// See [`ledger_step`].
#[derive(Clone)]
pub(super) struct KeepLedger;

/// What [`Operator::States`](super::Operator::States) does at the `count`th record of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerStep {
    /// The user key whose count is increased.
    pub counted: i64,
    /// The user key that is removed.
    pub removed: Option<i64>,
    /// Whether the map is cleared afterwards.
    pub clears_map: bool,
    /// Whether the list is cleared afterwards.
    pub clears_list: bool,
    /// Whether all other states are cleared afterwards.
    pub clears_rest: bool,
}

/// The length of the list of [`Operator::States`](super::Operator::States), from which the oldest element is removed.
pub const LEDGER_LAST: usize = 4;

/// See [`LedgerStep`].
pub fn ledger_step(count: u64, value: i64) -> LedgerStep {
    LedgerStep {
        counted: value.rem_euclid(7),
        removed: (value % 3 == 0).then_some((value + 1).rem_euclid(7)),
        clears_map: count.is_multiple_of(11),
        clears_list: count.is_multiple_of(5),
        clears_rest: count == 13,
    }
}

/// The line that [`Operator::States`](super::Operator::States) writes for each record. The map is sorted.
pub fn ledger_line(reading: &Reading, count: u64, map: &[(i64, u64)], list: &[i64], greatest: i64) -> String {
    format!("{} of {}: {count} {map:?} {list:?} {greatest}", reading.key, reading.split)
}

impl ProcessFunction for KeepLedger {
    type Key = (u64, u64);
    type In = Reading;
    type Out = String;
    type State = Ledger;

    fn states(&self) -> Ledger {
        Ledger {
            count: ValueState::new("count"),
            by_remainder: MapState::new("by remainder"),
            last: ListState::new("last"),
            greatest: ReducingState::by("greatest", i64::max),
        }
    }

    fn process(
        &mut self,
        context: &mut impl Context<(u64, u64), Ledger, String>,
        reading: Reading,
    ) -> Result<(), UserError> {
        let mut ledger = context.states();
        let count = ledger.count.or_default();
        *count += 1;
        let count = *count;
        let step = ledger_step(count, reading.value);
        *ledger.by_remainder.or_default(step.counted) += 1;
        if let Some(removed) = step.removed {
            ledger.by_remainder.remove(&removed);
        }
        ledger.last.push(reading.value);
        if ledger.last.len() > LEDGER_LAST {
            ledger.last.pop_front();
        }
        ledger.greatest.add(reading.value);
        let mut map: Vec<_> = ledger.by_remainder.iter().map(|(key, value)| (*key, *value)).collect();
        map.sort_unstable();
        let list: Vec<_> = ledger.last.iter().copied().collect();
        let greatest = ledger.greatest.get().ok_or("a value was just added")?;
        if step.clears_map {
            ledger.by_remainder.clear();
        }
        if step.clears_list {
            ledger.last.clear();
        }
        if step.clears_rest {
            ledger.count.clear();
            ledger.greatest.clear();
        }
        context.emit(ledger_line(&reading, count, &map, &list, greatest));
        Ok(())
    }
}
