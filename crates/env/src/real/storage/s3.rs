//! Buckets of S3 and compatible services. Each bucket has its own client, which is created on first use.
//!
//! A create-only put has the header `If-None-Match: *`, which Amazon S3 and most other services support.
//! Leadership and the publication of checkpoints depend on it, so a service that ignores the header cannot be
//! used.

use super::error::failed;
use crate::store::{Location, StoreError};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{ObjectStore, RetryConfig};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The number of retries within the client, for short disturbances. Callers handle longer ones, because their
/// reaction depends on the request.
const RETRIES: usize = 4;
const RETRY_FOR: Duration = Duration::from_secs(20);

/// The buckets that have been used.
pub(super) struct Buckets {
    settings: BTreeMap<String, String>,
    clients: Mutex<BTreeMap<String, Arc<dyn ObjectStore>>>,
}

impl Buckets {
    pub(super) fn new(settings: BTreeMap<String, String>) -> Self {
        // `reqwest` is built without a TLS provider, so the client uses that of the process. If there is one
        // already, the job has chosen it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { settings, clients: Mutex::default() }
    }

    /// The client of the bucket `name`, which contains `at`.
    pub(super) fn bucket(&self, at: &Location, name: &str) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(name) {
            return Ok(client.clone());
        }
        let retry = RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_FOR, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(name).with_retry(retry);
        for (key, value) in &self.settings {
            let key = key.parse().map_err(|_| failed(at, format!("unknown S3 setting {key}")))?;
            builder = builder.with_config(key, value);
        }
        let setting = |key| builder.get_config_value(&key);
        if let Some(endpoint) = setting(AmazonS3ConfigKey::Endpoint)
            && setting(AmazonS3ConfigKey::VirtualHostedStyleRequest).is_some_and(|text| text == "true")
        {
            builder = builder.with_endpoint(host_of_bucket(&endpoint, name));
        }
        let client: Arc<dyn ObjectStore> = Arc::new(builder.build().map_err(|e| failed(at, e.to_string()))?);
        clients.insert(name.to_owned(), client.clone());
        Ok(client)
    }
}

/// The endpoint of a bucket for virtual-hosted requests, with the bucket's name as part of the host name. The
/// client uses an endpoint unchanged.
fn host_of_bucket(endpoint: &str, bucket: &str) -> String {
    match endpoint.split_once("://") {
        Some((scheme, host)) => format!("{scheme}://{bucket}.{host}"),
        None => format!("{bucket}.{endpoint}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buckets_host_has_its_name() {
        assert_eq!(host_of_bucket("https://s3.example.org:9000", "b"), "https://b.s3.example.org:9000");
    }

    #[test]
    fn a_setting_that_does_not_exist_is_named() {
        let buckets = Buckets::new([("aws_entpoint".to_owned(), String::new())].into());
        let error = buckets.bucket(&Location("s3://b/x".into()), "b").err().unwrap();
        assert_eq!(error.to_string(), "s3://b/x: unknown S3 setting aws_entpoint");
    }

    #[test]
    fn a_bucket_has_one_client() {
        let buckets = Buckets::new([("aws_endpoint".to_owned(), "https://localhost:1".to_owned())].into());
        let at = Location("s3://b/x".into());
        let (one, other) = (buckets.bucket(&at, "b").unwrap(), buckets.bucket(&at, "b").unwrap());
        assert!(Arc::ptr_eq(&one, &other));
    }
}
