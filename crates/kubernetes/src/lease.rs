//! The lease of the leading JobManager, an object of `coordination.k8s.io/v1`.
//!
//! What is written into it is decided in [`reflow_coordination::leader_election`]. Here are its JSON form, and the requests.

use crate::api::{Api, ApiError, Object, Verb};
use reflow_coordination::leader_election::{Candidate, Hold, LeaseAnswer, LeaseRecord, LeaseRequest};
use reflow_coordination::standby::Tenure;
use reflow_env::Client;
use reflow_types::{LeaderEpoch, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The annotation with the epoch of the last JobManager that has led with this lease.
const EPOCH: &str = "reflow/leader-epoch";
/// The annotation that counts how often JobManagers have written the lease.
const RENEWALS: &str = "reflow/renewals";
/// The annotation with what its last holder has made of it, which decides only where the holder does not.
const TENURE: &str = "reflow/tenure";
/// The annotation with a hash of what its last holder runs, as a hexadecimal number.
const PROGRAM: &str = "reflow/program";
/// How often others may change a lease between its reading and its renewal.
const MAX_TRIES: u32 = 5;

/// A client of one lease.
pub struct LeaseClient {
    api: Api,
    object: Object,
    candidate: Candidate,
    system: String,
    /// The lease as it was last read or written.
    last: Mutex<Option<Lease>>,
    /// How many requests to hold the lease have begun.
    holds: AtomicU64,
}

/// The object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lease {
    api_version: String,
    kind: String,
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Metadata {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    /// Name, namespace, version, and what others have added.
    #[serde(flatten)]
    other: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    holder_identity: Option<String>,
    lease_duration_seconds: Option<u32>,
    acquire_time: Option<String>,
    renew_time: Option<String>,
    lease_transitions: Option<u32>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

impl LeaseClient {
    /// A client of the lease with this name in the namespace of the process, or in another one.
    pub fn new(api: Api, namespace: Option<String>, name: &str, candidate: Candidate) -> Self {
        let object = Object {
            group: "/apis/coordination.k8s.io/v1",
            kind: "leases",
            resource: "leases.coordination.k8s.io",
            namespace: namespace.unwrap_or_else(|| api.namespace().to_owned()),
            name: name.to_owned(),
        };
        let system = format!("lease {}/{name} at {}", object.namespace, api.server());
        Self { api, object, candidate, system, last: Mutex::new(None), holds: AtomicU64::new(0) }
    }

    fn last(&self) -> Option<Lease> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, lease: Option<Lease>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = lease;
    }

    async fn read(&self) -> Result<Option<Lease>, ApiError> {
        let found = match self.api.request(Verb::Get, &self.object, None).await {
            Ok(lease) => Some(lease),
            Err(ApiError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        self.remember(found.clone());
        Ok(found)
    }

    /// Writes the lease in the place of the one that was found. The server refuses that if it has changed.
    async fn write(&self, found: Option<Lease>, record: &LeaseRecord) -> Result<(), ApiError> {
        let verb = if found.is_some() { Verb::Update } else { Verb::Create };
        let lease = found.unwrap_or_else(|| Lease::new(&self.object)).with(record);
        let body = serde_json::to_vec(&lease).map_err(|error| ApiError::Malformed {
            resource: self.object.resource,
            name: self.object.name.clone(),
            cause: error.to_string(),
        })?;
        let written = self.api.request(verb, &self.object, Some(body)).await?;
        self.remember(Some(written));
        Ok(())
    }

    async fn acquire(&self, program: u64) -> Result<LeaseAnswer, ApiError> {
        let found = self.last();
        let record = found.as_ref().map(Lease::record);
        let wanted = self.candidate.acquire(now(), record.as_ref(), program);
        match self.write(found, &wanted).await {
            Ok(()) => Ok(LeaseAnswer::Acquired),
            Err(ApiError::Conflict { .. } | ApiError::NotFound { .. }) => Ok(LeaseAnswer::Changed),
            Err(error) => Err(error),
        }
    }

    /// Writes over the lease that this client has written last, or over what it has become meanwhile. Gives up when a later
    /// one has begun: it would write what that one has changed.
    async fn hold(&self, hold: Hold) -> Result<LeaseAnswer, ApiError> {
        let number = self.holds.fetch_add(1, Ordering::Relaxed) + 1;
        let mut found = self.last();
        for attempt in 1.. {
            if self.holds.load(Ordering::Relaxed) != number {
                return Ok(LeaseAnswer::Superseded);
            }
            let record = found.as_ref().map(Lease::record);
            let Some(wanted) = self.candidate.hold(now(), record.as_ref(), hold) else {
                // What is remembered may be outdated.
                match record.filter(|_| attempt > 1) {
                    Some(record) => return Ok(LeaseAnswer::HeldByAnother(record)),
                    None => found = self.read().await?,
                }
                continue;
            };
            match self.write(found, &wanted).await {
                Ok(()) => return Ok(LeaseAnswer::Held),
                Err(ApiError::Conflict { .. } | ApiError::NotFound { .. }) if attempt < MAX_TRIES => {
                    found = self.read().await?;
                }
                Err(error) => return Err(error),
            }
        }
        unreachable!("the last try returns")
    }
}

impl Client for LeaseClient {
    type Request = LeaseRequest;
    type Answer = LeaseAnswer;
    type Error = ApiError;

    fn system(&self) -> &str {
        &self.system
    }

    async fn call(&self, request: &LeaseRequest) -> Result<LeaseAnswer, ApiError> {
        match *request {
            LeaseRequest::Observe => {
                Ok(LeaseAnswer::Observed(self.read().await?.map(|lease| lease.record())))
            }
            LeaseRequest::Acquire { program } => self.acquire(program).await,
            LeaseRequest::Hold(hold) => self.hold(hold).await,
        }
    }
}

impl Lease {
    fn new(object: &Object) -> Self {
        let name = |key: &str, value: &str| (key.to_owned(), Value::from(value));
        let other = [name("name", &object.name), name("namespace", &object.namespace)];
        Self {
            api_version: "coordination.k8s.io/v1".to_owned(),
            kind: "Lease".to_owned(),
            metadata: Metadata { annotations: BTreeMap::new(), other: other.into_iter().collect() },
            spec: Spec::default(),
        }
    }

    /// What was written into the lease, perhaps by someone else, who leaves out fields.
    fn record(&self) -> LeaseRecord {
        let Spec { holder_identity, lease_duration_seconds, acquire_time, renew_time, .. } = &self.spec;
        let annotation = |key: &str| self.metadata.annotations.get(key);
        LeaseRecord {
            holder: holder_identity.clone().unwrap_or_default(),
            duration: Duration::from_secs(lease_duration_seconds.unwrap_or(1).into()),
            acquired_at: acquire_time.as_deref().map_or(0, timestamp),
            renewed_at: renew_time.as_deref().map_or(0, timestamp),
            renewals: annotation(RENEWALS).and_then(|count| count.parse().ok()).unwrap_or(0),
            transitions: self.spec.lease_transitions.unwrap_or(0),
            epoch: annotation(EPOCH).and_then(|epoch| epoch.parse().ok()).map(LeaderEpoch),
            tenure: match annotation(TENURE).map(String::as_str) {
                Some("CLAIMING") => Tenure::Claiming,
                Some("OFFERED") => Tenure::Offered,
                Some("RELEASED") => Tenure::Released,
                Some("ENDED") => Tenure::Ended,
                _ => Tenure::Kept,
            },
            program: annotation(PROGRAM).and_then(|hash| u64::from_str_radix(hash, 16).ok()).unwrap_or(0),
        }
    }

    /// This lease with another record. What others have added stays.
    fn with(mut self, record: &LeaseRecord) -> Self {
        let annotations = &mut self.metadata.annotations;
        annotations.insert(RENEWALS.to_owned(), record.renewals.to_string());
        match record.epoch {
            Some(epoch) => annotations.insert(EPOCH.to_owned(), epoch.0.to_string()),
            None => annotations.remove(EPOCH),
        };
        let tenure = match record.tenure {
            Tenure::Claiming => "CLAIMING",
            Tenure::Kept => "KEPT",
            Tenure::Offered => "OFFERED",
            Tenure::Released => "RELEASED",
            Tenure::Ended => "ENDED",
        };
        annotations.insert(TENURE.to_owned(), tenure.to_owned());
        annotations.insert(PROGRAM.to_owned(), format!("{:016x}", record.program));
        let spec = &mut self.spec;
        spec.holder_identity = Some(record.holder.clone());
        spec.lease_duration_seconds = u32::try_from(record.duration.as_secs()).ok();
        spec.acquire_time = Some(micro_time(record.acquired_at));
        spec.renew_time = Some(micro_time(record.renewed_at));
        spec.lease_transitions = Some(record.transitions);
        self
    }
}

/// The system's clock, which only users read in the lease.
#[expect(clippy::disallowed_methods, reason = "a client runs in the driver only, and decides nothing by it")]
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A `MicroTime` of Kubernetes.
fn micro_time(at: Timestamp) -> String {
    let since = Duration::from_millis(u64::try_from(at).unwrap_or(0));
    humantime::format_rfc3339_micros(UNIX_EPOCH + since).to_string()
}

/// A time that someone has written. If it is not valid, the beginning of 1970.
fn timestamp(text: &str) -> Timestamp {
    let since = humantime::parse_rfc3339(text).ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(0)
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
