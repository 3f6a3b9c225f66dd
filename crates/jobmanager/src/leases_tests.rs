//! Two JobManagers with leases over one store, driven by hand.

use super::*;
use reflow_view::LeaderChangeCause;
use tokio::sync::oneshot;

#[path = "cut_leases_tests.rs"]
mod cut;
#[path = "handover_tests.rs"]
mod handover;
#[path = "kubernetes_leases_tests.rs"]
pub(in super::super) mod kubernetes;
#[path = "mixed_leases_tests.rs"]
mod mixed;
#[path = "slow_leases_tests.rs"]
mod slow;

const LEASES: &[(&str, &str)] =
    &[REACTIVE, ("execution.checkpointing.dir", "/c"), ("high-availability.type", "storage")];
/// The default duration of a lease.
const DURATION: Duration = Duration::from_secs(3);

fn with_leases(store: MemoryStore) -> World {
    let mut world = configured(store, StartMode::default(), LEASES);
    world.feed(Input::Start);
    world
}

fn leads(world: &World) -> bool {
    world.exit.is_none() && !world.handle.view().jobs.is_empty()
}

/// Both go on for this time. The second one has the store before and after.
fn go_on(first: &mut World, second: &mut World, time: Duration) {
    const STEP: Duration = Duration::from_millis(50);
    for _ in 0..time.as_millis() / STEP.as_millis() {
        share(second, first);
        first.pass(STEP);
        share(first, second);
        second.pass(STEP);
    }
}

/// A leader and a standby that has waited for it; the second one has the store.
fn leader_and_standby() -> (World, World) {
    let mut leader = with_leases(MemoryStore::default());
    leader.pass(DURATION);
    assert!(leads(&leader), "nobody else leads");
    let mut standby = with_leases(leader.store.clone());
    go_on(&mut leader, &mut standby, DURATION * 5);
    assert!(leads(&leader) && !leads(&standby));
    (leader, standby)
}

#[test]
fn a_standby_leads_when_the_leader_is_gone() {
    let (_, mut standby) = leader_and_standby();
    standby.pass(DURATION * 6 / 10);
    assert!(!leads(&standby));
    standby.pass(DURATION * 6 / 10);
    assert!(leads(&standby));
    assert_eq!(standby.handle.view().jobs.len(), 1);
}

#[test]
fn a_leader_that_is_told_to_end_hands_the_job_over() {
    let (mut leader, mut standby) = leader_and_standby();
    share(&mut standby, &mut leader);
    leader.feed(Input::Terminate);
    share(&mut leader, &mut standby);
    go_on(&mut leader, &mut standby, DURATION / 4);
    assert!(leads(&standby));
    let (code, reason) = leader.exit.expect("it ends");
    assert!(
        code == HANDS_OVER && reason.contains("another JobManager has taken over job job (leadership 2)"),
        "{reason}"
    );
}

/// The answer follows when a standby leads, or does not appear.
fn ask_for_transfer(leader: &mut World) -> oneshot::Receiver<Result<Reply, CommandError>> {
    let answered = leader.handle.ask(Command::TransferLeadership).unwrap();
    leader.feed(Input::Wakeup);
    answered
}

#[test]
fn a_user_hands_the_job_over_and_both_run_on() {
    let (mut leader, mut standby) = leader_and_standby();
    let changes = |world: &World| world.handle.view().leadership.changes.clone();
    assert_eq!(changes(&leader).len(), 1);
    assert_eq!(standby.handle.view().readiness, Readiness::StandingBy);
    share(&mut standby, &mut leader);
    let mut answered = ask_for_transfer(&mut leader);
    assert!(matches!(leader.ask(Command::TransferLeadership), Err(CommandError::Unavailable(_))));
    share(&mut leader, &mut standby);
    go_on(&mut leader, &mut standby, DURATION / 4);
    assert!(leads(&standby));
    assert_eq!(answered.try_recv().unwrap(), Ok(Reply::Accepted));
    assert_eq!(leader.exit.map(|(code, _)| code), Some(STANDS_BY));
    let causes: Vec<_> = changes(&standby).into_iter().map(|change| (change.epoch.0, change.cause)).collect();
    assert_eq!(causes, [(1, LeaderChangeCause::Started), (2, LeaderChangeCause::HandedOver)]);
}

#[test]
fn a_job_that_nobody_takes_over_is_led_on() {
    let mut leader = with_leases(MemoryStore::default());
    leader.pass(DURATION);
    let mut answered = ask_for_transfer(&mut leader);
    leader.pass(DURATION * 9 / 10);
    assert!(answered.try_recv().is_err(), "it waits for a standby");
    leader.pass(DURATION);
    let Ok(Err(CommandError::Conflict(problem))) = answered.try_recv() else { panic!("there is no standby") };
    assert!(problem.contains("no standby"), "{problem}");
    assert!(leads(&leader));
    // Its lease is no longer released.
    let mut standby = with_leases(leader.store.clone());
    go_on(&mut leader, &mut standby, DURATION * 2);
    assert!(leads(&leader) && !leads(&standby));
}

#[test]
fn a_leader_without_a_standby_suspends_the_job() {
    let mut leader = with_leases(MemoryStore::default());
    leader.pass(DURATION);
    leader.feed(Input::Terminate);
    leader.pass(DURATION * 9 / 10);
    assert!(leads(&leader), "it waits for a standby");
    leader.pass(DURATION);
    assert_eq!(leader.exit, Some((0, String::new())));
    let mut next = with_leases(leader.store);
    next.pass(DURATION * 2);
    assert!(leads(&next));
}

/// A failed job and one that was shut down are resumed by the next start, and by nobody before.
#[test]
fn a_standby_ends_with_a_job_that_is_shut_down() {
    let (mut leader, mut standby) = leader_and_standby();
    share(&mut standby, &mut leader);
    assert_eq!(leader.ask(Command::ShutDown), Ok(Reply::Accepted));
    leader.pass(DURATION * 4);
    assert_eq!(leader.exit, Some((0, String::new())));
    share(&mut leader, &mut standby);
    standby.pass(DURATION);
    assert_eq!(standby.exit, Some((0, String::new())));
    let mut next = with_leases(standby.store);
    next.pass(DURATION * 2);
    assert!(leads(&next));
}

/// As a process that was stopped for a while, or cut off from storage.
#[test]
fn a_leader_that_was_replaced_becomes_a_standby() {
    let (mut leader, mut standby) = leader_and_standby();
    standby.pass(DURATION * 2);
    assert!(leads(&standby));
    go_on(&mut leader, &mut standby, Duration::from_secs(10));
    let (code, reason) = leader.exit.expect("it sees that another one leads");
    assert!(code == STANDS_BY && reason.contains("leadership 2"), "{reason}");
    assert!(leads(&standby));
}

/// Both find nobody.
#[test]
fn of_two_that_start_at_once_one_leads() {
    let mut first = configured(MemoryStore::default(), StartMode::default(), LEASES);
    let mut second = configured(MemoryStore::default(), StartMode::default(), LEASES);
    first.feed(Input::Start);
    share(&mut first, &mut second);
    second.feed(Input::Start);
    go_on(&mut first, &mut second, DURATION * 4);
    assert!(leads(&first) && !leads(&second) && second.exit.is_none());
}

/// A standby says at once that it runs something else than the leader, and leaves the job to one that does not.
#[test]
fn a_standby_with_other_arguments_says_so_and_takes_over_last() {
    let mut leader = with_leases(MemoryStore::default());
    leader.pass(DURATION);
    let mut other =
        of_spec(std::mem::take(&mut leader.store), LEASES, |spec| spec.args = vec!["--fast".into()]);
    other.feed(Input::Start);
    go_on(&mut leader, &mut other, DURATION);
    assert_eq!(other.handle.view().readiness, Readiness::StandingByDifferent);
    let mut like = with_leases(std::mem::take(&mut other.store));
    drop(leader);
    go_on(&mut other, &mut like, DURATION * 3);
    assert!(leads(&like) && !leads(&other));
    share(&mut like, &mut other);
    drop(like);
    other.pass(DURATION * 18 / 10);
    assert!(!leads(&other), "a third one might run the same");
    other.pass(DURATION);
    assert!(leads(&other));
}

/// Members that cannot reach the leader ask the standby again and again.
#[test]
fn a_standby_that_members_reach_takes_over_from_a_leader_that_they_do_not_reach() {
    let (mut leader, mut standby) = leader_and_standby();
    let ask = |standby: &mut World, conn: u64| {
        let conn = ConnId(ConnId::ACCEPTED + conn);
        standby.accept(conn, &Hello::TaskManager { id: TaskManagerId(5) });
        assert_eq!(standby.closed.pop(), Some(conn));
    };
    // One that looks for the leader is no reason.
    ask(&mut standby, 0);
    go_on(&mut leader, &mut standby, DURATION * 5);
    assert!(leads(&leader) && !leads(&standby));
    for conn in 1..5 {
        ask(&mut standby, conn);
        go_on(&mut leader, &mut standby, DURATION / 3);
    }
    go_on(&mut leader, &mut standby, DURATION);
    assert!(leads(&standby));
}
