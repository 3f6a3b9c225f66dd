//! The order of concurrent events: in turn, or random from a seed.

use reflow_types::splitmix64;

/// Selects the next event.
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
