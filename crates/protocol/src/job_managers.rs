//! Where a TaskManager or an executor looks for the JobManager that leads.
//!
//! Several JobManagers may run for a job, of which one leads. The others close connections, so their addresses are tried in turn.

use serde::{Deserialize, Serialize};
use std::time::Duration;

const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The part of the time without a JobManager that a pause lasts.
const PAUSES: u32 = 8;
/// The time limit for a connection attempt. An address may lead to a machine that is lost, also that of a service with several
/// JobManagers behind it, and the next leader waits ten seconds for executors.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The addresses of JobManagers, one of which is tried at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobManagers {
    /// Each is `host:port`. There is at least one.
    addresses: Vec<String>,
    current: usize,
    /// How many were tried in vain.
    failed: usize,
}

impl JobManagers {
    /// The first address, and the others.
    pub fn new(first: String, others: impl IntoIterator<Item = String>) -> Self {
        let addresses = std::iter::once(first).chain(others).collect();
        Self { addresses, current: 0, failed: 0 }
    }

    /// The address to try, or that of the JobManager that was reached.
    pub fn current(&self) -> &str {
        &self.addresses[self.current]
    }

    /// All addresses, for error texts.
    pub fn all(&self) -> String {
        self.addresses.join(", ")
    }

    /// The host of the current address, with the brackets of an IPv6 address.
    pub fn current_host(&self) -> &str {
        self.current().rsplit_once(':').map_or(self.current(), |(host, _)| host)
    }

    /// The JobManager at the current address leads.
    pub fn reached(&mut self) {
        self.failed = 0;
    }

    /// The JobManager at the current address is lost, or does not lead. Returns after which time to try the next address, if
    /// there has been no JobManager for the time `alone`. After each has failed, that is a part of this time, so that a new
    /// leader is found soon, and one that stays away is not asked for often.
    pub fn try_next(&mut self, alone: Duration) -> Duration {
        self.current = (self.current + 1) % self.addresses.len();
        self.failed += 1;
        match self.failed % self.addresses.len() {
            0 => (alone / PAUSES).clamp(SHORTEST_PAUSE, LONGEST_PAUSE),
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(addresses: &[&str], alone_ms: u64, tries: usize, expected: &[(&str, u64)]) {
        let mut addresses = addresses.iter().map(|address| (*address).to_owned());
        let mut job_managers = JobManagers::new(addresses.next().unwrap(), addresses);
        let try_next = |_| {
            let pause = job_managers.try_next(Duration::from_millis(alone_ms));
            (job_managers.current().to_owned(), pause.as_millis() as u64)
        };
        let tried: Vec<(String, u64)> = (0..tries).map(try_next).collect();
        let expected: Vec<_> = expected.iter().map(|(address, ms)| ((*address).to_owned(), *ms)).collect();
        assert_eq!(tried, expected);
    }

    #[test]
    fn all_are_tried_before_a_pause() {
        check(&["a:1", "b:1"], 0, 4, &[("b:1", 0), ("a:1", 50), ("b:1", 0), ("a:1", 50)]);
        check(&["a:1"], 0, 2, &[("a:1", 50), ("a:1", 50)]);
    }

    #[test]
    fn pauses_grow_with_the_time_without_a_job_manager() {
        check(&["a:1"], 2_000, 1, &[("a:1", 250)]);
        check(&["a:1"], 600_000, 1, &[("a:1", 1_000)]);
    }

    #[test]
    fn the_host_is_what_is_before_the_port() {
        assert_eq!(JobManagers::new("[::1]:6123".into(), []).current_host(), "[::1]");
    }
}
