//! Inspection and export.

use crate::job::Job;
use crate::store::{Store, exported, of};
use reflow_env::Location;
use reflow_savepoint::{Counting, Export, Savepoint, inspect};
use serde_json::{Value, json};

/// What each kind of state contains after [`Job::fed`].
fn check_contents(store: &Store<'_>, at: &str) {
    let check = |uid: &str, state: &str, expected: Value| {
        let lines =
            exported(store, at, &of(uid, &[state])).unwrap_or_else(|error| panic!("{uid} {state}: {error}"));
        assert_eq!(Value::from(lines), expected, "{uid} {state}");
    };
    check(
        "each",
        "total",
        json!([
            { "state": "total", "key": "a", "value": { "sum": 4, "last": 3 } },
            { "state": "total", "key": "b", "value": { "sum": 2, "last": 2 } },
        ]),
    );
    check(
        "each",
        "seen",
        json!([
            { "state": "seen", "key": "a", "position": 0, "value": 1 },
            { "state": "seen", "key": "a", "position": 1, "value": 3 },
            { "state": "seen", "key": "b", "position": 0, "value": 2 },
        ]),
    );
    check(
        "each",
        "counts",
        json!([
            { "state": "counts", "key": "a", "user_key": 1, "value": 2 },
            { "state": "counts", "key": "b", "user_key": 0, "value": 1 },
        ]),
    );
    check(
        "each",
        "highest",
        json!([
            { "state": "highest", "key": "a", "value": 3 },
            { "state": "highest", "key": "b", "value": 2 },
        ]),
    );
    check(
        "each",
        "event-time timers",
        json!([
            { "state": "event-time timers", "key": "a", "timer": [1_000_001, 0] },
            { "state": "event-time timers", "key": "a", "timer": [1_000_003, 0] },
            { "state": "event-time timers", "key": "b", "timer": [1_000_002, 0] },
        ]),
    );
    let recent = exported(store, at, &of("each", &["recent"])).unwrap();
    assert_eq!(recent.iter().map(|line| line["value"].clone()).collect::<Vec<_>>(), [json!(3), json!(2)]);
    assert!(recent.iter().all(|line| line["stamp"].is_i64()), "{recent:?}");
    check(
        "waiting",
        "waiting",
        json!([
            { "state": "waiting", "item": 1 }, { "state": "waiting", "item": 2 }, { "state": "waiting", "item": 3 },
        ]),
    );
    check("ruled", "broadcast", json!([{ "state": "broadcast", "item": { "7": "rule 7", "8": "rule 8" } }]));
    check(
        "ruled",
        "state",
        json!([
            { "state": "state", "key": "a", "value": 2 }, { "state": "state", "key": "b", "value": 1 },
        ]),
    );
    let windows = exported(store, at, &of("windows", &["panes"])).unwrap();
    let panes: Vec<_> =
        windows.iter().map(|line| (&line["key"], &line["window"], &line["value"]["acc"])).collect();
    let window = json!({ "start": 0, "end": 1000 });
    assert_eq!(panes, [(&json!("a"), &window, &json!(2)), (&json!("b"), &window, &json!(1))]);
}

#[test]
fn every_kind_of_state_is_exported_from_savepoints_and_from_chains_of_checkpoints() {
    for max_parallelism in [128, 32_768] {
        let mut job = Job::new(max_parallelism);
        job.harness.start(2);
        job.rules.push(0, [7, 8]);
        job.feed.push(0, [("a".to_owned(), 1)]);
        job.harness.settle();
        assert!(job.harness.checkpoint());
        job.harness.kill();
        job.harness.start(3);
        job.feed.push(0, [("b".to_owned(), 2), ("a".to_owned(), 3)]);
        job.harness.settle();
        assert!(job.harness.checkpoint(), "{:?}", job.harness.failed_checkpoints());
        let latest = job.harness.latest().expect("a checkpoint").clone();
        let segments =
            || latest.vertices.iter().flat_map(|vertex| &vertex.keyed).flat_map(|part| &part.segments);
        assert!(segments().any(|segment| segment.runs.len() > 1), "no chain");
        let savepoint = job.harness.savepoint().expect("a savepoint");
        let store = Store::of(&job);
        check_contents(&store, &savepoint);
        let mut manifests = job.harness.store().below("").filter(|(name, _)| name.contains("/chk-2/"));
        check_contents(&store, manifests.next().expect("the second checkpoint").0);
    }
}

#[test]
fn a_report_names_operators_states_and_sizes() {
    let mut job = Job::fed();
    let at = job.harness.savepoint().expect("a savepoint");
    let store = Store::of(&job);
    let requests = |op| store.request(op);
    let savepoint = Savepoint::open(&at, &requests).unwrap();
    let report = inspect::inspect(&savepoint, Counting::Yes).unwrap();
    assert_eq!(report.kind, "savepoint");
    let operator = |uid: &str| {
        let mut operators = report.vertices.iter().flat_map(|vertex| &vertex.operators);
        operators.find(|operator| operator.uid == uid).unwrap_or_else(|| panic!("no {uid}"))
    };
    let state = |uid: &str, name: &str| {
        let mut states = operator(uid).states.iter();
        let state = states.find(|state| state.name == name).unwrap_or_else(|| panic!("no {name}"));
        (state.kind.as_str(), state.keys, state.entries, state.types.as_deref().unwrap_or_default())
    };
    let total = "String -> Total { sum: u64, last: Option<u64> }";
    assert_eq!(state("each", "total"), ("value", Some(2), Some(2), total));
    assert_eq!(state("each", "seen"), ("list", Some(2), Some(3), "String -> u64 -> u64"));
    assert_eq!(state("each", "counts"), ("map", Some(2), Some(2), "String -> u64 -> u32"));
    assert_eq!(state("each", "highest"), ("aggregating", Some(2), Some(2), "String -> Option<u64>"));
    assert_eq!(state("each", "event-time timers").0, "timers");
    assert_eq!(state("windows", "panes").0, "windows");
    let recent = operator("each").states.iter().find(|state| state.name == "recent").unwrap();
    assert_eq!(recent.time_to_live_ms, Some(3_600_000));
    let list = &operator("waiting").lists[0];
    assert_eq!((list.name.as_str(), list.redistribution, list.items), ("waiting", Some("split"), 3));
    assert_eq!(list.types.as_deref(), Some("u64"));
    assert!(operator("in").lists.iter().any(|list| list.name == "splits"));
    assert!(!operator("each").has_derived_uid);
    let quick = inspect::inspect(&savepoint, Counting::No).unwrap();
    assert_eq!(quick.bytes, report.bytes);
    assert!(
        quick
            .vertices
            .iter()
            .flat_map(|v| &v.operators)
            .flat_map(|o| &o.states)
            .all(|state| state.keys.is_none())
    );
}

#[test]
fn unknown_names_damage_and_foreign_files_are_refused_by_name() {
    let mut job = Job::fed();
    let at = job.harness.savepoint().expect("a savepoint");
    let store = Store::of(&job);
    let refused = |at: &str, wanted: &Export, expected: &str| {
        let error = exported(&store, at, wanted).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    refused(&at, &of("nobody", &[]), "no operator has the uid 'nobody'; there are: in, times, waiting");
    refused(&at, &of("each", &["totals"]), "has no state 'totals'; it has: total, seen");
    let of_key = Export { uid: "each".to_owned(), states: vec![], keys: vec![serde_json::json!(7)] };
    refused(&at, &of_key, "state 'total': no key can be that: expected String, found 7");
    refused("/nowhere", &of("each", &[]), "no savepoint or checkpoint at /nowhere");
    let manifest = job.harness.store().below(&format!("{at}/_metadata")).next().unwrap().1.clone();
    let copy = |name: &str, body: &[u8]| {
        let at = Location(format!("/copies/{name}/_metadata"));
        store.written.borrow_mut().insert(at.0, bytes::Bytes::copy_from_slice(body));
    };
    copy("foreign", b"PK\x03\x04 something else");
    copy("short", &manifest[..manifest.len() / 2]);
    refused("/copies/foreign", &of("each", &[]), "not a checkpoint or savepoint");
    refused("/copies/short", &of("each", &[]), "damaged");
    // The objects are not beside the copied manifest.
    copy("alone", &manifest);
    refused("/copies/alone", &of("each", &[]), "does not exist");
    let objects: Vec<(String, bytes::Bytes)> = job
        .harness
        .store()
        .below(&format!("{at}/"))
        .filter(|(name, _)| !name.ends_with("_metadata"))
        .map(|(name, body)| (name.to_owned(), body.clone()))
        .collect();
    for (name, body) in objects {
        let mut flipped = body.to_vec();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        store.written.borrow_mut().insert(name, flipped.into());
    }
    let uids = ["each", "windows", "ruled"];
    let errors: Vec<String> = uids
        .iter()
        .filter_map(|uid| exported(&store, &at, &of(uid, &[])).err())
        .map(|e| e.to_string())
        .collect();
    assert!(!errors.is_empty() && errors.iter().all(|error| error.contains("damaged")), "{errors:?}");
}

#[test]
fn keys_are_selected() {
    let mut job = Job::fed();
    let at = job.harness.savepoint().expect("a savepoint");
    let wanted = Export { keys: vec![json!("a")], ..of("each", &["total", "counts"]) };
    let lines = exported(&Store::of(&job), &at, &wanted).unwrap();
    assert_eq!(
        Value::from(lines),
        json!([
            { "state": "counts", "key": "a", "user_key": 1, "value": 2 },
            { "state": "total", "key": "a", "value": { "sum": 4, "last": 3 } },
        ])
    );
}
