//! The SplitMix64 generator (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
//!
//! Numbers from a seed that are the same on every machine and in every release, so that a simulation or a delay can
//! be reproduced. Not for secrets.

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// The next output of the generator with this state; the first state is the seed.
#[inline]
pub const fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(GAMMA);
    let z = *state;
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Output `index`, from 0, of the generator that starts at `seed`.
#[inline]
pub const fn nth(seed: u64, index: u64) -> u64 {
    let mut state = seed.wrapping_add(index.wrapping_mul(GAMMA));
    next(&mut state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_the_published_ones() {
        let mut state = 1;
        for (index, expected) in [0x910a_2dec_8902_5cc1, 0xbeeb_8da1_658e_ec67].into_iter().enumerate() {
            assert_eq!((nth(1, index as u64), next(&mut state)), (expected, expected));
        }
        assert_eq!([nth(0, 0), nth(0, 1)], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    }
}
