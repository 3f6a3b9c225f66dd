//! The bandwidth of an executor's state transfer: a token bucket that all of its slots share.
//!
//! A transfer reserves its bytes and begins when the bucket has had time for everything that was reserved before, so
//! several readers have their turns in the order in which they ask. The bucket has no depth: time in which nothing was
//! transferred is not made up for by a burst later. So in any time *t*, the transfers that begin have at most as many bytes
//! as the bandwidth allows in *t*, and one transfer more.

use reflow_types::Instant;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// When transfers may begin.
#[derive(Debug)]
pub struct TokenBucket {
    bytes_per_second: NonZeroU64,
    /// When everything that was reserved has been transferred.
    free_at: Instant,
}

impl TokenBucket {
    /// A bucket from which nothing was reserved.
    pub fn new(bytes_per_second: NonZeroU64) -> Self {
        Self { bytes_per_second, free_at: Instant::default() }
    }

    /// Reserves a transfer. Returns when it may begin, which is `now` at the earliest.
    pub fn reserve(&mut self, now: Instant, bytes: u64) -> Instant {
        let begin = self.free_at.max(now);
        let micros = u128::from(bytes) * 1_000_000 / u128::from(self.bytes_per_second.get());
        self.free_at = begin + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        begin
    }
}

/// A bucket for the threads of an executor. It is locked once for each object that is read.
#[derive(Clone, Debug)]
pub struct Bandwidth(Arc<Mutex<TokenBucket>>);

impl Bandwidth {
    /// As [`TokenBucket::new`].
    pub fn new(bytes_per_second: NonZeroU64) -> Self {
        Self(Arc::new(Mutex::new(TokenBucket::new(bytes_per_second))))
    }

    /// As [`TokenBucket::reserve`].
    pub fn reserve(&self, now: Instant, bytes: u64) -> Instant {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).reserve(now, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(bytes_per_second: u64) -> TokenBucket {
        TokenBucket::new(NonZeroU64::new(bytes_per_second).unwrap())
    }

    #[test]
    fn transfers_begin_as_the_bandwidth_allows() {
        let mut bucket = bucket(1_000);
        let now = Instant::from_millis(5_000);
        let begin = [(500, 5_000), (2_000, 5_500), (0, 7_500), (1, 7_500)];
        for (bytes, begin) in begin {
            assert_eq!(bucket.reserve(now, bytes), Instant::from_millis(begin), "{bytes} bytes");
        }
    }

    #[test]
    fn time_without_a_transfer_is_not_made_up_for() {
        let mut bucket = bucket(1_000);
        bucket.reserve(Instant::default(), 1_000);
        let now = Instant::from_millis(60_000);
        assert_eq!(bucket.reserve(now, 1_000), now);
        assert_eq!(bucket.reserve(now, 1_000), now + Duration::from_secs(1));
    }

    #[test]
    fn no_time_has_more_bytes_than_the_bandwidth_and_one_transfer() {
        let (rate, most) = (10_000_000, 3_000_000);
        let mut bucket = bucket(rate);
        let mut begun = Vec::new();
        let mut now = Instant::from_millis(1_000);
        for n in 0..1_000u64 {
            let bytes = 1 + n * 7_919 % most;
            begun.push((bucket.reserve(now, bytes), bytes));
            now = now + Duration::from_micros(n * 104_729 % 400_000);
        }
        for (from, (start, _)) in begun.iter().enumerate() {
            let mut sum = 0;
            for (at, bytes) in &begun[from..] {
                sum += bytes;
                let allowed = at.since(*start).as_micros() as u64 * rate / 1_000_000 + most;
                assert!(sum <= allowed + begun.len() as u64, "{sum} bytes in {:?}", at.since(*start));
            }
        }
    }

    #[test]
    fn a_transfer_that_would_take_for_ever_does_not_overflow() {
        let mut bucket = bucket(1);
        bucket.reserve(Instant::default(), u64::MAX);
        assert_eq!(bucket.reserve(Instant::default(), u64::MAX), Instant(u64::MAX));
    }
}
