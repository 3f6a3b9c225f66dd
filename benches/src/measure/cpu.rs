//! CPU time as the kernel accounts for it, in microseconds, user and system together.

use std::time::Duration;

use nix::sys::{
    resource::{Usage, UsageWho, getrusage},
    time::TimeVal,
};

/// The CPU time that this process has used so far, all threads together.
pub fn own_cpu() -> Duration {
    used(UsageWho::RUSAGE_SELF)
}

/// Runs `work` and returns with its result the CPU time of all children that ended and were waited for
/// meanwhile, and of *their* children in the same way.
///
/// A process that its parent never waits for is missing in the figure: stop clusters in an orderly way,
/// from the leaves up, before `work` returns. Not for concurrent use, as all children of this process count.
pub fn cpu_of_children<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let before = used(UsageWho::RUSAGE_CHILDREN);
    let result = work();
    (result, used(UsageWho::RUSAGE_CHILDREN) - before)
}

/// Nanoseconds of CPU per event.
pub fn per_event_ns(cpu: Duration, events: u64) -> f64 {
    cpu.as_nanos() as f64 / events as f64
}

fn used(who: UsageWho) -> Duration {
    let usage: Usage = getrusage(who).expect("the kernel knows both kinds of usage");
    duration(usage.user_time()) + duration(usage.system_time())
}

fn duration(time: TimeVal) -> Duration {
    Duration::from_secs(time.tv_sec().unsigned_abs()) + Duration::from_micros(time.tv_usec().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_cpu_grows_with_work() {
        let before = own_cpu();
        let mut index = 0;
        while own_cpu() - before < Duration::from_millis(5) {
            index = std::hint::black_box(crate::workloads::splitmix64(index));
        }
    }

    #[test]
    fn nanoseconds_per_event() {
        assert_eq!(per_event_ns(Duration::from_millis(34), 1_000_000), 34.0);
    }
}
