//! The storage that the configuration describes. `s3://` needs the feature `s3`.

use reflow_config::{Config, options};
use reflow_env::real::{Storage, StorageOptions};
use reflow_env::{Location, StoreError};

/// A configured directory that this executable cannot use.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {key}: {error}")]
pub struct UnusableDirectory {
    key: &'static str,
    error: StoreError,
}

/// Opens local files, memory, and S3 with the credentials in the options. Without these, S3 uses the environment
/// variables and the machine's role, like other S3 tools.
///
/// # Errors
/// If a configured directory has an unknown scheme, or one for which this executable was built without support.
/// Requests on it would otherwise be repeated as if storage were unavailable.
pub fn open(config: &Config) -> Result<Storage, UnusableDirectory> {
    let settings = [
        ("aws_endpoint", options::S3_ENDPOINT.get(config).map(with_scheme)),
        ("aws_region", options::S3_REGION.get(config)),
        ("aws_access_key_id", options::S3_ACCESS_KEY.get(config)),
        ("aws_secret_access_key", options::S3_SECRET_KEY.get(config)),
        ("aws_session_token", options::S3_SESSION_TOKEN.get(config)),
    ];
    let set = settings.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    let mut s3: std::collections::BTreeMap<String, String> = set.collect();
    let path_style = options::S3_PATH_STYLE_ACCESS.get(config);
    s3.insert("aws_virtual_hosted_style_request".to_owned(), (!path_style).to_string());
    // Other services than Amazon's often have endpoints without encryption.
    let plain = s3.get("aws_endpoint").is_some_and(|endpoint| endpoint.starts_with("http://"));
    s3.insert("aws_allow_http".to_owned(), plain.to_string());
    let storage = Storage::new(StorageOptions { s3, ..StorageOptions::default() });
    let directories = [
        (options::CHECKPOINT_DIRECTORY.key(), Some(options::CHECKPOINT_DIRECTORY.get(config))),
        (options::SAVEPOINT_DIRECTORY.key(), options::SAVEPOINT_DIRECTORY.get(config)),
        (options::STATE_RECOVERY_PATH.key(), options::STATE_RECOVERY_PATH.get(config)),
    ];
    for (key, directory) in directories {
        let Some(directory) = directory else { continue };
        storage.check(&Location(directory)).map_err(|error| UnusableDirectory { key, error })?;
    }
    Ok(storage)
}

/// An endpoint without a scheme, such as `s3.example.org`, which Flink accepts too, uses HTTPS.
fn with_scheme(endpoint: String) -> String {
    if endpoint.contains("://") { endpoint } else { format!("https://{endpoint}") }
}
