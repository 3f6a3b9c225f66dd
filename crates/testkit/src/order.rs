//! Orders for events that may happen in any order.

/// Picks what is next.
pub(crate) enum Order {
    /// One after the other.
    InTurn(usize),
    /// Drawn from a seed (xorshift64*).
    Random(u64),
}

impl Order {
    pub(crate) fn random(seed: u64) -> Self {
        Self::Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// One of `0 .. count`; `count` is at least 1.
    pub(crate) fn pick(&mut self, count: usize) -> usize {
        match self {
            Order::InTurn(turn) => {
                *turn = turn.wrapping_add(1);
                *turn % count
            }
            Order::Random(state) => {
                *state ^= *state >> 12;
                *state ^= *state << 25;
                *state ^= *state >> 27;
                ((state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize) % count
            }
        }
    }
}
