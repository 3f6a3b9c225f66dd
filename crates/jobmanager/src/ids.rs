//! Ids and tokens from the operating system's random generator, so that they cannot be guessed.

use sha2::{Digest, Sha256};

/// A stream of random numbers from a seed. Published ids do not reveal tokens.
pub(crate) struct Ids {
    seed: [u8; 32],
    count: u64,
}

impl Ids {
    /// The seed comes from the system's randomness, or from a simulation.
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { seed, count: 0 }
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u128 {
        self.count += 1;
        let hash = Sha256::new().chain_update(self.seed).chain_update(self.count.to_le_bytes()).finalize();
        let half = hash.first_chunk::<16>().expect("a SHA-256 has 32 bytes");
        u128::from_le_bytes(*half)
    }

    /// An independent stream.
    pub(crate) fn split(&mut self) -> Ids {
        let mut seed = [0; 32];
        seed[..16].copy_from_slice(&self.next().to_le_bytes());
        seed[16..].copy_from_slice(&self.next().to_le_bytes());
        Ids::new(seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_stream_of_distinct_numbers() {
        let (mut one, mut same, mut other) = (Ids::new([1; 32]), Ids::new([1; 32]), Ids::new([2; 32]));
        let first = one.next();
        assert_eq!(first, same.next());
        assert_ne!(first, one.next());
        assert_ne!(first, other.next());
    }
}
