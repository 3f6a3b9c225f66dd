//! Who changes the number of TaskManagers, second by second.

use super::*;

const REPLICAS: &str = "replicas of deployment/x";

fn exactly(number: u32) -> Desired {
    Desired { number, is_least: false }
}

/// A number, and its provider, which looks once a second.
struct World {
    provisioning: Provisioning,
    now: u64,
    number: u32,
    desired: u32,
    /// Whether it does not run yet.
    is_starting: bool,
    /// Why requests fail.
    broken: Option<(Request, &'static str)>,
    /// The seconds in which the provider has looked, and what it has changed.
    looks: Vec<u64>,
    changes: Vec<(u64, u32)>,
    events: Vec<String>,
    status: Option<String>,
}

impl World {
    fn new(rules: Rules, number: u32, desired: u32) -> Self {
        let provisioning = Provisioning::new(rules);
        let (looks, changes, events) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            provisioning,
            now: 0,
            number,
            desired,
            is_starting: false,
            broken: None,
            looks,
            changes,
            events,
            status: None,
        }
    }

    fn replicas(number: u32, desired: u32) -> Self {
        Self::new(Rules::of_replicas(REPLICAS.to_owned()), number, desired)
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += 1;
            let now = Instant(0) + Duration::from_secs(self.now);
            if self.provisioning.is_due(now, self.desired()) {
                self.looks.push(self.now);
                self.look(now);
            }
            if let Some(Report { status, events }) = self.provisioning.take_report() {
                self.status = status;
                self.events.extend(events);
            }
        }
    }

    fn desired(&self) -> Desired {
        Desired { number: self.desired, is_least: self.is_starting }
    }

    fn look(&mut self, now: Instant) {
        let fails = |request| self.broken.filter(|(broken, _)| *broken == request).map(|(_, error)| error);
        if let Some(error) = fails(Request::Look) {
            return self.provisioning.failed(now, Request::Look, error);
        }
        let Some(to) = self.provisioning.found(now, self.number, self.desired()) else { return };
        if let Some(error) = fails(Request::Change) {
            return self.provisioning.failed(now, Request::Change, error);
        }
        self.changes.push((self.now, to));
        self.number = to;
        self.provisioning.changed(now, to);
    }

    fn take_changes(&mut self) -> Vec<(u64, u32)> {
        std::mem::take(&mut self.changes)
    }
}

#[test]
fn the_desired_number_is_set_at_once_and_looked_at_rarely() {
    let mut world = World::replicas(1, 3);
    world.pass(1);
    assert_eq!(world.take_changes(), [(1, 3)]);
    world.pass(60);
    assert_eq!(world.looks, [1, 11, 21, 31, 41, 51, 61]);
    world.desired = 2;
    world.pass(1);
    assert_eq!(world.take_changes(), [(62, 2)]);
    assert_eq!((world.events, world.status), (vec![], None));
}

/// Their pods pull the image.
#[test]
fn none_is_removed_before_the_job_runs() {
    let mut world = World::replicas(5, 1);
    world.is_starting = true;
    world.pass(100);
    assert_eq!((world.take_changes(), world.looks.len()), (vec![], 10));
    world.desired = 6;
    world.pass(1);
    assert_eq!(world.take_changes(), [(101, 6)]);
    (world.is_starting, world.desired) = (false, 2);
    world.pass(1);
    assert_eq!(world.take_changes(), [(102, 2)]);
    assert!(world.events.is_empty(), "{:?}", world.events);
}

/// A tool that sets what a repository says, every five minutes.
#[test]
fn one_who_rarely_sets_another_number_is_left_alone_for_longer_each_time() {
    let mut world = World::replicas(2, 4);
    for _ in 0..(24 * 12) {
        world.pass(300);
        world.number = 2;
    }
    assert!(world.changes.len() < 40, "{:?}", world.changes);
}

#[test]
fn what_someone_else_has_set_is_left_alone_for_a_minute() {
    let mut world = World::replicas(1, 3);
    world.pass(1);
    world.number = 5;
    world.pass(10);
    let notice = "5 replicas of deployment/x instead of 3, which the autoscaler has not asked for: left alone for 60 s";
    assert_eq!(world.events, [notice]);
    assert_eq!(world.status.as_deref(), Some(notice));
    // What the job needs meanwhile is not set either.
    world.desired = 4;
    world.pass(59);
    assert_eq!(world.take_changes(), [(1, 3)]);
    world.pass(1);
    assert_eq!(world.take_changes(), [(71, 4)]);
    assert_eq!(world.status, None);
}

#[test]
fn someone_who_sets_the_desired_number_agrees() {
    let mut world = World::replicas(1, 3);
    world.pass(1);
    // An HPA that gets the new number, and is faster.
    (world.number, world.desired) = (4, 4);
    world.pass(100);
    world.desired = 2;
    world.pass(1);
    assert_eq!(world.take_changes(), [(1, 3), (102, 2)]);
    assert!(world.events.is_empty(), "{:?}", world.events);
}

/// An HPA that wants another number sets it within 15 s. Each time it is left alone for twice as long, up to an hour.
#[test]
fn with_an_hpa_there_is_no_fight() {
    let mut world = World::replicas(2, 4);
    for _ in 0..(24 * 3600 / 15) {
        world.pass(15);
        world.number = 2;
    }
    let changes = world.take_changes();
    let pauses: Vec<u64> = changes.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(pauses[..6].is_sorted() && pauses.iter().all(|pause| *pause <= 3600 + 30), "{pauses:?}");
    assert!((25..=32).contains(&changes.len()), "{changes:?}");
    assert!(world.events[1].ends_with("left alone for 120 s; it keeps being changed: let only one scale it"));

    // The HPA was deleted: the last pause ends, and a later change by a user is one like the first.
    world.pass(2 * 3600 + 60);
    assert_eq!(world.number, 4);
    world.pass(3600);
    world.number = 3;
    world.pass(11);
    assert!(world.events.last().unwrap().ends_with("left alone for 60 s"), "{:?}", world.events.last());
}

#[test]
fn changes_of_someone_else_in_a_row_prolong_the_pause_and_do_not_double_it() {
    let mut world = World::replicas(2, 2);
    world.pass(1);
    for number in [3, 4, 5] {
        world.number = number;
        world.pass(30);
    }
    assert!(world.events.iter().all(|event| event.ends_with("for 60 s")), "{:?}", world.events);
    world.pass(60);
    assert_eq!(world.number, 2);
}

#[test]
fn zero_replicas_switch_it_off() {
    let mut world = World::replicas(3, 3);
    world.pass(1);
    world.number = 0;
    world.pass(600);
    assert!(world.status.as_ref().unwrap().starts_with("0 replicas of deployment/x: nothing is changed"));
    assert!(world.take_changes().is_empty());
    assert!(world.looks.len() <= 61, "{:?}", world.looks);
    world.number = 1;
    world.pass(11);
    assert_eq!((world.number, world.status), (3, None));
    assert!(world.events.is_empty(), "{:?}", world.events);
}

#[test]
fn a_server_that_is_away_is_asked_after_longer_and_longer_pauses() {
    let mut world = World::replicas(1, 3);
    world.broken = Some((Request::Look, "it is away"));
    world.pass(300);
    assert_eq!(world.looks[..7], [1, 2, 4, 8, 16, 32, 62]);
    assert_eq!(world.looks.len(), 14, "{:?}", world.looks);
    assert_eq!(world.events, ["the number of replicas of deployment/x cannot be read: it is away"]);
    assert_eq!(world.status.as_ref(), world.events.last());
    world.broken = None;
    world.pass(30);
    assert_eq!((world.number, world.status), (3, None));
    assert_eq!(world.events[1..], ["the number of replicas of deployment/x can be read again"]);
}

#[test]
fn a_change_while_the_server_was_away_is_noticed() {
    let mut world = World::replicas(3, 3);
    world.pass(1);
    world.broken = Some((Request::Look, "it is away"));
    world.number = 5;
    world.pass(120);
    world.broken = None;
    world.pass(30);
    assert_eq!(world.number, 5);
    assert!(world.events.iter().any(|event| event.contains("5 replicas of deployment/x instead of 3")));
}

#[test]
fn a_missing_right_to_change_is_reported_once() {
    let mut world = World::replicas(1, 3);
    world.broken = Some((Request::Change, "no right to update"));
    world.pass(300);
    assert_eq!(
        world.events,
        ["the number of replicas of deployment/x cannot be changed: no right to update"]
    );
    world.broken = Some((Request::Change, "not found"));
    world.pass(60);
    assert_eq!(world.events.len(), 2, "another error is news");
    world.broken = None;
    world.pass(30);
    assert_eq!((world.number, world.events.len()), (3, 3));
}

/// A look that works says nothing of changes.
#[test]
fn a_change_that_has_failed_and_is_not_needed_any_more_is_not_reported_as_possible() {
    for (number, desired, status) in [(3, 3, None), (0, 3, Some("0 replicas of deployment/x: nothing"))] {
        let mut world = World::replicas(1, 3);
        world.broken = Some((Request::Change, "no right to update"));
        world.pass(1);
        (world.number, world.desired) = (number, desired);
        world.pass(30);
        assert_eq!(world.events.len(), 1, "{:?}", world.events);
        assert!(world.events[0].ends_with("cannot be changed: no right to update"), "{:?}", world.events);
        assert_eq!(world.status.is_some(), status.is_some(), "{:?}", world.status);
        assert!(world.status.unwrap_or_default().starts_with(status.unwrap_or_default()));
    }
}

#[test]
fn registered_ones_go_one_by_one_and_take_their_time() {
    let mut provisioning = Provisioning::new(Rules::of_registered(true));
    let at = |seconds| Instant(0) + Duration::from_secs(seconds);
    assert_eq!(provisioning.found(at(0), 3, exactly(1)), Some(2));
    provisioning.changed(at(0), 2);
    assert_eq!(provisioning.found(at(20), 3, exactly(1)), None, "it still moves off");
    assert_eq!(provisioning.found(at(21), 2, exactly(1)), Some(1));
    provisioning.changed(at(21), 1);
    assert_eq!(provisioning.found(at(51), 2, exactly(1)), Some(1), "it has waited in vain, and tries again");
    provisioning.changed(at(51), 1);
    assert_eq!(provisioning.found(at(52), 1, exactly(1)), None);
    assert_eq!(provisioning.take_report(), None);

    // One dies. Two that are missing in a row do not make the pause longer.
    assert_eq!(provisioning.found(at(60), 0, exactly(1)), None);
    let notice = provisioning.take_report().unwrap().events;
    assert_eq!(
        notice,
        ["0 TaskManagers instead of 1, which the autoscaler has not asked for: left alone for 60 s"]
    );
    assert_eq!(provisioning.found(at(119), 0, exactly(1)), None);
    assert_eq!(provisioning.found(at(120), 0, exactly(1)), Some(1));
    provisioning.changed(at(120), 1);
    assert_eq!(provisioning.found(at(121), 1, exactly(1)), None);
    assert_eq!(provisioning.found(at(122), 0, exactly(1)), None);
    assert!(provisioning.take_report().unwrap().events[0].contains("left alone for 60 s"));
}
