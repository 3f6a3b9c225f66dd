//! The operators with keyed state, one a file. Each is the head of its task and gets rows with the hash that the
//! sender computed.

mod broadcast;
mod process;
mod rolling;
mod window;

pub(crate) use broadcast::BROADCAST;
pub use broadcast::BroadcastProcess;
pub use process::Process;
pub use rolling::{ResultAlone, Rolling, RollingOutput, WithKey};
pub use window::{
    Aggregated, AggregatedThenProcessed, Apply, Buffered, CoGrouped, CoGroupedThenProcessed, Contents,
    EvictedThenAggregated, Joined, Lateness, Merging, MergingContents, Pairs, Processed, WindowOperator,
    Windowing,
};

use crate::stage::{Control, Stage};
use reflow_network::Row;

/// The head of a task that reads a gate.
pub trait Head<T>: Control {
    /// Takes a record.
    fn row(&mut self, row: Row<T>);

    /// Announces a record that comes soon, so that its state can be prefetched into the cache.
    #[inline]
    fn expect(&self, _row: &Row<T>) {}

    /// Whether the record belongs to the key group of its hash. Others belong to every subtask.
    #[inline]
    fn is_keyed(&self, _row: &Row<T>) -> bool {
        true
    }

    /// Whether it takes records now.
    #[inline]
    fn intake(&self) -> Intake {
        Intake::Open
    }

    /// Called before each step while key groups migrate. Their state is installed table by table, so a head whose timers
    /// in processing time need several tables must not fire any.
    fn hold_timers(&mut self) {}

    /// Called before each other step.
    fn release_timers(&mut self) {}
}

/// Whether a head takes records, in ascending order of what it takes none of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Intake {
    /// It takes records.
    Open,
    /// It takes only records that are in front of a barrier which is on its way, so that the checkpoint does not wait.
    BeforeBarrier,
    /// It takes no records.
    Closed,
}

/// A head without keyed state, which passes records to the first stage.
pub struct Unkeyed<D> {
    pub(crate) next: D,
}

impl<D> Unkeyed<D> {
    /// A head that passes records to `next`.
    pub fn new(next: D) -> Self {
        Self { next }
    }
}

impl<T, D: Stage<T>> Head<T> for Unkeyed<D> {
    #[inline]
    fn row(&mut self, row: Row<T>) {
        self.next.push(row.value, row.time);
    }
}

impl<D: Control> Control for Unkeyed<D> {
    type Next = D;

    fn next_stage(&self) -> &D {
        &self.next
    }

    fn next_stage_mut(&mut self) -> &mut D {
        &mut self.next
    }
}
