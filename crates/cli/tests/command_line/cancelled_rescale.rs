//! `reflow rescale --cancel`, and what `reflow rescales` shows of a transfer that is under way.

use super::{JobManager, ORDERS, SOURCE, details_at, live_rescale, overview, rescales_config};
use serde_json::{Value, json};

/// A job at parallelism 2 whose rescale is in the last of these phases, until its requirements are changed. Without
/// phases, there is no rescale.
fn rescaling(phases: &[&str]) -> JobManager {
    let phase = |phase: &&str| {
        json!({
            "phase": phase, "enterTimestampInMillis": 1, "leaveTimestampInMillis": null, "durationInMillis": null,
        })
    };
    let mut rescale = live_rescale();
    rescale["liveRescale"]["phases"] = phases.iter().map(phase).collect::<Value>();
    rescale["liveRescale"]["readBytes"] = json!(1_572_864);
    (rescale["terminalState"], rescale["terminatedReason"]) = (Value::Null, Value::Null);
    let history = if phases.is_empty() { json!([]) } else { json!([rescale]) };
    let mut changed = false;
    JobManager::start(Box::new(move |request| {
        let (method, rest) = request.split_once(' ').unwrap();
        let (path, _) = rest.split_once(' ').unwrap();
        let answer = match (method, path.trim_start_matches(&format!("/jobs/{ORDERS}"))) {
            (_, "/jobs/overview") => json!({ "jobs": [overview(ORDERS, "orders", "RUNNING")] }),
            ("GET", "/resource-requirements") => {
                json!({ SOURCE: { "parallelism": { "lowerBound": 1, "upperBound": 8 } } })
            }
            ("PUT", "/resource-requirements") => {
                changed = true;
                json!({})
            }
            ("GET", "") => details_at(2),
            (_, "/rescales/overview") => {
                let counts =
                    json!({ "ignored": 0, "inProgress": u32::from(!changed), "completed": 1, "failed": 0 });
                let latest = json!({ "completed": null, "failed": null, "ignored": null });
                json!({ "rescalesCounts": counts, "latest": latest })
            }
            (_, "/rescales/config") => rescales_config("none"),
            (_, "/rescales/history") => history.clone(),
            (_, "/rescales/details/b") => rescale.clone(),
            (_, path) => panic!("{method} {path}"),
        };
        (200, answer)
    }))
}

#[test]
fn a_rescale_is_cancelled_by_the_parallelism_that_the_job_has() {
    let cluster = rescaling(&["PLAN", "PREPARE"]);
    let ran = cluster.reflow("rescale --cancel");
    let expected = format!("orders ({ORDERS}) stays at parallelism 2, which is its upper bound now.\n");
    assert_eq!(ran.out, expected, "{}", ran.err);
    let expected = format!(
        "PUT /jobs/{ORDERS}/resource-requirements \
         {{\"{SOURCE}\":{{\"parallelism\":{{\"lowerBound\":1,\"upperBound\":2}}}}}}"
    );
    assert_eq!(cluster.last_request("PUT"), expected);
}

#[test]
fn a_rescale_that_has_cut_or_is_not_there_is_not_cancelled() {
    let ran = rescaling(&["PLAN", "PREPARE", "CATCH_UP", "CUT"]).reflow("rescale --cancel");
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.starts_with("reflow: the rescale of orders has passed its cut"), "{}", ran.err);
    let ran = rescaling(&[]).reflow("rescale --cancel");
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.starts_with("reflow: no live rescale of orders is under way"), "{}", ran.err);
}

#[test]
fn a_transfer_under_way_is_shown() {
    let ran = rescaling(&["PREPARE"]).reflow("rescales");
    assert!(ran.out.contains("prepare … ms; 1.5 MiB of 4.0 MiB of state read; 64 key groups"), "{}", ran.out);
}
