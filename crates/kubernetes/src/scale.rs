//! The number of replicas of a workload, by its subresource `scale`, which is all that its rights allow.

use crate::api::{Api, ApiError, Object, Verb};
use serde::Deserialize;
use serde_json::Value;
use std::fmt;
use std::time::Duration;

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A workload whose pods are TaskManagers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    pub kind: WorkloadKind,
    pub name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkloadKind {
    Deployment,
    StatefulSet,
}

impl Workload {
    /// A workload as `kubectl scale` takes it: `deployment/NAME` or `statefulset/NAME`.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once('/').filter(|(_, name)| !name.is_empty())?;
        let kind = match kind {
            "deployment" => WorkloadKind::Deployment,
            "statefulset" => WorkloadKind::StatefulSet,
            _ => return None,
        };
        Some(Self { kind, name: name.to_owned() })
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            WorkloadKind::Deployment => "deployment",
            WorkloadKind::StatefulSet => "statefulset",
        };
        write!(f, "{kind}/{}", self.name)
    }
}

/// The scale of a workload, an object of `autoscaling/v1`.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    object: Value,
    /// The number of replicas that is declared. There may be fewer or more pods.
    pub replicas: u32,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Done,
    /// The workload has changed since it was read, though perhaps not its number of replicas.
    Outdated,
}

/// A client of one workload.
pub struct ScaleClient {
    api: Api,
    object: Object,
}

impl ScaleClient {
    /// A client of a workload in the namespace of the process, or in another one.
    pub fn new(api: Api, namespace: Option<String>, workload: Workload) -> Self {
        let (kind, resource) = match workload.kind {
            WorkloadKind::Deployment => ("deployments/scale", "deployments.apps/scale"),
            WorkloadKind::StatefulSet => ("statefulsets/scale", "statefulsets.apps/scale"),
        };
        let namespace = namespace.unwrap_or_else(|| api.namespace().to_owned());
        let object = Object { group: "/apis/apps/v1", kind, resource, namespace, name: workload.name };
        Self { api, object }
    }

    /// Reads the scale.
    ///
    /// # Errors
    /// If the server is not reached or refuses it.
    pub async fn read(&self) -> Result<Scale, ApiError> {
        self.request(Verb::Get, None).await
    }

    /// Changes the number of replicas, if the workload is as it was read.
    ///
    /// # Errors
    /// If the server is not reached or refuses it.
    pub async fn change(&self, read: Scale, replicas: u32) -> Result<Change, ApiError> {
        let Scale { mut object, .. } = read;
        // It has the version of the workload, so the server refuses the change if there is a newer one.
        object["spec"]["replicas"] = replicas.into();
        match self.request(Verb::Update, Some(object.to_string().into_bytes())).await {
            Ok(_) => Ok(Change::Done),
            Err(ApiError::Conflict { .. }) => Ok(Change::Outdated),
            Err(error) => Err(error),
        }
    }

    async fn request(&self, verb: Verb, body: Option<Vec<u8>>) -> Result<Scale, ApiError> {
        /// A field that is zero is left out.
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Spec {
            replicas: u32,
        }
        let malformed = |cause: String| ApiError::Malformed {
            resource: self.object.resource,
            name: self.object.name.clone(),
            cause,
        };
        let answer = tokio::time::timeout(TIMEOUT, self.api.request(verb, &self.object, body)).await;
        let object: Value = answer.unwrap_or_else(|_| {
            let cause = format!("no answer within {} s", TIMEOUT.as_secs());
            Err(ApiError::Unreachable { server: self.api.server(), cause })
        })?;
        let spec = object.get("spec").ok_or_else(|| malformed("it has no spec".to_owned()))?;
        let Spec { replicas } = Spec::deserialize(spec).map_err(|error| malformed(error.to_string()))?;
        Ok(Scale { object, replicas })
    }
}

#[cfg(test)]
#[path = "scale_tests.rs"]
mod tests;
