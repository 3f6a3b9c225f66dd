//! Floats as keys.

use crate::{Data, Key, KeyWriter};
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// A float that can be a key: all NaNs are equal, and so are the two zeros.
///
/// ```
/// # extern crate reflow_types as reflow;
/// use reflow::{CanonicalF64, Key};
/// let [zero, negative_zero, nan] = [0.0, -0.0, f64::NAN].map(CanonicalF64::new);
/// assert_eq!(zero, negative_zero);
/// assert_eq!(zero.key_hash(), negative_zero.key_hash());
/// assert_eq!(nan, CanonicalF64::new(-f64::NAN));
/// assert_eq!(nan.get().to_bits(), f64::NAN.to_bits());
/// ```
///
/// Values are ordered as numbers, and NaN is the greatest.
#[derive(Clone, Copy, Debug, Default, Data)]
pub struct CanonicalF64(f64);

impl CanonicalF64 {
    /// The canonical form of a float.
    pub fn new(value: f64) -> Self {
        if value.is_nan() { Self(f64::NAN) } else { Self(value + 0.0) } // −0 + 0 is 0
    }

    /// The float.
    pub fn get(self) -> f64 {
        self.canonical()
    }

    /// The canonical form, also of a value that was decoded from bytes of another origin.
    fn canonical(self) -> f64 {
        Self::new(self.0).0
    }
}

impl From<f64> for CanonicalF64 {
    fn from(value: f64) -> Self {
        Self::new(value)
    }
}

impl PartialEq for CanonicalF64 {
    fn eq(&self, other: &Self) -> bool {
        self.canonical().to_bits() == other.canonical().to_bits()
    }
}

impl Eq for CanonicalF64 {}

impl PartialOrd for CanonicalF64 {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for CanonicalF64 {
    fn cmp(&self, other: &Self) -> Ordering {
        self.canonical().total_cmp(&other.canonical())
    }
}

impl Hash for CanonicalF64 {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.canonical().to_bits().hash(state);
    }
}

/// The bits of the canonical form, eight bytes, little-endian.
impl Key for CanonicalF64 {
    fn encode(&self, out: &mut KeyWriter) {
        out.write(&self.canonical().to_bits().to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::hash_bytes;

    /// Pinned: a key's hash may never change.
    #[test]
    fn encodings_are_pinned() {
        let hash = |value| CanonicalF64::new(value).key_hash();
        assert_eq!(hash(1.5), hash_bytes(&[0, 0, 0, 0, 0, 0, 0xf8, 0x3f]));
        assert_eq!(hash(-0.0), hash_bytes(&[0; 8]));
        assert_eq!(hash(f64::from_bits(0xfff8_0000_0000_0001)), hash_bytes(&[0, 0, 0, 0, 0, 0, 0xf8, 0x7f]));
    }

    #[test]
    fn the_order_is_that_of_numbers_and_nan_is_last() {
        let mut values = [f64::NAN, 1.0, f64::INFINITY, -2.5, 0.0].map(CanonicalF64::new);
        values.sort();
        assert_eq!(values, [-2.5, 0.0, 1.0, f64::INFINITY, f64::NAN].map(CanonicalF64::new));
    }
}
