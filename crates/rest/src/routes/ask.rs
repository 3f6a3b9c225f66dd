//! A read request: the view from which it is answered, its path and its query.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use axum::extract::{FromRequestParts, Query, RawPathParams};
use axum::http::Uri;
use axum::http::request::Parts;
use reflow_types::{AttemptNumber, CheckpointId, JobId, SubtaskIndex, TaskManagerId, VertexId};

use super::failure::Failure;
use reflow_schema::metrics::Aggregations;
use reflow_view::RescaleId;
use reflow_view::{
    CheckpointView, CheckpointsView, ClusterProcess, ClusterView, JobView, RescaleView, SubtaskView,
    TaskManagerView, VertexView,
};

/// A request for information.
pub(crate) struct Ask<'a> {
    pub(crate) view: &'a ClusterView,
    path: &'a PathParameters,
    query: BTreeMap<String, String>,
}

impl<'a> Ask<'a> {
    pub(crate) fn new(view: &'a ClusterView, path: &'a PathParameters, uri: &Uri) -> Result<Self, Failure> {
        Ok(Self { view, path, query: query(uri)? })
    }

    pub(crate) fn job(&self) -> Result<&'a JobView, Failure> {
        let id: JobId = self.path.get("job", "jobid")?;
        self.view.job(id).ok_or_else(|| Failure::not_found(format!("Job {id} not found")))
    }

    /// The job of the application, whose id it has.
    pub(crate) fn application(&self) -> Result<&'a JobView, Failure> {
        let id: JobId = self.path.get("application", "applicationid")?;
        self.view.job(id).ok_or_else(|| Failure::not_found(format!("Application {id} not found")))
    }

    pub(crate) fn vertex(&self) -> Result<&'a VertexView, Failure> {
        let job = self.job()?;
        let id = self.vertex_id()?;
        job.vertex(id).ok_or_else(|| Failure::not_found(format!("job {} has no vertex {id}", job.id)))
    }

    pub(crate) fn vertex_id(&self) -> Result<VertexId, Failure> {
        self.path.get("vertex", "vertexid")
    }

    pub(crate) fn subtask(&self) -> Result<&'a SubtaskView, Failure> {
        let vertex = self.vertex()?;
        let index = SubtaskIndex(self.path.get("subtask", "subtaskindex")?);
        let subtask = vertex.subtasks.iter().find(|subtask| subtask.index == index);
        let absent = || Failure::not_found(format!("vertex {} has no subtask {index}", vertex.id));
        subtask.ok_or_else(absent)
    }

    pub(crate) fn attempt(&self) -> Result<AttemptNumber, Failure> {
        self.path.get("attempt", "attempt").map(AttemptNumber)
    }

    pub(crate) fn checkpoints(&self) -> Result<&'a CheckpointsView, Failure> {
        let job = self.job()?;
        let off = || Failure::not_found(format!("checkpointing is not enabled for job {}", job.id));
        job.checkpoints.as_ref().ok_or_else(off)
    }

    pub(crate) fn checkpoint(&self) -> Result<&'a CheckpointView, Failure> {
        let checkpoints = self.checkpoints()?;
        let id = CheckpointId(self.path.get("checkpoint", "checkpointid")?);
        let gone = || Failure::not_found(format!("checkpoint {id} is unknown, or too old to be remembered"));
        checkpoints.checkpoint(id).ok_or_else(gone)
    }

    pub(crate) fn rescale(&self) -> Result<&'a RescaleView, Failure> {
        let job = self.job()?;
        let id: RescaleId = self.path.get("rescale", "rescaleuuid")?;
        let gone = || Failure::not_found(format!("rescale {id} is unknown, or too old to be remembered"));
        job.rescales.history.iter().find(|rescale| rescale.id == id).ok_or_else(gone)
    }

    pub(crate) fn task_manager(&self) -> Result<&'a TaskManagerView, Failure> {
        let id = self.path.task_manager()?;
        self.view.task_manager(id).ok_or_else(|| self.path.no_task_manager())
    }

    /// `?maxExceptions=`, or `default`.
    pub(crate) fn max_exceptions(&self, default: usize) -> Result<usize, Failure> {
        let Some(text) = self.query.get("maxExceptions") else { return Ok(default) };
        text.parse().map_err(|_| bad_query("maxExceptions", text, "a number"))
    }

    /// `?since=` in milliseconds since the epoch; the earliest time if there is no such parameter.
    pub(crate) fn since_ms(&self) -> Result<i64, Failure> {
        let Some(text) = self.query.get("since") else { return Ok(i64::MIN) };
        text.parse().map_err(|_| bad_query("since", text, "a time in milliseconds"))
    }

    /// The ids in the query parameter `name`, which errors call `flink_name`; `None` if there is no such parameter.
    pub(crate) fn ids<T: FromStr>(&self, name: &str, flink_name: &str) -> Result<Option<Vec<T>>, Failure> {
        let Some(text) = self.query.get(name) else { return Ok(None) };
        let id = |text: &str| text.parse().map_err(|_| bad_query(name, text, &format!("a {flink_name}")));
        text.split(',').map(id).collect::<Result<_, _>>().map(Some)
    }

    /// The names in `?get=`; `None` if there is no such parameter.
    pub(crate) fn wanted_metrics(&self) -> Option<BTreeSet<&str>> {
        self.query.get("get").map(|names| names.split(',').collect())
    }

    /// The aggregates in `?agg=`; all if there is no such parameter.
    pub(crate) fn aggregations(&self) -> Result<Aggregations, Failure> {
        let Some(names) = self.query.get("agg") else {
            return Ok(Aggregations { min: true, max: true, avg: true, sum: true, skew: true });
        };
        let mut wanted = Aggregations { min: false, max: false, avg: false, sum: false, skew: false };
        for name in names.split(',') {
            match name.to_ascii_lowercase().as_str() {
                "min" => wanted.min = true,
                "max" => wanted.max = true,
                "avg" => wanted.avg = true,
                "sum" => wanted.sum = true,
                "skew" => wanted.skew = true,
                _ => return Err(bad_query("agg", name, "one of min, max, avg, sum, skew")),
            }
        }
        Ok(wanted)
    }

    /// Checks `?type=` and `?subtaskindex=` of a flame graph.
    pub(crate) fn check_flame_graph(&self) -> Result<(), Failure> {
        let kind = self.query.get("type").map_or("full", String::as_str);
        if !["full", "on_cpu", "off_cpu"].contains(&kind.to_ascii_lowercase().as_str()) {
            return Err(bad_query("type", kind, "one of full, on_cpu, off_cpu"));
        }
        match self.query.get("subtaskindex") {
            Some(index) if index.parse::<u32>().is_err() => {
                Err(bad_query("subtaskindex", index, "the index of a subtask"))
            }
            _ => Ok(()),
        }
    }

    /// The subtasks in `?subtasks=0,2-4`, as the first and last of each range; `None` for all.
    pub(crate) fn subtask_ranges(&self) -> Result<Option<Vec<[SubtaskIndex; 2]>>, Failure> {
        let Some(text) = self.query.get("subtasks") else { return Ok(None) };
        let index = |text: &str| text.trim().parse().ok().map(SubtaskIndex);
        let range = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let bounds = index(first).zip(index(last)).map(<[SubtaskIndex; 2]>::from);
            bounds.ok_or_else(|| bad_query("subtasks", text, "an index, or a range as 2-4"))
        };
        text.split(',').map(range).collect::<Result<_, _>>().map(Some)
    }
}

/// The variable parts of the path.
pub(crate) struct PathParameters(RawPathParams);

impl PathParameters {
    /// The parameter `name` of the route, which errors call `flink_name` as Flink does.
    pub(crate) fn get<T: FromStr>(&self, name: &str, flink_name: &str) -> Result<T, Failure> {
        let text = self.text(name);
        text.parse().map_err(|_| Failure::bad_path_parameter(flink_name, text))
    }

    /// The TaskManager's id. Flink accepts any text as an id, so one that is not valid here is reported as
    /// unknown, not as malformed.
    pub(crate) fn task_manager(&self) -> Result<TaskManagerId, Failure> {
        self.text("taskmanager").parse().map_err(|_| self.no_task_manager())
    }

    /// The process that a route is about: the JobManager, if it names no TaskManager.
    pub(crate) fn process(&self) -> Result<ClusterProcess, Failure> {
        match self.text("taskmanager") {
            "" => Ok(ClusterProcess::JobManager),
            _ => self.task_manager().map(ClusterProcess::TaskManager),
        }
    }

    fn no_task_manager(&self) -> Failure {
        Failure::not_found(format!("TaskManager {} not found", self.text("taskmanager")))
    }

    fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathParameters {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let parameters = RawPathParams::from_request_parts(parts, state).await;
        parameters.map(Self).map_err(|rejection| Failure::bad_request(rejection.body_text()))
    }
}

/// The query of a request by name. If a name occurs twice, the last value counts.
pub(crate) fn query(uri: &Uri) -> Result<BTreeMap<String, String>, Failure> {
    let pairs = Query::<Vec<(Cow<'_, str>, Cow<'_, str>)>>::try_from_uri(uri);
    let Query(pairs) = pairs.map_err(|error| Failure::bad_request(format!("malformed query: {error}")))?;
    Ok(pairs.into_iter().map(|(key, value)| (key.into_owned(), value.into_owned())).collect())
}

fn bad_query(name: &str, value: &str, expected: &str) -> Failure {
    Failure::bad_request(format!("query parameter {name}: '{value}' is not {expected}"))
}
