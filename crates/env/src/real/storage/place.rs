//! Maps a location to the `object_store` that holds it and to the path in that store.

use super::error::failed;
use crate::store::{Location, StoreError};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// The settings of storage.
#[derive(Clone, Debug)]
pub struct StorageOptions {
    /// Whether a local file and its directories have been synced to disk when its request is answered, so that
    /// objects are as durable as in other stores. If not, objects survive crashes of processes, but after a power
    /// failure parts of a complete checkpoint may be missing.
    pub fsync: bool,
    /// The most requests that run at one time. Further ones wait.
    pub requests_under_way: usize,
    /// Settings of S3 by their names in `object_store` (`aws_access_key_id`, `aws_endpoint`, …). They come from
    /// the configuration, never from arguments.
    pub s3: BTreeMap<String, String>,
}

impl Default for StorageOptions {
    fn default() -> Self {
        Self { fsync: true, requests_under_way: 64, s3: BTreeMap::new() }
    }
}

/// An object, or a directory of them, in its store.
pub(super) struct Place {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) path: Path,
}

/// The stores by scheme.
pub(super) struct Places {
    local: Arc<dyn ObjectStore>,
    memory: Arc<dyn ObjectStore>,
    #[cfg(feature = "s3")]
    s3: super::s3::Buckets,
}

impl Places {
    pub(super) fn new(options: StorageOptions, memory: Arc<InMemory>) -> Self {
        let local = Arc::new(LocalFileSystem::new().with_fsync(options.fsync));
        Self {
            local,
            memory,
            #[cfg(feature = "s3")]
            s3: super::s3::Buckets::new(options.s3),
        }
    }

    /// The store of `at`, and the path in it.
    pub(super) fn find(&self, at: &Location) -> Result<Place, StoreError> {
        match at.0.split_once("://") {
            None => self.local(at, &at.0),
            Some(("file", path)) => self.local(at, path),
            Some(("memory", path)) => Ok(Place { store: self.memory.clone(), path: parse(at, path)? }),
            #[cfg(feature = "s3")]
            Some(("s3", rest)) => {
                let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
                Ok(Place { store: self.s3.bucket(at, bucket)?, path: parse(at, key)? })
            }
            #[cfg(not(feature = "s3"))]
            Some(("s3", _)) => {
                Err(failed(at, "this executable is built without S3; build it with the feature `s3`"))
            }
            Some(("http", _)) => Err(failed(at, "can only be read")),
            Some((scheme, _)) => {
                Err(failed(at, format!("unknown scheme {scheme}: use a path, file://, memory:// or s3://")))
            }
        }
    }

    /// The path of the local file `at`.
    pub(super) fn file(&self, at: &Location) -> Result<PathBuf, StoreError> {
        match at.0.split_once("://") {
            None => absolute(at, &at.0),
            Some(("file", path)) => absolute(at, path),
            Some((scheme, _)) => Err(failed(at, format!("{scheme} has no files that can be run"))),
        }
    }

    fn local(&self, at: &Location, path: &str) -> Result<Place, StoreError> {
        let path = Path::from_absolute_path(absolute(at, path)?).map_err(|e| failed(at, e.to_string()))?;
        Ok(Place { store: self.local.clone(), path })
    }
}

fn absolute(at: &Location, path: &str) -> Result<PathBuf, StoreError> {
    std::path::absolute(path).map_err(|e| failed(at, e.to_string()))
}

fn parse(at: &Location, path: &str) -> Result<Path, StoreError> {
    Path::parse(path.trim_matches('/')).map_err(|e| failed(at, e.to_string()))
}
