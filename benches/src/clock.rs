//! The clocks that benchmarks of real processes read: nothing here is simulated.

use nix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment that others are measured from.
#[expect(clippy::disallowed_methods, reason = "real processes live in real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// Microseconds since the Unix epoch: what the processes of one machine agree on.
#[expect(clippy::disallowed_methods, reason = "real processes live in real time")]
pub fn wall_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// The CPU time that the calling thread has used.
pub fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every thread has a CPU clock");
    Duration::new(time.tv_sec().unsigned_abs(), time.tv_nsec().unsigned_abs() as u32)
}

/// Lets other processes run.
#[expect(clippy::disallowed_methods, reason = "other processes are looked at from outside, now and then")]
pub fn sleep(time: Duration) {
    std::thread::sleep(time);
}
