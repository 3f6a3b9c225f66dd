//! Changed copies, from which the job starts.

use crate::job::Job;
use crate::store::{Store, exported, of};
use reflow_savepoint::edit::{Change, edit};
use reflow_savepoint::{Savepoint, SavepointError};
use serde_json::{Value, json};

/// Changes a savepoint of a job, and starts the job from the result.
fn changed(job: &mut Job, changes: &[Change]) -> Result<(), SavepointError> {
    let at = job.harness.savepoint().expect("a savepoint");
    let store = Store::of(job);
    let requests = |op| store.request(op);
    let savepoint = Savepoint::open(&at, &requests)?;
    edit(&savepoint, changes, "/edited")?;
    let again = edit(&savepoint, changes, "/edited").unwrap_err().to_string();
    assert!(again.contains("is there already"), "{again}");
    let written = store.written.take();
    job.harness.kill();
    written.into_iter().for_each(|(name, body)| job.harness.store_mut().overwrite(&name, body));
    job.harness.start_from_savepoint("/edited", 3);
    assert_eq!(job.harness.failures(), []);
    Ok(())
}

fn entries(state: &str, lines: &[Value]) -> Change {
    let lines = lines.iter().map(|line| format!("{line}\n")).collect();
    Change::Entries { uid: "each".to_owned(), state: state.to_owned(), lines }
}

#[test]
fn a_copy_without_changes_restores_as_the_savepoint_does() {
    let mut job = Job::fed();
    changed(&mut job, &[]).unwrap();
    assert_eq!(job.next("a", 4), "a: 8 3 2 Some(4) Some(4)");
}

#[test]
fn entries_are_replaced_added_and_dropped() {
    for max_parallelism in [1, 128, 32_768] {
        let mut job = Job::fed_with(max_parallelism);
        let changes = [
            entries(
                "total",
                &[
                    json!({ "key": "a", "value": { "sum": 100, "last": null } }),
                    json!({ "key": "c", "value": { "sum": 7, "last": 7 } }),
                    json!({ "key": "b", "drop": true }),
                ],
            ),
            entries(
                "seen",
                &[
                    json!({ "key": "a", "value": 9 }),
                    json!({ "key": "c", "value": 1 }),
                    json!({ "key": "c", "value": 2 }),
                ],
            ),
            entries(
                "counts",
                &[
                    json!({ "key": "a", "user_key": 5, "value": 1 }),
                    json!({ "key": "b", "user_key": 0, "drop": true }),
                ],
            ),
        ];
        changed(&mut job, &changes).unwrap();
        assert_eq!(job.next("a", 1), "a: 101 2 2 Some(3) Some(1)");
        assert_eq!(job.next("b", 1), "b: 1 2 1 Some(2) Some(1)");
        assert_eq!(job.next("c", 3), "c: 10 3 1 Some(3) Some(3)");
        // The next checkpoint of the job contains it all.
        assert!(job.harness.checkpoint());
        job.harness.kill();
        job.harness.start(2);
        assert_eq!(job.next("c", 3), "c: 13 4 1 Some(3) Some(3)");
    }
}

/// An export has the elements of a list in the order of the table, which is another one.
#[test]
fn a_list_that_is_exported_and_put_back_keeps_its_order() {
    const ELEMENTS: u64 = 100;
    let mut job = Job::fed();
    job.feed.push(0, (0..ELEMENTS).map(|number| ("c".to_owned(), number)));
    job.harness.settle();
    let at = job.harness.savepoint().expect("a savepoint");
    let store = Store::of(&job);
    let requests = |op| store.request(op);
    let savepoint = Savepoint::open(&at, &requests).unwrap();
    let seen = |at: &str| {
        let mut lines = exported(&store, at, &of("each", &["seen"])).unwrap();
        lines.retain(|line| line["key"] == "c");
        lines
    };
    let mut lines = seen(&at);
    lines.reverse();
    lines.push(json!({ "key": "c", "value": ELEMENTS }));
    edit(&savepoint, &[entries("seen", &lines)], "/edited").unwrap();
    let mut edited: Vec<_> =
        seen("/edited").iter().map(|line| (line["position"].as_u64(), line["value"].as_u64())).collect();
    edited.sort_unstable();
    assert_eq!(edited, (0..=ELEMENTS).map(|number| (Some(number), Some(number))).collect::<Vec<_>>());
}

#[test]
fn states_are_dropped_and_renamed() {
    let mut job = Job::fed();
    let state = |name: &str| ("each".to_owned(), name.to_owned());
    let (uid, total) = state("total");
    let changes = [
        Change::DropState { uid: uid.clone(), state: total },
        Change::DropState { uid: uid.clone(), state: "counts".to_owned() },
        // A detour leads back: both names and the uid are as the job has them.
        Change::RenameState { uid: uid.clone(), state: "seen".to_owned(), to: "were seen".to_owned() },
        Change::RenameOperator { uid: uid.clone(), to: "other".to_owned() },
        Change::RenameState {
            uid: "other".to_owned(),
            state: "were seen".to_owned(),
            to: "counts of old".to_owned(),
        },
        Change::RenameState {
            uid: "other".to_owned(),
            state: "counts of old".to_owned(),
            to: "seen".to_owned(),
        },
        Change::RenameOperator { uid: "other".to_owned(), to: uid },
        Change::DropOperator { uid: "ruled".to_owned() },
    ];
    changed(&mut job, &changes).unwrap();
    assert_eq!(job.next("a", 1), "a: 1 3 1 Some(3) Some(1)");
}

#[test]
fn a_renamed_state_is_found_under_its_new_name() {
    let mut job = Job::fed();
    let at = job.harness.savepoint().expect("a savepoint");
    let store = Store::of(&job);
    let requests = |op| store.request(op);
    let savepoint = Savepoint::open(&at, &requests).unwrap();
    let rename =
        Change::RenameState { uid: "each".to_owned(), state: "highest".to_owned(), to: "peak".to_owned() };
    let rename_uid = Change::RenameOperator { uid: "each".to_owned(), to: "all".to_owned() };
    edit(&savepoint, &[rename, rename_uid], "/edited").unwrap();
    let lines = exported(&store, "/edited", &of("all", &["peak"])).unwrap();
    assert_eq!(lines.iter().map(|line| line["value"].clone()).collect::<Vec<_>>(), [json!(3), json!(2)]);
}

/// Changes to a state that is dropped afterwards do not reach another one that gets its name.
#[test]
fn a_dropped_state_leaves_nothing_to_the_one_that_gets_its_name() {
    let mut job = Job::fed();
    let uid = || "each".to_owned();
    let changes = [
        entries("total", &[json!({ "key": "z", "value": { "sum": 1, "last": null } })]),
        Change::DropState { uid: uid(), state: "total".to_owned() },
        Change::RenameState { uid: uid(), state: "highest".to_owned(), to: "total".to_owned() },
    ];
    let at = job.harness.savepoint().expect("a savepoint");
    let store = Store::of(&job);
    let requests = |op| store.request(op);
    edit(&Savepoint::open(&at, &requests).unwrap(), &changes, "/edited").unwrap();
    let lines = exported(&store, "/edited", &of("each", &["total"])).unwrap();
    assert_eq!(lines.iter().map(|line| line["value"].clone()).collect::<Vec<_>>(), [json!(3), json!(2)]);
}

#[test]
fn what_does_not_fit_is_refused_by_line_and_field_and_nothing_is_written() {
    let mut job = Job::fed();
    let at = job.harness.savepoint().expect("a savepoint");
    let store = Store::of(&job);
    let requests = |op| store.request(op);
    let savepoint = Savepoint::open(&at, &requests).unwrap();
    let refused = |change: Change, expected: &str| {
        let error = edit(&savepoint, &[change], "/edited").unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let good = json!({ "key": "a", "value": { "sum": 1, "last": null } });
    refused(
        entries("total", &[good.clone(), json!({ "key": "a", "value": { "sum": "x", "last": null } })]),
        "state 'total': line 2: value: field `sum`: expected u64, found \"x\"",
    );
    refused(entries("total", &[json!({ "key": 7, "value": null })]), "line 1: key: expected String, found 7");
    refused(entries("total", &[json!({ "value": 1 })]), "not an object with a \"key\"");
    refused(entries("counts", &[json!({ "key": "a", "value": 1 })]), "\"user_key\" is missing");
    refused(entries("totals", &[good]), "has no state 'totals'");
    let of_counts = json!({ "state": "counts", "key": "a", "user_key": 5, "value": 1 });
    refused(entries("highest", &[of_counts]), "line 1: it is an entry of state \"counts\"; leave it out");
    let scoped = json!({ "key": "a", "user_key": 5, "value": 1 });
    refused(entries("highest", &[scoped]), "no field \"user_key\"; they have: state, key, value, drop");
    let unclear = json!({ "key": "a", "value": 1, "drop": "no" });
    refused(entries("highest", &[unclear]), "\"drop\" must be true or false, found \"no\"");
    let element = json!({ "key": "a", "position": 0, "drop": true });
    refused(entries("seen", &[element]), "an element of a list cannot be dropped alone");
    let windows = Change::Entries { uid: "windows".into(), state: "panes".into(), lines: String::new() };
    refused(windows, "cannot be changed");
    let taken = Change::RenameOperator { uid: "each".into(), to: "windows".into() };
    refused(taken, "'windows' is taken");
    assert!(store.written.borrow().is_empty());
}
