//! Savepoints that stop the job.

use super::*;
use crate::manifest::Ending;
use reflow_protocol::snapshot::AfterBarrier;

/// Executors commit what belongs to a stop: it must be decided where a successor looks.
#[test]
fn a_stop_is_decided_in_the_directory_of_the_job() {
    let stop = |f: &mut Fixture| {
        f.request(Purpose::Stop { drain: false }, 9);
        assert!(f.acknowledge_all(1).starts_with("store 1 at S/savepoint-abc000-"));
        f.stored(1, Won)
    };
    let mut f = Fixture::new(settings());
    assert_eq!(stop(&mut f), "store 1 at /chk-1/_metadata", "nobody hears of it yet");
    assert_eq!(f.stored(1, Won), "tell 1\ncompleted 1");
    let effects = f.coordinator.end_job(f.now, EndState::Finished);
    let end = f.show(effects);
    assert!(end.starts_with("answer 9: S/savepoint-") && end.ends_with("\ndelete /chk-1/_metadata"), "{end}");
    // The attempt ends in between, and storage does not tell what became of the decision.
    for (outcome, expect) in [(Won, "abort 1"), (Lost, "completed 1")] {
        let mut f = Fixture::new(settings());
        stop(&mut f);
        assert_eq!(f.stored(1, unknown()), "abandon 1 at /chk-1/_metadata");
        assert!(f.abandoned(1, outcome).contains(expect));
    }
    // It fails after the job has been stopped, so the job resumes from the savepoint.
    let mut f = Fixture::new(settings());
    stop(&mut f);
    f.stored(1, Won);
    f.end_attempt();
    assert_eq!(f.coordinator.latest().unwrap().checkpoint, CheckpointId(1));
}

/// A JobManager is told to end while the subtasks of a job that has ended finish. Its successor reads only the newest
/// checkpoint.
#[test]
fn how_the_job_ends_stands_in_what_follows_its_last_checkpoint() {
    let mut f = Fixture::new(settings());
    let last = Request { then: AfterBarrier::Finish, ..Request::of(Purpose::Final) };
    let effects = f.coordinator.request(f.now, last);
    f.show(effects);
    f.complete(1);
    let ending = Some(Ending { then: AfterBarrier::Finish, state: EndState::Finished });
    assert_eq!(f.coordinator.latest().unwrap().manifest.ending, ending);
    f.request(Purpose::Suspend, 2);
    f.complete(2);
    assert_eq!(f.coordinator.latest().unwrap().manifest.ending, ending);
    f.end_attempt();
    f.begin();
    f.request(Purpose::Suspend, 3);
    f.complete(3);
    assert_eq!(f.coordinator.latest().unwrap().manifest.ending, ending, "the next attempt commits, and ends");
}
