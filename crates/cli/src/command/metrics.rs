//! The command `reflow metrics`.

use crate::args::Metrics;
use crate::client::Client;
use crate::error::CliError;
use crate::output::{print, print_json};
use crate::selection::{self, Among};
use crate::table::table;

pub(crate) fn run(arguments: &Metrics) -> Result<(), CliError> {
    let client = Client::new(&arguments.connection)?;
    let path = match (&arguments.task_manager, arguments.cluster) {
        (Some(wanted), _) => {
            format!("/taskmanagers/{}/metrics", selection::find_task_manager(&client, wanted)?.id)
        }
        (None, true) => "/jobmanager/metrics".to_owned(),
        (None, false) => {
            let job = selection::find(&client, arguments.job.as_deref(), Among::All)?;
            match &arguments.vertex {
                None => format!("/jobs/{}/metrics", job.jid),
                Some(wanted) => {
                    let details = client.job(&job.jid)?;
                    let vertex = selection::find_vertex(&job, &details, wanted)?;
                    format!("/jobs/{}/vertices/{}/subtasks/metrics", job.jid, vertex.id)
                }
            }
        }
    };
    let wanted: Vec<String> = arguments.names.iter().map(|name| name.to_lowercase()).collect();
    let is_wanted = |name: &String| {
        let name = name.to_lowercase();
        wanted.is_empty() || wanted.iter().any(|part| name.contains(part))
    };
    let names: Vec<String> = client.metric_names(&path)?.into_iter().filter(is_wanted).collect();
    if names.is_empty() {
        let none = format!("No metric of {} has such a name.\n", client.address());
        return if arguments.connection.json { print("[]\n") } else { print(&none) };
    }
    if arguments.vertex.is_some() {
        let aggregates = client.aggregates(&path, &names)?;
        if arguments.connection.json {
            return print_json(&aggregates);
        }
        let rows = aggregates.into_iter().map(|metric| {
            let [min, max, avg, sum] = [metric.min, metric.max, metric.avg, metric.sum].map(number);
            [metric.id, min, max, avg, sum]
        });
        return print(&table(["METRIC", "MIN", "MAX", "AVERAGE", "SUM"], rows));
    }
    let metrics = client.metrics(&path, &names)?;
    if arguments.connection.json {
        return print_json(&metrics);
    }
    let rows = metrics.into_iter().map(|metric| [metric.id, metric.value.unwrap_or_default()]);
    print(&table(["METRIC", "VALUE"], rows))
}

/// At most three digits behind the point.
fn number(value: Option<f64>) -> String {
    let Some(value) = value else { return "-".to_owned() };
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_short() {
        let check = |value, expected| assert_eq!(number(value), expected);
        check(Some(12.0), "12");
        check(Some(100.0), "100");
        check(Some(0.123_4), "0.123");
        check(Some(-1.5), "-1.5");
        check(None, "-");
    }
}
