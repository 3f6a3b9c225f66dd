//! The phases as a table: what Flink's `DefaultStateTransitionManagerTest` pins down, in our words.

use super::PhaseName::{Cooldown, Idling, Stabilized, Stabilizing, Transitioning};
use super::*;

/// What happens in a step.
#[derive(Clone, Copy, Debug)]
enum Do {
    Change,
    Trigger,
    Tick,
}
use Do::{Change, Tick, Trigger};

const DESIRED: Resources = Resources { desired: true, sufficient: true, cost: Cost::Restart };
const SUFFICIENT: Resources = Resources { desired: false, ..DESIRED };
const NOTHING: Resources = Resources { desired: false, sufficient: false, ..DESIRED };
const LIVE: Resources = Resources { cost: Cost::Live, ..SUFFICIENT };

/// At which second what happens with which resources, and the phase and the outputs that follow: `c` for a
/// checkpoint, `g` for go.
type Step = (u64, Do, Resources, PhaseName, &'static str);

/// Cooldown until 10 s, stabilization 20 s, and by default so long a delay that it plays no part.
fn check(name: &str, max_delay: u64, steps: &[Step]) {
    let seconds = |s: u64| Instant(0) + Duration::from_secs(s);
    let timeouts = Timeouts {
        restart: Waits { cooldown: Duration::from_secs(10), stabilization: Duration::from_secs(20) },
        live: Waits { cooldown: Duration::from_secs(2), stabilization: Duration::ZERO },
        max_trigger_delay: Duration::from_secs(max_delay),
    };
    let mut manager = Manager::new(timeouts, seconds(0));
    assert_eq!(manager.phase(), Cooldown, "{name}");
    for (at, step, resources, phase, outputs) in steps {
        let got = match step {
            Change => manager.on_change(seconds(*at), *resources),
            Trigger => manager.on_trigger(seconds(*at), *resources),
            Tick => manager.on_tick(seconds(*at), *resources),
        };
        let shown: String = got.iter().map(|o| if *o == Output::Transition { 'g' } else { 'c' }).collect();
        assert_eq!((manager.phase(), shown.as_str()), (*phase, *outputs), "{name}: {step:?} at {at} s");
        assert!(
            manager.next_wakeup().is_none_or(|due| due >= seconds(*at)),
            "{name}: a timer is overdue at {at} s"
        );
    }
}

const LONG: u64 = 1000;

#[test]
fn a_trigger_without_a_change_does_nothing() {
    check("in cooldown", LONG, &[(1, Trigger, DESIRED, Cooldown, ""), (10, Tick, DESIRED, Idling, "")]);
    check("idling", LONG, &[(10, Tick, DESIRED, Idling, ""), (11, Trigger, DESIRED, Idling, "")]);
    check(
        "transitioning",
        LONG,
        &[
            (11, Change, DESIRED, Stabilizing, "c"),
            (11, Trigger, DESIRED, Transitioning, "g"),
            (12, Trigger, DESIRED, Transitioning, ""),
            (13, Change, DESIRED, Transitioning, ""),
        ],
    );
}

#[test]
fn a_transition_may_follow_the_cooldown_at_once() {
    check(
        "change and trigger just after",
        LONG,
        &[(10, Change, DESIRED, Stabilizing, "c"), (10, Trigger, DESIRED, Transitioning, "g")],
    );
    check(
        "change before, trigger just after",
        LONG,
        &[(9, Change, DESIRED, Cooldown, ""), (10, Trigger, DESIRED, Transitioning, "cg")],
    );
}

#[test]
fn changes_in_the_cooldown_are_remembered() {
    check(
        "desired",
        LONG,
        &[
            (3, Change, DESIRED, Cooldown, ""),
            (4, Trigger, DESIRED, Cooldown, ""),
            (10, Tick, DESIRED, Stabilizing, "c"),
            (11, Trigger, DESIRED, Transitioning, "g"),
        ],
    );
    check(
        "sufficient: its age counts from the change",
        LONG,
        &[
            (3, Change, SUFFICIENT, Cooldown, ""),
            (10, Tick, SUFFICIENT, Stabilizing, "c"),
            (22, Trigger, SUFFICIENT, Stabilizing, ""),
            (23, Tick, SUFFICIENT, Stabilized, "c"),
            (24, Trigger, SUFFICIENT, Transitioning, "g"),
        ],
    );
    check(
        "so old at the cooldown's end that it is stable",
        LONG,
        &[(1, Change, SUFFICIENT, Cooldown, ""), (25, Tick, SUFFICIENT, Stabilized, "cc")],
    );
    check("none", LONG, &[(3, Change, NOTHING, Cooldown, ""), (10, Tick, NOTHING, Idling, "")]);
    check(
        "revoked: the manager finds out when it is stable",
        LONG,
        &[
            (3, Change, DESIRED, Cooldown, ""),
            (4, Change, NOTHING, Cooldown, ""),
            (10, Tick, NOTHING, Stabilizing, "c"),
            (23, Tick, NOTHING, Stabilized, "c"),
            (24, Trigger, NOTHING, Idling, ""),
        ],
    );
}

#[test]
fn changes_while_idling() {
    check(
        "desired",
        LONG,
        &[(12, Change, DESIRED, Stabilizing, "c"), (13, Trigger, DESIRED, Transitioning, "g")],
    );
    check(
        "sufficient",
        LONG,
        &[
            (12, Change, SUFFICIENT, Stabilizing, "c"),
            (13, Trigger, SUFFICIENT, Stabilizing, ""),
            (32, Tick, SUFFICIENT, Stabilized, "c"),
            (33, Trigger, SUFFICIENT, Transitioning, "g"),
        ],
    );
    check(
        "none",
        LONG,
        &[
            (12, Change, NOTHING, Idling, ""),
            (13, Trigger, NOTHING, Idling, ""),
            (99, Tick, NOTHING, Idling, ""),
        ],
    );
}

#[test]
fn changes_while_stabilizing() {
    check(
        "desired after sufficient",
        LONG,
        &[
            (12, Change, SUFFICIENT, Stabilizing, "c"),
            (13, Trigger, SUFFICIENT, Stabilizing, ""),
            (14, Change, DESIRED, Stabilizing, "c"),
            (15, Trigger, DESIRED, Transitioning, "g"),
        ],
    );
    check(
        "revoked",
        LONG,
        &[
            (12, Change, SUFFICIENT, Stabilizing, "c"),
            (14, Change, NOTHING, Stabilizing, "c"),
            (15, Trigger, NOTHING, Stabilizing, ""),
            (32, Tick, NOTHING, Stabilized, "c"),
            (33, Trigger, NOTHING, Idling, ""),
        ],
    );
    check(
        "desired revoked, and there again",
        LONG,
        &[
            (12, Change, DESIRED, Stabilizing, "c"),
            (13, Change, SUFFICIENT, Stabilizing, "c"),
            (14, Trigger, SUFFICIENT, Stabilizing, ""),
            (15, Change, DESIRED, Stabilizing, "c"),
            (16, Trigger, DESIRED, Transitioning, "g"),
        ],
    );
}

#[test]
fn changes_once_stabilized() {
    check(
        "desired",
        LONG,
        &[
            (12, Change, SUFFICIENT, Stabilizing, "c"),
            (32, Tick, SUFFICIENT, Stabilized, "c"),
            (33, Change, DESIRED, Stabilized, ""),
            (34, Trigger, DESIRED, Transitioning, "g"),
        ],
    );
    check(
        "revoked",
        LONG,
        &[
            (12, Change, SUFFICIENT, Stabilizing, "c"),
            (32, Tick, SUFFICIENT, Stabilized, "c"),
            (33, Change, NOTHING, Stabilized, ""),
            (34, Trigger, NOTHING, Idling, ""),
            (35, Trigger, SUFFICIENT, Idling, ""),
            (36, Change, SUFFICIENT, Stabilizing, "c"),
        ],
    );
}

#[test]
fn a_trigger_is_waited_for_no_longer_than_the_delay() {
    check(
        "stabilizing, desired",
        5,
        &[(12, Change, DESIRED, Stabilizing, "c"), (17, Tick, DESIRED, Transitioning, "g")],
    );
    check(
        "stabilizing, sufficient: not before it is stable, then at once",
        5,
        &[
            (12, Change, SUFFICIENT, Stabilizing, "c"),
            (17, Tick, SUFFICIENT, Stabilizing, ""),
            (31, Tick, SUFFICIENT, Stabilizing, ""),
            (32, Tick, SUFFICIENT, Transitioning, "cg"),
        ],
    );
    check(
        "stabilizing, a change arms it again",
        5,
        &[
            (12, Change, SUFFICIENT, Stabilizing, "c"),
            (17, Tick, SUFFICIENT, Stabilizing, ""),
            (18, Change, DESIRED, Stabilizing, "c"),
            (22, Tick, DESIRED, Stabilizing, ""),
            (23, Tick, DESIRED, Transitioning, "g"),
        ],
    );
    check(
        "stabilized, counted from the first change",
        25,
        &[
            (12, Change, SUFFICIENT, Stabilizing, "c"),
            (32, Tick, SUFFICIENT, Stabilized, "c"),
            (36, Tick, SUFFICIENT, Stabilized, ""),
            (37, Tick, SUFFICIENT, Transitioning, "g"),
        ],
    );
    check(
        "stabilized, nothing left",
        25,
        &[
            (12, Change, SUFFICIENT, Stabilizing, "c"),
            (32, Tick, NOTHING, Stabilized, "c"),
            (37, Tick, NOTHING, Idling, ""),
        ],
    );
    check(
        "none: at once",
        0,
        &[(12, Change, DESIRED, Stabilizing, "c"), (13, Tick, DESIRED, Transitioning, "g")],
    );
}

#[test]
fn a_timer_is_gone_with_its_phase() {
    check(
        "stabilization after a transition",
        LONG,
        &[
            (12, Change, DESIRED, Stabilizing, "c"),
            (13, Trigger, DESIRED, Transitioning, "g"),
            (99, Tick, DESIRED, Transitioning, ""),
        ],
    );
    check(
        "the delay of an earlier stabilizing",
        30,
        &[
            (12, Change, SUFFICIENT, Stabilizing, "c"),
            (32, Tick, NOTHING, Stabilized, "c"),
            (33, Trigger, NOTHING, Idling, ""),
            (42, Tick, DESIRED, Idling, ""),
        ],
    );
}

#[test]
fn checkpoints_are_requested_where_a_trigger_would_help() {
    check(
        "entering stabilizing, on each change, entering stabilized; not in between",
        LONG,
        &[
            (12, Change, SUFFICIENT, Stabilizing, "c"),
            (13, Tick, SUFFICIENT, Stabilizing, ""),
            (14, Change, SUFFICIENT, Stabilizing, "c"),
            (15, Trigger, SUFFICIENT, Stabilizing, ""),
            (32, Tick, SUFFICIENT, Stabilized, "c"),
            (33, Change, SUFFICIENT, Stabilized, ""),
            (34, Trigger, SUFFICIENT, Transitioning, "g"),
        ],
    );
}

#[test]
fn without_a_cooldown_a_manager_begins_idling() {
    let manager = Manager::new(Timeouts::default(), Instant(5));
    assert_eq!((manager.phase(), manager.next_wakeup()), (Idling, None));
}

#[test]
fn a_transition_that_restarts_nothing_has_waits_of_its_own() {
    check(
        "a change in its cooldown",
        LONG,
        &[
            (1, Change, LIVE, Cooldown, ""),
            (2, Tick, LIVE, Stabilized, "cc"),
            (2, Trigger, LIVE, Transitioning, "g"),
        ],
    );
    check(
        "a change after it",
        LONG,
        &[(5, Change, LIVE, Stabilized, "cc"), (5, Trigger, LIVE, Transitioning, "g")],
    );
    check(
        "a change that meanwhile needs a restart",
        LONG,
        &[
            (1, Change, LIVE, Cooldown, ""),
            (2, Tick, SUFFICIENT, Cooldown, ""),
            (10, Tick, SUFFICIENT, Stabilizing, "c"),
            (10, Tick, LIVE, Stabilized, "c"),
        ],
    );
}
