//! A leader that was told to end hands the job over, and does not end before another one leads.

use super::*;

/// What a process starts as that has handed the job over to end.
fn told_to_end(store: MemoryStore) -> World {
    let mut world = of_spec(store, LEASES, |spec| spec.role = Role::EndingStandby);
    world.feed(Input::Start);
    world
}

/// The leader has released its lease, and its standby claims the job without leading yet. Returns what the leader is started
/// again as, and the standby.
fn handed_over_to_a_slow_claim() -> (World, World) {
    let (mut leader, mut standby) = leader_and_standby();
    share(&mut standby, &mut leader);
    leader.feed(Input::Terminate);
    share(&mut leader, &mut standby);
    standby.held.hold("_metadata", usize::MAX);
    go_on(&mut leader, &mut standby, DURATION / 4);
    assert!(!leads(&standby));
    assert_eq!(leader.exit.map(|(code, _)| code), Some(HANDS_OVER));
    (told_to_end(standby.store.clone()), standby)
}

#[test]
fn a_job_manager_that_was_told_to_end_waits_until_its_successor_leads() {
    let (mut former, mut successor) = handed_over_to_a_slow_claim();
    go_on(&mut former, &mut successor, DURATION * 3);
    assert!(former.exit.is_none() && !leads(&successor), "the claim takes long");
    successor.answer_held();
    go_on(&mut former, &mut successor, DURATION);
    assert!(leads(&successor));
    assert_eq!(former.exit, Some((0, "another JobManager has taken the job over".to_owned())));
}

#[test]
fn a_job_manager_that_was_told_to_end_does_not_wait_without_end() {
    let (mut former, mut successor) = handed_over_to_a_slow_claim();
    go_on(&mut former, &mut successor, DURATION * 2 + Duration::from_secs(9));
    assert_eq!(former.exit, None);
    go_on(&mut former, &mut successor, Duration::from_secs(2));
    let reason = "the JobManager that has taken the job over does not lead yet".to_owned();
    assert_eq!(former.exit, Some((0, reason)));
    assert!(!leads(&successor));
}

#[test]
fn a_job_manager_that_was_told_to_end_takes_over_if_its_successor_is_lost() {
    let (mut former, successor) = handed_over_to_a_slow_claim();
    drop(successor);
    former.pass(DURATION * 2);
    assert_eq!(former.store.names("/epochs/").len(), 3, "it claims the job");
    // And ends as without a standby: `jobmanager.termination` suspends the job.
    assert_eq!(former.exit, Some((0, String::new())));
}

/// A leader was frozen while another one led, and goes on long after the job has ended. It was not started for a new one.
#[test]
fn a_deposed_leader_does_not_begin_the_job_anew() {
    let (_, mut other) = leader_and_standby();
    other.pass(DURATION * 2);
    assert!(leads(&other));
    let job = other.handle.view().jobs[0].id;
    assert_eq!(other.ask(Command::Cancel { job }), Ok(reflow_view::Reply::Accepted));
    other.pass(DURATION);
    assert_eq!(other.exit, Some((0, String::new())));
    let mut deposed = of_spec(other.store, LEASES, |spec| spec.role = Role::Standby);
    deposed.now = other.now + Duration::from_secs(100);
    deposed.feed(Input::Start);
    deposed.pass(DURATION * 2);
    assert_eq!(deposed.exit, Some((0, String::new())));
    assert_eq!(deposed.store.names("/epochs/").len(), 2);
}

/// A leader that was told to end and has released its lease, which has the store, its standby, and what runs.
fn handing_over_what_runs() -> (World, World, Deployment) {
    let (mut leader, mut standby) = leader_and_standby();
    share(&mut standby, &mut leader);
    let deployment = leader.running();
    leader.feed(Input::Terminate);
    (leader, standby, deployment)
}

fn finish(world: &mut World, deployment: &Deployment) {
    let (attempt, subtask) = (deployment.attempt, subtask(deployment));
    world.report(SubtaskReport { attempt, subtask, event: SubtaskEvent::Finished });
}

#[test]
fn a_leader_whose_job_ends_when_another_one_has_claimed_it_becomes_its_standby() {
    let (mut leader, mut standby, deployment) = handing_over_what_runs();
    share(&mut leader, &mut standby);
    standby.pass(DURATION / 4);
    assert!(leads(&standby));
    share(&mut standby, &mut leader);
    finish(&mut leader, &deployment);
    leader.pass(DURATION);
    let (code, reason) = leader.exit.expect("another one leads");
    assert!(code == HANDS_OVER && reason.contains("leadership 2"), "{code}: {reason}");
}

/// No standby has answered in time, so it suspends the job. Then the job finishes, and a standby has taken it over all the same.
#[test]
fn a_leader_that_suspends_its_job_ends_when_another_one_has_claimed_it() {
    let (mut leader, mut standby, deployment) = handing_over_what_runs();
    leader.pass(DURATION * 2);
    share(&mut leader, &mut standby);
    standby.pass(DURATION * 2);
    assert!(leads(&standby));
    share(&mut standby, &mut leader);
    finish(&mut leader, &deployment);
    leader.pass(DURATION);
    let (code, reason) = leader.exit.expect("another one leads");
    assert!(code == 0 && reason.contains("leadership 2"), "{code}: {reason}");
}
