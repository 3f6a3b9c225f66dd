//! A standby against a store: it waits while the lease is renewed, and not longer.

use super::*;
use reflow_coordination::standby::Lease;
use reflow_env::{Location, ObjectMeta, StoreError, StoreResult};
use reflow_types::LeaderEpoch;

const DURATION: Duration = Duration::from_secs(3);
const READINGS: u32 = 12;

/// A standby, and what storage answers it.
struct Driven {
    standby: Standby,
    layout: Layout,
    now: Instant,
    newest: Option<u64>,
    lease: Option<Lease>,
    is_away: bool,
    /// How long storage takes for an answer.
    takes: Duration,
}

impl Driven {
    fn start() -> Self {
        let layout = Layout::new(&Location("/c".into()), "default", "job");
        let now = Instant::from_millis(1_000);
        let leases = (Leases::Storage, DURATION / READINGS);
        let terms = Terms { duration: DURATION, program: 7 };
        let standby = Standby::new(
            now,
            layout.clone(),
            leases,
            (terms, Watch::new(DURATION, 7, false)),
            Tickets::default(),
        );
        Self { standby, layout, now, newest: None, lease: None, is_away: false, takes: Duration::ZERO }
    }

    fn renew(&mut self, renewals: u64, tenure: Tenure) {
        self.lease = Some(Lease { renewals, duration: DURATION, tenure, program: 7 });
    }

    /// Lets it read for this time, or until it does not wait any more.
    fn read_for(&mut self, time: Duration) -> Verdict {
        let end = self.now + time;
        while self.now < end {
            self.now = self.now.max(self.standby.next_wakeup().expect("no reading is under way"));
            let mut out = Vec::new();
            self.standby.on_time(self.now, &mut out);
            while let Some(Output::Store { ticket, op }) = out.pop() {
                let answer = self.answer(op);
                self.now = self.now + self.takes;
                let verdict = self.standby.answered(self.now, ticket, answer.into(), &mut out);
                if verdict != Verdict::Wait {
                    return verdict;
                }
            }
        }
        Verdict::Wait
    }

    fn answer(&self, op: StoreOp) -> StoreResult {
        let at = match &op {
            StoreOp::List { below } => below.clone(),
            StoreOp::Get { at, .. } => at.clone(),
            other => panic!("a standby only reads: {other:?}"),
        };
        if self.is_away {
            return Err(StoreError::Failed { at, reason: "away".into() });
        }
        match op {
            StoreOp::List { .. } => {
                let meta = |epoch| ObjectMeta { at: self.layout.epoch(LeaderEpoch(epoch)), len: 1 };
                Ok(StoreReply::Objects(self.newest.map(meta).into_iter().collect()))
            }
            _ => {
                let epoch = LeaderEpoch(self.newest.expect("an epoch was listed"));
                assert_eq!(op, LeasePlace::read(&self.layout, epoch));
                let place = Leases::Storage.of(&self.layout, epoch);
                let written = self.lease.map(|lease| match place.write(lease) {
                    Request::Store(StoreOp::Put { body, .. }) => StoreReply::Bytes(body),
                    other => panic!("{other:?}"),
                });
                written.ok_or(StoreError::NotFound(at))
            }
        }
    }
}

#[test]
fn the_first_job_manager_leads_at_once() {
    assert_eq!(Driven::start().read_for(DURATION), Verdict::NoLeader);
}

#[test]
fn a_standby_waits_until_renewals_end() {
    let mut driven = Driven::start();
    driven.newest = Some(7);
    for renewals in 1..20 {
        driven.renew(renewals, Tenure::Kept);
        assert_eq!(driven.read_for(DURATION * 2 / 3), Verdict::Wait);
    }
    assert!(driven.standby.has_seen_leader());
    let killed_at = driven.now;
    assert!(matches!(driven.read_for(DURATION * 2), Verdict::Silent(_)));
    assert!(driven.now.since(killed_at) <= DURATION + DURATION / READINGS * 2);
}

#[test]
fn a_released_lease_is_not_waited_for() {
    let mut driven = Driven::start();
    driven.newest = Some(7);
    driven.renew(1, Tenure::Kept);
    assert_eq!(driven.read_for(DURATION / 2), Verdict::Wait);
    driven.renew(2, Tenure::Released);
    assert_eq!(driven.read_for(DURATION), Verdict::Released);
}

/// The leader cannot renew its lease either.
#[test]
fn a_standby_does_not_take_over_because_storage_was_away() {
    let mut driven = Driven::start();
    driven.newest = Some(7);
    driven.renew(1, Tenure::Kept);
    assert_eq!(driven.read_for(DURATION / 2), Verdict::Wait);
    driven.is_away = true;
    assert_eq!(driven.read_for(DURATION * 3), Verdict::Wait);
    driven.is_away = false;
    assert_eq!(driven.read_for(DURATION * 2 / 3), Verdict::Wait);
    assert!(!driven.standby.has_seen_leader(), "a start after the loss of the last leader");
    assert!(matches!(driven.read_for(DURATION), Verdict::Silent(_)));
}

/// What is sent to storage waits there, the leader's renewals as well.
#[test]
fn a_standby_does_not_take_over_because_storage_is_slow() {
    let mut driven = Driven::start();
    driven.newest = Some(7);
    driven.renew(1, Tenure::Kept);
    driven.takes = DURATION;
    assert_eq!(driven.read_for(DURATION * 20), Verdict::Wait);
    driven.takes = DURATION / 10;
    assert!(matches!(driven.read_for(DURATION * 3), Verdict::Silent(_)));
}

#[test]
fn a_standby_that_was_paused_waits_anew() {
    let mut driven = Driven::start();
    driven.newest = Some(7);
    driven.renew(1, Tenure::Kept);
    assert_eq!(driven.read_for(DURATION / 2), Verdict::Wait);
    driven.now = driven.now + DURATION * 10;
    driven.standby.after_pause();
    assert_eq!(driven.read_for(DURATION * 2 / 3), Verdict::Wait);
}
