//! Checks of leases: when a standby may take the job over, and what a leader may do with a lease that it has released.
//!
//! - **A standby claims the job only if its leader has given no sign of life for half the lease's duration**, or has given the lease
//!   up. It is the whole duration without members that have lost the leader, too, which is not checked here. A sign of life is a
//!   renewal with a higher number than those before, or the beginning of a leadership.
//! - **A released lease stays released for the lease's duration**, so that standbys read it.

use crate::world::{ProcessId, Time};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// The leases of leaderships, by their epochs.
#[derive(Debug, Default)]
pub struct Leases {
    held: BTreeMap<u64, Held>,
}

/// The lease of a leadership.
#[derive(Debug)]
struct Held {
    /// The JobManager that has claimed the leadership. It may claim a later one, if objects show that its number was used before.
    by: Option<ProcessId>,
    /// The highest number of a renewal; 0 before the first one.
    number: u64,
    tenure: String,
    duration_us: u64,
    /// The last sign of life.
    lived: Time,
    /// The longest time between two signs of life.
    longest_us: u64,
    /// The number of the renewal that has released it, and when that was.
    released: Option<(u64, Time)>,
    /// Whether its leader has ever given it up.
    was_given_up: bool,
}

impl Leases {
    /// Leaderships were deleted from outside, so that standbys find others, or none.
    pub fn forget(&mut self) {
        self.held.clear();
    }

    /// A JobManager has claimed the job. `is_damaged` is whether the lease of a leadership cannot be read. Returns the violation, if
    /// any.
    pub fn claimed(
        &mut self,
        now: Time,
        epoch: u64,
        by: Option<ProcessId>,
        is_damaged: impl Fn(u64) -> bool,
    ) -> Option<String> {
        if self.held.contains_key(&epoch) {
            return None; // its record was written again
        }
        let former = self.held.last_key_value();
        let violation = former.filter(|(former, _)| **former < epoch && !is_damaged(**former));
        let violation = violation.and_then(|(former, held)| {
            let silent_us = held.longest_us.max(now - held.lived);
            let may_claim = held.was_given_up || held.number == 0 || held.by == by || silent_us >= held.duration_us / 2;
            (!may_claim).then(|| {
                let (silent, duration) = (Duration::from_micros(silent_us), Duration::from_micros(held.duration_us));
                format!(
                    "leadership {epoch} is claimed although the lease of {former} was renewed: it was never silent for more than \
                     {silent:?}, and lasts {duration:?}"
                )
            })
        });
        let tenure = String::new();
        let held = Held {
            by,
            number: 0,
            tenure,
            duration_us: 0,
            lived: now,
            longest_us: 0,
            released: None,
            was_given_up: false,
        };
        self.held.insert(epoch, held);
        violation
    }

    /// A lease was written. Returns the violation, if any.
    pub fn written(&mut self, now: Time, epoch: u64, body: &[u8]) -> Option<String> {
        let held = self.held.get_mut(&epoch)?;
        let lease: Value = serde_json::from_slice(body).ok()?;
        let lease = &lease["record"];
        let (number, tenure) = (lease["renewals"].as_u64()?, lease["tenure"].as_str()?);
        if number <= held.number {
            return None; // it was carried out late
        }
        held.duration_us = lease["duration_ms"].as_u64()? * 1_000;
        let since_us = now - held.lived;
        // If many renewals hang, the next one may follow late, and close to the former one.
        if tenure == "RELEASED" {
            held.released.get_or_insert((number, now));
        }
        let released = held.released.take_if(|_| tenure == "KEPT");
        let too_soon =
            released.filter(|(renewal, at)| number == renewal + 1 && now - at < held.duration_us / 2);
        let violation = too_soon.map(|(_, at)| {
            let since = Duration::from_micros(now - at);
            format!("the lease of leadership {epoch} is kept {since:?} after it was released")
        });
        held.longest_us = held.longest_us.max(since_us);
        held.was_given_up |= ["RELEASED", "ENDED", "OFFERED"].contains(&tenure);
        (held.number, held.tenure, held.lived) = (number, tenure.to_owned(), now);
        violation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(number: u64, tenure: &str) -> Vec<u8> {
        let record = serde_json::json!({ "renewals": number, "duration_ms": 3_000, "tenure": tenure });
        serde_json::to_vec(&serde_json::json!({ "crc32": 0, "record": record })).unwrap()
    }

    /// Renewals each second, and a claim some seconds after the last one.
    #[track_caller]
    fn check(tenures: &[&str], claimed_after_s: u64, is_violation: bool) {
        let second = 1_000_000;
        let mut leases = Leases::default();
        assert_eq!(leases.claimed(0, 1, Some(ProcessId(1)), |_| false), None);
        let mut now = 0;
        let mut violation = None;
        for (number, tenure) in (1..).zip(tenures) {
            now += second;
            violation = violation.or(leases.written(now, 1, &lease(number, tenure)));
        }
        violation =
            violation.or(leases.claimed(now + claimed_after_s * second, 2, Some(ProcessId(2)), |_| false));
        assert_eq!(violation.is_some(), is_violation, "{violation:?}");
    }

    #[test]
    fn a_lease_that_is_renewed_keeps_others_from_the_claim() {
        check(&["CLAIMING", "KEPT", "KEPT"], 2, false);
        check(&["CLAIMING", "KEPT", "KEPT"], 1, true);
        check(&["CLAIMING", "KEPT", "RELEASED"], 0, false);
        check(&["CLAIMING", "KEPT", "RELEASED", "KEPT"], 3, true);
        check(&["CLAIMING", "KEPT", "RELEASED", "RELEASED", "RELEASED", "KEPT"], 3, false);
    }
}
