//! A client of the JobManager's REST API: jobs and savepoints here, other routes in modules.

mod observe;
mod rescale;
mod task_manager;
mod tls;

use crate::args::Connection;
use crate::error::CliError;
pub(crate) use observe::{LOG_PART_BYTES, LogPart, escape};
use reflow_config::{Config, options};
use reflow_env::real::TlsClient;
use reflow_schema::{
    Accepted, Errors, JobDetails, JobsOverview, Leader, OperationOutcome, OperationProgress,
    SavepointRequest, StopRequest, Triggered,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tls::Target;
use ureq::SendBody;
use ureq::http::header::{AUTHORIZATION, HeaderValue};
use ureq::http::{Request, StatusCode};
use ureq::middleware::MiddlewareNext;

/// How long one request may take. Longer operations are polled.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The default address of the REST API.
const DEFAULT_ADDRESS: &str = "localhost:8081";

/// A connection to one JobManager.
pub(crate) struct Client {
    address: String,
    url: String,
    tls: Option<TlsClient>,
    agent: ureq::Agent,
}

impl Client {
    /// A client for the JobManager that the arguments or the configuration name.
    pub(crate) fn new(connection: &Connection) -> Result<Self, CliError> {
        let named = connection.jobmanager.as_deref();
        let config = match named {
            Some(address) if address.starts_with("http://") => None, // it has nothing for that
            _ => configuration(connection.config_dir.clone())?,
        };
        let address = named.map(str::to_owned).or_else(|| config.as_ref().map(configured_address));
        let address = address.unwrap_or_else(|| DEFAULT_ADDRESS.to_owned());
        let target = Target::new(&address, connection, config.as_ref())?;
        // The configured token is not for a JobManager that the configuration does not name.
        let configured = config.as_ref().filter(|_| named.is_none());
        let configured_token = configured.and_then(|config| options::REST_CLIENT_TOKEN_FILE.get(config));
        let token_file = connection.token_file.clone().or(configured_token);
        let authorization = token_file.map(|file| authorization(&file)).transpose()?;
        let send_token = move |mut request: Request<SendBody<'_>>, next: MiddlewareNext<'_>| {
            if let Some(authorization) = &authorization {
                request.headers_mut().insert(AUTHORIZATION, authorization.clone());
            }
            next.handle(request)
        };
        let mut builder = ureq::Agent::config_builder();
        if let Some(client) = &target.tls {
            builder = builder.https_only(true).tls_config(tls::for_http(client)?);
        }
        let config = builder
            .timeout_global(Some(REQUEST_TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0) // an answer does not choose who gets the token
            .proxy(None)
            .middleware(send_token)
            .build();
        Ok(Self { url: target.url(), address: target.address, tls: target.tls, agent: config.into() })
    }

    /// `host:port`, or `https://host:port`
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// `GET /leader`
    pub(crate) fn leader(&self) -> Result<Leader, CliError> {
        self.get("/leader")
    }

    /// Hands the job over to a standby, which leads when this returns.
    pub(crate) fn transfer_leadership(&self) -> Result<(), CliError> {
        self.read(self.agent.post(self.url("/leader/transfer")).send_empty()).map(|Accepted {}| ())
    }

    /// All jobs that the JobManager knows.
    pub(crate) fn jobs(&self) -> Result<JobsOverview, CliError> {
        self.get("/jobs/overview")
    }

    /// `GET /jobs/:id`
    pub(crate) fn job(&self, id: &str) -> Result<JobDetails, CliError> {
        self.get(&format!("/jobs/{id}"))
    }

    /// Requests the cancellation of a job.
    pub(crate) fn cancel(&self, id: &str) -> Result<(), CliError> {
        let url = self.url(&format!("/jobs/{id}?mode=cancel"));
        self.read(self.agent.patch(url).send_empty()).map(|Accepted {}| ())
    }

    /// Triggers a savepoint. Returns the id of the request.
    pub(crate) fn trigger_savepoint(&self, id: &str, wanted: &SavepointRequest) -> Result<String, CliError> {
        let Triggered { request_id } = self.post(&format!("/jobs/{id}/savepoints"), wanted)?;
        Ok(request_id)
    }

    /// Requests a stop with a savepoint. Returns the id of the request.
    pub(crate) fn stop(&self, id: &str, wanted: &StopRequest) -> Result<String, CliError> {
        let Triggered { request_id } = self.post(&format!("/jobs/{id}/stop"), wanted)?;
        Ok(request_id)
    }

    /// The outcome of a savepoint; `None` while it is under way.
    pub(crate) fn savepoint(&self, id: &str, request: &str) -> Result<Option<OperationOutcome>, CliError> {
        let progress: OperationProgress = self.get(&format!("/jobs/{id}/savepoints/{request}"))?;
        Ok(progress.operation)
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.read(self.agent.get(self.url(path)).call())
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, CliError> {
        self.send(self.agent.post(self.url(path)), body)
    }

    fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, CliError> {
        self.send(self.agent.put(self.url(path)), body)
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn send<T: DeserializeOwned>(
        &self,
        request: ureq::RequestBuilder<ureq::typestate::WithBody>,
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        let body = serde_json::to_string(body).map_err(|e| self.strange(&e.to_string()))?;
        self.read(request.content_type("application/json").send(body))
    }

    /// Decodes an answer; an error if its status is one.
    fn read<T: DeserializeOwned>(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<T, CliError> {
        let mut answer = answer.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let text = answer.body_mut().read_to_string().map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            return serde_json::from_str(&text).map_err(|e| self.strange(&e.to_string()));
        }
        match serde_json::from_str(&text) {
            Ok(Errors { errors }) => {
                let text = without_stack_traces(&errors);
                if status == StatusCode::UNAUTHORIZED {
                    return Err(CliError::Unauthorized { address: self.address.clone(), text });
                }
                Err(CliError::Refused { address: self.address.clone(), text })
            }
            Err(_) => Err(self.strange(&format!("HTTP status {status}"))),
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> CliError {
        let address = self.address.clone();
        let source: Option<&(dyn std::error::Error + 'static)> = match error {
            ureq::Error::Io(error) => Some(error),
            ureq::Error::Rustls(error) => Some(error),
            _ => None,
        };
        let explain = |(tls, source): (&TlsClient, _)| tls.explain(source, &address);
        match self.tls.as_ref().zip(source).and_then(explain) {
            Some(cause) => CliError::NotTrusted { address, cause },
            None => CliError::Unreachable { address, cause: error.to_string() },
        }
    }

    fn strange(&self, cause: &str) -> CliError {
        CliError::NotAJobManager { address: self.address.clone(), cause: cause.to_owned() }
    }
}

/// The configuration of the cluster, if there is a directory of it.
fn configuration(directory: Option<PathBuf>) -> Result<Option<Config>, CliError> {
    let Some(directory) = directory.or_else(own_config_directory) else { return Ok(None) };
    Ok(Some(Config::load(Some(&directory), &[])?.config))
}

fn configured_address(config: &Config) -> String {
    let host = options::REST_ADDRESS.get(config);
    let port = options::REST_PORT.get(config);
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The header for the token in a file.
fn authorization(file: &Path) -> Result<HeaderValue, CliError> {
    let failed = |cause: String| CliError::Token { file: file.to_owned(), cause };
    let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    let token = text.lines().next().unwrap_or_default().trim();
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    let header = is_token.then(|| HeaderValue::from_str(&format!("Bearer {token}")).ok()).flatten();
    let mut header = header.ok_or_else(|| failed("its first line is no token".to_owned()))?;
    header.set_sensitive(true);
    Ok(header)
}

/// The `conf/` directory of this executable's distribution.
pub(crate) fn own_config_directory() -> Option<PathBuf> {
    let directory = distribution()?.join("conf");
    directory.join("config.yaml").is_file().then_some(directory)
}

/// The directory above this executable's.
pub(crate) fn distribution() -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.parent()?.parent()?.to_owned())
}

/// All lines of the texts, except those of Java stack traces.
fn without_stack_traces(errors: &[String]) -> String {
    let lines = errors.iter().flat_map(|error| error.lines().take_while(|line| !line.starts_with("\tat ")));
    lines.map(str::trim).collect::<Vec<_>>().join("\n  ")
}
