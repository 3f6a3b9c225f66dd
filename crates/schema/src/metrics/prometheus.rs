//! All metrics of a cluster in the formats that Prometheus reads, with the names, labels and types of Flink's Prometheus
//! reporter, so that rules and dashboards for Flink work.
//!
//! As there, counters and meters are gauges, histograms are summaries, and characters of label values other than
//! `[a-zA-Z0-9:_]` are `_`. Labels that are new with each attempt (`task_attempt_id`, `task_attempt_num`) are left out, so
//! that a subtask's counter is one series over restarts. A scope has a limited number of samples; what is beyond is left out
//! by whole metrics, and `flink_jobmanager_metricsLeftOut` says how many.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::rc::Rc;

use reflow_types::metric::{Distribution, operator_scope};

use super::{Metrics, Value, of_jobmanager, of_subtask, of_task_manager, of_whole_job};
use reflow_view::{ClusterView, JobView, SubtaskView, VertexView};

/// The most samples of a scope. With labels they take about 20 MB.
const MAX_SAMPLES: usize = 50_000;
/// The metrics that every job has at the scope of operators. They are shown before those of users.
const OF_ENGINE: [&str; 5] =
    ["numRecordsIn", "numRecordsOut", "numRecordsInPerSecond", "numRecordsOutPerSecond", "pendingRecords"];

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// That of Prometheus, version 0.0.4.
    Text,
    OpenMetrics,
}

impl Format {
    /// The format that a client prefers by its `Accept` header.
    pub fn accepted(accept: &str) -> Self {
        let is_open = |kind: &str| kind.trim().starts_with("application/openmetrics-text");
        if accept.split(',').any(is_open) { Self::OpenMetrics } else { Self::Text }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// All metrics.
pub fn exposition(view: &ClusterView, format: Format) -> String {
    Exposition::of(view).write(format, MAX_SAMPLES)
}

/// The numbers among a job's metrics that do not belong to a part of it, under their names at `/metrics`.
pub fn gauges_of_job(job: &JobView, now_ms: i64) -> BTreeMap<String, f64> {
    let gauge = |(id, value): (String, Value)| {
        let value = match value {
            Value::Integer(integer) => integer as f64,
            Value::Number(number) => number,
            Value::Distribution(_) | Value::Text(_) => return None,
        };
        Some((Scope::Job.metric(&allowed(&id)), value))
    };
    of_whole_job(job, now_ms).into_iter().filter_map(gauge).collect()
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    JobManager,
    Job,
    TaskManager,
    Task,
    Operator,
    Latency,
}

impl Scope {
    const ALL: [Self; 6] =
        [Self::JobManager, Self::Job, Self::TaskManager, Self::Task, Self::Operator, Self::Latency];

    fn name(self) -> &'static str {
        match self {
            Self::JobManager => "jobmanager",
            Self::Job => "jobmanager_job",
            Self::TaskManager => "taskmanager",
            Self::Task => "taskmanager_job_task",
            Self::Operator => "taskmanager_job_task_operator",
            Self::Latency => "taskmanager_job_latency_source_id_operator_id_operator_subtask_index",
        }
    }

    /// The full name of a metric.
    fn metric(self, name: &str) -> String {
        format!("flink_{}_{name}", self.name())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    Engine,
    User,
}

/// Metrics of one name.
struct Family {
    /// The name within the scope.
    id: String,
    samples: Samples,
}

/// By labels.
enum Samples {
    Gauge(Vec<(Rc<str>, f64)>),
    Summary(Vec<(Rc<str>, Distribution)>),
}

#[derive(Default)]
struct Exposition {
    families: BTreeMap<(Scope, Origin, String), Family>,
}

impl Exposition {
    fn of(view: &ClusterView) -> Self {
        let mut all = Self::default();
        let host = view.configuration.get("jobmanager.rpc.address").map_or("localhost", String::as_str);
        let of_host = labels(&[("host", host)]);
        all.add(Scope::JobManager, &of_host.as_str().into(), of_jobmanager(view));
        for task_manager in &view.task_managers {
            let tm_id = task_manager.id.to_string();
            let labels = labels(&[("host", host_of(&task_manager.address)), ("tm_id", &tm_id)]);
            all.add(Scope::TaskManager, &labels.into(), of_task_manager(task_manager));
        }
        for job in &view.jobs {
            let of_job_labels = labels(&[("job_id", &job.id.to_string()), ("job_name", &job.name)]);
            let labels = format!("{of_host},{of_job_labels}");
            all.add(Scope::Job, &labels.into(), of_whole_job(job, view.now_ms));
            all.add_subtasks(view, job, &of_job_labels);
        }
        all
    }

    fn add_subtasks(&mut self, view: &ClusterView, job: &JobView, of_job: &str) {
        for vertex in &job.vertices {
            let of_task = labels(&[("task_id", &vertex.id.to_string()), ("task_name", &vertex.name())]);
            for subtask in &vertex.subtasks {
                let labels = format!("{},{of_job},{of_task}", of_place(view, subtask));
                self.add_subtask(vertex, subtask, &labels);
                self.add_latencies(view, vertex, subtask, of_job);
            }
        }
    }

    fn add_subtask(&mut self, vertex: &VertexView, subtask: &SubtaskView, of_subtask_labels: &str) {
        let mut of_operators: BTreeMap<String, Metrics> = BTreeMap::new();
        let mut of_task = Metrics::new();
        for (id, value) in of_subtask(subtask) {
            match id.split_once('.') {
                Some((operator, id)) => {
                    of_operators.entry(operator.to_owned()).or_default().insert(id.to_owned(), value);
                }
                None => drop(of_task.insert(id, value)),
            }
        }
        self.add(Scope::Task, &of_subtask_labels.into(), of_task);
        for (scope, metrics) in of_operators {
            let name = vertex.operators.iter().find(|name| operator_scope(name) == scope);
            let labels =
                format!("{of_subtask_labels},{}", labels(&[("operator_name", name.unwrap_or(&scope))]));
            self.add(Scope::Operator, &labels.into(), metrics);
        }
    }

    fn add_latencies(
        &mut self,
        view: &ClusterView,
        vertex: &VertexView,
        subtask: &SubtaskView,
        of_job: &str,
    ) {
        // A subtask without a slot has no latencies.
        let Some(machine) = of_machine(view, subtask) else { return };
        let (operator, index) = (vertex.id.to_string(), subtask.index.to_string());
        let to = labels(&[("operator_id", &operator), ("operator_subtask_index", &index)]);
        for (source, ms) in &subtask.latencies_ms {
            let from = labels(&[("source_id", &source.to_string())]);
            let labels = format!("{machine},{of_job},{from},{to}");
            let latency = ("latency".to_owned(), Value::Distribution(*ms));
            self.add(Scope::Latency, &labels.into(), Metrics::from([latency]));
        }
    }

    fn add(&mut self, scope: Scope, labels: &Rc<str>, metrics: Metrics) {
        for (id, value) in metrics {
            let user = scope == Scope::Operator && !OF_ENGINE.contains(&id.as_str());
            let origin = if user { Origin::User } else { Origin::Engine };
            let samples = match value {
                Value::Integer(_) | Value::Number(_) => Samples::Gauge(vec![]),
                Value::Distribution(_) => Samples::Summary(vec![]),
                Value::Text(_) => continue,
            };
            let key = (scope, origin, allowed(&id));
            let family = self.families.entry(key).or_insert_with(|| Family { id, samples });
            // A name that means two kinds of metrics is the first one, and names that differ in characters which no name can
            // have are one.
            match (&mut family.samples, value) {
                (Samples::Gauge(all), Value::Integer(integer)) => add_once(all, labels, integer as f64),
                (Samples::Gauge(all), Value::Number(number)) => add_once(all, labels, number),
                (Samples::Summary(all), Value::Distribution(values)) => add_once(all, labels, values),
                _ => {}
            }
        }
    }

    fn write(&self, format: Format, max_samples: usize) -> String {
        let mut text = String::new();
        let mut left_out = Vec::new();
        for scope in Scope::ALL {
            let (mut samples, mut beyond) = (0, 0);
            for ((_, _, name), family) in self.families.iter().filter(|((of, ..), _)| *of == scope) {
                samples += family.len();
                if samples > max_samples {
                    beyond += 1;
                } else {
                    family.write(scope, name, &mut text);
                }
            }
            left_out.push((labels(&[("scope", scope.name())]).into(), f64::from(beyond)));
        }
        let left_out = Family { id: "metricsLeftOut".to_owned(), samples: Samples::Gauge(left_out) };
        left_out.write(Scope::JobManager, "metricsLeftOut", &mut text);
        if format == Format::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }
}

impl Family {
    /// The number of samples.
    fn len(&self) -> usize {
        match &self.samples {
            Samples::Gauge(all) => all.len(),
            Samples::Summary(all) => all.len() * (Distribution::PERCENTILES.len() + 1),
        }
    }

    fn write(&self, scope: Scope, name: &str, text: &mut String) {
        let kind = match self.samples {
            Samples::Gauge(_) => "gauge",
            Samples::Summary(_) => "summary",
        };
        let (name, scope) = (scope.metric(name), scope.name());
        let id = self.id.replace('\\', r"\\").replace('\n', r"\n").replace('"', "'");
        let _ = writeln!(text, "# HELP {name} {id} (scope: {scope})\n# TYPE {name} {kind}");
        match &self.samples {
            Samples::Gauge(all) => {
                for (labels, value) in all {
                    let _ = writeln!(text, "{name}{{{labels}}} {}", in_text(*value));
                }
            }
            Samples::Summary(all) => {
                for (labels, values) in all {
                    for ((share, _), value) in Distribution::PERCENTILES.iter().zip(values.percentiles) {
                        let _ = writeln!(text, "{name}{{{labels},quantile=\"{share}\"}} {}", in_text(value));
                    }
                    let _ = writeln!(text, "{name}_count{{{labels}}} {}", values.count);
                }
            }
        }
    }
}

/// Adds a sample, unless the last one has the same labels: samples of a scope are added together.
fn add_once<T>(samples: &mut Vec<(Rc<str>, T)>, labels: &Rc<str>, value: T) {
    if samples.last().is_none_or(|(last, _)| !Rc::ptr_eq(last, labels)) {
        samples.push((Rc::clone(labels), value));
    }
}

/// The labels that say which subtask it is, and where it runs.
fn of_place(view: &ClusterView, subtask: &SubtaskView) -> String {
    let index = labels(&[("subtask_index", &subtask.index.to_string())]);
    match of_machine(view, subtask) {
        Some(machine) => format!("{machine},{index}"),
        None => index,
    }
}

/// The labels that say where a subtask runs; `None` if it has no slot.
fn of_machine(view: &ClusterView, subtask: &SubtaskView) -> Option<String> {
    let placement = subtask.placement.as_ref()?;
    let tm_id = placement.task_manager.to_string();
    let task_manager = view.task_manager(placement.task_manager);
    let address = task_manager.map_or(&placement.endpoint, |task_manager| &task_manager.address);
    Some(labels(&[("host", host_of(address)), ("tm_id", &tm_id)]))
}

fn host_of(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

fn labels(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("{key}=\"{}\"", allowed(value))).collect();
    pairs.join(",")
}

/// The text with the characters that Flink's reporter leaves in names and label values.
fn allowed(text: &str) -> String {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == ':' || c == '_';
    text.chars().map(|c| if is_allowed(c) { c } else { '_' }).collect()
}

fn in_text(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_has_a_limited_number_of_samples() {
        let mut all = Exposition::default();
        for subtask in 0..10 {
            let labels = labels(&[("subtask_index", &subtask.to_string())]).into();
            let metrics = ["aardvarks", "numRecordsIn", "zebras"];
            let metrics = metrics.map(|id| (id.to_owned(), Value::Number(1.0)));
            all.add(Scope::Operator, &labels, metrics.into());
        }
        let text = all.write(Format::Text, 25);
        let samples = |name: &str| text.lines().filter(|line| line.contains(&format!("_{name}{{"))).count();
        assert_eq!(["numRecordsIn", "aardvarks", "zebras"].map(samples), [10, 10, 0], "{text}");
        let left_out = "flink_jobmanager_metricsLeftOut{scope=\"taskmanager_job_task_operator\"} 1\n";
        assert!(text.contains(left_out), "{text}");
    }

    #[test]
    fn names_that_no_format_tells_apart_are_one() {
        let mut all = Exposition::default();
        let metrics = [("a.b", 1.0), ("a_b", 2.0), ("a b", 3.0)];
        let metrics = metrics.map(|(id, value)| (id.to_owned(), Value::Number(value)));
        all.add(Scope::Operator, &"".into(), metrics.into());
        let text = all.write(Format::OpenMetrics, 100);
        assert_eq!(text.matches("_a_b{} ").count(), 1, "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn a_client_chooses_the_format() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        assert_eq!(Format::accepted("text/plain"), Format::Text);
        assert_eq!(Format::accepted("*/*"), Format::Text);
    }
}
