//! The decision of a standby JobManager when to take the job over.
//!
//! The leader renews a lease in the checkpoint storage. A standby reads the newest leadership and its lease again and again.
//! It takes over when both have been the same for the lease's duration, by its own clock: clocks of two machines are never
//! compared. This decides only *when* a JobManager claims the job. If the former leader is alive after all, epochs keep it
//! from completing anything, as after any claim. The design is described in `docs/design/standby.md`.
//!
//! Pure: what was read goes in, a [`Verdict`] comes out. Where the lease is kept is not known here.

use reflow_types::{Instant, LeaderEpoch, injected_fault};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The longest time between two attempts of a member to reach a JobManager. It tries all addresses in turn, with pauses of up to a
/// second, and each for two seconds.
const ASKS_WITHIN: Duration = Duration::from_secs(10);

/// The lease of a leadership, which its leader renews.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The number of this renewal. Storage may have carried out two that were under way at once in any order.
    pub renewals: u64,
    /// How long it may not be renewed before a standby takes over.
    pub duration: Duration,
    pub tenure: Tenure,
    /// What its holder runs: a hash of executable and arguments. 0 if it does not say.
    pub program: u64,
}

/// Whether a leader keeps its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Tenure {
    /// Its leadership is claimed: its holder does not lead yet.
    Claiming,
    /// It renews it.
    Kept,
    /// It renews it, but no TaskManager or executor has been connected for the lease's duration: a standby that they reach is to
    /// take over.
    Offered,
    /// It gives the job up to a standby.
    Released,
    /// The job has failed or was suspended. A JobManager that is started afterwards resumes it.
    Ended,
}

/// What a standby has read. It is the same as before if the leader has given no sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The newest leadership.
    pub epoch: LeaderEpoch,
    /// Its lease. `None` before its leader has written one.
    pub lease: Option<Lease>,
}

impl Sighting {
    /// Whether the leader has given a sign of life since `seen`. A renewal with a lower number is none: storage has carried it
    /// out late, after a newer one.
    fn is_newer_than(&self, seen: &Self) -> bool {
        match (self.lease, seen.lease) {
            (Some(lease), Some(former)) if self.epoch == seen.epoch => {
                lease.renewals > former.renewals
                    && !injected_fault::is_active("lease_claimed_while_it_is_renewed")
            }
            _ => self != seen,
        }
    }
}

/// Whether a standby claims the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Wait,
    /// Nobody has ever led the job.
    NoLeader,
    /// The leader has given the job up.
    Released,
    /// The job has ended while this JobManager stood by. It ends, too: nobody has asked for the job to be resumed.
    Ended,
    /// The leader has given no sign of life for this time.
    Silent(Duration),
}

/// What a standby knows of the leader.
#[derive(Debug)]
pub struct Watch {
    /// How long a leadership without a lease may be silent.
    duration: Duration,
    /// What this JobManager runs.
    program: u64,
    /// When a member asked this JobManager for the first time and the last time in a row, instead of the leader.
    asked: Option<(Instant, Instant)>,
    /// How often members have asked since the leader's last sign of life.
    asks_in_silence: u32,
    /// When the lease was first seen to be released.
    released: Option<(LeaderEpoch, Instant)>,
    /// What was read last, and when it was read for the first time.
    seen: Option<(Sighting, Instant)>,
    /// Whether the leader has given a sign of life since this JobManager was started.
    leader_lives: bool,
}

impl Watch {
    /// `duration` counts as long as the leader has not written its own. `program` is what this JobManager runs.
    /// `has_stood_by`: it has seen the leader before, or has led itself.
    pub fn new(duration: Duration, program: u64, has_stood_by: bool) -> Self {
        Self {
            duration,
            program,
            asked: None,
            asks_in_silence: 0,
            released: None,
            seen: None,
            leader_lives: has_stood_by,
        }
    }

    /// The leadership was read by requests of which the first was sent at `asked_at`.
    pub fn read(&mut self, asked_at: Instant, now: Instant, sighting: Option<Sighting>) -> Verdict {
        let Some(sighting) = sighting else { return Verdict::NoLeader };
        let silence = self.silence(asked_at, now, sighting);
        let duration = sighting.lease.map_or(self.duration, |lease| lease.duration);
        let tenure = sighting.lease.map(|lease| lease.tenure);
        let is_released = |(epoch, _): &(LeaderEpoch, Instant)| {
            *epoch == sighting.epoch && tenure == Some(Tenure::Released)
        };
        self.released = self.released.filter(is_released);
        match tenure {
            Some(Tenure::Ended) if self.leader_lives => Verdict::Ended,
            Some(Tenure::Released) if self.differs() => {
                let (_, since) = *self.released.get_or_insert((sighting.epoch, now));
                if asked_at.since(since) >= duration / 4 { Verdict::Released } else { Verdict::Wait }
            }
            Some(Tenure::Released | Tenure::Ended) => Verdict::Released,
            Some(Tenure::Offered) if self.is_asked_for(asked_at, duration) => Verdict::Released,
            Some(Tenure::Offered | Tenure::Claiming | Tenure::Kept) | None => {
                let patience = self.patience(duration);
                silence.filter(|silence| *silence >= patience).map_or(Verdict::Wait, Verdict::Silent)
            }
        }
    }

    /// Whether the leader runs something else than this JobManager. Then tasks cannot go on under this one, so it takes over
    /// last: a standby that runs the same has claimed the job before.
    pub fn differs(&self) -> bool {
        let lease = self.seen.and_then(|(seen, _)| seen.lease);
        lease.is_some_and(|lease| lease.program != 0 && lease.program != self.program)
    }

    /// How long the leader has given no sign of life; `None` if it has just given one.
    fn silence(&mut self, asked_at: Instant, now: Instant, sighting: Sighting) -> Option<Duration> {
        if let Some((seen, since)) = self.seen
            && !sighting.is_newer_than(&seen)
        {
            // The first reading may have taken effect as late as its answer, this one as early as its request.
            return Some(asked_at.since(since));
        }
        self.leader_lives |= self.seen.is_some();
        (self.seen, self.asks_in_silence) = (Some((sighting, now)), 0);
        None
    }

    /// How long the leader may be silent: half the lease's duration if members cannot reach it, either. A member that asks again
    /// has tried the leader meanwhile.
    fn patience(&self, duration: Duration) -> Duration {
        match self.asks_in_silence {
            _ if self.differs() => duration * 2,
            0 | 1 => duration,
            _ => duration / 2,
        }
    }

    /// A TaskManager or an executor has asked this JobManager, because it cannot reach the leader or does not know which one leads.
    pub fn member_asks(&mut self, now: Instant) {
        let (first, last) = self.asked.unwrap_or((now, now));
        let goes_on = now.since(last) <= ASKS_WITHIN;
        self.asked = Some((if goes_on { first } else { now }, now));
        self.asks_in_silence = self.asks_in_silence.saturating_add(1);
    }

    /// Whether members have asked for long enough that they have tried the leader as well, and still do.
    fn is_asked_for(&self, now: Instant, duration: Duration) -> bool {
        self.asked.is_some_and(|(first, last)| {
            now.since(last) <= ASKS_WITHIN && last.since(first) >= duration && !self.differs()
        })
    }

    /// What was read last, unless a reading has failed since.
    pub fn newest(&self) -> Option<Sighting> {
        self.seen.map(|(seen, _)| seen)
    }

    /// Whether a JobManager leads or has led under the newest leadership that was read, and has not only claimed it.
    pub fn is_led(&self) -> bool {
        let lease = self.seen.and_then(|(seen, _)| seen.lease);
        lease.is_some_and(|lease| lease.tenure != Tenure::Claiming)
    }

    /// Whether the leader has given a sign of life, so that this JobManager is its standby. Otherwise it is only a start after
    /// the loss of the last one.
    pub fn has_seen_leader(&self) -> bool {
        self.leader_lives
    }

    /// Storage did not answer. Perhaps it does not accept the leader's renewals either, so the time begins anew.
    pub fn read_failed(&mut self) {
        (self.seen, self.asks_in_silence) = (None, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURATION: Duration = Duration::from_secs(3);
    /// What this JobManager runs.
    const OWN: u64 = 7;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    fn lease(epoch: u64, renewals: u64) -> Option<Sighting> {
        let lease = Lease { renewals, duration: DURATION, tenure: Tenure::Kept, program: OWN };
        Some(Sighting { epoch: LeaderEpoch(epoch), lease: Some(lease) })
    }

    /// Each reading takes 10 ms.
    #[track_caller]
    fn check(readings: &[(u64, Option<Sighting>)], last: Verdict) {
        let mut watch = Watch::new(DURATION, OWN, false);
        let verdicts = readings.iter().map(|(ms, read)| watch.read(at(*ms), at(ms + 10), *read));
        let verdicts: Vec<Verdict> = verdicts.collect();
        let (end, before) = verdicts.split_last().unwrap();
        assert!(before.iter().all(|verdict| *verdict == Verdict::Wait), "{verdicts:?}");
        assert_eq!(*end, last, "{verdicts:?}");
    }

    #[test]
    fn a_standby_waits_as_long_as_the_lease_is_renewed() {
        check(
            &[(0, lease(1, 0)), (2_000, lease(1, 1)), (4_900, lease(1, 2)), (7_900, lease(1, 2))],
            Verdict::Wait,
        );
        let silent = Verdict::Silent(Duration::from_millis(3_001));
        check(&[(0, lease(1, 0)), (2_000, lease(1, 1)), (4_999, lease(1, 1)), (5_011, lease(1, 1))], silent);
    }

    /// A write that has hung takes effect after later ones. Its leader may have been lost since.
    #[test]
    fn a_renewal_that_was_carried_out_late_is_no_sign_of_life() {
        check(
            &[(0, lease(1, 4)), (1_000, lease(1, 5)), (3_000, lease(1, 3)), (4_000, lease(1, 5))],
            Verdict::Wait,
        );
        check(
            &[(0, lease(1, 4)), (1_000, lease(1, 5)), (3_000, lease(1, 3)), (4_010, lease(1, 3))],
            Verdict::Silent(DURATION),
        );
        check(&[(0, lease(1, 5)), (3_000, lease(1, 3)), (3_020, lease(1, 6))], Verdict::Wait);
    }

    #[test]
    fn another_leadership_is_a_sign_of_life() {
        check(&[(0, lease(1, 5)), (2_900, lease(2, 5)), (5_800, lease(2, 5))], Verdict::Wait);
        let none = |epoch| Some(Sighting { epoch: LeaderEpoch(epoch), lease: None });
        check(&[(0, none(1)), (2_900, lease(1, 0)), (5_800, lease(1, 0))], Verdict::Wait);
        check(&[(0, none(1)), (3_010, none(1))], Verdict::Silent(DURATION));
    }

    #[test]
    fn nobody_waits_for_a_leader_that_is_gone() {
        check(&[(0, None)], Verdict::NoLeader);
        let left = |tenure| {
            let lease = Lease { renewals: 7, duration: DURATION, tenure, program: 0 };
            Some(Sighting { epoch: LeaderEpoch(1), lease: Some(lease) })
        };
        check(&[(0, left(Tenure::Released))], Verdict::Released);
        check(&[(0, left(Tenure::Ended))], Verdict::Released);
        check(&[(0, lease(1, 0)), (1_000, lease(1, 1)), (2_000, left(Tenure::Released))], Verdict::Released);
        check(&[(0, lease(1, 0)), (1_000, lease(1, 1)), (2_000, left(Tenure::Ended))], Verdict::Ended);
    }

    /// One that runs the same as the leader has claimed the job before.
    #[test]
    fn a_standby_that_runs_something_else_takes_over_last() {
        let other = |renewals, tenure| {
            let lease = Lease { renewals, duration: DURATION, tenure, program: 8 };
            Some(Sighting { epoch: LeaderEpoch(1), lease: Some(lease) })
        };
        let kept = other(1, Tenure::Kept);
        check(&[(0, kept), (3_020, kept), (6_000, kept)], Verdict::Wait);
        check(&[(0, kept), (6_010, kept)], Verdict::Silent(DURATION * 2));
        let released = |renewals| other(renewals, Tenure::Released);
        check(&[(0, kept), (100, released(2)), (500, released(3)), (850, released(3))], Verdict::Wait);
        check(&[(0, kept), (100, released(2)), (500, released(3)), (860, released(3))], Verdict::Released);
        check(&[(0, released(2)), (100, kept), (1_700, released(3))], Verdict::Wait);
    }

    /// The leader is cut off from members, but not from storage.
    #[test]
    fn a_standby_that_members_reach_takes_an_offered_job() {
        let offered = |renewals| {
            let lease = Lease { renewals, duration: DURATION, tenure: Tenure::Offered, program: OWN };
            Some(Sighting { epoch: LeaderEpoch(1), lease: Some(lease) })
        };
        let mut watch = Watch::new(DURATION, OWN, false);
        assert_eq!(watch.read(at(0), at(10), offered(1)), Verdict::Wait, "nobody asks for it");
        watch.member_asks(at(500));
        assert_eq!(
            watch.read(at(1_000), at(1_010), offered(2)),
            Verdict::Wait,
            "that one may have found the leader"
        );
        watch.member_asks(at(3_500));
        assert_eq!(watch.read(at(3_600), at(3_610), lease(1, 4)), Verdict::Wait, "the leader has members");
        assert_eq!(watch.read(at(3_800), at(3_810), offered(5)), Verdict::Released);
        assert_eq!(watch.read(at(20_000), at(20_010), offered(9)), Verdict::Wait, "they do not ask any more");
        watch.member_asks(at(21_000));
        assert_eq!(watch.read(at(21_500), at(21_510), offered(10)), Verdict::Wait);
    }

    /// Members have lost it as well, and try all JobManagers in turn.
    #[test]
    fn a_leader_that_members_cannot_reach_may_be_silent_for_half_as_long() {
        let mut watch = Watch::new(DURATION, OWN, false);
        assert_eq!(watch.read(at(0), at(10), lease(1, 1)), Verdict::Wait);
        watch.member_asks(at(100));
        watch.member_asks(at(200));
        assert_eq!(watch.read(at(1_000), at(1_010), lease(1, 2)), Verdict::Wait);
        assert_eq!(
            watch.read(at(2_600), at(2_610), lease(1, 2)),
            Verdict::Wait,
            "it has lived since they asked"
        );
        watch.member_asks(at(2_620));
        assert_eq!(
            watch.read(at(2_700), at(2_710), lease(1, 2)),
            Verdict::Wait,
            "one that only looks for it"
        );
        watch.member_asks(at(2_720));
        let silent = Verdict::Silent(Duration::from_millis(1_790));
        assert_eq!(watch.read(at(2_800), at(2_810), lease(1, 2)), silent);
    }

    /// The leader's own duration counts, because it renews in thirds of that.
    #[test]
    fn the_duration_is_the_leaders() {
        let lease = Lease { renewals: 1, duration: DURATION * 2, tenure: Tenure::Kept, program: 0 };
        let slow = Some(Sighting { epoch: LeaderEpoch(1), lease: Some(lease) });
        check(&[(0, slow), (5_900, slow)], Verdict::Wait);
        check(&[(0, slow), (6_010, slow)], Verdict::Silent(DURATION * 2));
    }

    #[test]
    fn time_without_storage_does_not_count() {
        let mut watch = Watch::new(DURATION, OWN, false);
        assert_eq!(watch.read(at(0), at(1), lease(1, 1)), Verdict::Wait);
        watch.read_failed();
        assert_eq!(watch.read(at(60_000), at(60_001), lease(1, 1)), Verdict::Wait);
        assert_eq!(watch.read(at(62_000), at(62_001), lease(1, 1)), Verdict::Wait);
        assert_eq!(watch.read(at(63_001), at(63_002), lease(1, 1)), Verdict::Silent(DURATION));
    }
}
