//! Operators with keyed state, one a file. Each is the head of its task: it gets rows with the hash that the
//! sender made.

mod process;
mod rolling;
mod window;

pub use process::Process;
pub use rolling::Rolling;
pub use window::{Aggregated, Buffered, Contents, WindowOperator, Windowing};

use crate::stage::{Control, Stage};
use reflow_network::Row;

/// The head of a task that reads a gate.
pub trait Head<T>: Control {
    /// Takes a record.
    fn row(&mut self, row: Row<T>);

    /// A record that will come soon: its state may be fetched into the cache meanwhile.
    #[inline]
    fn expect(&self, _row: &Row<T>) {}
}

/// A head without key: hands records to the first stage.
pub struct Unkeyed<D> {
    pub(crate) next: D,
}

impl<D> Unkeyed<D> {
    /// Hands records to `next`.
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
