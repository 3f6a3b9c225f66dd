//! The input of the job of `chaos`, computed from indices, so that the verdict can derive the expected output.

use crate::workloads::splitmix64;

/// How many keys the events of the two counted sources share.
pub const KEYS: u64 = 1_000;
/// How many sources are counted.
pub const SOURCES: u64 = 2;
/// The number of events of the source of pending state that together touch all its keys. Each later event touches
/// one key.
pub const LOADING: u64 = 2_000;
/// The smallest and the largest payload, in bytes.
pub const PAYLOAD_BYTES: (u64, u64) = (10, 2 << 20);

/// How much each part of the job reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Events of each of the two counted sources.
    pub events: u64,
    /// Keys with a timer and a window that stay pending until the end.
    pub pending: u64,
    /// Events that load the pending keys and then touch them.
    pub touches: u64,
    /// Records with payloads of 10 bytes to 2 MiB.
    pub large: u64,
    /// Records that pass the slow operator.
    pub slow: u64,
}

/// The key of event `index` of counted source `source`.
pub const fn key(source: u64, index: u64) -> u64 {
    splitmix64(index.wrapping_mul(SOURCES).wrapping_add(source)) % KEYS
}

/// The keys that event `index` of the source of pending state touches, of `pending` keys.
pub fn touched(index: u64, pending: u64) -> std::ops::Range<u64> {
    if index < LOADING {
        index * pending / LOADING..(index + 1) * pending / LOADING
    } else if pending == 0 {
        0..0
    } else {
        let key = splitmix64(index) % pending;
        key..key + 1
    }
}

/// The length of payload `index`: as many below 1 KiB as above, roughly, and one in five above 500 KiB.
pub fn payload_len(index: u64) -> usize {
    let (least, most) = (PAYLOAD_BYTES.0 as f64, PAYLOAD_BYTES.1 as f64);
    let drawn = (splitmix64(index ^ 0x5eed) >> 11) as f64 / (1u64 << 53) as f64;
    (least * (most / least).powf(drawn)) as usize
}

/// Payload `index`.
pub fn payload(index: u64) -> Vec<u8> {
    let mut state = index;
    let words = std::iter::repeat_with(|| {
        state = splitmix64(state);
        state.to_le_bytes()
    });
    words.flatten().take(payload_len(index)).collect()
}

/// What the output says of a payload's bytes.
pub fn checksum(payload: &[u8]) -> u64 {
    payload.iter().fold(payload.len() as u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loading_touches_each_pending_key_once() {
        let keys: Vec<u64> = (0..LOADING).flat_map(|index| touched(index, 4_321)).collect();
        assert_eq!(keys, (0..4_321).collect::<Vec<_>>());
        assert_eq!(touched(LOADING + 7, 4_321).count(), 1);
        assert_eq!(touched(LOADING + 7, 0).count(), 0);
    }

    #[test]
    fn payloads_have_all_sizes() {
        let lengths: Vec<usize> = (0..1_000).map(payload_len).collect();
        assert!(lengths.iter().all(|len| (10..=2 << 20).contains(len)));
        assert!(lengths.iter().any(|len| *len < 20) && lengths.iter().any(|len| *len > 1 << 20));
        assert_eq!(payload(3).len(), payload_len(3));
        assert_ne!(checksum(&payload(3)), checksum(&payload(4)));
    }
}
