//! Orders for events that may happen in any order.

use reflow_types::splitmix64;

/// Picks what is next.
pub(crate) enum Order {
    /// One after the other.
    InTurn(usize),
    /// Drawn from a seed.
    Random(u64),
}

impl Order {
    pub(crate) fn random(seed: u64) -> Self {
        Self::Random(seed)
    }

    /// One of `0 .. count`; `count` is at least 1.
    pub(crate) fn pick(&mut self, count: usize) -> usize {
        match self {
            Order::InTurn(turn) => {
                *turn = turn.wrapping_add(1);
                *turn % count
            }
            Order::Random(state) => (splitmix64::next(state) % count as u64) as usize,
        }
    }
}
