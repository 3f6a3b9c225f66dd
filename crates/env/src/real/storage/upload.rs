//! Uploads in parts.
//!
//! Each upload has a task that takes its parts in order. Parts are uploaded concurrently, and the object is
//! completed when the last part and all others have arrived. When the upload is cancelled or its process ends,
//! the task ends and removes what it has written.

use super::error::{failed, store_error};
use super::{Place, Storage};
use crate::Input;
use crate::real::inbox::Inbox;
use crate::store::{Location, PutMode, StoreError, StoreReply, StoreResult, Ticket};
use bytes::Bytes;
use object_store::{MultipartUpload, ObjectStoreExt};
use std::collections::HashMap;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The number of parts of one upload that may wait. Each part is answered, so a writer stays far below.
const WAITING_PARTS: usize = 1024;

/// The uploads in progress of one process.
#[derive(Default)]
pub(crate) struct Uploads(HashMap<u64, mpsc::Sender<Part>>);

/// A part and the recipient of its answer.
pub(crate) struct Part {
    pub(crate) ticket: Ticket,
    pub(crate) at: Location,
    pub(crate) bytes: Bytes,
    pub(crate) last: bool,
}

impl Uploads {
    /// Adds a part to its upload. The first part begins the upload.
    pub(crate) fn add(
        &mut self,
        upload: u64,
        part: Part,
        storage: &Storage,
        inbox: &Inbox,
        runtime: &Handle,
    ) {
        let (last, ticket, at) = (part.last, part.ticket, part.at.clone());
        let task = self.0.entry(upload).or_insert_with(|| {
            let (parts, waiting) = mpsc::channel(WAITING_PARTS);
            runtime.spawn(carry_out(storage.clone(), waiting, inbox.clone()));
            parts
        });
        if task.try_send(part).is_err() {
            let result = Err(failed(&at, "more than 1024 parts wait, or the upload ended before"));
            inbox.push_input(Input::Stored { ticket, result });
        }
        if last {
            self.0.remove(&upload);
        }
    }

    /// Drops an upload if it is in progress.
    pub(crate) fn cancel(&mut self, upload: u64) {
        self.0.remove(&upload);
    }
}

type Started = Box<dyn MultipartUpload>;

async fn carry_out(storage: Storage, mut parts: mpsc::Receiver<Part>, inbox: Inbox) {
    let mut started: Option<Started> = None;
    let mut under_way = JoinSet::new();
    let mut failure: Option<StoreError> = None;
    while let Some(part) = parts.recv().await {
        let Part { ticket, at, bytes, last } = part;
        while let Some(ended) = under_way.try_join_next() {
            failure = failure.or(part_failure(&at, ended));
        }
        if started.is_none() && failure.is_none() {
            if last {
                let result = storage.put(&at, bytes, PutMode::Overwrite).await.map(|()| StoreReply::Done);
                return inbox.push_input(Input::Stored { ticket, result });
            }
            match start(&storage, &at).await {
                Ok(upload) => started = Some(upload),
                Err(e) => failure = Some(e),
            }
        }
        let (Some(upload), None) = (&mut started, &failure) else {
            let result = Err(failure.clone().expect("an upload that did not start has a failure"));
            inbox.push_input(Input::Stored { ticket, result });
            if last {
                break;
            }
            continue;
        };
        let sent = upload.put_part(bytes.into());
        if last {
            let mut result = sent.await.map_err(|e| store_error(&at, &e));
            while let Some(ended) = under_way.join_next().await {
                result = part_failure(&at, ended).map_or(result, Err);
            }
            if result.is_ok() {
                result = upload.complete().await.map(drop).map_err(|e| store_error(&at, &e));
            }
            let completed = result.is_ok();
            inbox.push_input(Input::Stored { ticket, result: result.map(|()| StoreReply::Done) });
            if completed {
                return;
            }
            break;
        }
        let inbox = inbox.clone();
        under_way.spawn(async move {
            let result: StoreResult = sent.await.map(|()| StoreReply::Done).map_err(|e| store_error(&at, &e));
            inbox.push_input(Input::Stored { ticket, result: result.clone() });
            result
        });
    }
    under_way.shutdown().await;
    if let Some(mut upload) = started
        && let Err(e) = upload.abort().await
    {
        tracing::debug!("an upload that was cancelled may have left something behind: {e}");
    }
}

async fn start(storage: &Storage, at: &Location) -> Result<Started, StoreError> {
    let Place { store, path } = storage.places.find(at)?;
    store.put_multipart(&path).await.map_err(|e| store_error(at, &e))
}

fn part_failure(at: &Location, ended: Result<StoreResult, tokio::task::JoinError>) -> Option<StoreError> {
    match ended {
        Ok(result) => result.err(),
        Err(e) => Some(failed(at, format!("an upload task was lost: {e}"))),
    }
}
