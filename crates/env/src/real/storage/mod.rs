//! Object storage: requests carried out on `object_store`.
//!
//! A [`Location`] names its store by scheme: a plain path or `file://` is the local file system, `memory://` the
//! one store in memory that all clones of a [`Storage`] share, `s3://bucket/key` (feature `s3`) a bucket. What
//! `http://host:port/path` names can only be read ([`http`]), and so can `https://` and `internal+https://` ([`https`]). The text
//! after `file://` is the path as it is, without percent decoding. Local files are written beside their
//! place and moved or linked into it, so readers see whole objects only; what a crashed writer leaves behind is
//! named `object#1` and is never listed ([`listing`] says what else is not).

mod blocking;
mod concat;
mod error;
mod http;
mod https;
mod listing;
mod place;
#[cfg(feature = "s3")]
mod s3;
mod upload;

pub use blocking::BlockingStorage;
pub use https::HttpsClients;
pub use place::StorageOptions;
pub(super) use upload::{Part, Uploads};

use crate::store::{Location, ObjectMeta, PutMode, StoreError, StoreOp, StoreReply, StoreResult};
use bytes::Bytes;
use error::{failed, store_error};
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore, ObjectStoreExt};
use place::{Place, Places};
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Object storage. Clones share their stores, above all the one in memory.
#[derive(Clone)]
pub struct Storage {
    places: Arc<Places>,
    under_way: Arc<Semaphore>,
    left_out: Arc<listing::Named>,
    https: HttpsClients,
}

impl Default for Storage {
    fn default() -> Self {
        Self::new(StorageOptions::default())
    }
}

impl Storage {
    /// Storage with an empty store in memory.
    #[must_use]
    pub fn new(options: StorageOptions) -> Self {
        let under_way = Arc::new(Semaphore::new(options.requests_under_way));
        let places = Arc::new(Places::new(options, Arc::new(InMemory::new())));
        Self { places, under_way, left_out: Arc::default(), https: HttpsClients::default() }
    }

    /// The same storage, which reads from HTTP servers with this TLS.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_https(self, https: HttpsClients) -> Self {
        Self { https, ..self }
    }

    /// Fails for a location whose scheme is unknown or not part of this build. Sends no request to a store.
    pub fn check(&self, at: &Location) -> Result<(), StoreError> {
        self.places.find(at).map(drop)
    }

    /// Carries out a request on a tokio runtime. Uploads have a state, so the driver handles their parts.
    pub(super) async fn carry_out(&self, op: StoreOp) -> StoreResult {
        let _permit = self.under_way.acquire().await;
        match op {
            StoreOp::Put { at, body, mode } => self.put(&at, body, mode).await.map(|()| StoreReply::Done),
            StoreOp::Get { at, range } => self.get(&at, range).await.map(StoreReply::Bytes),
            StoreOp::List { below } => self.list(&below).await.map(StoreReply::Objects),
            StoreOp::Delete { at } => self.delete(&at).await.map(|()| StoreReply::Done),
            StoreOp::Rename { from, to } => self.rename(&from, &to).await.map(|()| StoreReply::Done),
            StoreOp::Concat { at, pieces, tail } => {
                self.concat(&at, pieces, tail).await.map(|()| StoreReply::Done)
            }
            StoreOp::MakeExecutable { at } => self.make_executable(&at).await.map(|()| StoreReply::Done),
            StoreOp::Upload { .. } | StoreOp::CancelUpload { .. } => {
                unreachable!("the driver keeps the parts of an upload in order")
            }
        }
    }

    async fn put(&self, at: &Location, body: Bytes, mode: PutMode) -> Result<(), StoreError> {
        let Place { store, path } = self.places.find(at)?;
        let mode = match mode {
            PutMode::Create => object_store::PutMode::Create,
            PutMode::Overwrite => object_store::PutMode::Overwrite,
        };
        let put = store.put_opts(&path, body.into(), mode.into()).await;
        put.map(drop).map_err(|e| store_error(at, &e))
    }

    async fn get(&self, at: &Location, range: Option<Range<u64>>) -> Result<Bytes, StoreError> {
        if http::serves(at) {
            return http::get(at, range, &self.https).await;
        }
        let Place { store, path } = self.places.find(at)?;
        let Some(range) = range else {
            let found = store.get(&path).await.map_err(|e| store_error(at, &e))?;
            return found.bytes().await.map_err(|e| store_error(at, &e));
        };
        let past_the_end = |len| StoreError::OutOfRange { at: at.clone(), range: range.clone(), len };
        if range.start < range.end {
            let asked = GetOptions::new().with_range(Some(range.clone()));
            match store.get_opts(&path, asked).await {
                Ok(found) if found.range == range => {
                    return found.bytes().await.map_err(|e| store_error(at, &e));
                }
                Ok(found) => return Err(past_the_end(found.meta.size)),
                Err(e @ object_store::Error::NotFound { .. }) => return Err(store_error(at, &e)),
                // Each store reports a range past the end in its own way, so the object's length is requested.
                Err(e) => match store.head(&path).await {
                    Ok(object) if range.end > object.size => return Err(past_the_end(object.size)),
                    _ => return Err(store_error(at, &e)),
                },
            }
        }
        let len = store.head(&path).await.map_err(|e| store_error(at, &e))?.size;
        if range.start == range.end && range.end <= len { Ok(Bytes::new()) } else { Err(past_the_end(len)) }
    }

    async fn list(&self, below: &Location) -> Result<Vec<ObjectMeta>, StoreError> {
        let Place { store, path } = self.places.find(below)?;
        let mut objects = match self.places.file(below) {
            Ok(directory) => self.list_files(below, directory).await?,
            Err(_) => self.list_objects(below, &store, &path).await?,
        };
        objects.sort_unstable_by(|a, b| a.at.cmp(&b.at));
        if objects.is_empty()
            && let Ok(object) = store.head(&path).await
        {
            objects.push(ObjectMeta { at: below.clone(), len: object.size });
        }
        Ok(objects)
    }

    async fn list_files(&self, below: &Location, directory: PathBuf) -> Result<Vec<ObjectMeta>, StoreError> {
        let left_out = self.left_out.clone();
        let listing = tokio::task::spawn_blocking(move || listing::files_below(&directory, &left_out));
        let found = listing.await.map_err(|e| failed(below, e.to_string()))?;
        let object = |file: listing::Found| ObjectMeta { at: below.join(&file.relative), len: file.len };
        Ok(found.map_err(|e| failed(below, e.to_string()))?.into_iter().map(object).collect())
    }

    async fn list_objects(
        &self,
        below: &Location,
        store: &Arc<dyn ObjectStore>,
        path: &Path,
    ) -> Result<Vec<ObjectMeta>, StoreError> {
        let name = |object: object_store::ObjectMeta| {
            let parts = object.location.prefix_match(path)?;
            let relative: Vec<_> = parts.map(|part| part.as_ref().to_owned()).collect();
            if relative.is_empty() {
                return None; // the object of the prefix's own name, which only some stores list
            }
            Some(ObjectMeta { at: below.join(&relative.join("/")), len: object.size })
        };
        let found: Vec<_> = store.list(Some(path)).try_collect().await.map_err(|e| store_error(below, &e))?;
        Ok(found.into_iter().filter_map(name).collect())
    }

    async fn delete(&self, at: &Location) -> Result<(), StoreError> {
        let Place { store, path } = self.places.find(at)?;
        match store.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(e) => return Err(store_error(at, &e)),
        }
        self.remove_if_empty(at).await;
        Ok(())
    }

    /// Removes the directory that a deletion has left empty. Object stores have no directories, but in a file
    /// system a checkpoint each second would leave 86,400 directories a day, and each listing would read all of
    /// them. Parents of the directory stay, because they may be the user's.
    async fn remove_if_empty(&self, deleted: &Location) {
        let Ok(file) = self.places.file(deleted) else { return };
        if let Some(directory) = file.parent().map(std::path::Path::to_owned) {
            // The system does not remove a directory with entries, and one that cannot be removed does no harm.
            let _ = tokio::task::spawn_blocking(move || std::fs::remove_dir(directory)).await;
        }
    }

    async fn rename(&self, from: &Location, to: &Location) -> Result<(), StoreError> {
        let (source, target) = (self.places.find(from)?, self.places.find(to)?);
        if !Arc::ptr_eq(&source.store, &target.store) {
            return Err(failed(from, format!("cannot be moved to {to}, which is in another store")));
        }
        source.store.rename(&source.path, &target.path).await.map_err(|e| store_error(from, &e))
    }

    async fn make_executable(&self, at: &Location) -> Result<(), StoreError> {
        let file = self.places.file(at)?;
        let mode = std::fs::Permissions::from_mode(0o755);
        let changed = tokio::task::spawn_blocking(move || std::fs::set_permissions(file, mode)).await;
        match changed.map_err(|e| failed(at, e.to_string()))? {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(StoreError::NotFound(at.clone())),
            result => result.map_err(|e| failed(at, e.to_string())),
        }
    }
}
