//! Accepted connections that have not identified themselves yet.
//!
//! A process of the cluster sends its first frame, which is short, as soon as it is connected. Until then a connection
//! gets little memory and a short time, and only a few may be in this state at once. When there are too many, the oldest
//! is closed. Processes of the cluster need this state only for moments, so that other clients cannot keep them out.

use crate::ConnId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// The newcomers of a process. Clones share them.
#[derive(Clone)]
pub(super) struct Newcomers {
    /// The newcomers in the order of their arrival.
    waiting: Arc<Mutex<BTreeMap<ConnId, oneshot::Sender<()>>>>,
    most: usize,
}

/// A connection that has not identified itself. Dropped when it has, or when it has closed.
pub(super) struct Newcomer {
    conn: ConnId,
    all: Newcomers,
    displaced: oneshot::Receiver<()>,
}

impl Newcomers {
    pub(super) fn new(most: usize) -> Self {
        Self { waiting: Arc::default(), most: most.max(1) }
    }

    /// Adds a connection. If there are too many, the oldest is displaced.
    pub(super) fn add(&self, conn: ConnId) -> Newcomer {
        let (place, displaced) = oneshot::channel();
        let mut waiting = self.lock();
        waiting.insert(conn, place);
        if waiting.len() > self.most {
            waiting.pop_first();
        }
        Newcomer { conn, all: self.clone(), displaced }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ConnId, oneshot::Sender<()>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Newcomer {
    /// Returns when a newer connection needs the place.
    pub(super) async fn displaced(&mut self) {
        drop((&mut self.displaced).await);
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        self.all.lock().remove(&self.conn);
    }
}
