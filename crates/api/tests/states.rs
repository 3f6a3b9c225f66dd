//! `#[derive(States)]` on structs of every form that it takes, and what the states that it declares do.

extern crate reflow_api as reflow;

use reflow::Aggregate;
use reflow::states::{
    Access, AggregatingState, Current, Expiring, ListState, MapState, ReducingState, StateTables, States,
    TimeToLive, ValueState,
};
use reflow_types::{Data, Key, MaxParallelism, Timestamp};
use std::time::Duration;

/// Names of fields that the generated code could use itself.
#[derive(States)]
#[states(crate = reflow)]
pub struct Hostile {
    pub tables: ValueState<u64>,
    current: ValueState<u32>,
    r#type: MapState<String, u64>,
}

#[derive(States)]
struct Generic<T, A: Aggregate> {
    all: ListState<T>,
    sum: AggregatingState<A>,
}

#[derive(Clone)]
struct Longest;

impl Aggregate for Longest {
    type In = usize;
    type Acc = usize;
    type Out = usize;
    fn create(&self) -> usize {
        0
    }
    fn add(&self, longest: &mut usize, value: usize) {
        *longest = value.max(*longest);
    }
    fn result(&self, longest: &usize) -> usize {
        *longest
    }
}

fn names<S: States<u64>>(states: &S) -> Vec<String> {
    let mut names = Vec::new();
    states.declarations(&mut |declared| names.push(declared.name.to_owned()));
    names
}

/// Tables and a clock.
struct Rig<S: States<u64>> {
    tables: S::Tables,
    now: Timestamp,
}

impl<S: States<u64>> Rig<S> {
    fn new(declared: S) -> Self {
        Self { tables: declared.tables(MaxParallelism::DEFAULT), now: 1_000 }
    }

    fn with<R>(&mut self, key: u64, then: impl FnOnce(Access<'_, u64, S>) -> R) -> R {
        then(S::access(&mut self.tables, Current { hash: key.key_hash(), key: &key, now: self.now }))
    }

    fn entries(&mut self) -> usize {
        let mut entries = 0;
        self.tables.visit(&mut |table| entries += table.len());
        entries
    }
}

#[test]
fn each_field_is_a_state_of_its_own() {
    let hostile = <Hostile as States<u64>>::undeclared();
    assert_eq!(names(&hostile), ["tables", "current", "type"]);
    let mut rig = Rig::new(hostile);
    let seen = [1, 2, 1].map(|key| {
        rig.with(key, |mut of_key| {
            *of_key.tables.or_default() += 10;
            *of_key.current.or_default() += 1;
            of_key.r#type.insert(format!("of {key}"), key);
            (*of_key.tables.or_default(), of_key.current.get().copied(), of_key.r#type.len())
        })
    });
    assert_eq!(seen, [(10, Some(1), 1), (10, Some(1), 1), (20, Some(2), 1)]);
    assert_eq!(rig.entries(), 6);
    assert!(rig.tables.memory_bytes() > 0);
}

#[test]
fn states_may_be_generic() {
    fn check<T: Data + Clone + std::fmt::Debug + PartialEq>(element: T) {
        let declared = Generic { all: ListState::new("all"), sum: AggregatingState::new("sum", Longest) };
        let mut rig = Rig::new(declared);
        for length in 1..=2 {
            rig.with(7, |mut of_key| {
                of_key.all.push(element.clone());
                of_key.sum.add(of_key.all.len());
                assert!(of_key.all.iter().eq(&vec![element.clone(); length]));
                assert_eq!(of_key.sum.get(), Some(length));
            });
        }
    }
    check("x".to_owned());
    check(7i64);
}

#[derive(States)]
struct Short {
    value: ValueState<u32, Expiring>,
    map: MapState<u32, u32, Expiring>,
    list: ListState<u32, Expiring>,
    highest: ReducingState<u32>,
}

fn short(time_to_live: TimeToLive) -> Rig<Short> {
    Rig::new(Short {
        value: ValueState::new("value").time_to_live(time_to_live),
        map: MapState::new("map").time_to_live(time_to_live),
        list: ListState::new("list").time_to_live(time_to_live),
        highest: ReducingState::by("highest", u32::max),
    })
}

#[test]
fn entries_expire_after_they_were_written() {
    let mut rig = short(TimeToLive::since_write(Duration::from_millis(10)));
    rig.with(1, |mut of_key| {
        of_key.value.set(1);
        of_key.map.insert(1, 1);
        of_key.list.extend([1, 2]);
        of_key.highest.add(5);
    });
    rig.now += 5;
    rig.with(1, |mut of_key| {
        assert_eq!((of_key.value.get(), of_key.map.get(&1)), (Some(&1), Some(&1)));
        of_key.map.insert(2, 2);
        of_key.list.push(3);
    });
    rig.now += 4;
    rig.with(1, |mut of_key| {
        assert_eq!((of_key.value.get(), of_key.map.len(), of_key.list.len()), (Some(&1), 2, 3));
    });
    // What was written first is gone, at its time and not later.
    rig.now += 1;
    rig.with(1, |mut of_key| {
        assert_eq!(of_key.value.get_mut(), None);
        assert_eq!(of_key.value.take(), None);
        assert_eq!(of_key.map.remove(&1), None);
        assert!(of_key.map.iter().eq([(&2, &2)]));
        assert!(of_key.list.iter().eq([&3]));
    });
    assert_eq!(rig.entries(), 3, "a map entry, an element and the highest value");
    // A value that is made again is new, and a write begins a new life.
    rig.now += 5;
    rig.with(1, |mut of_key| {
        assert_eq!(*of_key.value.or_default(), 0);
        assert_eq!(*of_key.map.or_insert_with(2, || 7), 7);
        assert_eq!(of_key.list.pop_front(), None);
        *of_key.map.or_default(2) = 8;
        assert_eq!(of_key.map.insert(2, 9), Some(8));
        assert_eq!(of_key.highest.get(), Some(5));
    });
}

#[test]
fn reading_prolongs_a_life_that_counts_since_the_last_access() {
    let mut rig = short(TimeToLive::since_access(Duration::from_millis(10)));
    rig.with(1, |mut of_key| {
        of_key.value.set(1);
        of_key.map.insert(1, 1);
        of_key.map.insert(2, 2);
        of_key.list.push(3);
    });
    for _ in 0..5 {
        rig.now += 9;
        rig.with(1, |mut of_key| {
            assert_eq!((of_key.value.get(), of_key.map.get(&1)), (Some(&1), Some(&1)));
            assert_eq!(of_key.list.iter().count(), 1);
        });
    }
    rig.with(1, |mut of_key| assert!(of_key.map.iter().eq([(&1, &1)]), "nobody has read the other"));
    rig.now += 10;
    rig.with(1, |mut of_key| {
        assert_eq!((of_key.value.get(), of_key.map.len(), of_key.list.len()), (None, 0, 0));
    });
    assert_eq!(rig.entries(), 0);
}

#[test]
fn a_walk_removes_what_nobody_reads_again() {
    let mut rig = short(TimeToLive::since_write(Duration::from_secs(60)));
    for key in 0..500 {
        rig.with(key, |mut of_key| {
            of_key.value.set(1);
            of_key.map.insert(1, 1);
            of_key.list.push(3);
            of_key.highest.add(5);
        });
    }
    assert_eq!(rig.entries(), 2_000);
    rig.now += 60_000;
    rig.with(7, |mut of_key| of_key.value.set(2));
    let mut steps = 0;
    while rig.entries() > 501 {
        let due = rig.tables.next_sweep().expect("there are entries");
        rig.now = rig.now.max(due);
        let before = rig.entries();
        rig.tables.sweep(rig.now, 20);
        assert!(before - rig.entries() <= 3 * 20, "a step is bounded");
        steps += 1;
        assert!(steps < 10_000, "{} entries are left", rig.entries());
        rig.tables.visit(&mut |table| table.check_invariants());
    }
    rig.with(7, |mut of_key| assert_eq!(of_key.value.get(), Some(&2)));
    rig.now += 60_000;
    rig.with(7, |mut of_key| assert_eq!(of_key.value.get(), None));
    assert_eq!(rig.tables.next_sweep(), None, "what is left does not expire");
}
