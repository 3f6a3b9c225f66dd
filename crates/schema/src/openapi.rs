//! The OpenAPI document, with the parameters, request and answers of every route.
//!
//! The schemas are derived from the types of this crate; the table in [`document`] assigns them to routes. A test
//! of `crates/rest` fails if the table and the server's routes differ, and a test of this crate fails if
//! `docs/openapi.json`, which the server returns, differs from this document.

use std::collections::BTreeMap;

use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, Type};
use utoipa::openapi::{
    ComponentsBuilder, Content, InfoBuilder, License, OpenApi, OpenApiBuilder, PathItem, PathsBuilder, Ref,
    RefOr, Required, ResponseBuilder, Schema, Server,
};
use utoipa::{PartialSchema, ToSchema};

use crate::metrics::{Aggregate, Metric};
use crate::*;
use reflow_view::JobStatus;

const JSON: &str = "application/json";

/// The OpenAPI document of the whole API. Each path is also available below `/v1`.
#[rustfmt::skip]
pub fn document() -> OpenApi {
    let mut api = Document::default();
    api.get("/openapi.json", "This document", any());
    api.get("/config", "The configuration of the web interface", one::<DashboardConfig>);
    api.get("/overview", "The cluster: TaskManagers, slots, jobs by status", one::<ClusterOverview>);
    api.add(HttpMethod::Delete, "/cluster", "Ends the JobManager after a checkpoint, as SIGTERM does", 200, one::<Accepted>).refused(&[500, 503]);
    api.get("/leader", "Whether this JobManager leads, and the last leaderships of the job. Not in Flink", one::<Leader>);
    api.add(HttpMethod::Post, "/leader/transfer", "Hands the job over to a standby, which leads when this is answered. Not in Flink", 200, one::<Accepted>)
        .refused(&[409, 500, 503]);
    api.get("/jobmanager/config", "The effective configuration, without secrets", many::<ConfigEntry>);
    api.get("/jobmanager/metrics", "The JobManager's metrics", many::<Metric>).query(&[GET]);
    api.get("/applications/overview", "The applications: the job, as Flink's dashboard shows it first", one::<ApplicationsOverview>);
    api.get("/applications/{application}", "An application with its job", one::<ApplicationDetails>);
    api.get("/applications/{application}/exceptions", "The failure that has ended an application", one::<ApplicationExceptions>);
    api.get("/applications/{application}/jobmanager/config", "The effective configuration of its JobManager", many::<ConfigEntry>);
    api.post("/applications/{application}/cancel", "Cancels an application: its job", one::<Accepted>).refused(&[403, 409]);
    api.get("/jobmanager/environment", "The JobManager's program and options, without secrets", one::<Environment>);
    api.get("/jobmanager/log", "The JobManager's log, as text; `Range` selects a part", text()).text().refused(&[404, 416]);
    api.get("/jobmanager/stdout", "The JobManager's standard output, as text", text()).text().refused(&[404, 416]);
    api.get("/jobmanager/logs", "The log files in the directory of the JobManager's log", one::<LogFiles>);
    api.get("/jobmanager/logs/{filename}", "One of these files, as text", text()).text().refused(&[416]);
    api.get("/jobmanager/thread-dump", "The JobManager's threads, without stacks", one::<ThreadDump>).refused(&[500]);
    api.get("/datasets", "Cached data sets; there are none", one::<DataSets>);
    api.get("/taskmanagers/metrics", "Metrics aggregated over TaskManagers", many::<Aggregate>)
        .query(&[GET, AGGREGATES, ("taskmanagers", "The TaskManagers to include, by id, separated by commas; all by default")]);
    api.get("/taskmanagers/{taskmanager}/metrics", "The metrics of a TaskManager", many::<Metric>).query(&[GET]);
    api.get("/taskmanagers", "The registered TaskManagers", one::<TaskManagers>);
    api.get("/taskmanagers/{taskmanager}", "A TaskManager with its slots and memory", one::<TaskManagerDetails>);
    api.get("/taskmanagers/{taskmanager}/log", "The log of a TaskManager and its executors, as text; `Range` selects a part", text()).text().refused(&[416, 500, 503]);
    api.get("/taskmanagers/{taskmanager}/stdout", "Their standard output, as text", text()).text().refused(&[416, 500, 503]);
    api.get("/taskmanagers/{taskmanager}/logs", "The log files in the directory of the TaskManager's log", one::<LogFiles>).refused(&[500, 503]);
    api.get("/taskmanagers/{taskmanager}/logs/{filename}", "One of these files, as text", text()).text().refused(&[416, 500, 503]);
    api.get("/taskmanagers/{taskmanager}/thread-dump", "The threads of a TaskManager and its executors, without stacks", one::<ThreadDump>).refused(&[500, 503]);
    api.post("/taskmanagers/{taskmanager}/drain", "Moves all jobs off a TaskManager, which then ends", one::<DrainAccepted>)
        .body::<DrainRequest>(Required::False).refused(&[403, 409]);
    api.get("/jobs", "The jobs and their statuses", one::<Jobs>);
    api.get("/jobs/overview", "The jobs with times and counts of tasks", one::<JobsOverview>);
    api.get("/jobs/metrics", "Metrics aggregated over jobs", many::<Aggregate>)
        .query(&[GET, AGGREGATES, ("jobs", "The jobs to include, by id, separated by commas; all by default")]);
    api.get("/jobs/{job}", "A job with its vertices and plan", one::<JobDetails>);
    api.add(HttpMethod::Patch, "/jobs/{job}", "Cancels a job", 202, one::<Accepted>)
        .query(&[("mode", "`cancel`, which is the default")]).refused(&[308, 403, 409, 500, 503]);
    api.get("/jobs/{job}/plan", "The job graph", one::<JobPlan>);
    api.get("/jobs/{job}/config", "The configuration of the job", one::<JobConfig>);
    api.get("/jobs/{job}/status", "The job's status", one::<JobStatusInfo>);
    api.get("/jobs/{job}/jobmanager/config", "The effective configuration of the job's JobManager", many::<ConfigEntry>);
    api.get("/jobs/{job}/jobmanager/environment", "The program and options of the job's JobManager", one::<Environment>);
    api.get("/jobs/{job}/execution-result", "How the job has ended, once it has", one::<ExecutionResult>);
    api.add(HttpMethod::Get, "/jobs/{job}/yarn-cancel", "Cancels a job, for proxies that allow only GET", 202, one::<Accepted>)
        .refused(&[403, 409, 500, 503]);
    api.add(HttpMethod::Get, "/jobs/{job}/yarn-stop", "Always refused, as in Flink: stop a job with a savepoint", 308, one::<Errors>);
    api.get("/jobs/{job}/exceptions", "Failures, newest first", one::<Exceptions>)
        .query(&[("maxExceptions", "The most failures to return; 20 by default")]);
    api.get("/jobs/{job}/metrics", "The job's metrics", many::<Metric>).query(&[GET]);
    api.get("/jobs/{job}/accumulators", "What the functions of the job have counted", one::<JobAccumulators>);
    api.get("/jobs/{job}/timeline", "The job's figures and events over time. Not in Flink", one::<Timeline>)
        .query(&[("since", "Return only later points and events; milliseconds since the Unix epoch")]);
    api.get("/jobs/{job}/autoscaler", "What the autoscaler sees and decides. Not in Flink", one::<Autoscaler>);
    api.get("/jobs/{job}/resource-requirements", "The bounds on each vertex's parallelism", by_id::<VertexRequirements>);
    api.add(HttpMethod::Put, "/jobs/{job}/resource-requirements", "Replaces the bounds of all vertices", 200, one::<Accepted>)
        .body_of(by_id::<VertexRequirements>, Required::True).refused(&[403, 409, 413, 500, 503]);
    api.get("/jobs/{job}/vertices/{vertex}", "A vertex and its subtasks", one::<VertexDetails>);
    api.get("/jobs/{job}/vertices/{vertex}/backpressure", "How busy and backpressured its subtasks are", one::<Backpressure>);
    api.get("/jobs/{job}/vertices/{vertex}/accumulators", "What the functions of the vertex have counted", one::<VertexAccumulators>);
    api.get("/jobs/{job}/vertices/{vertex}/taskmanagers", "Its subtasks by TaskManager", one::<VertexTaskManagers>);
    api.get("/jobs/{job}/vertices/{vertex}/subtasks/accumulators", "What the functions of each subtask have counted", one::<SubtasksAccumulators>);
    api.get("/jobs/{job}/vertices/{vertex}/subtasks/{subtask}/attempts/{attempt}/accumulators", "What the functions of a subtask have counted", one::<AttemptAccumulators>);
    api.get("/jobs/{job}/vertices/{vertex}/metrics", "The metrics of its subtasks, each with the index before its name", many::<Metric>)
        .query(&[GET]);
    api.get("/jobs/{job}/vertices/{vertex}/watermarks", "The watermarks that its subtasks have reached", many::<Metric>);
    api.get("/jobs/{job}/vertices/{vertex}/jm-operator-metrics", "The metrics of its coordinator; there are none", many::<Metric>);
    api.get("/jobs/{job}/vertices/{vertex}/flamegraph", "A flame graph; always switched off", one::<FlameGraph>)
        .query(&[("type", "`full`, which is the default, `on_cpu` or `off_cpu`"), ("subtaskindex", "The subtask; all by default")]);
    api.get("/jobs/{job}/vertices/{vertex}/subtasktimes", "When its subtasks entered each state", one::<SubtaskTimes>);
    api.get("/jobs/{job}/vertices/{vertex}/subtasks/{subtask}", "A subtask", one::<Subtask>);
    api.get("/jobs/{job}/vertices/{vertex}/subtasks/{subtask}/attempts/{attempt}", "The current attempt of a subtask", one::<Subtask>);
    api.get("/jobs/{job}/vertices/{vertex}/subtasks/{subtask}/metrics", "The metrics of a subtask", many::<Metric>).query(&[GET]);
    api.get("/jobs/{job}/vertices/{vertex}/subtasks/metrics", "Metrics aggregated over its subtasks", many::<Aggregate>)
        .query(&[GET, AGGREGATES, ("subtasks", "Subtasks to include, as in `0,2-4`; all by default")]);
    api.get("/jobs/{job}/checkpoints", "Checkpoints: counts, statistics and the last ones", one::<Checkpoints>);
    api.post("/jobs/{job}/checkpoints", "Takes a checkpoint now", one::<Triggered>)
        .body::<CheckpointRequest>(Required::False).refused(&[409]);
    api.get("/jobs/{job}/checkpoints/config", "The configuration of checkpoints", one::<CheckpointConfig>);
    api.get("/jobs/{job}/checkpoints/details/{checkpoint}", "A checkpoint by vertex", one::<Checkpoint>);
    api.get("/jobs/{job}/checkpoints/details/{checkpoint}/subtasks/{vertex}", "The acknowledgements of a vertex by subtask", one::<VertexCheckpoint>);
    api.get("/jobs/{job}/checkpoints/{trigger}", "The status of a triggered checkpoint", one::<OperationProgress>).refused(&[503]);
    api.post("/jobs/{job}/savepoints", "Takes a savepoint", one::<Triggered>)
        .body::<SavepointRequest>(Required::False).refused(&[409]);
    api.get("/jobs/{job}/savepoints/{trigger}", "The status of a triggered savepoint", one::<OperationProgress>).refused(&[503]);
    api.post("/jobs/{job}/stop", "Stops a job with a savepoint", one::<Triggered>)
        .body::<StopRequest>(Required::False).refused(&[409]);
    api.add(HttpMethod::Post, "/savepoint-disposal", "Deletes a savepoint, which may be of another job", 200, one::<Triggered>)
        .body::<DisposalRequest>(Required::True).refused(&[413, 500, 503]);
    api.get("/savepoint-disposal/{trigger}", "Whether the savepoint is deleted", one::<DisposalProgress>).refused(&[503]);
    api.get("/jobs/{job}/rescales/overview", "Rescales: counts, and the last of each outcome", one::<RescalesOverview>);
    api.get("/jobs/{job}/rescales/history", "The rescales in the history, newest first", many::<Rescale>);
    api.get("/jobs/{job}/rescales/details/{rescale}", "A rescale with vertices, slots, states and phases", one::<Rescale>);
    api.get("/jobs/{job}/rescales/summary", "Statistics of the durations of rescales", one::<RescalesSummary>);
    api.get("/jobs/{job}/rescales/config", "The configuration of rescales", one::<RescalesConfig>);
    api.schemas.insert("TerminalJobStatus".to_owned(), terminal_statuses());
    api.finish()
}

/// The document in the form in which it is committed and served.
pub fn json() -> String {
    let mut text = document().to_pretty_json().expect("the document has text keys only");
    text.push('\n');
    text
}

const GET: (&str, &str) = (
    "get",
    "Names of metrics, separated by commas, whose values are returned; without it the answer lists the names",
);

const AGGREGATES: (&str, &str) =
    ("agg", "Aggregates to return, of min, max, avg, sum and skew, separated by commas; all by default");

/// The description of a path parameter.
fn path_parameter(name: &str) -> &'static str {
    match name {
        "filename" => "The name of a log file",
        "application" => "The application's id, which is that of its job",
        "job" => "The job's id: 32 hexadecimal digits",
        "vertex" => "The vertex's id: 32 hexadecimal digits",
        "taskmanager" => "The TaskManager's id: 32 hexadecimal digits",
        "subtask" => "The index of the subtask: a number",
        "attempt" => "The number of the attempt",
        "checkpoint" => "The checkpoint's id: a number",
        "rescale" => "The rescale's id: 32 hexadecimal digits",
        "trigger" => "The `request-id` from the answer to the trigger",
        other => unreachable!("no description of the path parameter {other}"),
    }
}

fn refusal(status: u16) -> &'static str {
    match status {
        308 => "Flink has removed this mode: use another route",
        400 => "A parameter or the body is malformed or invalid for this job",
        403 => "Switched off by the configuration",
        404 => "Unknown, or no longer in the history",
        409 => "The current state of the job does not allow it",
        416 => "The range is beyond the end of the file",
        413 => "The body is too large",
        500 => "It was tried and has failed",
        503 => "The JobManager is starting, ending, or not the leader",
        other => unreachable!("no description of the status {other}"),
    }
}

type Schemas = BTreeMap<String, RefOr<Schema>>;

/// Builds a schema, and adds the schemas that it refers to.
type MakeSchema = fn(&mut Schemas) -> RefOr<Schema>;

fn one<T: ToSchema>(schemas: &mut Schemas) -> RefOr<Schema> {
    let mut referred = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut referred);
    for (name, schema) in referred {
        let former = schemas.insert(name.clone(), schema.clone());
        assert!(former.is_none_or(|former| former == schema), "two types of the API are called {name}");
    }
    Ref::from_schema_name(T::name()).into()
}

fn many<T: ToSchema>(schemas: &mut Schemas) -> RefOr<Schema> {
    ArrayBuilder::new().items(one::<T>(schemas)).into()
}

fn by_id<T: ToSchema>(schemas: &mut Schemas) -> RefOr<Schema> {
    ObjectBuilder::new().additional_properties(Some(AdditionalProperties::RefOr(one::<T>(schemas)))).into()
}

fn any() -> MakeSchema {
    |_| ObjectBuilder::new().schema_type(Type::Object).into()
}

fn text() -> MakeSchema {
    |_| String::schema()
}

/// The terminal statuses of jobs, so that generated types contain them.
fn terminal_statuses() -> RefOr<Schema> {
    let terminal = JobStatus::ALL.into_iter().filter(|status| status.is_terminal());
    let names: Vec<String> = terminal.map(|status| status.to_string()).collect();
    let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names));
    schema.description(Some("The statuses of jobs that have ended and will not run again")).into()
}

#[derive(Default)]
struct Document {
    operations: Vec<(HttpMethod, &'static str, Operation)>,
    schemas: Schemas,
}

impl Document {
    fn get(&mut self, path: &'static str, summary: &str, answer: MakeSchema) -> &mut Self {
        self.add(HttpMethod::Get, path, summary, 200, answer)
    }

    /// Adds a command that is answered before it is carried out.
    fn post(&mut self, path: &'static str, summary: &str, answer: MakeSchema) -> &mut Self {
        self.add(HttpMethod::Post, path, summary, 202, answer).refused(&[413, 500, 503])
    }

    fn add(
        &mut self,
        method: HttpMethod,
        path: &'static str,
        summary: &str,
        status: u16,
        answer: MakeSchema,
    ) -> &mut Self {
        let schema = answer(&mut self.schemas);
        let answered = ResponseBuilder::new().description("OK").content(JSON, Content::new(Some(schema)));
        let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let parameter = |name: &str| {
            let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path);
            let parameter = parameter.required(Required::True).description(Some(path_parameter(name)));
            parameter.schema(Some(String::schema())).build()
        };
        let parameters: Vec<_> = names.map(parameter).collect();
        let has_parameters = !parameters.is_empty();
        let operation =
            OperationBuilder::new().summary(Some(summary)).response(status.to_string(), answered.build());
        let operation = parameters.into_iter().fold(operation, OperationBuilder::parameter);
        self.operations.push((method, path, operation.build()));
        if has_parameters { self.refused(&[400, 404]) } else { self }
    }

    /// The last route answers with text instead of JSON.
    fn text(&mut self) -> &mut Self {
        if let Some(RefOr::T(response)) = self.last().responses.responses.get_mut("200") {
            response.content = std::mem::take(&mut response.content)
                .into_iter()
                .map(|(_, content)| ("text/plain".to_owned(), content))
                .collect();
        }
        self
    }

    fn last(&mut self) -> &mut Operation {
        &mut self.operations.last_mut().expect("a route was added before").2
    }

    /// Sets the query parameters of the last route. None is required.
    fn query(&mut self, parameters: &[(&str, &str)]) -> &mut Self {
        let parameter = |&(name, description): &(&str, &str)| {
            let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query);
            let parameter = parameter.required(Required::False).description(Some(description));
            parameter.schema(Some(String::schema())).build()
        };
        self.last()
            .parameters
            .get_or_insert_default()
            .extend(parameters.iter().map(parameter).map(Into::into));
        self.refused(&[400])
    }

    fn body<T: ToSchema>(&mut self, required: Required) -> &mut Self {
        self.body_of(one::<T>, required)
    }

    /// Sets the request body of the last route.
    fn body_of(&mut self, body: MakeSchema, required: Required) -> &mut Self {
        let schema = body(&mut self.schemas);
        let body =
            RequestBodyBuilder::new().content(JSON, Content::new(Some(schema))).required(Some(required));
        self.last().request_body = Some(body.build().into());
        self.refused(&[400])
    }

    /// Sets the statuses with which the last route may refuse a request.
    fn refused(&mut self, statuses: &[u16]) -> &mut Self {
        let errors = one::<Errors>(&mut self.schemas);
        for &status in statuses {
            let response = ResponseBuilder::new().description(refusal(status));
            let response = response.content(JSON, Content::new(Some(errors.clone()))).build();
            self.last().responses.responses.insert(status.to_string(), response.into());
        }
        self
    }

    fn finish(self) -> OpenApi {
        let mut items: BTreeMap<&str, PathItem> = BTreeMap::new();
        for (method, path, operation) in self.operations {
            let item = PathItem::new(method, operation);
            match items.get_mut(path) {
                Some(present) => present.merge_operations(item),
                None => drop(items.insert(path, item)),
            }
        }
        let paths = items.into_iter().fold(PathsBuilder::new(), |paths, (path, item)| paths.path(path, item));
        let description = "Flink's monitoring REST API as Reflow serves it, with Reflow's own additions.";
        let info = InfoBuilder::new().title("Reflow").version(env!("CARGO_PKG_VERSION"));
        let info = info.description(Some(description)).license(Some(License::new(env!("CARGO_PKG_LICENSE"))));
        let components = ComponentsBuilder::new().schemas_from_iter(self.schemas);
        OpenApiBuilder::new()
            .info(info.build())
            .servers(Some([Server::new("/"), Server::new("/v1")]))
            .paths(paths.build())
            .components(Some(components.build()))
            .build()
    }
}
