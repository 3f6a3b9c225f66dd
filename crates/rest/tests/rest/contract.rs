//! Every call of Flink's REST API: it is served with Flink's status, content type and schema, or `docs/web.md` names it
//! among those that are left out, with the reason. The page also has the figures: how many calls there are, how many of them
//! have a meaning here, and how many are served.

use crate::fixture::{COUNT, JOB, REQUEST, SOURCE, TASK_MANAGERS};
use crate::logs::{self, LOG};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A call of Flink's API.
#[derive(Deserialize)]
struct Call {
    status: u16,
    /// The answer: `"string"` and the like, `[element]`, `{"*": value}` for a map, or fields.
    response: Value,
}

/// Fields of Flink's schema that Flink itself does not return for the cluster of the fixture, as its recorded answers show.
const ABSENT: &[&str] = &[
    "attempt-number",
    "blocked",
    "caching",
    "data",
    "inputs",
    "job-execution-result",
    "local_strategy",
    "other-concurrent-attempts",
    "slots-free-and-blocked",
    "stream-graph",
    "taskmanagers-blocked",
];

/// Fields of subclasses, which Flink returns and its schema lacks: those of completed checkpoints, and of subtasks that
/// have acknowledged one. `shape.rs` compares them with recorded answers.
const OF_SUBCLASSES: &[&str] = &[
    "aborted",
    "ack_timestamp",
    "alignment",
    "checkpoint",
    "checkpointed_size",
    "className",
    "discarded",
    "end_to_end_duration",
    "external_path",
    "start_delay",
    "state_size",
    "unaligned_checkpoint",
];

/// It is answered as Flink does where it is switched off, so it does not count as served.
const SWITCHED_OFF: &str = "GET /jobs/:jobid/vertices/:vertexid/flamegraph";

fn calls() -> BTreeMap<String, Call> {
    serde_json::from_str(include_str!("../flink/schema.json")).unwrap()
}

/// The calls that the table in the documentation leaves out, each with the reason.
fn left_out() -> BTreeMap<&'static str, &'static str> {
    let table = include_str!("../../../../docs/web.md").lines();
    let row = |line: &'static str| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | ");
    let is_call = |(cell, _): &(&str, &str)| {
        cell.split_once(" /").is_some_and(|(method, _)| method == method.to_uppercase())
    };
    table.filter_map(row).filter(is_call).collect()
}

fn path(template: &str) -> String {
    let (job, source, count) = (JOB.to_string(), SOURCE.to_string(), COUNT.to_string());
    let (task_manager, request) = (TASK_MANAGERS[0].to_string(), REQUEST.to_string());
    let names = [
        (":applicationid", &*job),
        (":jobid", &job),
        (
            "checkpoints/details/:checkpointid/subtasks/:vertexid",
            &format!("checkpoints/details/28/subtasks/{count}"),
        ),
        (":vertexid", &source),
        (":subtaskindex", "0"),
        (":attempt", "1"),
        (":checkpointid", "28"),
        (":taskmanagerid", &task_manager),
        (":triggerid", &request),
        (":filename", LOG),
        (":rescaleuuid", "2b8b98b65ec94d442122dda5429ebc46"),
    ];
    names.iter().fold(template.to_owned(), |path, (name, value)| path.replace(name, value))
}

/// Where `ours` is not as the schema says.
fn deviations(at: &str, schema: &Value, ours: &Value) -> Vec<String> {
    let as_said = match (schema, ours) {
        (_, Value::Null) => true,
        (Value::Object(fields), Value::Object(ours)) if fields.contains_key("*") => {
            let values = ours.iter();
            return values
                .flat_map(|(key, value)| deviations(&format!("{at}.{key}"), &fields["*"], value))
                .collect();
        }
        (Value::Object(fields), Value::Object(ours)) => {
            let of_flink = fields.iter().flat_map(|(key, schema)| match ours.get(key) {
                Some(value) => deviations(&format!("{at}.{key}"), schema, value),
                None if ABSENT.contains(&&**key) => vec![],
                None => vec![format!("{at}.{key} is missing")],
            });
            let known = |key: &str| fields.contains_key(key) || OF_SUBCLASSES.contains(&key);
            let only_ours = ours.keys().filter(|key| !known(key));
            return of_flink.chain(only_ours.map(|key| format!("{at}.{key} is not Flink's"))).collect();
        }
        (Value::Array(element), Value::Array(ours)) => {
            let each = ours.iter().enumerate();
            return each
                .flat_map(|(index, value)| deviations(&format!("{at}[{index}]"), &element[0], value))
                .collect();
        }
        (Value::String(kind), value) => match &**kind {
            "any" => true,
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number() || value == "NaN",
            "object" => value.is_object(),
            other => panic!("unknown type {other}"),
        },
        _ => false,
    };
    if as_said { vec![] } else { vec![format!("{at}: Flink has {schema}, we have {ours}")] }
}

#[tokio::test]
async fn every_call_of_flink_is_served_or_left_out_with_a_reason() {
    let server = logs::serve().await;
    let (calls, left_out) = (calls(), left_out());
    let unknown: Vec<_> = left_out.keys().filter(|call| !calls.contains_key(**call)).collect();
    assert_eq!(unknown, [&""; 0], "docs/web.md leaves out calls that Flink does not have");
    let mut deviating = Vec::new();
    for (call, Call { status, response: schema }) in &calls {
        let (method, template) = call.split_once(' ').unwrap();
        let body = match (method, template) {
            ("PUT", "/jobs/:jobid/resource-requirements") => {
                format!(r#"{{"{SOURCE}": {{"parallelism": {{"lowerBound": 1, "upperBound": 3}}}}}}"#)
            }
            ("POST", "/savepoint-disposal") => r#"{"savepoint-path": "/sp/savepoint-9cb9b5-1"}"#.to_owned(),
            _ => String::new(),
        };
        for version in ["", "/v1"] {
            let answer = server.request(method, &format!("{version}{}", path(template)), &body).await;
            if left_out.contains_key(&**call) {
                assert!(
                    [404, 405].contains(&answer.status),
                    "{version}{call} is served, but left out in docs/web.md"
                );
            } else if answer.status != *status {
                deviating
                    .push(format!("{version}{call}: Flink answers {status}, we answer {}", answer.status));
            } else {
                if *status == 308 {
                    continue; // a refusal, with errors in place of an answer
                }
                let is_file =
                    ["/log", "/stdout", "/logs/:filename"].iter().any(|file| template.ends_with(file));
                let expected = if is_file { "text/plain" } else { "application/json" };
                let content_type = format!("content-type: {expected}");
                assert!(answer.head.contains(&content_type), "{version}{call}: {}", answer.head);
                if is_file {
                    continue;
                }
                deviating.extend(deviations(&format!("{version}{call}"), schema, &answer.json()));
            }
        }
    }
    assert_eq!(deviating, [""; 0]);
    let (all, answered) = (calls.len(), calls.len() - left_out.len());
    assert!(calls.contains_key(SWITCHED_OFF) && !left_out.contains_key(SWITCHED_OFF));
    let planned = left_out.values().filter(|reason| reason.starts_with("not yet")).count();
    let (meant, served) = (answered + planned, answered - 1);
    let counted = format!("Of Flink's {all} calls (2.3), {meant} have a meaning here; {served} of these");
    assert!(include_str!("../../../../docs/web.md").contains(&counted), "docs/web.md should say: {counted}");
}
